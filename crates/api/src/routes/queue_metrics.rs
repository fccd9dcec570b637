//! How many jobs there are and what they may spend, and what this server has open, for Prometheus.

use frugal_domain::state::JobState;
use frugal_store::queue::{Budgets, Depth, InState};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// The jobs that have not ended.
#[derive(Debug)]
pub(super) struct Jobs {
    pub depth: Depth,
    pub by_state: Vec<InState>,
    pub budgets: Budgets,
}

impl Collector for Jobs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Depth { queued, leased } = self.depth;
        gauges(
            &mut encoder,
            "frugal_jobs",
            "Jobs that have not ended, by whether they wait for a worker or have one",
            "state",
            [("queued", queued), ("running", leased)],
        )?;
        let open = JobState::ALL.iter().filter(|state| !state.is_terminal());
        let open = open.map(|state| {
            let found = self.by_state.iter().find(|found| found.state == *state);
            (state.as_str(), found.map_or(0, |found| found.jobs))
        });
        gauges(
            &mut encoder,
            "frugal_open_jobs",
            "Jobs that have not ended, by state",
            "state",
            open,
        )?;
        let overdue: i64 = self.by_state.iter().map(|found| found.overdue).sum();
        let mut metric = encoder.encode_descriptor(
            "frugal_overdue_jobs",
            "Jobs whose worker is gone and that no other has taken up yet",
            None,
            MetricType::Gauge,
        )?;
        metric.encode_gauge(&overdue)?;
        let Budgets {
            usd,
            usd_spent,
            tokens,
            tokens_spent,
        } = self.budgets;
        gauges(
            &mut encoder,
            "frugal_running_budget",
            "What the jobs that are driven may spend, by the unit of their budgets",
            "unit",
            [("usd", usd), ("tokens", tokens)],
        )?;
        gauges(
            &mut encoder,
            "frugal_running_spend",
            "What they have spent of it",
            "unit",
            [("usd", usd_spent), ("tokens", tokens_spent)],
        )
    }
}

/// What this server has open.
#[derive(Debug)]
pub(super) struct Open {
    /// Event streams.
    pub streams: u64,
    /// Connections to the database that are in use.
    pub used: u64,
    /// Those that are not.
    pub idle: u64,
    /// The most of them.
    pub most: u64,
}

impl Collector for Open {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        encoder
            .encode_descriptor(
                "frugal_event_streams",
                "Event streams that this server has open",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&self.streams)?;
        gauges(
            encoder,
            "db_client_connection_count",
            "Connections of this server to the database, by whether they are in use",
            "state",
            [("used", self.used), ("idle", self.idle)],
        )?;
        encoder
            .encode_descriptor(
                "db_client_connection_max",
                "The most connections of this server to the database",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&self.most)
    }
}

/// Writes a gauge with a value for each of a label's.
fn gauges<'a, N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (&'a str, N)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (of, value) in values {
        metric.encode_family(&[(label, of)])?.encode_gauge(&value)?;
    }
    Ok(())
}

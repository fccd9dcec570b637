//! What programs are measured in: a PostgreSQL that flushes to disk at each commit, and an endpoint that takes its
//! time.
#![expect(
    clippy::expect_used,
    reason = "a world that does not start fails here, as it would at an assertion"
)]

use crate::postgres;
use crate::processes::Setting;
use frugal::embedded_postgres::EmbeddedPostgres;
use frugal_simulator::{Latency, Simulator, SimulatorOptions};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A database and an endpoint of the measurement's own.
pub struct Bench {
    _directory: TempDir,
    database: EmbeddedPostgres,
    /// The endpoint.
    pub simulator: Simulator,
    /// What programs are started with.
    pub setting: Setting,
}

impl Bench {
    /// Starts both, for a program; the one beside this one where there is none.
    ///
    /// # Panics
    /// Where one does not start.
    pub async fn start(program: Option<&Path>, latency: Duration) -> Self {
        let directory = postgres::directory();
        let options = postgres::kept(&directory.path().join("data"));
        let database = EmbeddedPostgres::start(options).await;
        let database = database.expect("PostgreSQL starts");
        let options = SimulatorOptions {
            latency: Latency::constant(latency),
            ..SimulatorOptions::default()
        };
        let simulator = frugal_simulator::serve(options).await;
        let simulator = simulator.expect("the simulator starts");
        let mut setting = Setting::local(database.url(), &simulator.base_url());
        setting.program = program.map(Path::to_owned);
        Self {
            _directory: directory,
            database,
            simulator,
            setting,
        }
    }

    /// Ends both.
    ///
    /// # Panics
    /// Where the endpoint has broken down.
    pub async fn end(self) {
        let stopped = self.simulator.shutdown().await;
        stopped.expect("the simulator has not broken down");
        self.database.stop().await;
    }
}

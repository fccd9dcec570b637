//! What holds for every job, whatever its prices, budgets, lengths, failures and the order of
//! arrival. Each job is drawn from a seed, which proptest prints and shrinks.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking; its numbers are small"
)]

mod checks;
mod world;

use checks::{
    Given, check_ending, check_evaluation, check_requests, check_scores, given, offered, servable,
};
use frugal_domain::configuration::{Extent, Sampling, Settings};
use frugal_domain::job::Pruning;
use frugal_domain::metric::Metric;
use frugal_domain::money::{Budget, Spend, Unit, Usd};
use frugal_domain::request::ResponseId;
use frugal_domain::scoring::Reducer;
use frugal_domain::trial::{Estimate, PruneReason};
use frugal_evaluation::metrics::values;
use frugal_evaluation::statistics::estimate;
use frugal_evaluation::{Ending, Ledger, Mode, Rates, Step, TrialPlan, UsedResponse};
use proptest::prelude::*;
use std::collections::BTreeMap;
use world::{Job, Record};

const PRUNINGS: [Pruning; 3] = [Pruning::On, Pruning::Off, Pruning::Reference];

/// Checks a job; whether its optimization budget ran out.
fn check_job(job: &Job) -> bool {
    let mut ledger = Ledger::new(job.optimization_budget);
    let (records, evaluator) = job.run_on(&mut ledger, Some(job.seed ^ 0x5eed));
    assert_eq!(records.len(), job.plans.len(), "every trial ends");
    assert_eq!(
        ledger.reserved(),
        Spend::default(),
        "nothing stays reserved"
    );
    assert_eq!(ledger.spent(), evaluator.spend(), "the ledger adds up");
    if let Some(budget) = job.optimization_budget {
        assert!(budget.covers(ledger.spent()), "the budget is never passed");
    } else {
        // The order of arrival decides nothing, and the answers alone make the same job again.
        for arrival in [Some(job.seed ^ 0xfeed), None] {
            assert_eq!(job.run(arrival).0, records);
        }
    }

    let mut known = BTreeMap::new();
    let mut pool: BTreeMap<Sampling, BTreeMap<ResponseId, Given>> = BTreeMap::new();
    let mut spend = Spend::default();
    for (index, (plan, record)) in job.plans.iter().zip(&records).enumerate() {
        // Trial t sees what trials up to t − k left.
        if let Some(seen) = index.checked_sub(job.open) {
            let (plan, record) = (&job.plans[seen], &records[seen]);
            if job.pruning != Pruning::Reference {
                let drawn = pool.entry(plan.settings.sampling.clone()).or_default();
                drawn.extend(given(job, record));
                drawn.extend(offered(record));
            }
        }
        known.extend(given(job, record));
        known.extend(offered(record));
        let mut drawn = pool
            .get(&plan.settings.sampling)
            .cloned()
            .unwrap_or_default();
        drawn.extend(offered(record));
        let drawn: Vec<Given> = drawn.into_values().collect();
        let own = job.pruning != Pruning::Reference || plan.mode == Mode::Full;
        let servable = servable(&drawn, plan.settings.extent.max_tokens);
        check_requests(job, plan, record, &servable, own);
        check_scores(plan, record);
        check_evaluation(job, plan, record, &known);
        check_ending(job, plan, record);
        for receipt in record.replies.iter().flatten() {
            spend += Spend::of(receipt.usage, plan.prices);
        }
    }
    assert_eq!(evaluator.spend(), spend, "spend adds up");
    if job.optimization_budget.is_none() {
        let bought = if job.pruning == Pruning::Reference {
            0
        } else {
            known.len()
        };
        assert_eq!(evaluator.pool().responses(), bought);
    }
    let out = |record: &Record| record.ending == Ending::BudgetExhausted;
    records.iter().any(out)
}

/// Ten thousand jobs with an optimization budget, on which trials stop half-way.
#[test]
fn no_budget_is_passed_in_ten_thousand_jobs() {
    let mut exhausted = 0;
    for seed in 0..10_000 {
        let pruning = PRUNINGS[seed as usize % PRUNINGS.len()];
        let mut job = Job::random(seed, pruning);
        let amount = 1 << (8 + seed % 14);
        job.optimization_budget = Some(if seed % 2 == 0 {
            Budget::Tokens(amount)
        } else {
            Budget::Usd(Usd::from_pico(amount * 30))
        });
        let checked = std::panic::catch_unwind(|| check_job(&job));
        assert!(checked.is_ok(), "job {seed}");
        exhausted += u32::from(checked.unwrap());
    }
    // The budgets are neither all too small nor all ample.
    assert!((1_000..9_000).contains(&exhausted), "{exhausted}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_job_keeps_its_promises(seed: u64, pruning in prop::sample::select(&PRUNINGS)) {
        check_job(&Job::random(seed, pruning));
    }

    /// Told the answers that were stored before a crash, in the order of their ordinals, a new
    /// trial asks for the very requests that are still open.
    #[test]
    fn a_trial_goes_on_where_it_was_cut_off(seed: u64, answered in 0..60_usize) {
        let mut job = Job::random(seed, Pruning::On);
        job.plans.truncate(1);
        let (records, _) = job.run(None);
        let record = &records[0];
        let mut trial = job.evaluator().begin(job.plans[0].clone()).unwrap();
        let mut stored = record.replies.iter().take(answered);
        let mut batches = record.batches.iter();
        loop {
            match trial.step() {
                Step::Request(batch) => {
                    prop_assert_eq!(Some(&batch), batches.next());
                    for (request, reply) in batch.iter().zip(stored.by_ref()) {
                        trial.receive(request.key.ordinal, reply.clone()).unwrap();
                    }
                }
                Step::Score(plans) => {
                    trial.receive_scores(plans.iter().map(|plan| (plan.key, job.score(plan.key))));
                }
                Step::Wait | Step::Ended(_) => break,
            }
        }
        if answered >= record.replies.len() {
            prop_assert_eq!(trial.ending(), Some(&record.ending));
        } else {
            prop_assert_eq!(trial.step(), Step::Wait);
            let open = trial.unanswered().next().map(|request| request.key.ordinal as usize);
            prop_assert_eq!(open, Some(answered));
        }
    }

    /// Of the responses that a trial took, all of them and no others, the pool says what the trial
    /// says of itself, by every reducer and in both units.
    #[test]
    fn the_pool_agrees_with_a_trial_at_its_own_extent(seed: u64) {
        let mut job = Job::random(seed, Pruning::Off);
        job.endpoint.fail = 0.0;
        job.endpoint.refuse = 0.0;
        job.endpoint.empty = 0.0;
        job.endpoint.unscorable = 0.0;
        job.plans.truncate(1);
        let (records, evaluator) = job.run(Some(seed));
        let evaluation = records[0].evaluation.as_ref().unwrap();
        let plan = &job.plans[0];
        let Settings { sampling, extent } = &plan.settings;
        let arm = evaluator.pool().arm(sampling).unwrap();
        prop_assert!(arm.unscored(extent.max_tokens).is_empty());
        prop_assert_eq!(arm.responses(), job.instances * extent.n as usize);
        let agrees = |found: Option<Estimate>, metric: Metric, unit: Unit| {
            let values: Vec<f64> = values(metric, evaluation, unit).into_values().collect();
            let (found, expected) = (found.unwrap(), estimate(&values).unwrap());
            let near = |left: f64, right: f64| (left - right).abs() <= 1e-9 * right.abs().max(1e-9);
            let error = |estimate: Estimate| estimate.standard_error.unwrap_or_default();
            found.count == expected.count
                && near(found.mean, expected.mean)
                && (error(found) - error(expected)).abs() < 1e-9
        };
        for (reducer, metric) in [
            (Reducer::Mean, Metric::Mean),
            (Reducer::Min, Metric::Min),
            (Reducer::Success, Metric::Success),
            (Reducer::ExpectedSuccess, Metric::ExpectedSuccess),
        ] {
            let found = arm.utility(*extent, reducer);
            prop_assert!(agrees(found, metric, Unit::Tokens), "{:?}: {:?}", reducer, found);
        }
        for unit in [Unit::Tokens, Unit::Usd] {
            let TrialPlan { prices, most_per_request, .. } = *plan;
            let rates = Rates { prices, most_per_request, unit };
            let prompts = &job.prompts[sampling.prompt];
            let found = arm.cost(*extent, rates, |instance| prompts[instance]);
            prop_assert!(agrees(found, Metric::InferenceCost, unit), "{:?}: {:?}", unit, found);
        }
    }

    /// Where all instances are alike there is nothing to be wrong about: a configuration is
    /// evaluated exactly if it is within the budget.
    #[test]
    fn without_noise_pruning_is_exact(seed: u64) {
        let mut job = Job::random(seed, Pruning::On);
        job.endpoint.fail = 0.0;
        job.endpoint.refuse = 0.0;
        job.endpoint.empty = 0.0;
        job.endpoint.unscorable = 0.0;
        job.endpoint.spread = 0.0;
        job.reuse = false;
        let prompt_tokens = job.prompts[0][0];
        job.prompts = vec![vec![prompt_tokens; job.instances]; 2];
        // Lengths differ by instance; one instance makes them all alike.
        job.instances = 1;
        for plan in &mut job.plans {
            plan.prompt_token_bounds = [prompt_tokens + 5].into();
            plan.mode = Mode::Scheduled;
        }
        let (records, evaluator) = job.run(Some(seed));
        for (plan, record) in job.plans.iter().zip(records) {
            let Extent { n, max_tokens } = plan.settings.extent;
            let length = max_tokens.min(10);
            let requests = plan.most_per_request.map_or(1, |most| n.div_ceil(most));
            let within = job.inference_budget.is_none_or(|budget| {
                let prices = budget.unit().prices(plan.prices);
                let prompt = prices.request_pico + prices.input_pico * prompt_tokens;
                let output = prices.output_pico * u64::from(length * n);
                prompt * u64::from(requests) + output <= budget.amount()
            });
            prop_assert_eq!(
                record.ending == Ending::Evaluated { within_budget: true },
                within,
                "{:?}", plan
            );
        }
        prop_assert!(evaluator.validity().violations().is_empty());
    }
}

/// On the same jobs and answers of the same lengths, keeping what was paid for costs less.
#[test]
fn the_default_schedule_spends_least() {
    let mut spent = BTreeMap::new();
    for seed in 0..400 {
        for pruning in PRUNINGS {
            let mut job = Job::random(seed, pruning);
            job.endpoint.fail = 0.0;
            job.endpoint.refuse = 0.0;
            job.endpoint.empty = 0.0;
            job.endpoint.short = 0.0;
            job.endpoint.unscorable = 0.0;
            job.endpoint.most = 1_000;
            job.rivals = false;
            job.reuse = false;
            job.inference_budget.get_or_insert(Budget::Tokens(1_000));
            for plan in &mut job.plans {
                plan.most_per_request = None;
                // No two share a pool: what is compared is the schedule alone.
                plan.settings.sampling.temperature = Some(plan.number.0.into());
            }
            let (_, evaluator) = job.run(None);
            *spent.entry(format!("{pruning:?}")).or_insert(0) += Unit::Tokens.of(evaluator.spend());
        }
    }
    println!("tokens spent: {spent:?}");
    assert!(spent["On"] < spent["Reference"], "{spent:?}");
    assert!(spent["On"] < spent["Off"], "{spent:?}");
}

/// The promises above mean something only if the random jobs get everywhere.
#[test]
fn random_jobs_get_everywhere() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut see = |what, is: bool| *seen.entry(what).or_default() += u32::from(is);
    for seed in 0..400 {
        let job = Job::random(seed, Pruning::On);
        let (records, evaluator) = job.run(None);
        see("violation", !evaluator.validity().violations().is_empty());
        for (plan, record) in job.plans.iter().zip(&records) {
            let silent = record.batches.is_empty();
            let ending = &record.ending;
            see(
                "evaluated",
                matches!(
                    ending,
                    Ending::Evaluated {
                        within_budget: true
                    }
                ),
            );
            see(
                "full over budget",
                matches!(
                    ending,
                    Ending::Evaluated {
                        within_budget: false
                    }
                ),
            );
            see("failed", matches!(ending, Ending::Failed(_)));
            see("infeasible", matches!(ending, Ending::Infeasible(_)));
            let reason = match ending {
                Ending::Pruned(reason) => Some(reason),
                _ => None,
            };
            see("known invalid", reason == Some(&PruneReason::KnownInvalid));
            let over = matches!(reason, Some(PruneReason::OverBudget { .. }));
            see("over budget", over && !silent);
            let inferior = matches!(reason, Some(PruneReason::Inferior { .. }));
            see("inferior", inferior);
            see(
                "pruned by the pool",
                reason.is_some_and(|r| *r != PruneReason::KnownInvalid) && silent,
            );
            let Some(evaluation) = &record.evaluation else {
                continue;
            };
            see("some missing", evaluation.len() < job.instances);
            let own = |r: &UsedResponse| r.id.job.is_none() && r.id.request.trial == plan.number;
            let pooled = evaluation.iter().flat_map(|e| &e.responses);
            let pooled = pooled.filter(|r| !own(r)).count();
            see("all pooled", silent);
            let used = || evaluation.iter().flat_map(|e| &e.responses);
            see("of another job", used().any(|r| r.id.job.is_some()));
            let cut = |r: &UsedResponse| !r.ended && !own(r);
            see("cut", used().any(cut));
            see("partly pooled", pooled > 0 && !silent);
            see(
                "unscorable",
                record
                    .scored
                    .iter()
                    .flat_map(|(_, plans)| plans)
                    .any(|plan| job.score(plan.key).is_err()),
            );
            let short = record.batches.iter().flatten().any(|request| {
                let reply = &record.replies[request.key.ordinal as usize];
                reply
                    .as_ref()
                    .is_ok_and(|r| r.responses.len() < request.n as usize)
            });
            see("short answers", short);
        }
    }
    assert!(seen.values().all(|&count| count > 0), "{seen:?}");
}

//! FLOW2 held to the reference traces, step by step.

use crate::trace::{
    TracedSpace, assert_close, assert_configuration, assert_drawn, feed, space, traces,
};
use frugal_domain::configuration::Configuration;
use frugal_search::draws::{Draws, Recorded};
use frugal_search::encoding::Encoding;
use frugal_search::flow2::Flow2;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Trace {
    space: TracedSpace,
    start: Configuration,
    start_loss: f64,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    draws: Vec<Value>,
    proposed: Option<Configuration>,
    loss: Option<f64>,
    incumbent: Configuration,
    best_loss: f64,
    step_size: f64,
    step_lower_bound: f64,
    can_suggest: bool,
    converged: bool,
}

#[test]
fn flow2_follows_the_reference() {
    for (number, trace) in traces::<Trace>("flow2.json").into_iter().enumerate() {
        let encoding = Encoding::exact(space(&trace.space)).unwrap();
        let mut draws = Draws::Recorded(Recorded::default());
        let start = encoding.normal_form(&trace.start).unwrap();
        let mut search = Flow2::new(&encoding, start, trace.start_loss, 0.1);
        assert!(!trace.steps.is_empty());
        for (step, id) in trace.steps.iter().zip(0..) {
            let at = format!("trace {number}, step {id}");
            feed(&mut draws, &step.draws, &at);
            let proposed = search.suggest(&encoding, &mut draws, id);
            assert_drawn(&draws, &at);
            match (&proposed, &step.proposed) {
                (Some(proposed), Some(expected)) => {
                    assert_configuration(proposed, expected, &at);
                }
                (None, None) => {}
                _ => panic!("{at}: {proposed:?}, but the trace has {:?}", step.proposed),
            }
            if let Some(loss) = step.loss {
                search.complete(&encoding, id, loss);
            }
            assert_configuration(search.best_configuration(), &step.incumbent, &at);
            assert_close(
                search.best_loss(),
                step.best_loss,
                &format!("{at}, best loss"),
            );
            assert_close(
                search.step_size(),
                step.step_size,
                &format!("{at}, step size"),
            );
            assert_close(
                search.step_lower_bound(&encoding),
                step.step_lower_bound,
                &format!("{at}, lower bound"),
            );
            assert_eq!(search.can_suggest(), step.can_suggest, "{at}, can suggest");
            assert_eq!(
                search.has_converged(&encoding),
                step.converged,
                "{at}, converged"
            );
        }
    }
}

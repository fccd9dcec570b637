//! What the events of a job tell, in their order: whatever was asked of it, they tell of a life that it
//! may have had.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The events of a job, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The number of the last one.
    pub(super) last: i64,
    stands: Stands,
    attempt: i64,
    run: i64,
    /// The trials that have begun, and those that have ended in this run.
    begun: BTreeSet<i64>,
    ended: BTreeMap<i64, i64>,
}

/// What the last event that bears on it says of the job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stands {
    #[default]
    New,
    Waits,
    Runs,
    Pauses,
    Paused,
    Ended,
}

impl Log {
    /// Takes the next event in, and tells what it cannot say after those before.
    pub(super) fn read(&mut self, event: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let number = event["seq"].as_i64().unwrap_or_default();
        if number != self.last + 1 {
            wrong.push(format!("event {number} follows {}", self.last));
        }
        self.last = number;
        let kind = event["type"].as_str().unwrap_or_default();
        if !self.may_follow(kind, &event["data"]) {
            let (stands, attempt) = (self.stands, self.attempt);
            wrong.push(format!(
                "event {number}, {kind} {}, comes to a job that is {stands:?} at its attempt {attempt}",
                event["data"]
            ));
        }
        wrong
    }

    fn may_follow(&mut self, kind: &str, data: &Value) -> bool {
        use Stands::{Ended, New, Paused, Pauses, Runs, Waits};
        let before = self.stands;
        let (may, after) = match kind {
            "job.queued" => (before == New, Waits),
            "job.running" => {
                let attempt = data["attempt"].as_i64().unwrap_or_default();
                let is_next = attempt == self.attempt + 1;
                self.attempt = attempt;
                // Whoever takes a job up that is to pause only sets it aside.
                let after = if before == Pauses { Pauses } else { Runs };
                (is_next && matches!(before, Waits | Runs | Pauses), after)
            }
            "job.pausing" => (before == Runs, Pauses),
            "job.paused" => (matches!(before, Waits | Runs | Pauses), Paused),
            "job.resumed" => match before {
                Pauses => (true, Runs),
                _ => (before == Paused, Waits),
            },
            "job.cancelled" => (!matches!(before, New | Ended), Ended),
            "job.succeeded" => (matches!(before, Runs | Pauses), Ended),
            "job.continued" => {
                self.run += 1;
                (before == Ended, Waits)
            }
            "job.failed" => (false, Ended),
            "job.updated" => (before != New, before),
            // What is put in is told of at once, whoever has the job.
            "trial.enqueued" => (!matches!(before, New | Ended), before),
            _ => {
                let trials = self.trial_may_follow(kind, data);
                (trials && matches!(before, Runs | Pauses), before)
            }
        };
        self.stands = after;
        may
    }

    fn trial_may_follow(&mut self, kind: &str, data: &Value) -> bool {
        let Some(trial) = data["trial"].as_i64() else {
            return true;
        };
        match kind {
            "trial.started" => self.begun.insert(trial),
            "trial.evaluated" | "trial.pruned" | "trial.infeasible" | "trial.failed"
            | "trial.stopped" => {
                let before = self.ended.insert(trial, self.run);
                // It may end once more after the job was continued.
                self.begun.contains(&trial) && before != Some(self.run)
            }
            _ => self.begun.contains(&trial),
        }
    }

    /// Whether they tell that the job has ended.
    pub(super) fn tells_of_the_end(&self) -> bool {
        self.stands == Stands::Ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong(events: &[(&str, Value)]) -> usize {
        let mut log = Log::default();
        let events = (1..).zip(events);
        let read = events.map(|(number, (kind, data))| {
            log.read(&json!({"seq": number, "type": kind, "data": data}))
        });
        read.flatten().count()
    }

    #[test]
    fn a_life_is_told_in_its_order() {
        let none = json!({});
        let life = [
            ("job.queued", none.clone()),
            ("job.running", json!({"attempt": 1})),
            ("trial.started", json!({"trial": 1})),
            ("job.pausing", none.clone()),
            ("job.running", json!({"attempt": 2})),
            ("job.paused", none.clone()),
            ("job.resumed", none.clone()),
            ("job.running", json!({"attempt": 3})),
            ("trial.evaluated", json!({"trial": 1})),
            ("job.succeeded", none.clone()),
            ("job.updated", none.clone()),
            ("job.continued", none),
        ];
        assert_eq!(wrong(&life), 0);
        let mut twice = life.to_vec();
        twice.insert(9, ("trial.evaluated", json!({"trial": 1})));
        assert_eq!(wrong(&twice), 1);
        let mut after_the_end = life.to_vec();
        after_the_end.insert(10, ("trial.started", json!({"trial": 2})));
        assert_eq!(wrong(&after_the_end), 1);
        let mut missing = life.to_vec();
        missing.remove(7);
        assert_eq!(wrong(&missing), 2, "nobody drives it, and then it ends");
    }
}

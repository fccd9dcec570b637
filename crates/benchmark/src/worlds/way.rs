//! Ways to search, by what they change in a job's document.

use serde_json::{Value, json};

/// A way to search.
pub struct Way {
    /// What it is called.
    pub name: &'static str,
    /// What it changes in a job's document.
    pub changes: Value,
    /// Whether the settings that are laid over the world are left at their defaults.
    pub at_defaults: bool,
}

/// All of them.
pub fn ways() -> Vec<Way> {
    let way = |name, changes| Way {
        name,
        changes,
        at_defaults: false,
    };
    let profiled = |algorithm: &str| json!({"search": {"algorithm": algorithm}});
    let searched =
        |algorithm: &str| json!({"search": {"extent": "searched", "algorithm": algorithm}});
    vec![
        way("profiled", json!({})),
        way("profiled, no baseline", json!({"baseline": false})),
        way("profiled, random arms", profiled("random")),
        Way {
            at_defaults: true,
            ..way("profiled, simple rule", json!({}))
        },
        way("profiled, cfo arms", profiled("cfo")),
        way("profiled, tpe arms", profiled("tpe")),
        way("searched", searched("blendsearch")),
        way(
            "searched, cheap starts",
            json!({"search": {"extent": "searched", "options": {"low_cost_starts": true}}}),
        ),
        way(
            "published",
            json!({"search": {"pruning": "reference", "parallel_trials": 1,
                              "options": {"low_cost_starts": false}}}),
        ),
        way("cfo", searched("cfo")),
        way("tpe", searched("tpe")),
        way("random", searched("random")),
    ]
}

//! How a request is changed where a model refuses a parameter, so that what it takes is learned.

use crate::classify::{Problem, Refused};
pub use frugal_domain::abilities::{Abilities, MAX_TOKENS};

/// The other name of it that is in use.
const MAX_COMPLETION_TOKENS: &str = "max_completion_tokens";

/// Parameters that a model may lack without changing what is asked: a seed is best effort
/// everywhere, and one response is what a model gives that knows no `n`.
const DISPENSABLE: [&str; 2] = ["seed", "n"];

/// Whether a parameter may be left out.
pub(crate) fn is_dispensable(name: &str) -> bool {
    DISPENSABLE.contains(&name)
}

/// What one request found out so far. Each change is a further try; it is only remembered once a
/// request was answered that way.
#[derive(Debug, Clone)]
pub(crate) struct Adaptation {
    abilities: Abilities,
    /// What this request found.
    found: Abilities,
    may_rename: bool,
}

impl Adaptation {
    /// `stated` is the operator's word, which is final.
    pub(crate) fn new(stated: Abilities, learned: Abilities) -> Self {
        Self {
            may_rename: stated.max_tokens_name.is_none(),
            abilities: stated.or(learned),
            found: Abilities::default(),
        }
    }

    pub(crate) fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// What was found, if anything was.
    pub(crate) fn found(self) -> Option<Abilities> {
        (self.found != Abilities::default()).then_some(self.found)
    }

    /// Changes what is sent so that a parameter is not refused again, where that leaves what is
    /// asked as it is. `n` is how many responses were asked for. Whether it is worth another try.
    pub(crate) fn adapt(&mut self, refused: &Refused, n: u32) -> bool {
        let Some(name) = refused.name.as_deref() else {
            return false;
        };
        if name == "n" && n > 1 {
            return self.ask_for_fewer(refused.problem, n);
        }
        if is_dispensable(name) {
            self.found.omit.insert(name.to_owned());
            return self.abilities.omit.insert(name.to_owned());
        }
        let other = match name {
            MAX_TOKENS => MAX_COMPLETION_TOKENS,
            MAX_COMPLETION_TOKENS => MAX_TOKENS,
            _ => return false,
        };
        let is_sent = self.abilities.max_tokens_name() == name;
        if refused.problem != Problem::Unsupported || !self.may_rename || !is_sent {
            return false;
        }
        // Where both names are refused, it is not a matter of the name.
        self.may_rename = false;
        self.abilities.max_tokens_name = Some(other.to_owned());
        self.found.max_tokens_name = Some(other.to_owned());
        true
    }

    fn ask_for_fewer(&mut self, problem: Problem, n: u32) -> bool {
        let most = match problem {
            Problem::AtMost(most) => most.min(n - 1),
            Problem::Unsupported => 1,
            Problem::Value => n / 2,
            // The same model gives more with other settings.
            Problem::Combination => return false,
        };
        self.abilities.max_n = Some(most.max(1));
        self.found.max_n = self.abilities.max_n;
        true
    }
}

/// So many answers in a row with the same number of responses, fewer than were asked for, and the
/// model gives no more. One may have lost some of them to a filter or an interruption.
const SHORT_ANSWERS: u32 = 3;

/// How many responses come, where a model gives fewer than it is asked for and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Responses {
    /// The number in the last answers that were short.
    came: u32,
    /// How many of those there were.
    answers: u32,
}

impl Responses {
    /// Takes in that so many responses were asked for and came. The most that the model gives, once
    /// that is seen.
    pub(crate) fn learn(&mut self, asked: u32, came: u32) -> Option<u32> {
        if came > self.came {
            *self = Self::default();
        }
        if came == 0 || came >= asked {
            return None;
        }
        if came != self.came {
            *self = Self { came, answers: 0 };
        }
        self.answers += 1;
        (self.answers >= SHORT_ANSWERS).then_some(came)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn refused(name: &str, problem: Problem) -> Refused {
        Refused {
            name: Some(name.to_owned()),
            problem,
        }
    }

    fn fresh() -> Adaptation {
        Adaptation::new(Abilities::default(), Abilities::default())
    }

    #[test]
    fn the_other_name_is_tried_once() {
        let mut adaptation = fresh();
        let unsupported = |name| refused(name, Problem::Unsupported);
        assert!(adaptation.adapt(&unsupported("max_tokens"), 1));
        assert_eq!(
            adaptation.abilities().max_tokens_name(),
            "max_completion_tokens"
        );
        assert!(!adaptation.adapt(&unsupported("max_completion_tokens"), 1));
        let mut too_large = fresh();
        assert!(!too_large.adapt(&refused("max_tokens", Problem::Value), 1));
        assert_eq!(too_large.found(), None);
        // The operator's word is final.
        let stated = Abilities {
            max_tokens_name: Some("max_tokens".to_owned()),
            ..Abilities::default()
        };
        let mut stated = Adaptation::new(stated, Abilities::default());
        assert!(!stated.adapt(&unsupported("max_tokens"), 1));
    }

    #[test]
    fn what_is_tuned_is_never_left_out() {
        let mut adaptation = fresh();
        for name in ["temperature", "top_p", "stop", "top_k"] {
            assert!(
                !adaptation.adapt(&refused(name, Problem::Unsupported), 1),
                "{name}"
            );
        }
        assert!(adaptation.adapt(&refused("seed", Problem::Value), 1));
        assert!(!adaptation.adapt(&refused("seed", Problem::Value), 1));
        assert_eq!(
            adaptation.found().unwrap().omit,
            BTreeSet::from(["seed".to_owned()])
        );
    }

    #[test]
    fn fewer_responses_are_asked_for_until_one_is_left() {
        let mut adaptation = fresh();
        let mut asked = Vec::new();
        let mut n = 100;
        while n > 1 {
            assert!(adaptation.adapt(&refused("n", Problem::Value), n));
            n = adaptation.abilities().max_n.unwrap();
            asked.push(n);
        }
        assert_eq!(asked, [50, 25, 12, 6, 3, 1]);
        // Not even one in so many words: then `n` is not a name that it knows.
        assert!(adaptation.adapt(&refused("n", Problem::Value), 1));
        assert!(!adaptation.adapt(&refused("n", Problem::Value), 1));
        let mut told = fresh();
        assert!(told.adapt(&refused("n", Problem::AtMost(4)), 8));
        assert_eq!(told.found().unwrap().max_n, Some(4));
        assert!(!fresh().adapt(&refused("n", Problem::Combination), 8));
    }

    #[test]
    fn a_limit_on_responses_that_is_kept_in_silence_is_seen() {
        let learned = |answers: &[(u32, u32)]| {
            let mut responses = Responses::default();
            let found = answers
                .iter()
                .map(|(asked, came)| responses.learn(*asked, *came));
            found.collect::<Vec<_>>()
        };
        assert_eq!(learned(&[(8, 1), (7, 1), (6, 1)]), [None, None, Some(1)]);
        // What comes whole speaks against a lower limit only.
        assert_eq!(
            learned(&[(8, 4), (4, 4), (1, 1), (8, 4), (8, 4)]).last(),
            Some(&Some(4))
        );
        assert_eq!(
            learned(&[(8, 7), (8, 8), (8, 7), (8, 8), (8, 7)]),
            [None; 5]
        );
        assert_eq!(
            learned(&[(8, 3), (8, 1), (1, 1), (8, 2), (8, 2)]),
            [None; 5]
        );
        assert_eq!(learned(&[(2, 0), (2, 0), (2, 0)]), [None; 3]);
    }
}

//! What was said of a response, as it is kept of very many: a job may have a million.

use frugal_domain::scoring::{AnswerKey, CorpusCounts, Observation};

/// An observation in the least room that it needs; most have neither a preference nor counts.
#[derive(Debug, Clone)]
pub(crate) struct CompactObservation {
    score: f64,
    answer: Option<AnswerKey>,
    more: Option<Box<More>>,
}

#[derive(Debug, Clone, Copy)]
struct More {
    preference: Option<f64>,
    counts: Option<CorpusCounts>,
}

impl From<Observation> for CompactObservation {
    fn from(observation: Observation) -> Self {
        let Observation {
            score,
            answer,
            preference,
            counts,
        } = observation;
        let has_more = preference.is_some() || counts.is_some();
        Self {
            score,
            answer,
            more: has_more.then(|| Box::new(More { preference, counts })),
        }
    }
}

impl From<&CompactObservation> for Observation {
    fn from(compact: &CompactObservation) -> Self {
        Self {
            score: compact.score,
            answer: compact.answer,
            preference: compact.more.as_ref().and_then(|more| more.preference),
            counts: compact.more.as_ref().and_then(|more| more.counts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::scoring::BLEU_ORDER;

    #[test]
    fn an_observation_is_the_same_afterwards_and_small() {
        let counts = CorpusCounts::Bleu {
            common: [1; BLEU_ORDER],
            all: [2; BLEU_ORDER],
            length: 3,
            reference: 4,
        };
        let bare = Observation::from(0.1 + 0.2);
        for observation in [
            bare,
            Observation {
                answer: Some(AnswerKey(u64::MAX)),
                ..bare
            },
            Observation {
                preference: Some(1.0 / 3.0),
                ..bare
            },
            Observation {
                counts: Some(counts),
                ..bare
            },
        ] {
            let compact = CompactObservation::from(observation);
            assert_eq!(Observation::from(&compact), observation);
        }
        assert!(size_of::<Option<CompactObservation>>() <= 32);
    }
}

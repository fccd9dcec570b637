//! How a model's endpoint counts tokens, held against this crate's own count: learned from answers whose
//! count is of one response, and used where the endpoint counts fewer responses than came.

use crate::request::Choice;

/// What a count is believed to be of the own one before any was seen, worth so many tokens.
const PRIOR_TOKENS: u64 = 8;

/// Shorter responses say little of how tokens are counted: the end of a text may be a token or not.
const FEWEST_TOKENS: u64 = 16;

/// From so many responses on, the lowest of their ratios is what a count is held against.
const FEW_RESPONSES: u32 = 3;

/// Ratios between tokenizers are believed to lie in this range. Beyond it, tokens are billed that are
/// not seen.
const RATIOS: (f64, f64) = (0.5, 3.0);

/// Answers with fewer tokens in all are not doubted: the ends of their texts weigh as much as they do.
const FEWEST_DOUBTED: u64 = 8;

/// How many times the first response's tokens all have where the two can be told apart.
const LEAST_FACTOR: f64 = 1.5;

/// Reported tokens held against the own count, of one model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Calibration {
    reported: u64,
    own: u64,
    responses: u32,
    lowest: Option<f64>,
}

/// A response whose tokens were reported for it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) reported: u64,
    /// By the own count.
    pub(crate) own: u64,
}

impl Measured {
    pub(crate) fn new(reported: u64, choice: &Choice) -> Self {
        Self {
            reported,
            own: choice.estimated_tokens,
        }
    }

    fn ratio(self) -> f64 {
        real(self.reported) / real(with_end(self.own))
    }

    fn is_believable(self) -> bool {
        (RATIOS.0..=RATIOS.1).contains(&self.ratio())
    }
}

/// The own count of a response, with the end of its text: where responses are told apart by their
/// counts, none is to look short for an end that is not counted.
const fn with_end(own: u64) -> u64 {
    own.saturating_add(1)
}

impl Calibration {
    /// Learns from a response, where its count can be that of a text alone.
    pub(crate) fn learn(&mut self, measured: Measured) {
        if !measured.is_believable() {
            return;
        }
        self.reported = self.reported.saturating_add(measured.reported);
        self.own = self.own.saturating_add(measured.own);
        if measured.own >= FEWEST_TOKENS {
            self.responses = self.responses.saturating_add(1);
            let ratio = measured.ratio();
            self.lowest = Some(self.lowest.map_or(ratio, |lowest| lowest.min(ratio)));
        }
    }

    /// Reported tokens per token of the own count.
    fn ratio(&self) -> f64 {
        real(self.reported.saturating_add(PRIOR_TOKENS))
            / real(self.own.saturating_add(PRIOR_TOKENS))
    }

    /// The own count of responses, in the endpoint's tokens.
    pub(crate) fn tokens(&self, own: u64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of tokens; a cast from a float saturates"
        )]
        let tokens = (real(own) * self.ratio()).ceil() as u64;
        tokens
    }

    /// The count of the first response, where that is what was reported for all of them, as llama.cpp
    /// does: it is nearer to what the first would have alone than to what all have, as ratios go.
    pub(crate) fn first_alone(&self, reported: u64, choices: &[Choice]) -> Option<Measured> {
        let [first, _, ..] = choices else {
            return None;
        };
        let measured = Measured::new(reported, first);
        let all = choices
            .iter()
            .fold(0_u64, |sum, one| sum.saturating_add(one.estimated_tokens));
        let first = with_end(measured.own);
        // What is not seen cannot be held against anything.
        let unseen = choices.iter().any(|choice| choice.text.is_empty());
        let alike = real(all) < LEAST_FACTOR * real(first);
        if unseen || alike || all < FEWEST_DOUBTED || !measured.is_believable() {
            return None;
        }
        // The lowest, since tokens that are not seen make a ratio too large and nothing makes it
        // too small. An endpoint that was hardly seen is taken to count as this crate does.
        let usual = self
            .lowest
            .filter(|_| self.responses >= FEW_RESPONSES)
            .unwrap_or(1.0);
        let between = usual * (real(first) * real(all)).sqrt();
        (real(reported) < between).then_some(measured)
    }

    /// What all responses have, where the count of the first alone is known.
    pub(crate) fn all_from_first(mut self, first: Measured, choices: &[Choice]) -> u64 {
        self.learn(first);
        let others = choices
            .iter()
            .skip(1)
            .fold(0_u64, |sum, one| sum.saturating_add(one.estimated_tokens));
        first.reported.saturating_add(self.tokens(others))
    }
}

#[expect(clippy::cast_precision_loss, reason = "ratios of counts")]
const fn real(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::request::FinishReason;

    fn choices(lengths: &[u64]) -> Vec<Choice> {
        let one = |length: &u64| Choice {
            text: "x".to_owned(),
            finish_reason: FinishReason::Stop,
            estimated_tokens: *length,
        };
        lengths.iter().map(one).collect()
    }

    /// What a tokenizer with this ratio counts of a response, with its end.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small"
    )]
    fn counted(length: u64, ratio: f64) -> u64 {
        (real(length) * ratio).round() as u64 + 1
    }

    fn seen(ratio: f64) -> Calibration {
        let mut calibration = Calibration::default();
        for length in [20, 45, 80, 120] {
            let choice = &choices(&[length])[0];
            calibration.learn(Measured::new(counted(length, ratio), choice));
        }
        calibration
    }

    #[test]
    fn an_endpoint_that_counts_the_first_of_several_is_found_out_and_one_that_counts_all_is_not() {
        for (known, ratio) in [
            (false, 1.0),
            (false, 1.2),
            (true, 0.85),
            (true, 1.0),
            (true, 1.6),
            (true, 2.4),
        ] {
            let calibration = if known {
                seen(ratio)
            } else {
                Calibration::default()
            };
            for lengths in [
                &[40, 60][..],
                &[60, 40],
                &[30, 30, 30],
                &[9, 14, 11, 12],
                &[200, 150, 170, 190, 210, 160, 180, 220],
            ] {
                let choices = choices(lengths);
                let all: u64 = lengths.iter().map(|one| counted(*one, ratio)).sum();
                assert_eq!(
                    calibration.first_alone(all, &choices),
                    None,
                    "{ratio} {lengths:?}"
                );
                let first = counted(lengths[0], ratio);
                let found = calibration.first_alone(first, &choices).unwrap();
                let booked = calibration.all_from_first(found, &choices);
                let off = real(booked) / real(all) - 1.0;
                let allowed = if known { 0.05 } else { 0.16 };
                assert!(
                    off.abs() < allowed,
                    "{ratio} {lengths:?}: {booked} of {all}"
                );
            }
        }
    }

    #[test]
    fn tokens_that_are_not_seen_make_nothing_look_short() {
        let mut calibration = Calibration::default();
        for reasoning in [15, 30, 55, 400] {
            calibration.learn(Measured::new(21 + reasoning, &choices(&[20])[0]));
        }
        // At least one of them had little of it.
        assert_eq!(calibration.first_alone(70, &choices(&[30, 30])), None);
    }

    #[test]
    fn short_and_empty_responses_are_not_doubted() {
        let calibration = seen(1.0);
        assert_eq!(calibration.first_alone(2, &choices(&[1, 1])), None);
        // Nor is one whose end is not counted, nor where the first has nearly all.
        assert_eq!(calibration.first_alone(8, &choices(&[4, 2, 2])), None);
        assert_eq!(calibration.first_alone(17, &choices(&[16, 1])), None);
        let mut empty = choices(&[40, 60]);
        empty[1].text.clear();
        assert_eq!(calibration.first_alone(41, &empty), None);
        assert_eq!(calibration.first_alone(41, &choices(&[40])), None);
    }
}

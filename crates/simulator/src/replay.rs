//! Draws the responses of a request from the recorded ones.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::cut::Cut;
use crate::recordings::{CellKey, Recordings};
use crate::refusal::Refusal;
use crate::request::Generation;
use crate::statistics::Usage;

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplayedAnswer {
    pub(crate) prompt_tokens: u64,
    /// One per choice.
    pub(crate) cuts: Vec<Cut>,
}

impl ReplayedAnswer {
    /// Completion tokens over all choices.
    pub(crate) fn completion_tokens(&self) -> u64 {
        self.cuts
            .iter()
            .map(|cut| u64::from(cut.completion_tokens))
            .sum()
    }

    /// Completion tokens of the longest choice.
    pub(crate) fn longest(&self) -> u32 {
        self.cuts
            .iter()
            .map(|cut| cut.completion_tokens)
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            requests: 1,
            responses: u64::try_from(self.cuts.len()).unwrap_or(u64::MAX),
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens(),
        }
    }
}

/// The answer to a request: a pure function of the seed and the request.
///
/// Each response is drawn with replacement from one of the two recorded temperatures around the one
/// asked for, the nearer the likelier. `n`, `max_tokens` and `stop` are no part of what seeds the
/// generator: with the same seed, a larger `n` begins with the same responses, and another cap or
/// stop string cuts the same ones elsewhere.
pub(crate) fn answer(
    recordings: &Recordings,
    seed: u64,
    request: &Generation,
) -> Result<ReplayedAnswer, Refusal> {
    if !recordings.all_models().contains(&request.model.as_str()) {
        let message = format!(
            "The model '{}' does not exist. GET /v1/models lists those that do.",
            request.model
        );
        return Err(
            Refusal::invalid(Some("model_not_found"), Some("model"), message).with_status(404),
        );
    }
    let place = recordings.recognise(&request.prompt).ok_or_else(|| {
        unknown_prompt(
            request,
            "The simulator replays recorded answers, and none were recorded to this prompt.",
        )
    })?;
    let key = CellKey {
        task: &place.task,
        model: &request.model,
        prompt: &place.prompt,
        instance: &place.instance,
    };
    let (Some(prompt_tokens), Some(_)) = (
        recordings.prompt_tokens(&key),
        recordings.nearest_responses(&key, 0.0),
    ) else {
        return Err(unknown_prompt(
            request,
            "The simulator has no recorded answers of this model to this prompt.",
        ));
    };
    let between = Bracket::around(
        recordings.temperatures(key.task, key.model, key.prompt),
        request.temperature,
    )?;

    let mut generator = generator(seed, request);
    let mut cuts = Vec::new();
    for _ in 0..request.n {
        let temperature = between.draw(&mut generator);
        // Never empty: there is a nearest one at 0 already.
        let responses = recordings
            .nearest_responses(&key, temperature)
            .unwrap_or_default();
        if let Some(response) = responses.get(generator.random_range(0..responses.len().max(1))) {
            cuts.push(response.cut(request.max_tokens, &request.stop));
        }
    }
    Ok(ReplayedAnswer {
        prompt_tokens,
        cuts,
    })
}

fn unknown_prompt(request: &Generation, what: &str) -> Refusal {
    let message = format!(
        "{what} GET /v1/recordings lists the tasks, prompts, models and temperatures that it has."
    );
    Refusal::invalid(Some("unknown_prompt"), Some(request.prompt_field), message)
}

/// The two recorded temperatures around one, the same twice where it is a recorded one itself. A
/// replayed response is drawn from one of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bracket {
    /// The largest recorded temperature that is not above.
    pub lower: f64,
    /// The smallest recorded temperature that is not below.
    pub upper: f64,
    /// The probability of the upper one, from 0 to 1: the nearer, the likelier.
    pub weight: f64,
}

impl Bracket {
    /// The bracket of a temperature; `recorded` is ascending.
    ///
    /// # Errors
    /// It lies outside of what was recorded.
    pub fn around(recorded: &[f64], temperature: f64) -> Result<Self, Refusal> {
        let lower = recorded
            .iter()
            .copied()
            .rfind(|&candidate| candidate <= temperature);
        let upper = recorded
            .iter()
            .copied()
            .find(|&candidate| candidate >= temperature);
        let (Some(lower), Some(upper)) = (lower, upper) else {
            let lowest = recorded.first().copied().unwrap_or_default();
            let highest = recorded.last().copied().unwrap_or_default();
            let message = format!(
                "Invalid 'temperature': {temperature} is outside of the temperatures {lowest} to {highest} recorded with this model and prompt."
            );
            return Err(Refusal::invalid(
                Some("invalid_value"),
                Some("temperature"),
                message,
            ));
        };
        let weight = if upper > lower {
            (temperature - lower) / (upper - lower)
        } else {
            0.0
        };
        Ok(Self {
            lower,
            upper,
            weight,
        })
    }

    /// One of the two, drawn.
    pub fn draw(&self, generator: &mut ChaCha8Rng) -> f64 {
        if generator.random::<f64>() < self.weight {
            self.upper
        } else {
            self.lower
        }
    }
}

/// The generator of a request's draws.
pub(crate) fn generator(seed: u64, request: &Generation) -> ChaCha8Rng {
    let mut hash = Sha256::new()
        .chain_update(b"responses")
        .chain_update(seed.to_le_bytes());
    match request.seed {
        Some(seed) => {
            hash.update([1]);
            hash.update(seed.to_le_bytes());
        }
        None => hash.update([0]),
    }
    hash.update(request.temperature.to_bits().to_le_bytes());
    hash.update(
        u64::try_from(request.model.len())
            .unwrap_or(u64::MAX)
            .to_le_bytes(),
    );
    hash.update(&request.model);
    hash.update(&request.prompt);
    ChaCha8Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_around_one() {
        let recorded = [0.0, 0.3, 0.7];
        let around = |temperature| Bracket::around(&recorded, temperature);
        assert_eq!(
            around(0.0),
            Ok(Bracket {
                lower: 0.0,
                upper: 0.0,
                weight: 0.0
            })
        );
        assert_eq!(
            around(0.3),
            Ok(Bracket {
                lower: 0.3,
                upper: 0.3,
                weight: 0.0
            })
        );
        assert_eq!(
            around(0.7),
            Ok(Bracket {
                lower: 0.7,
                upper: 0.7,
                weight: 0.0
            })
        );
        let between = around(0.4).unwrap();
        assert_eq!((between.lower, between.upper), (0.3, 0.7));
        assert!((between.weight - 0.25).abs() < 1e-12);
        assert_eq!(
            around(0.71).unwrap_err().param.as_deref(),
            Some("temperature")
        );
        assert!(Bracket::around(&[0.5], 0.4).is_err());
        assert!(Bracket::around(&[], 0.0).is_err());
    }
}

//! An endpoint in memory: what a job asks, without a network.

use frugal_domain::configuration::Settings;
use frugal_domain::money::Usage;
use frugal_domain::scoring::Observation;
use frugal_evaluation::RequestFailure;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Which response was drawn, as a number that only its endpoint reads. It stands for the whole
/// response, before any cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawNumber(pub u64);

/// A response under some limit of tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Response {
    /// Its length, exactly.
    pub tokens: u64,
    /// It ended by itself and was not cut.
    pub ended: bool,
    /// How good it is.
    pub score: f64,
}

/// An endpoint whose answers are known beforehand, or at least how likely they are right. Rows
/// are those of the whole population that jobs take their instances from.
pub trait Endpoint: Sync {
    /// Rows of the population, numbered from 0.
    fn rows(&self) -> usize;

    /// Tokens of the prompt for a row, as the endpoint bills them.
    fn prompt_tokens(&self, settings: &Settings, row: usize) -> u64;

    /// What is known of these tokens before anything was sent: an upper bound, by prompt.
    fn prompt_token_bound(&self, prompt: usize, row: usize) -> u64;

    /// Draws a response under the sampling settings.
    ///
    /// # Errors
    /// The endpoint has nothing for these settings.
    fn draw(
        &self,
        settings: &Settings,
        row: usize,
        generator: &mut ChaCha8Rng,
    ) -> Result<DrawNumber, RequestFailure>;

    /// A drawn response under a limit of tokens, scored.
    fn response(
        &self,
        settings: &Settings,
        row: usize,
        draw: DrawNumber,
        max_tokens: u32,
    ) -> Response;

    /// What its scorer says of a drawn response under a limit of tokens: by default its score alone.
    fn observation(
        &self,
        settings: &Settings,
        row: usize,
        draw: DrawNumber,
        max_tokens: u32,
    ) -> Observation {
        self.response(settings, row, draw, max_tokens).score.into()
    }

    /// The probability that one response is right under these settings, `max_tokens` included.
    fn chance(&self, settings: &Settings, row: usize) -> f64;

    /// The expected length of a response in tokens under these settings, `max_tokens` included.
    fn expected_tokens(&self, settings: &Settings, row: usize) -> f64;

    /// Answers a request: `n` responses to a row. The same seed draws the same responses, those
    /// of a larger `n` being a continuation, whatever `max_tokens` cuts them at.
    ///
    /// # Errors
    /// The endpoint has nothing for these settings.
    fn answer(
        &self,
        settings: &Settings,
        row: usize,
        n: u32,
        max_tokens: u32,
        seed: u64,
    ) -> Result<Answered, RequestFailure> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let draws = (0..n)
            .map(|_| self.draw(settings, row, &mut generator))
            .collect::<Result<Vec<DrawNumber>, _>>()?;
        let responses: Vec<Response> = draws
            .iter()
            .map(|draw| self.response(settings, row, *draw, max_tokens))
            .collect();
        let completion_tokens = responses.iter().map(|one| one.tokens).sum();
        Ok(Answered {
            usage: Usage {
                prompt_tokens: self.prompt_tokens(settings, row),
                completion_tokens,
            },
            draws,
            responses,
        })
    }
}

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Tokens of the whole request.
    pub usage: Usage,
    /// Which responses were drawn.
    pub draws: Vec<DrawNumber>,
    /// The same, cut and scored. Their lengths in tokens are exact.
    pub responses: Vec<Response>,
}

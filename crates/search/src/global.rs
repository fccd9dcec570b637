//! The global searcher inside BlendSearch: TPE, uniform draws, or proposals written down by a test.

use crate::strategy::SearchState;
use crate::tpe::Tpe;
use frugal_domain::configuration::Configuration;
use std::collections::VecDeque;

/// Who proposes for the global thread.
#[derive(Debug, Clone)]
pub enum Global {
    /// The tree-structured Parzen estimator.
    Tpe(Tpe),
    /// Uniform draws.
    Random,
    /// These proposals in turn; nothing once they are used up.
    Scripted(VecDeque<Configuration>),
}

impl Global {
    /// A configuration, not necessarily a new one.
    pub fn suggest(&mut self, ground: &mut SearchState) -> Option<Configuration> {
        match self {
            Self::Tpe(tpe) => Some(tpe.suggest(ground)),
            Self::Random => Some(ground.encoding.random(&mut ground.draws)),
            Self::Scripted(script) => script.pop_front(),
        }
    }

    /// Hears of a completed trial.
    pub fn learn(&mut self, ground: &SearchState, configuration: &Configuration, loss: f64) {
        match self {
            Self::Tpe(tpe) => tpe.learn(&ground.encoding, configuration, loss),
            Self::Random | Self::Scripted(_) => {}
        }
    }
}

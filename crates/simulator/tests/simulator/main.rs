//! The simulator from the outside: what it replays, what it refuses, how it misbehaves on demand.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod support;

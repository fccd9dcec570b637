//! What the sandbox and a launcher say to one another: JSON, each message after its length.

use crate::options::Mode;
use frugal_domain::program::Ended;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// The longest message, in bytes. A program's source, tests and input are at most a few MiB each.
const MAX_MESSAGE: usize = 64 << 20;

/// The first message to a launcher; every other is a program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub mode: Mode,
    pub interpreter: Interpreter,
    pub seconds: u32,
    pub memory_mib: u32,
}

/// The interpreter and what it needs to be there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Interpreter {
    pub executable: PathBuf,
    /// Its library, and the folders of the shared libraries that it uses.
    pub folders: Vec<PathBuf>,
}

/// The answer to a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Programs may come.
    Ready,
    /// What became of the program.
    Ended(Ended),
    /// The launcher could not do its part. It says nothing about the program.
    Fault(String),
}

/// A message as it is sent.
pub(crate) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut framed = length.to_le_bytes().to_vec();
    framed.extend(body);
    Ok(framed)
}

/// How long the message is that these bytes announce.
pub(crate) fn length(announced: [u8; 4]) -> io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(announced)).map_err(io::Error::other)?;
    if length > MAX_MESSAGE {
        return Err(io::Error::other("a message is too long"));
    }
    Ok(length)
}

/// Sends a message.
pub(crate) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&frame(message)?)
}

/// Receives a message; nothing where no more come.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut announced = [0; 4];
    if let Err(error) = from.read_exact(&mut announced) {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => Ok(None),
            _ => Err(error),
        };
    }
    let mut body = vec![0; length(announced)?];
    from.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent_and_the_end_is_no_fault() {
        let mut sent = Vec::new();
        send(&mut sent, &Reply::Fault("no room".to_owned())).unwrap();
        let mut rest = sent.as_slice();
        let received = receive::<Reply>(&mut rest).unwrap();
        assert!(matches!(received, Some(Reply::Fault(why)) if why == "no room"));
        assert!(receive::<Reply>(&mut rest).unwrap().is_none());
    }

    #[test]
    fn a_message_that_breaks_off_or_is_too_long_is_refused() {
        let mut sent = frame(&Reply::Ready).unwrap();
        sent.pop();
        assert!(receive::<Reply>(&mut sent.as_slice()).is_err());
        assert!(receive::<Reply>(&mut u32::MAX.to_le_bytes().as_slice()).is_err());
    }
}

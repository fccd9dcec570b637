//! One connection of a wire.

use super::exchange::{Message, Reader, message_length};
use super::{Fault, Shared};
use std::collections::VecDeque;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::Command;

/// What is read at once.
const CHUNK: usize = 64 * 1024;

/// A message as it is on the wire.
type Bytes = Vec<u8>;

/// A connection of a program with its database.
pub(super) struct Relay<'s, P, D> {
    shared: &'s Shared,
    program: P,
    database: D,
    reader: Reader,
    /// What the program has sent and is no whole message yet.
    sent: Bytes,
    /// What the database has sent and is no whole message yet.
    answered: Bytes,
    /// Messages that are no whole exchange yet.
    gathered: Vec<Bytes>,
    /// Exchanges that wait for the one before to be answered.
    waiting: VecDeque<Vec<Bytes>>,
    has_opened: bool,
    /// Whether the database has not said yet that it is ready for the next exchange.
    is_busy: bool,
    in_transaction: bool,
    /// What strikes when the exchange under way is answered, of which nothing is told until then.
    fault: Option<Fault>,
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    On,
    NoFurther,
}

impl<'s, P, D> Relay<'s, P, D>
where
    P: AsyncRead + AsyncWrite + Unpin,
    D: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(shared: &'s Shared, program: P, database: D) -> Self {
        Self {
            shared,
            program,
            database,
            reader: Reader::default(),
            sent: Vec::new(),
            answered: Vec::new(),
            gathered: Vec::new(),
            waiting: VecDeque::new(),
            has_opened: false,
            is_busy: false,
            in_transaction: false,
            fault: None,
        }
    }

    /// Carries what is said to and fro until either end is closed, or a fault closes both.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let mut up = vec![0; CHUNK];
        let mut down = vec![0; CHUNK];
        loop {
            let goes = tokio::select! {
                read = self.program.read(&mut up) => match read? {
                    0 => Goes::NoFurther,
                    length => {
                        self.sent.extend_from_slice(up.get(..length).unwrap_or_default());
                        self.take_sent().await?;
                        Goes::On
                    }
                },
                read = self.database.read(&mut down) => match read? {
                    0 => Goes::NoFurther,
                    length => {
                        self.answered.extend_from_slice(down.get(..length).unwrap_or_default());
                        self.take_answered().await?
                    }
                },
            };
            if goes == Goes::NoFurther || self.dispatch().await? == Goes::NoFurther {
                return Ok(());
            }
        }
    }

    /// Takes whole messages of the program.
    async fn take_sent(&mut self) -> io::Result<()> {
        while let Some(length) = message_length(&self.sent, !self.has_opened) {
            let message: Bytes = self.sent.drain(..length).collect();
            let kind = message.first().copied();
            if !self.has_opened {
                // Who it is; it may send something when it has been let in.
                self.has_opened = true;
                self.is_busy = true;
                self.database.write_all(&message).await?;
            } else if matches!(kind, Some(b'p' | b'X')) {
                // A password, or good-bye.
                self.database.write_all(&message).await?;
            } else {
                self.gathered.push(message);
                if matches!(kind, Some(b'S' | b'Q')) {
                    self.waiting.push_back(std::mem::take(&mut self.gathered));
                }
            }
        }
        Ok(())
    }

    /// Hands the next exchange to the database where it is its turn, unless a fault strikes before.
    async fn dispatch(&mut self) -> io::Result<Goes> {
        if self.is_busy {
            return Ok(Goes::On);
        }
        let Some(exchange) = self.waiting.pop_front() else {
            return Ok(Goes::On);
        };
        for message in &exchange {
            if let [kind, _, _, _, _, body @ ..] = message.as_slice() {
                self.reader.read(&Message { kind: *kind, body });
            }
        }
        let moment = self.reader.moment(self.in_transaction);
        let fault = moment.and_then(|moment| self.shared.at(&moment));
        if let Some(fault) = fault.filter(|fault| !fault.lets_through()) {
            return strike(self.shared, fault).await;
        }
        self.fault = fault;
        self.is_busy = true;
        self.database.write_all(&exchange.concat()).await?;
        Ok(Goes::On)
    }

    /// Hands on what the database says, unless a fault strikes when it is ready.
    async fn take_answered(&mut self) -> io::Result<Goes> {
        while let Some(length) = message_length(&self.answered, false) {
            let message: Bytes = self.answered.drain(..length).collect();
            // Ready for the next, with whether a transaction is open.
            if let [b'Z', _, _, _, _, status, ..] = message.as_slice() {
                self.is_busy = false;
                self.in_transaction = *status != b'I';
                if let Some(fault) = self.fault.take() {
                    return strike(self.shared, fault).await;
                }
            }
            if self.fault.is_none() {
                self.program.write_all(&message).await?;
            }
        }
        Ok(Goes::On)
    }
}

/// Kills the program, where that is the fault. The connection is broken by whoever calls this.
async fn strike(shared: &Shared, fault: Fault) -> io::Result<Goes> {
    if let Fault::KillBefore(id) | Fault::KillAfter(id) = fault {
        Command::new("kill")
            .args(["-KILL", &id.to_string()])
            .status()
            .await?;
    }
    shared.strikes();
    Ok(Goes::NoFurther)
}

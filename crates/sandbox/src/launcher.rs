//! The launcher: a process that goes where there is nothing to take, and starts programs there, one at a
//! time, as long as it is asked to.

mod calls;
mod confine;
mod process;
mod root;
mod run;
mod told;
mod watch;

use crate::options::Mode;
use crate::wire::{self, Reply, Setup};
use frugal_domain::program::Program;
use rustix::fd::BorrowedFd;
use rustix::process::WaitOptions;
use std::io::{self, Read, Write};
use std::process::ExitCode;

/// What this process says where it ends for a reason that nobody can be told.
const BROKEN: u8 = 70;

/// Serves programs that come on standard input until no more come. What became of them goes to
/// standard output. The process is to have one thread, and be of no other use.
#[must_use]
pub fn launch() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed) => ExitCode::from(BROKEN),
    }
}

fn serve() -> io::Result<()> {
    let Some(setup) = wire::receive::<Setup>(&mut Stdin)? else {
        return Ok(());
    };
    match settle(&setup) {
        Ok(Settled::Here(runner)) => answer(&runner),
        // The copy in the namespaces serves; when it ends, all that it started ends.
        Ok(Settled::Elsewhere(copy)) => {
            rustix::process::waitpid(Some(copy), WaitOptions::empty())?;
            Ok(())
        }
        Err(why) => wire::send(&mut Stdout, &Reply::Fault(why)),
    }
}

/// Which process starts programs.
enum Settled {
    Here(run::Runner),
    Elsewhere(rustix::process::Pid),
}

/// Goes where programs are started.
fn settle(setup: &Setup) -> Result<Settled, String> {
    confine::has_one_thread()?;
    if setup.mode == Mode::Off {
        return Ok(Settled::Here(run::Runner::unconfined(setup)));
    }
    confine::give_up_root()?;
    if let Some(copy) = confine::enter_namespaces()? {
        return Ok(Settled::Elsewhere(copy));
    }
    root::enter(&setup.interpreter)?;
    run::Runner::confined(setup).map(Settled::Here)
}

fn answer(runner: &run::Runner) -> io::Result<()> {
    wire::send(&mut Stdout, &Reply::Ready)?;
    while let Some(program) = wire::receive::<Program>(&mut Stdin)? {
        let reply = match runner.run(&program) {
            Ok(Some(ended)) => Reply::Ended(ended),
            // Whoever asked is gone.
            Ok(None) => return Ok(()),
            Err(why) => Reply::Fault(why),
        };
        wire::send(&mut Stdout, &reply)?;
    }
    Ok(())
}

/// Standard input without a buffer: what is in a buffer would not be seen by who waits for more.
struct Stdin;

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin: BorrowedFd<'_> = rustix::stdio::stdin();
        Ok(rustix::io::retry_on_intr(|| {
            rustix::io::read(stdin, &mut *buffer)
        })?)
    }
}

/// Standard output without a buffer.
struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stdout: BorrowedFd<'_> = rustix::stdio::stdout();
        Ok(rustix::io::retry_on_intr(|| {
            rustix::io::write(stdout, bytes)
        })?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

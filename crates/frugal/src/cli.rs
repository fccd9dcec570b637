//! The command line.

use crate::check::CheckArgs;
use crate::config::{DatabaseFlags, DemoFlags, FileFlags, Flags, ServeFlags, WorkerFlags};
use crate::datasets::DatasetsCommand;
use crate::demo::DemoArgs;
use crate::init::InitArgs;
use crate::jobs::JobsCommand;
use crate::keys::{AuditArgs, KeysCommand};
use crate::retention::PruneArgs;
use crate::tune::{self, TuneArgs};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use frugal_simulator::{FaultKind, SCRIPT_FORM};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Finds the best inference settings of a language model for a task, within a budget.
///
/// A client posts a job: some data, how an answer is scored, the settings that may vary, what
/// one answer may cost and what the whole search may cost. Frugal searches with BlendSearch,
/// throws configurations out early that cannot be worth their price, and streams its progress.
///
/// Try it: `frugal demo` runs such a job on recorded answers of real models and needs nothing
/// but PostgreSQL's programs on this machine.
///
/// For a task of your own: `frugal init` writes a configuration and a first job, and `frugal tune` runs it.
///
/// Settings come from frugal.toml, from the environment, and from flags; later ones win. The help of a command
/// lists those that it takes.
#[derive(Parser)]
#[command(
    name = "frugal",
    version,
    max_term_width = 100,
    infer_subcommands = false
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What a command takes, and below it what it takes of the configuration.
#[derive(Debug, Args)]
pub struct With<A: Args, F: Args> {
    /// Its own.
    #[command(flatten)]
    pub args: A,
    /// What it takes of the configuration.
    #[command(flatten)]
    pub flags: F,
}

/// Commands below a command, with what all of them take of the configuration.
#[derive(Debug, Args)]
pub struct Under<C: Subcommand, F: Args> {
    /// What to do.
    #[command(subcommand)]
    pub command: C,
    /// What all take of the configuration.
    #[command(flatten)]
    pub flags: F,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve the API and drive jobs (`--workers 0`: the API only)
    ///
    /// Without a database URL it starts a PostgreSQL of its own in the data directory, on a Unix
    /// socket, and stops it on the way out.
    Serve(ServeFlags),
    /// Drive jobs that a server elsewhere accepted; any number may share one database
    Worker(WorkerFlags),
    /// Bring the database's schema up to date and stop
    ///
    /// `serve` does this by itself.
    Migrate(DatabaseFlags),
    /// Remove what jobs that ended long ago have left, as `[retention]` of frugal.toml says
    ///
    /// `serve` does this by itself, once a minute. Jobs that have not ended are never touched. It goes in
    /// batches of 1,000 rows, so it may be broken off at any time and run again.
    Prune(With<PruneArgs, DatabaseFlags>),
    /// Run an OpenAI-compatible endpoint that replays recorded answers of real models, or your own
    Simulate(With<SimulateArgs, FileFlags>),
    /// Tune a job from a file (JSON or YAML) in this process, without a server, and show what it found
    ///
    /// The file is as for `frugal submit`, and the endpoints are those of frugal.toml. What is bought is kept in a
    /// PostgreSQL of frugal's own in the data directory: the same job run again goes on where it was, or shows its
    /// result if it has ended, and nothing is paid twice. With a larger budgets.optimization in the file, one that
    /// has ended goes on too. Ctrl-C pauses it. No other job in the database is touched.
    #[command(after_help = tune::EXITS)]
    Tune(With<TuneArgs, DatabaseFlags>),
    /// See to the endpoints that frugal.toml names
    Endpoints(Under<EndpointsCommand, FileFlags>),
    /// Post datasets for jobs to name, list and delete them, on a server that runs
    #[command(subcommand)]
    Datasets(DatasetsCommand),
    /// What is done with jobs, on a server that runs.
    #[command(flatten)]
    Jobs(JobsCommand),
    /// Make, list and revoke keys of the API, at the database
    ///
    /// Where the database is frugal's own, a server that runs from the same data directory may go on
    /// running. Servers ask for keys with --require-keys.
    Keys(Under<KeysCommand, DatabaseFlags>),
    /// Show what was changed through the API, by whom and when
    Audit(With<AuditArgs, DatabaseFlags>),
    /// Print the API's description (OpenAPI, YAML)
    Openapi,
    /// Show it all: database, endpoint, server and workers in one process, and one job
    Demo(With<DemoArgs, DemoFlags>),
    /// Write a configuration and a first job for a task, with its rows and answers to run it against
    ///
    /// Files that are there are not written over without --force.
    Init(InitArgs),
    /// Print what has a shell complete commands
    ///
    /// For bash: `frugal completions bash > ~/.local/share/bash-completion/completions/frugal`.
    Completions(CompletionsArgs),
    /// Print the manual, a page in the form that `man` reads
    ///
    /// With --to, a page for each command goes into a folder, such as one below MANPATH.
    Man(ManArgs),
}

impl Command {
    /// What the flags say that set something of the configuration; nothing where the command reads none.
    #[must_use]
    pub fn flags(&self) -> Option<Flags> {
        match self {
            Self::Serve(flags) => Some(flags.into()),
            Self::Worker(flags) => Some(flags.into()),
            Self::Migrate(flags) => Some(flags.into()),
            Self::Prune(With { flags, .. }) => Some(flags.into()),
            Self::Simulate(With { flags, .. }) => Some(flags.into()),
            Self::Tune(With { flags, .. }) => Some(flags.into()),
            Self::Endpoints(Under { flags, .. }) => Some(flags.into()),
            Self::Keys(Under { flags, .. }) => Some(flags.into()),
            Self::Audit(With { flags, .. }) => Some(flags.into()),
            Self::Demo(With { flags, .. }) => Some(flags.into()),
            Self::Datasets(_)
            | Self::Jobs(_)
            | Self::Openapi
            | Self::Init(_)
            | Self::Completions(_)
            | Self::Man(_) => None,
        }
    }

    /// Whether it serves the API or drives jobs, of which there may be traces.
    #[must_use]
    pub const fn makes_traces(&self) -> bool {
        matches!(
            self,
            Self::Serve(_) | Self::Worker(_) | Self::Tune(_) | Self::Demo(_)
        )
    }
}

/// What `frugal completions` takes.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// What `frugal man` takes.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<PathBuf>,
}

/// What to do about endpoints.
#[derive(Debug, Subcommand)]
pub enum EndpointsCommand {
    /// Ask every listed model something cheap, and say what it can do
    ///
    /// Two requests for each, of at most 16 tokens a response; more where something is refused and
    /// asked for otherwise. Ends with an error where a model does not work.
    Check(CheckArgs),
}

/// What `frugal simulate` takes.
#[derive(Debug, Args)]
#[command(after_long_help = format!("Data:\n{SCRIPT_FORM}\n\nKinds of faults:\n{}", FaultKind::listing()))]
pub struct SimulateArgs {
    /// Where the endpoint listens
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS:PORT")]
    pub bind: SocketAddr,
    /// A file of answers of your own, in place of the recorded ones
    ///
    /// A line for each prompt with the answers that are drawn for it; its form is told below. Requests
    /// may then name any model and any parameter.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// An answer to every prompt that --data has none for; may be given several times
    #[arg(long = "answer", value_name = "TEXT")]
    pub answers: Vec<String>,
    /// Fixes which answers are drawn
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub seed: u64,
    /// How long each answer takes at least, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS")]
    pub latency: u64,
    /// How long each token of the longest response takes, in microseconds
    #[arg(long, default_value_t = 0, value_name = "MICROSECONDS")]
    pub token_latency: u64,
    /// What goes wrong on purpose: KIND=RATE,… or @FILE
    ///
    /// Each rate is a share from 0 to 1 of the requests, as in `rate_limited=0.1,500=0.05`. The seed
    /// and the request decide, so that the same requests meet the same faults again; a request that
    /// is made once more is drawn once more. At most one befalls a request, so rates add up to 1 at
    /// most; those of the refused_ kinds come on top, as only some requests meet them. FILE is a
    /// table of the same in TOML (*.toml) or JSON.
    #[arg(long, value_name = "SPEC")]
    pub faults: Option<String>,
}

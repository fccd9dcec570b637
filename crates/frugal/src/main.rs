//! The `frugal` program.

use anyhow::Context;
use clap::Parser;
use frugal::cli::{Cli, Command, EndpointsCommand, Under, With};
use frugal::commands;
use frugal::config::{Config, Flags};
use frugal::signals;
use frugal::telemetry;
use frugal::traces::Traces;
use std::process::ExitCode;
use std::time::Duration;

/// How long threads may take to end that have been given up.
const LAST_WAIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    if frugal_sandbox::is_launcher(std::env::args_os()) {
        return frugal_sandbox::launch();
    }
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = match cli.command.flags() {
        Some(flags) => Config::load(&flags)?,
        // A client of a server that runs elsewhere: only what it logs can be set.
        None => {
            let env = |name: &str| {
                name.starts_with("FRUGAL_LOG")
                    .then(|| std::env::var(name).ok())?
            };
            Config::resolve(None, env, &Flags::default(), false)?
        }
    };
    // These draw on the terminal; the logs of the servers within would go through the picture,
    // so only what is wrong is logged unless the operator says otherwise.
    let log = match cli.command {
        Command::Demo(_) | Command::Tune(_) if config.log == "info" => "warn",
        _ => &config.log,
    };
    let runtime = tokio::runtime::Runtime::new().context("the async runtime does not start")?;
    let collector = config.otlp_endpoint.as_ref();
    let collector = collector.filter(|_| cli.command.makes_traces());
    let traces = collector.map(|endpoint| Traces::start(endpoint, runtime.handle()));
    let traces = traces.transpose()?.flatten();
    telemetry::initialise(config.log_format, log, traces.as_ref())?;
    if let (Some(endpoint), None) = (collector, &traces) {
        tracing::warn!(
            "{} is set, and this build of frugal exports no traces; one that is built with `--features otlp` does",
            endpoint.origin
        );
    }
    let ended = runtime.block_on(async {
        let shutdown = signals::shutdown(config.queue.grace)?;
        match cli.command {
            Command::Jobs(command) => return commands::jobs(&command, shutdown).await,
            Command::Tune(With { args, .. }) => {
                return commands::tune(&config, &args, shutdown).await;
            }
            Command::Serve(_) => commands::serve(&config, shutdown).await,
            Command::Worker(_) => commands::worker(&config, shutdown).await,
            Command::Migrate(_) => commands::migrate(&config).await,
            Command::Prune(With { args, .. }) => commands::prune(&config, &args).await,
            Command::Simulate(With { args, .. }) => commands::simulate(&args, shutdown).await,
            Command::Endpoints(Under { command, .. }) => match command {
                EndpointsCommand::Check(args) => commands::check(&config, &args, shutdown).await,
            },
            Command::Datasets(command) => commands::datasets(&command, shutdown).await,
            Command::Keys(Under { command, .. }) => commands::keys(&config, &command).await,
            Command::Audit(With { args, .. }) => commands::audit(&config, &args).await,
            Command::Openapi => commands::openapi(),
            Command::Init(args) => commands::init(&args),
            Command::Completions(args) => commands::completions(args.shell),
            Command::Man(args) => commands::man(args.to.as_deref()),
            Command::Demo(With { args, .. }) => commands::demo(&config, &args, shutdown).await,
        }?;
        Ok(ExitCode::SUCCESS)
    });
    // The spans that are left go out from the runtime.
    if let Some(traces) = traces {
        traces.end();
    }
    // All that is worth waiting for has ended. What a thread still reckons on, nobody will hear of.
    runtime.shutdown_timeout(LAST_WAIT);
    ended
}

/// Says what went wrong, with every cause, on one line.
#[expect(
    clippy::print_stderr,
    reason = "the program's last words, whatever the log's level"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("frugal: {error:#}");
}

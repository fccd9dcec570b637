//! The `frugal` program.

use anyhow::Context;
use clap::Parser;
use frugal::cli::{Cli, Command, EndpointsCommand};
use frugal::commands;
use frugal::config::Config;
use frugal::signals;
use frugal::telemetry;
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
    let config = Config::load(&cli.flags)?;
    // These draw on the terminal; the logs of the servers within would go through the picture, so only what is wrong is logged unless the operator says otherwise.
    let log = match cli.command {
        Command::Demo(_) | Command::Tune(_) if config.log == "info" => "warn",
        _ => &config.log,
    };
    telemetry::initialise(config.log_format, log)?;
    let runtime = tokio::runtime::Runtime::new().context("the async runtime does not start")?;
    let ended = runtime.block_on(async {
        let shutdown = signals::shutdown(config.queue.grace)?;
        match cli.command {
            Command::Jobs(command) => return commands::jobs(&command, shutdown).await,
            Command::Tune(args) => return commands::tune(&config, &args, shutdown).await,
            Command::Serve => commands::serve(&config, shutdown).await,
            Command::Worker => commands::worker(&config, shutdown).await,
            Command::Migrate => commands::migrate(&config).await,
            Command::Prune(args) => commands::prune(&config, &args).await,
            Command::Simulate(args) => commands::simulate(&args, shutdown).await,
            Command::Endpoints(EndpointsCommand::Check(args)) => {
                commands::check(&config, &args, shutdown).await
            }
            Command::Datasets(command) => commands::datasets(&command, shutdown).await,
            Command::Keys(command) => commands::keys(&config, &command).await,
            Command::Audit(args) => commands::audit(&config, &args).await,
            Command::Openapi => commands::openapi(),
            Command::Demo(args) => commands::demo(&config, &args, shutdown).await,
        }?;
        Ok(ExitCode::SUCCESS)
    });
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

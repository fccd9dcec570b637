//! The commands: which parts run together, and how they stop.

use crate::check::{self, CheckArgs};
use crate::cli::{Cli, SimulateArgs};
use crate::config::Config;
use crate::database::Database;
use crate::datasets::{self, DatasetsCommand};
use crate::demo::{self, DemoArgs};
use crate::init::{self, InitArgs};
use crate::jobs::{self, JobsCommand};
use crate::keys::{self, AuditArgs, KeysCommand};
use crate::retention::{self, PruneArgs};
use crate::sandbox::{self, Place};
use crate::server::{
    Server, check_jobs, connections, dataset_limits, guard, listen, tell_of_prices, terms, usable,
    worker_options,
};
use crate::telemetry;
use crate::tune::{self, TuneArgs};
use crate::welcome;
use anyhow::{Context, bail};
use clap::CommandFactory;
use clap_complete::Shell;
use frugal_domain::endpoint::Catalog;
use frugal_simulator::{Faults, Latency, Script, SimulatorOptions};
use frugal_store::PgPool;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How often a worker looks whether the schema has come to be the one that it knows.
const SCHEMA_POLL: Duration = Duration::from_secs(1);

/// The largest file of answers, in bytes.
const MOST_DATA: u64 = 64 << 20;

/// Serves the API and drives jobs until `shutdown`.
///
/// # Errors
/// The database, the address or an endpoint's key is not to be had.
pub async fn serve(config: &Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let parts = async {
        frugal_store::migrate(database.pool())
            .await
            .context("cannot bring the schema up to date")?;
        let guard = guard(config);
        if guard.require_keys {
            tell_of_keys(database.pool()).await?;
        }
        let connections = connections(config)?;
        let listener = listen(config.listen).await?;
        let Place { sandbox, programs } = sandbox::find(&config.sandbox).await;
        let catalog = Arc::new(Catalog {
            programs,
            ..usable(config)
        });
        if config.workers > 0 {
            check_jobs(database.pool(), &catalog).await?;
        }
        if catalog.endpoints.is_empty() {
            tracing::warn!(
                "there is no endpoint that can be used: jobs have none to name; see [endpoints] in frugal.toml"
            );
        }
        if telemetry::is_for_people(config.log_format) {
            let address = listener.local_addr()?;
            say(&welcome::text(
                address,
                config.api.tls.is_some(),
                config.workers,
                &catalog,
            ))?;
        }
        let server = Server {
            pool: database.pool().clone(),
            catalog,
            sandbox,
            workers: config.workers,
            terms: terms(config),
            body_limit: config.body_limit_bytes,
            dataset_limits: dataset_limits(config),
            retention: Some(config.retention),
            guard,
            connections,
        };
        tokio::select! {
            served = server.run(listener, shutdown) => served,
            lost = database.lost() => lost,
        }
    };
    let result = parts.await;
    database.close().await;
    result
}

/// Drives jobs until `shutdown`.
///
/// # Errors
/// No database is named, or it or an endpoint's key is not to be had.
pub async fn worker(config: &Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    if config.database_url.is_none() {
        bail!(
            "a worker of its own shares a database with a server: name it with --database-url or DATABASE_URL (`frugal serve` drives jobs by itself)"
        );
    }
    let database = Database::open(config).await?;
    wait_for_schema(database.pool(), &shutdown).await?;
    let catalog = Arc::new(config.endpoints.clone());
    tell_of_prices(&catalog);
    let options = frugal_worker::Options {
        sandbox: sandbox::find(&config.sandbox).await.sandbox,
        ..worker_options(database.pool(), &catalog, config.workers, terms(config))?
    };
    tracing::info!(slots = config.workers, "driving jobs");
    frugal_worker::run(options, shutdown).await;
    database.close().await;
    Ok(())
}

/// Waits until the schema is the one that this program knows: a worker may be started before the server
/// that migrates.
///
/// # Errors
/// It is a later version's.
async fn wait_for_schema(pool: &PgPool, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut told = false;
    while !shutdown.is_cancelled() {
        let error = match frugal_store::check_schema(pool).await {
            Ok(()) => break,
            Err(error @ frugal_store::Error::NewerSchema(_)) => return Err(error.into()),
            Err(error) => error,
        };
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(%error, "waiting for the database");
        }
        let pause = tokio::time::sleep(SCHEMA_POLL);
        shutdown.run_until_cancelled(pause).await;
    }
    Ok(())
}

/// Brings the schema up to date.
///
/// # Errors
/// The database is not to be had, or holds a newer schema.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let migrated = frugal_store::migrate(database.pool()).await;
    database.close().await;
    migrated.context("cannot bring the schema up to date")?;
    tracing::info!("the schema is up to date");
    Ok(())
}

/// Removes what jobs that ended long ago have left.
///
/// # Errors
/// As for [`retention::prune`].
pub async fn prune(config: &Config, args: &PruneArgs) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let pruned = retention::prune(database.pool(), args, config.retention).await;
    database.close().await;
    say(&pruned?)
}

/// Runs the simulator until `shutdown`.
///
/// # Errors
/// The address is not to be had, or the faults asked for make no sense.
pub async fn simulate(args: &SimulateArgs, shutdown: CancellationToken) -> anyhow::Result<()> {
    if !args.bind.ip().is_loopback() {
        bail!(
            "--bind: {} can be reached from other machines; the simulator is for this one",
            args.bind
        );
    }
    let options = SimulatorOptions {
        address: args.bind,
        seed: args.seed,
        latency: Latency {
            base: Duration::from_millis(args.latency),
            per_token: Duration::from_micros(args.token_latency),
        },
        script: script(args)?,
        faults: args
            .faults
            .as_deref()
            .map_or_else(|| Ok(Faults::default()), faults)?,
        ..SimulatorOptions::default()
    };
    let is_scripted = options.script.is_some();
    let mut simulator = frugal_simulator::serve(options)
        .await
        .context("the simulator does not start")?;
    let base_url = simulator.base_url();
    let knows = match is_scripted {
        true => format!("Giving answers of your own at {base_url}\n"),
        false => format!(
            "Replaying recorded answers at {base_url}\nWhat it knows: {base_url}/recordings\n"
        ),
    };
    say(&format!(
        "{knows}What it was asked: http://{}/stats\n",
        simulator.address()
    ))?;
    tokio::select! {
        ended = simulator.wait() => return ended.context("the simulator broke down"),
        () = shutdown.cancelled() => {}
    }
    simulator
        .shutdown()
        .await
        .context("the simulator broke down")
}

/// The answers that `--data` and `--answer` give.
fn script(args: &SimulateArgs) -> anyhow::Result<Option<Script>> {
    let script = match &args.data {
        Some(file) => {
            let name = file.display();
            let length = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
            if length > MOST_DATA {
                bail!("--data: {name} is larger than 64 MiB; give fewer lines");
            }
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("--data: cannot read {name}"))?;
            Script::parse(&text).with_context(|| format!("--data: {name}"))?
        }
        None if args.answers.is_empty() => return Ok(None),
        None => Script::default(),
    };
    Ok(Some(script.or_else(args.answers.iter().cloned())))
}

/// The faults that `--faults` asks for.
fn faults(spec: &str) -> anyhow::Result<Faults> {
    let Some(file) = spec.strip_prefix('@') else {
        return frugal_simulator::parse_faults(spec).context("--faults");
    };
    let text =
        std::fs::read_to_string(file).with_context(|| format!("--faults: cannot read {file}"))?;
    let is_toml = Path::new(file)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let rates: BTreeMap<String, f64> = if is_toml {
        toml::from_str(&text).with_context(|| format!("--faults: {file} is no table of rates"))?
    } else {
        serde_json::from_str(&text)
            .with_context(|| format!("--faults: {file} is no object of rates"))?
    };
    let rates = rates.iter().map(|(name, &rate)| (name.as_str(), rate));
    frugal_simulator::faults_by_name(rates).with_context(|| format!("--faults: {file}"))
}

/// Checks the endpoints, until `shutdown` at the latest.
///
/// # Errors
/// As for [`check::run`], or it was broken off.
pub async fn check(
    config: &Config,
    args: &CheckArgs,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    shutdown
        .run_until_cancelled(check::run(config, args, say))
        .await
        .unwrap_or_else(|| bail!("broken off"))
}

/// Posts, lists or deletes datasets, until `shutdown` at the latest.
///
/// # Errors
/// As for [`datasets::run`], or it was broken off.
pub async fn datasets(
    command: &DatasetsCommand,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    match shutdown.run_until_cancelled(datasets::run(command)).await {
        Some(done) => say(&done?),
        None => bail!("broken off"),
    }
}

/// Does something with jobs of a server.
///
/// # Errors
/// As for [`jobs::run`].
pub async fn jobs(command: &JobsCommand, shutdown: CancellationToken) -> anyhow::Result<ExitCode> {
    // Not locked: what is printed comes in pieces, and others may print between.
    let mut out = std::io::stdout();
    match shutdown
        .run_until_cancelled(jobs::run(command, &mut out))
        .await
    {
        Some(done) => done,
        None => bail!("broken off; the job goes on at the server"),
    }
}

/// Tunes one job from its file to its result, until `shutdown` at the latest.
///
/// # Errors
/// As for [`tune::run`].
pub async fn tune(
    config: &Config,
    args: &TuneArgs,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    let (mut out, mut notes) = (std::io::stdout(), std::io::stderr());
    tune::run(config, args, &mut out, &mut notes, &shutdown).await
}

/// Makes, lists or revokes keys.
///
/// # Errors
/// As for [`keys::run`], or the schema cannot be brought up to date.
pub async fn keys(config: &Config, command: &KeysCommand) -> anyhow::Result<()> {
    let database = Database::open_beside(config).await?;
    let done = async {
        // The first key comes before the first server.
        frugal_store::migrate(database.pool())
            .await
            .context("cannot bring the schema up to date")?;
        keys::run(database.pool(), command).await
    };
    let done = done.await;
    database.close().await;
    say(&done?)
}

/// Shows the audit.
///
/// # Errors
/// As for [`keys::audit`].
pub async fn audit(config: &Config, args: &AuditArgs) -> anyhow::Result<()> {
    let database = Database::open_beside(config).await?;
    let shown = keys::audit(database.pool(), args).await;
    database.close().await;
    say(&shown?)
}

/// Prints the API's description.
///
/// # Errors
/// It cannot be written.
pub fn openapi() -> anyhow::Result<()> {
    say(&frugal_api::openapi_yaml().map_err(anyhow::Error::from_boxed)?)
}

/// Writes a configuration and a first job.
///
/// # Errors
/// As for [`init::run`].
pub fn init(args: &InitArgs) -> anyhow::Result<()> {
    say(&init::run(args)?)
}

/// Prints what has a shell complete commands.
///
/// # Errors
/// It cannot be written.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "frugal", &mut text);
    say(&String::from_utf8_lossy(&text))
}

/// Prints the manual, or writes a page for each command into a folder.
///
/// # Errors
/// Something cannot be written.
pub fn man(folder: Option<&Path>) -> anyhow::Result<()> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return say(&String::from_utf8_lossy(&page));
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .with_context(|| format!("--to: cannot write to {}", folder.display()))
}

/// Writes to standard output, where the answer of a command belongs.
fn say(text: &str) -> anyhow::Result<()> {
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .context("cannot write to standard output")
}

/// Says how to make the first key, where there is none that could make others.
async fn tell_of_keys(pool: &PgPool) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await.context("the database is away")?;
    let exists = frugal_store::keys::any(&mut connection, chrono::Utc::now()).await?;
    if !exists {
        tracing::warn!(
            "keys are required and there is none: make one with `frugal keys create --name NAME --scopes admin`"
        );
    }
    Ok(())
}

/// Runs the demo: database, endpoint, API and workers, then the client.
///
/// # Errors
/// A part does not start, or the job fails.
pub async fn demo(
    config: &Config,
    args: &DemoArgs,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let database = Database::open_for_demo(config).await?;
    let parts = async {
        frugal_store::migrate(database.pool())
            .await
            .context("cannot bring the schema up to date")?;
        let simulator = match args.base_url {
            Some(_) => None,
            None => Some(
                frugal_simulator::serve(demo::simulator_options())
                    .await
                    .context("the simulator does not start")?,
            ),
        };
        let catalog = demo::catalog(
            args,
            simulator.as_ref().map(|own| own.base_url()).as_deref(),
        )?;
        let listener = demo_listener(config).await?;
        let api_url = format!("http://{}", listener.local_addr()?);
        // The demo's job has numbers for answers, so it needs no sandbox.
        let server = Server::for_itself(config, database.pool(), Arc::new(catalog));
        // The server outlives the demonstration, so that it can be looked at with curl.
        let stop = CancellationToken::new();
        let client = async {
            let shown = demo::run(args, &api_url, &shutdown).await;
            if shown.is_ok() && !args.exit {
                shutdown.cancelled().await;
            }
            stop.cancel();
            shown
        };
        let (served, shown) = tokio::join!(server.run(listener, stop.clone()), client);
        if let Some(simulator) = simulator {
            simulator
                .shutdown()
                .await
                .context("the simulator broke down")?;
        }
        served.and(shown)
    };
    let result = tokio::select! {
        result = parts => result,
        lost = database.lost() => lost,
    };
    database.close().await;
    result
}

/// The configured address, or any free one of this machine where it is taken. The demo needs no key, so
/// nobody else is to reach it unless the operator has said that they may.
async fn demo_listener(config: &Config) -> anyhow::Result<TcpListener> {
    let address = match config.require_keys {
        true => SocketAddr::from(([127, 0, 0, 1], config.listen.port())),
        false => config.listen,
    };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(_) => listen(SocketAddr::from(([127, 0, 0, 1], 0))).await,
    }
}

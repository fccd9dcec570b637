//! The programs that clients ask, and that are killed meanwhile.
#![expect(
    clippy::expect_used,
    reason = "a world that does not start fails here, as it would at an assertion"
)]

use crate::client::ApiClient;
use crate::postgres::TestDatabase;
use crate::processes::{Frugal, Setting};
use crate::wire::Wire;
use frugal_simulator::{Latency, Simulator, SimulatorOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use tokio::sync::watch;

/// How long each answer of the endpoint takes.
const LATENCY: Duration = Duration::from_millis(15);

/// Worker processes.
const WORKERS: usize = 2;

/// Jobs that each of them drives at once.
const SLOTS: u32 = 3;

/// A server, workers, their database and an endpoint.
pub(crate) struct World {
    database: TestDatabase,
    simulator: Simulator,
    /// Those of the server and of the workers.
    wires: [Wire; 2],
    server: Frugal,
    serving: Setting,
    working: Setting,
    workers: Vec<Frugal>,
    api: watch::Sender<ApiClient>,
    rng: ChaCha8Rng,
}

impl World {
    /// Starts all, with some more text for the configuration. From then on one in so many commits breaks its
    /// connection.
    pub(crate) async fn begin(seed: u64, cut_one_in: Option<u32>, configuration: &str) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let database = TestDatabase::create().await;
        let options = SimulatorOptions {
            latency: Latency::constant(LATENCY),
            ..SimulatorOptions::default()
        };
        let simulator = frugal_simulator::serve(options).await;
        let simulator = simulator.expect("the simulator starts");
        let wires = [
            Wire::to(database.url()).await,
            Wire::to(database.url()).await,
        ];
        let [serving, working] = wires.each_ref().map(|wire| {
            let mut setting = Setting::local(wire.url(), &simulator.base_url());
            setting.lease_seconds = 2;
            // Workers are killed all the time, and no job is to blame for that.
            setting.queue = "most_lost_attempts = 1000\n".to_owned();
            setting.endpoints.insert_str(0, configuration);
            setting
        });
        let (server, url) = serve(&serving).await;
        for wire in &wires {
            if let Some(count) = cut_one_in {
                wire.cut_one_in(count, ChaCha8Rng::seed_from_u64(rng.random()));
            }
        }
        let mut world = Self {
            database,
            simulator,
            wires,
            server,
            serving,
            working,
            workers: Vec::new(),
            api: watch::Sender::new(ApiClient::new(&url)),
            rng,
        };
        for _ in 0..WORKERS {
            world.add_worker().await;
        }
        world
    }

    /// Where the server is to be asked, also when it is another one.
    pub(crate) fn api(&self) -> watch::Receiver<ApiClient> {
        self.api.subscribe()
    }

    /// The database, for whoever looks at it beside the programs.
    pub(crate) fn database_url(&self) -> &str {
        self.database.url()
    }

    /// The processes of the server and of the worker that has lived longest.
    pub(crate) fn elders(&self) -> [u32; 2] {
        let worker = self.workers.first().expect("there are workers");
        [self.server.id(), worker.id()]
    }

    async fn add_worker(&mut self) {
        let mut worker = self.working.worker_with(SLOTS).await;
        worker.read_on();
        self.workers.push(worker);
    }

    /// Kills any worker, and starts another one.
    pub(crate) async fn kill_worker(&mut self) {
        let worker = self.rng.random_range(0..self.workers.len());
        self.workers.remove(worker).kill().await;
        self.add_worker().await;
    }

    /// Kills the worker that was started last, and starts another one.
    pub(crate) async fn kill_youngest(&mut self) {
        if let Some(worker) = self.workers.pop() {
            worker.kill().await;
        }
        self.add_worker().await;
    }

    /// Kills the server when another one is there.
    pub(crate) async fn kill_server(&mut self) {
        let (server, url) = serve(&self.serving).await;
        std::mem::replace(&mut self.server, server).kill().await;
        self.api.send_replace(ApiClient::new(&url));
    }

    /// From now on no connection breaks.
    pub(crate) fn calm_down(&self) {
        self.wires.iter().for_each(Wire::cut_no_more);
    }

    /// What the programs complained of.
    pub(crate) fn errors(&self) -> Vec<String> {
        [&self.serving, &self.working]
            .iter()
            .flat_map(|setting| setting.errors.all())
            .collect()
    }

    /// Connections that broke so far.
    pub(crate) fn cuts(&self) -> u64 {
        self.wires.iter().map(Wire::faults).sum()
    }

    /// Stops all.
    pub(crate) async fn end(self) {
        for worker in self.workers {
            assert!(worker.stop().await, "a worker stops when it is asked to");
        }
        assert!(
            self.server.stop().await,
            "the server stops when it is asked to"
        );
        let stopped = self.simulator.shutdown().await;
        stopped.expect("the simulator has not broken down");
        self.database.drop().await;
    }
}

async fn serve(setting: &Setting) -> (Frugal, String) {
    let (mut server, url) = setting.serve(0).await;
    server.read_on();
    (server, url)
}

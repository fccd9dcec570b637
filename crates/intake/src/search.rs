//! Reads how a job's search is run: the algorithm with its options, and the limits.

use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::job::algorithm::{
    Algorithm, BlendsearchOptions, CfoOptions, GlobalSearcher, GridOptions, GridOrder,
    RandomOptions, Sequence, TpeOptions,
};
use frugal_domain::job::{ExtentChoice, Limits, Pruning, Reuse, SearchSpec};
use frugal_domain::space::Space;

/// The most trials of one job.
const MAX_TRIALS: i64 = 100_000;
/// The trials of a job that names no limit.
const DEFAULT_TRIALS: u32 = 100;
/// The most that an option may be that counts trials, candidates or values.
const MAX_COUNT: i64 = 1_000;
/// The smallest first step of a local search: smaller ones do not get anywhere within a budget.
const LEAST_STEP_SIZE: f64 = 0.001;

/// The most requests of one job that may be in flight.
pub(crate) const MOST_IN_FLIGHT: i64 = 1024;
/// The most seconds of one job: a month.
pub(crate) const MOST_SECONDS: i64 = 31 * 86_400;

/// Requests in flight of a job that names no number: one where latency counts, so that none waits behind
/// another.
pub(crate) const fn default_in_flight(measures_latency: bool) -> u32 {
    match measures_latency {
        true => 1,
        false => 32,
    }
}

pub(crate) fn limits(at: Option<Reader<'_>>) -> Option<Limits> {
    let mut limits = Limits {
        trials: DEFAULT_TRIALS,
        seconds: None,
        trials_without_improvement: None,
    };
    let Some(at) = at else {
        return Some(limits);
    };
    let object = at.object()?;
    let whole = |name: &str, most: i64| {
        let read = object.get(name).map(|at| at.integer_within(1, most));
        read.map(|read| read.map(i64::unsigned_abs))
    };
    let trials = whole("trials", MAX_TRIALS);
    let seconds = whole("seconds", MOST_SECONDS);
    let patience = whole("trials_without_improvement", MAX_TRIALS);
    object.finish();
    if let Some(trials) = trials {
        limits.trials = u32::try_from(trials?).ok()?;
    }
    if let Some(seconds) = seconds {
        limits.seconds = Some(seconds?);
    }
    if let Some(patience) = patience {
        limits.trials_without_improvement = Some(u32::try_from(patience?).ok()?);
    }
    Some(limits)
}

/// How the search goes. Where latency counts (`measures_latency`), each configuration is evaluated apart, by
/// requests of its own and one at a time: others' responses, and those that waited behind others, tell
/// nothing of how long its own take.
pub(crate) fn search(
    at: Option<&Reader<'_>>,
    seed: u64,
    measures_latency: bool,
) -> Option<SearchSpec> {
    let mut search = SearchSpec {
        algorithm: Algorithm::default(),
        seed,
        extent: match measures_latency {
            true => ExtentChoice::Searched,
            false => ExtentChoice::Profiled,
        },
        pruning: Pruning::On,
        reuse: Reuse::Job,
        parallel_trials: 4,
        requests_in_flight: default_in_flight(measures_latency),
    };
    let Some(at) = at else {
        return Some(search);
    };
    let object = at.object()?;
    let algorithm = algorithm(&object);
    let pruning = object.get("pruning").map(|at| {
        at.one_of(&[
            ("on", Pruning::On),
            ("off", Pruning::Off),
            ("reference", Pruning::Reference),
        ])
    });
    let extent = object.get("extent").map(|at| {
        let read = at.one_of(&[
            ("profiled", ExtentChoice::Profiled),
            ("searched", ExtentChoice::Searched),
        ]);
        (at, read)
    });
    let reuse = object
        .get("reuse")
        .map(|at| read_reuse(&at).map(|reuse| (at, reuse)));
    let seed = object.get("seed").map(|at| at.integer_within(0, i64::MAX));
    let parallel = object
        .get("parallel_trials")
        .map(|at| at.integer_within(1, 64));
    let in_flight = object
        .get("requests_in_flight")
        .map(|at| at.integer_within(1, MOST_IN_FLIGHT));
    object.finish();
    search.algorithm = algorithm?;
    if let Some(pruning) = pruning {
        search.pruning = pruning?;
    }
    // What is evaluated configuration by configuration searches its extents too.
    if search.pruning != Pruning::On {
        search.extent = ExtentChoice::Searched;
    }
    if let Some((at, extent)) = extent {
        let extent = extent?;
        if measures_latency && extent == ExtentChoice::Profiled {
            let why = "`profiled` reads every `n` and `max_tokens` from the same responses";
            return not_with_latency(&at, why);
        }
        if extent == ExtentChoice::Profiled && search.pruning != Pruning::On {
            let pruning = search.pruning;
            return at.fault(format!(
                "`profiled` does not go with a `pruning` of `{pruning}`, which evaluates each \
                 configuration apart; leave one of them out"
            ));
        }
        search.extent = extent;
    }
    if let Some(reuse) = reuse {
        let (at, reuse) = reuse?;
        if measures_latency && reuse == Reuse::Owner {
            return not_with_latency(&at, "other jobs' responses came under another load");
        }
        search.reuse = reuse;
    }
    if let Some(seed) = seed {
        search.seed = seed?.unsigned_abs();
    }
    if let Some(parallel) = parallel {
        search.parallel_trials = u32::try_from(parallel?).ok()?;
    }
    if let Some(in_flight) = in_flight {
        search.requests_in_flight = u32::try_from(in_flight?).ok()?;
    }
    Some(search)
}

/// The fault of a choice under which responses are shared, in a job where latency counts.
/// Whose responses may be used again.
pub(crate) fn read_reuse(at: &Reader<'_>) -> Option<Reuse> {
    at.one_of(&[("job", Reuse::Job), ("owner", Reuse::Owner)])
}

fn not_with_latency<T>(at: &Reader<'_>, why: &str) -> Option<T> {
    at.fault(format!(
        "{why}, which tells nothing of how long its own take; leave it out, or take `latency_ms` out of \
         `objective` and `constraints`"
    ))
}

/// The algorithm with its options. Options of another algorithm are faults.
fn algorithm(search: &ObjectReader<'_>) -> Option<Algorithm> {
    let mut names = Vec::new();
    let all = Algorithm::all();
    for algorithm in &all {
        names.push((algorithm.as_str(), *algorithm));
    }
    let options = search.get("options");
    let algorithm = match search.get("algorithm") {
        Some(at) => at.one_of(&names)?,
        None => Algorithm::default(),
    };
    let Some(options) = options else {
        return Some(algorithm);
    };
    let object = options.object()?;
    let read = Options(&object);
    let algorithm = match algorithm {
        Algorithm::Blendsearch(default) => {
            let low_cost_starts = read.low_cost_starts(default.low_cost_starts);
            let global = read.name(
                "global",
                &[
                    ("tpe", GlobalSearcher::Tpe),
                    ("random", GlobalSearcher::Random),
                ],
                default.global,
            );
            let startup_trials = read.count("startup_trials", default.startup_trials);
            let candidates = read.count("candidates", default.candidates);
            let step_size = read.step_size(default.step_size);
            object.finish();
            Algorithm::Blendsearch(BlendsearchOptions {
                low_cost_starts: low_cost_starts?,
                global: global?,
                startup_trials: startup_trials?,
                candidates: candidates?,
                step_size: step_size?,
            })
        }
        Algorithm::Cfo(default) => {
            let low_cost_starts = read.low_cost_starts(default.low_cost_starts);
            let step_size = read.step_size(default.step_size);
            object.finish();
            Algorithm::Cfo(CfoOptions {
                low_cost_starts: low_cost_starts?,
                step_size: step_size?,
            })
        }
        Algorithm::Tpe(default) => {
            let low_cost_starts = read.low_cost_starts(default.low_cost_starts);
            let startup_trials = read.count("startup_trials", default.startup_trials);
            let candidates = read.count("candidates", default.candidates);
            object.finish();
            Algorithm::Tpe(TpeOptions {
                low_cost_starts: low_cost_starts?,
                startup_trials: startup_trials?,
                candidates: candidates?,
            })
        }
        Algorithm::Random(default) => {
            let low_cost_starts = read.low_cost_starts(default.low_cost_starts);
            let sequence = read.name(
                "sequence",
                &[
                    ("uniform", Sequence::Uniform),
                    ("halton", Sequence::Halton),
                    ("sobol", Sequence::Sobol),
                ],
                default.sequence,
            );
            object.finish();
            Algorithm::Random(RandomOptions {
                low_cost_starts: low_cost_starts?,
                sequence: sequence?,
            })
        }
        Algorithm::Grid(default) => {
            let points = read.count("points", default.points);
            let order = read.name(
                "order",
                &[
                    ("shuffled", GridOrder::Shuffled),
                    ("sequential", GridOrder::Sequential),
                ],
                default.order,
            );
            object.finish();
            Algorithm::Grid(GridOptions {
                points: points?,
                order: order?,
            })
        }
    };
    Some(algorithm)
}

/// Options by name; `None` for one with a fault, the default for one that is absent.
struct Options<'o, 'a>(&'o ObjectReader<'a>);

impl Options<'_, '_> {
    fn low_cost_starts(&self, default: bool) -> Option<bool> {
        let at = self.0.get("low_cost_starts");
        at.map_or(Some(default), |at| at.boolean())
    }

    fn count(&self, name: &str, default: u32) -> Option<u32> {
        let Some(at) = self.0.get(name) else {
            return Some(default);
        };
        u32::try_from(at.integer_within(1, MAX_COUNT)?).ok()
    }

    fn step_size(&self, default: f64) -> Option<f64> {
        let Some(at) = self.0.get("step_size") else {
            return Some(default);
        };
        let step_size = at.number()?;
        if !(LEAST_STEP_SIZE..=1.0).contains(&step_size) {
            return at.fault(format!(
                "must be from {LEAST_STEP_SIZE} to 1, not {step_size}"
            ));
        }
        Some(step_size)
    }

    fn name<T: Copy>(&self, name: &str, names: &[(&str, T)], default: T) -> Option<T> {
        let at = self.0.get(name);
        at.map_or(Some(default), |at| at.one_of(names))
    }
}

/// Notes a fault where the algorithm is a grid that would be too large over the space.
pub(crate) fn grid_fits(at: Option<&Reader<'_>>, search: &SearchSpec, space: &Space) {
    let (Some(at), Algorithm::Grid(options)) = (at, search.algorithm) else {
        return;
    };
    let most = GridOptions::LARGEST_GRID;
    let size = space.grid(options.points).size();
    if size.is_some_and(|size| size <= most) {
        return;
    }
    let size = size.map_or_else(|| "far too many".to_owned(), |size| size.to_string());
    let fault = format!(
        "the grid over this search space has {size} configurations, and at most {most} are allowed; \
         lower `search.options.points`, give settings a larger `step`, or list fewer values"
    );
    if let Some(search) = at.object() {
        let place = search.get("options").or_else(|| search.get("algorithm"));
        place.unwrap_or_else(|| at.clone()).fault::<()>(fault);
    }
}

//! The demonstrations of a job: which rows its prompts may show as examples, and how many.
//!
//! Each way of showing them makes a prompt of its own, so that the search compares them as it compares
//! prompts, with the cost of their tokens.

use crate::limits::MAX_CHOICES;
use crate::rows::{self, Rows};
use frugal_domain::fault::Reader;
use frugal_domain::job::Instance;
use frugal_domain::prompt::{DemonstrationChoice, Demonstrations, Prompt};
use serde_json::Value;

/// The most rows of a pool, and the most that are shown.
const MOST_ROWS: usize = 200;
const MOST_SHOWN: i64 = 64;

/// The draws that `search` compares.
const DRAWS: u32 = 4;

/// The demonstrations of a job. None are shown by default.
#[derive(Default)]
pub(crate) struct Read {
    /// The rows that may be shown; the first of those that are tuned on where none are given.
    pub pool: Option<Vec<Instance>>,
    /// The ways of showing them, each once.
    pub ways: Vec<Demonstrations>,
}

impl Read {
    /// The rows that may be shown, of these where none are given.
    pub(crate) fn pool_of<'r>(&self, rows: impl Iterator<Item = &'r Instance>) -> Vec<Instance> {
        match &self.pool {
            Some(pool) => pool.clone(),
            None => rows.take(MOST_ROWS).cloned().collect(),
        }
    }

    /// A prompt in each of the ways.
    pub(crate) fn spread(&self, prompt: &Prompt) -> Vec<Prompt> {
        let named = |way: &Demonstrations| Prompt {
            name: format!("{} ({way})", prompt.name),
            body: prompt.body.clone(),
            demonstrations: Some(*way),
        };
        if self.ways.is_empty() {
            let way = Demonstrations {
                count: 0,
                choice: DemonstrationChoice::First,
            };
            return vec![named(&way)];
        }
        self.ways.iter().map(named).collect()
    }
}

pub(crate) fn read(at: &Reader<'_>) -> Option<Read> {
    let object = at.object()?;
    let pool = match object.get("pool") {
        None => Some(None),
        Some(at) if at.value == "rows" => Some(None),
        Some(at) if at.value.is_string() => {
            at.fault("must be a list of rows, or `rows` for those that are tuned on")
        }
        Some(at) => pool(&at).map(Some),
    };
    let count = object
        .get("count")
        .map_or_else(|| Some(vec![0, 1, 2, 4]), |at| count(&at));
    let choice = object.get("choice").map_or_else(
        || Some(vec![DemonstrationChoice::Similar]),
        |at| choice(&at),
    );
    object.finish();
    let (pool, count, choice) = (pool?, count?, choice?);
    let mut ways: Vec<Demonstrations> = Vec::new();
    for count in count {
        for choice in &choice {
            // None is the same however it is chosen.
            let is_there = ways
                .iter()
                .any(|way| way.count == count && (count == 0 || way.choice == *choice));
            if !is_there {
                ways.push(Demonstrations {
                    count,
                    choice: *choice,
                });
            }
        }
    }
    if ways.len() > MAX_CHOICES {
        return at.fault(format!(
            "has {} ways of showing demonstrations; at most {MAX_CHOICES} are allowed, so give fewer counts \
             or choices",
            ways.len()
        ));
    }
    Some(Read { pool, ways })
}

fn pool(at: &Reader<'_>) -> Option<Vec<Instance>> {
    let rows: Rows = rows::of_array(at)?;
    let rows: Vec<Instance> = rows.all().cloned().collect();
    if rows.len() > MOST_ROWS {
        return at.fault(format!("must hold at most {MOST_ROWS} rows"));
    }
    Some(rows)
}

/// One number, several, or both ends of a range, whose doublings are taken.
fn count(at: &Reader<'_>) -> Option<Vec<u32>> {
    let one = |at: &Reader<'_>| u32::try_from(at.integer_within(0, MOST_SHOWN)?).ok();
    match at.value {
        Value::Array(_) => at.filled_array("number")?.iter().map(one).collect(),
        Value::Object(_) => {
            let object = at.object()?;
            let ends = object.require("int", "give both ends, such as {\"int\": [0, 8]}");
            object.finish();
            let at = ends?;
            let ends: Option<Vec<u32>> = at.array()?.iter().map(one).collect();
            let [low, high] = ends?[..] else {
                return at.fault("must be both ends, such as [0, 8]");
            };
            if low > high {
                return at.fault("must begin with the lower end");
            }
            let doublings = std::iter::successors(Some(1_u32), |number| Some(number * 2));
            let between = doublings.take_while(|number| *number < high);
            let between = between.filter(|number| *number > low);
            let mut numbers: Vec<u32> = std::iter::once(low).chain(between).collect();
            if high > low {
                numbers.push(high);
            }
            Some(numbers)
        }
        _ => one(at).map(|number| vec![number]),
    }
}

/// One choice or several.
fn choice(at: &Reader<'_>) -> Option<Vec<DemonstrationChoice>> {
    let one = |at: &Reader<'_>| {
        let draws = |draws: u32| (0..draws).map(|draw| DemonstrationChoice::Random { draw });
        Some(match at.one_of(&NAMES)? {
            Named::First => vec![DemonstrationChoice::First],
            Named::Similar => vec![DemonstrationChoice::Similar],
            Named::Random => draws(1).collect(),
            Named::Search => draws(DRAWS).collect(),
        })
    };
    match at.value {
        Value::Array(_) => {
            let all: Option<Vec<_>> = at.filled_array("choice")?.iter().map(one).collect();
            Some(all?.into_iter().flatten().collect())
        }
        _ => one(at),
    }
}

#[derive(Clone, Copy)]
enum Named {
    First,
    Random,
    Similar,
    Search,
}

const NAMES: [(&str, Named); 4] = [
    ("first", Named::First),
    ("random", Named::Random),
    ("similar", Named::Similar),
    ("search", Named::Search),
];

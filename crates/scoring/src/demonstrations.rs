//! Demonstrations: which rows of a pool a prompt shows for a row, as examples of what is wanted.

use frugal_domain::prompt::{DemonstrationChoice, Demonstrations};
use frugal_domain::seed::order;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The name by which a prompt's templates know the list of its demonstrations.
pub const DEMONSTRATIONS: &str = "demonstrations";

/// Tells the draws of demonstrations from others by the same number.
const DRAW: u64 = 0x6465_6d6f_6e73;

/// What a prompt shows.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pool: Arc<[Map<String, Value>]>,
    /// The places of the pool, in the order in which they are taken.
    order: Vec<usize>,
    count: usize,
    /// Where the nearest are taken, the words of each row of the pool.
    words: Option<Vec<BTreeSet<String>>>,
    /// The fields that rows are compared by.
    fields: BTreeSet<String>,
}

impl Shown {
    /// What a prompt shows of a pool. `fields` are those that the prompt takes from a row; rows are compared
    /// by them, or by all of their fields where there are none.
    pub(crate) fn new(
        demonstrations: Demonstrations,
        pool: Arc<[Map<String, Value>]>,
        fields: BTreeSet<String>,
    ) -> Self {
        let places = pool.len();
        let (order, is_by_words) = match demonstrations.choice {
            DemonstrationChoice::First => ((0..places).collect(), false),
            DemonstrationChoice::Random { draw } => (order(places, DRAW ^ u64::from(draw)), false),
            DemonstrationChoice::Similar => ((0..places).collect(), true),
        };
        let words = is_by_words.then(|| pool.iter().map(|row| words(row, &fields)).collect());
        Self {
            order,
            count: usize::try_from(demonstrations.count).unwrap_or(usize::MAX),
            words,
            fields,
            pool,
        }
    }

    /// The demonstrations for a row, of which it is none itself.
    pub(crate) fn of(&self, instance: &Map<String, Value>) -> Value {
        let others = self.order.iter().copied();
        let others = others.filter(|place| self.pool[*place] != *instance);
        let mut taken: Vec<usize> = match &self.words {
            None => others.take(self.count).collect(),
            Some(pool) => {
                let own = words(instance, &self.fields);
                let mut near: Vec<(f64, usize)> = others
                    .map(|place| (in_common(&own, &pool[place]), place))
                    .collect();
                near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
                near.into_iter()
                    .take(self.count)
                    .map(|(_, place)| place)
                    .collect()
            }
        };
        // What stands next to the question counts most.
        if self.words.is_some() {
            taken.reverse();
        }
        let rows = taken
            .into_iter()
            .map(|place| Value::Object(self.pool[place].clone()));
        rows.collect()
    }
}

/// The words of a row's fields, in small letters.
fn words(row: &Map<String, Value>, fields: &BTreeSet<String>) -> BTreeSet<String> {
    let is_compared = |name: &str| fields.is_empty() || fields.contains(name);
    let mut words = BTreeSet::new();
    for (_, value) in row.iter().filter(|(name, _)| is_compared(name)) {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let parts = text.split(|c: char| !c.is_alphanumeric());
        words.extend(parts.filter(|word| !word.is_empty()).map(str::to_lowercase));
    }
    words
}

/// The share of the words of two rows that both have (Jaccard's index).
fn in_common(one: &BTreeSet<String>, other: &BTreeSet<String>) -> f64 {
    let both = one.intersection(other).count();
    let all = one.len() + other.len() - both;
    if all == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "words of a row are few")]
    let share = both as f64 / all as f64;
    share
}

#[cfg(test)]
mod tests {
    use crate::prompt::{CompiledPrompt, RenderedPrompt};
    use frugal_domain::prompt::{DemonstrationChoice, Demonstrations, Prompt, PromptBody};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn row(question: &str) -> Map<String, Value> {
        let row = json!({"q": question, "a": question.len()});
        row.as_object().cloned().unwrap()
    }

    fn shown(count: u32, choice: DemonstrationChoice, pool: &[&str], question: &str) -> String {
        let text = "{% for one in demonstrations %}{{ one.q }}: {{ one.a }}\n{% endfor %}{{ q }}:";
        let prompt = Prompt {
            name: "p".to_owned(),
            body: PromptBody::Text(text.to_owned()),
            demonstrations: Some(Demonstrations { count, choice }),
        };
        let pool = pool.iter().map(|question| row(question)).collect();
        let compiled = CompiledPrompt::of_job(&prompt, &pool).unwrap();
        assert_eq!(compiled.variables().into_iter().collect::<Vec<_>>(), ["q"]);
        match compiled.render(&row(question)).unwrap() {
            RenderedPrompt::Text(text) => text,
            RenderedPrompt::Messages(_) => unreachable!("it is a text"),
        }
    }

    #[test]
    fn no_row_is_its_own_example() {
        let pool = ["one", "two", "three"];
        let first = |count, question| shown(count, DemonstrationChoice::First, &pool, question);
        assert_eq!(first(2, "four"), "one: 3\ntwo: 3\nfour:");
        assert_eq!(first(2, "one"), "two: 3\nthree: 5\none:");
        assert_eq!(first(9, "two"), "one: 3\nthree: 5\ntwo:");
        assert_eq!(first(0, "two"), "two:");
    }

    #[test]
    fn the_nearest_stands_last() {
        let pool = [
            "how tall is a tree",
            "who wrote a book",
            "how tall is the tower",
        ];
        let near = |count| {
            shown(
                count,
                DemonstrationChoice::Similar,
                &pool,
                "How tall is that tower?",
            )
        };
        assert_eq!(
            near(1),
            "how tall is the tower: 21\nHow tall is that tower?:"
        );
        assert_eq!(
            near(2),
            "how tall is a tree: 18\nhow tall is the tower: 21\nHow tall is that tower?:"
        );
    }

    #[test]
    fn draws_differ_and_are_the_same_for_all_rows() {
        let pool = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let of = |draw, question| shown(3, DemonstrationChoice::Random { draw }, &pool, question);
        let before = |text: String| text.rsplit_once('\n').unwrap().0.to_owned();
        assert_eq!(before(of(0, "x")), before(of(0, "y")));
        assert_ne!(before(of(0, "x")), before(of(1, "x")));
    }

    proptest! {
        #[test]
        fn a_row_is_never_shown_to_itself(
            pool in prop::collection::vec("[a-c ]{0,4}", 0..6), place in any::<prop::sample::Index>(),
            count in 0..5_u32, draw in 0..3_u32,
        ) {
            let texts: Vec<&str> = pool.iter().map(String::as_str).collect();
            let question = if texts.is_empty() { "q" } else { texts[place.index(texts.len())] };
            let others = texts.iter().filter(|text| **text != question).count();
            for choice in [
                DemonstrationChoice::First,
                DemonstrationChoice::Random { draw },
                DemonstrationChoice::Similar,
            ] {
                let text = shown(count, choice, &texts, question);
                let lines: Vec<&str> = text.lines().collect();
                let examples = lines.len() - 1;
                prop_assert_eq!(examples, others.min(count as usize));
                let own = format!("{question}: {}", question.len());
                prop_assert!(lines[..examples].iter().all(|line| *line != own));
            }
        }
    }
}

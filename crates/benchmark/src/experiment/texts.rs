//! Generated tasks of other domains, as texts that are scored by the scorers that jobs have.

use crate::corpus::{Cell, Corpus, Sample, Shelf};
use crate::data_set::{self, DataSet, Priced};
use anyhow::{Context, bail};
use frugal_domain::job::{Instance, JobSpec};
use frugal_domain::scoring::{Observation, Reducer, ScorerSpec};
use frugal_domain::seed::mix;
use frugal_scoring::{Expectation, RenderedPrompt, Scorer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Models with dollars per million tokens of input and of output, and the log-odds of a right answer to a
/// row of mean difficulty.
pub const MODELS: [Priced<'static>; 2] = [("small", 0.1, 0.4), ("large", 1.0, 4.0)];
const SKILL: [f64; 2] = [-0.2, 1.2];
/// Prompts: the second asks for more, which helps and makes answers longer.
pub const PROMPTS: [&str; 2] = ["plain", "detailed"];
const PROMPT_HELPS: [f64; 2] = [0.0, 0.5];
/// Temperatures that answers are generated at, and how many there are of each.
pub const TEMPERATURES: [f64; 4] = [0.0, 0.4, 0.8, 1.2];
const ANSWERS: usize = 16;
/// Limits of tokens under which cut answers are scored.
pub const LIMITS: [u32; 5] = [4, 8, 16, 32, 64];
/// The most answers of a configuration.
pub const MOST_RESPONSES: u32 = 32;
/// The inference budget, in answers of the large model to the plain prompt.
const LARGE_ANSWERS: f64 = 1.6;

const LABELS: [&str; 5] = ["billing", "shipping", "returns", "account", "other"];
const NAMES: [&str; 6] = [
    "Ada Byron",
    "Max Planck",
    "Lise Meitner",
    "Emmy Noether",
    "Otto Hahn",
    "Mary Hill",
];
const CITIES: [&str; 6] = ["Austin", "Denver", "Tampa", "Reno", "Boise", "Salem"];
const TRADES: [&str; 6] = ["nurse", "cook", "driver", "farmer", "baker", "clerk"];
const THEMES: [&str; 6] = ["river", "winter", "harbour", "garden", "lantern", "orchard"];
const FILLERS: [&str; 8] = ["well", "as", "far", "as", "one", "can", "tell", "now"];

/// A domain: how rows and answers of it are made, and how they are scored.
pub struct Domain {
    /// What it is called.
    pub name: &'static str,
    /// How answers are scored, in words.
    pub scored: &'static str,
    /// What a user of it is given of n answers.
    pub delivered: Reducer,
    scoring: Scoring,
    row: fn(usize, &mut ChaCha8Rng) -> Value,
    answer: fn(&Value, Skill, &mut ChaCha8Rng) -> String,
}

/// What a score comes from.
enum Scoring {
    /// A scorer of jobs, and a selector beside it, as they are posted.
    Scorer(fn() -> (Value, Option<Value>)),
    /// A judge's rating, whose replies are scripted; and what is true of the answer.
    Judge(fn(&Value, &str) -> f64),
    /// A measure that no scorer has, which a service of the operator's would give.
    Measure(fn(&Value, &str) -> f64),
}

/// How an answer is made.
#[derive(Debug, Clone, Copy)]
struct Skill {
    /// The chance that a part of it is right.
    right: f64,
    /// The temperature.
    heat: f64,
    /// Whether the prompt asks for more.
    detailed: bool,
}

/// A domain's data.
pub struct Made {
    /// As the scorer has it.
    pub set: DataSet,
    /// As it is in truth, where a judge's word is not that.
    pub truth: Option<Corpus>,
}

/// All domains.
pub fn domains() -> [Domain; 5] {
    [
        Domain {
            name: "classification",
            scored: "`choice` of five labels",
            delivered: Reducer::Majority,
            scoring: Scoring::Scorer(|| {
                let scorer =
                    json!({"type": "choice", "choices": LABELS, "expected": "{{ label }}"});
                (scorer, None)
            }),
            row: |_, generator| json!({"text": "a message", "label": pick(&LABELS, generator), "near": pick(&LABELS, generator)}),
            answer: classify,
        },
        Domain {
            name: "extraction",
            scored: "`json`, the share of four fields, a selector that asks for all of them",
            delivered: Reducer::BestOfN,
            scoring: Scoring::Scorer(|| {
                let fields = ["name", "age", "city", "trade"];
                let selector = json!({"type": "json", "schema": {"required": fields}});
                (
                    json!({"type": "json", "expected": "{{ person | tojson }}"}),
                    Some(selector),
                )
            }),
            row: |_, generator| {
                json!({"text": "a report", "person": {
                    "name": pick(&NAMES, generator),
                    "age": generator.random_range(20..70),
                    "city": pick(&CITIES, generator),
                    "trade": pick(&TRADES, generator),
                }})
            },
            answer: extract,
        },
        Domain {
            name: "question answering",
            scored: "`token_f1`",
            delivered: Reducer::Mean,
            scoring: Scoring::Scorer(|| {
                (
                    json!({"type": "token_f1", "expected": "{{ answer }}"}),
                    None,
                )
            }),
            row: |_, generator| {
                let words = [
                    pick(&CITIES, generator),
                    pick(&THEMES, generator),
                    pick(&TRADES, generator),
                ];
                json!({"text": "who was it", "answer": words.join(" ")})
            },
            answer: respond,
        },
        Domain {
            name: "dialogue",
            scored: "`judge`, whose replies are scripted: it likes what is true of a reply, and long ones",
            delivered: Reducer::Mean,
            scoring: Scoring::Judge(quality),
            row: |_, generator| json!({"text": "a wish", "topic": pick(&THEMES, generator)}),
            answer: converse,
        },
        Domain {
            name: "creative writing",
            scored: "the share of word pairs that differ, half of it where the theme is missing: a `webhook`'s to give",
            delivered: Reducer::Mean,
            scoring: Scoring::Measure(diversity),
            row: |_, generator| json!({"text": "a wish", "topic": pick(&THEMES, generator)}),
            answer: write_freely,
        },
    ]
}

impl Domain {
    /// Data of so many rows.
    ///
    /// # Errors
    /// A scorer does not take its rows.
    pub fn made(&self, rows: usize, seed: u64) -> anyhow::Result<Made> {
        let generator = &mut ChaCha8Rng::seed_from_u64(mix(seed));
        let instances: Vec<Value> = (0..rows).map(|row| (self.row)(row, generator)).collect();
        let difficulties: Vec<f64> = (0..rows).map(|_| 1.2 * normal(generator)).collect();
        let mut texts = Vec::new();
        for (model, skill) in SKILL.iter().enumerate() {
            for (prompt, helps) in PROMPT_HELPS.iter().enumerate() {
                let of_rows: Vec<Vec<Vec<String>>> = instances
                    .iter()
                    .zip(&difficulties)
                    .map(|(row, difficulty)| {
                        let lead = skill + helps - difficulty + 0.5 * normal(generator);
                        let of = |heat: f64, generator: &mut ChaCha8Rng| {
                            let skill = Skill {
                                right: chance(lead, heat),
                                heat,
                                detailed: prompt == 1,
                            };
                            let answers = if heat == 0.0 { 1 } else { ANSWERS };
                            (0..answers)
                                .map(|_| (self.answer)(row, skill, generator))
                                .collect()
                        };
                        TEMPERATURES.map(|heat| of(heat, generator)).to_vec()
                    })
                    .collect();
                texts.push(((model, prompt), of_rows));
            }
        }
        let spec = self.spec(&instances, inference_budget(&texts), None)?;
        let truth = match self.scoring {
            Scoring::Judge(truth) => {
                let of = |row: &Value, text: &str| Ok(truth(row, text).into());
                Some(corpus(&texts, &instances, of)?)
            }
            _ => None,
        };
        let corpus = match &self.scoring {
            Scoring::Scorer(_) => self.scored_by_scorers(&spec, &texts, &instances)?,
            Scoring::Judge(_) => self.judged(&texts, &instances, seed)?,
            Scoring::Measure(measure) => {
                corpus(
                    &texts,
                    &instances,
                    |row, text| Ok(measure(row, text).into()),
                )?
            }
        };
        let name = self.name.to_owned();
        Ok(Made {
            set: DataSet { name, spec, corpus },
            truth,
        })
    }

    /// The job: what is posted where a scorer of jobs scores, and otherwise one whose scorer gives shares,
    /// since the scores come from elsewhere.
    fn spec(
        &self,
        instances: &[Value],
        inference_usd: f64,
        scoring: Option<Value>,
    ) -> anyhow::Result<JobSpec> {
        let scoring = scoring.unwrap_or_else(|| match &self.scoring {
            Scoring::Scorer(posted) => {
                let (scorer, selector) = posted();
                let mut scoring = json!({"scorer": scorer, "reduce": self.delivered.as_str()});
                if let Some(selector) = selector {
                    scoring["selector"] = selector;
                }
                scoring
            }
            Scoring::Judge(_) | Scoring::Measure(_) => json!({
                "scorer": {"type": "token_f1", "expected": "{{ topic }}"},
                "reduce": self.delivered.as_str(),
            }),
        });
        let prompts =
            PROMPTS.map(|name| json!({"name": name, "text": format!("{name}: {{{{ text }}}}")}));
        let body = json!({
            "data": {"instances": instances},
            "prompts": prompts,
            "search_space": {
                "temperature": {"float": [0, TEMPERATURES[3]]},
                "max_tokens": {"int": [LIMITS[0], 2 * LIMITS[4]], "scale": "log"},
                "n": {"int": [1, MOST_RESPONSES]},
            },
            "scoring": scoring,
        });
        data_set::spec(body, &MODELS, inference_usd)
    }

    fn scored_by_scorers(
        &self,
        spec: &JobSpec,
        texts: &Texts,
        instances: &[Value],
    ) -> anyhow::Result<Corpus> {
        let compiled = |scorer: &ScorerSpec| Scorer::compile(scorer);
        let scorer = compiled(&spec.scorer)?;
        let selector = spec.selector.as_ref().map(compiled).transpose()?;
        let mut expectations: Vec<(Expectation<'_>, Option<Expectation<'_>>)> = Vec::new();
        for instance in instances {
            let row = object(instance)?;
            let of_selector = selector.as_ref().map(|selector| selector.expectation(row));
            expectations.push((scorer.expectation(row)?, of_selector.transpose()?));
        }
        by_row(texts, |row, text| {
            let (scorer, selector) = &expectations[row];
            let mut observed = scorer.observe(text)?;
            if let Some(selector) = selector {
                observed.preference = Some(selector.score(text)?);
            }
            Ok(observed)
        })
    }

    /// What the scorer `judge` makes of scripted replies to its own questions.
    fn judged(&self, texts: &Texts, instances: &[Value], seed: u64) -> anyhow::Result<Corpus> {
        let scoring = json!({"scorer": {
            "type": "judge",
            "endpoint": data_set::ENDPOINT,
            "model": MODELS[1].0,
            "rubric": "Is the reply about {{ topic }}, and polite?",
        }});
        let spec = self.spec(instances, 1.0, Some(scoring))?;
        let scorer = Scorer::compile(&spec.scorer)?;
        let judge = scorer.judges().next().context("no judge is asked")?.clone();
        let rows: Vec<&Instance> = instances
            .iter()
            .map(object)
            .collect::<anyhow::Result<_>>()?;
        let mut generator = ChaCha8Rng::seed_from_u64(mix(seed ^ 1));
        by_row(texts, |row, text| {
            let expectation = scorer.expectation(rows[row])?;
            let question = expectation.question(rows[row], text, 0)?;
            let RenderedPrompt::Text(question) = question else {
                bail!("a question is no text");
            };
            let reply = scripted_reply(&question, &mut generator)?;
            let rating = judge.read(0, &reply).context("a reply says nothing")?;
            Ok(rating.into())
        })
    }
}

/// By model and prompt: the texts by row and temperature.
type Texts = Vec<((usize, usize), Vec<Vec<Vec<String>>>)>;

fn corpus(
    texts: &Texts,
    instances: &[Value],
    score: impl Fn(&Value, &str) -> anyhow::Result<Observation>,
) -> anyhow::Result<Corpus> {
    by_row(texts, |row, text| score(&instances[row], text))
}

fn by_row(
    texts: &Texts,
    mut score: impl FnMut(usize, &str) -> anyhow::Result<Observation>,
) -> anyhow::Result<Corpus> {
    let mut shelves = BTreeMap::new();
    let mut rows = 0;
    for (place, of_rows) in texts {
        rows = of_rows.len();
        let mut cells = Vec::new();
        for (row, of_temperatures) in of_rows.iter().enumerate() {
            let mut by_temperature = Vec::new();
            for (temperature, answers) in TEMPERATURES.iter().zip(of_temperatures) {
                let samples: Vec<Sample> = answers
                    .iter()
                    .map(|text| sample(text, |text| score(row, text)))
                    .collect::<anyhow::Result<_>>()?;
                by_temperature.push((*temperature, samples));
            }
            cells.push(Cell {
                prompt_tokens: prompt_tokens(place.1),
                by_temperature,
            });
        }
        let shelf = Shelf {
            temperatures: TEMPERATURES.to_vec(),
            cells,
        };
        shelves.insert(*place, shelf);
    }
    Ok(Corpus {
        shelves,
        prompt_token_bounds: (0..PROMPTS.len())
            .map(|prompt| vec![prompt_tokens(prompt); rows])
            .collect(),
    })
}

/// A token is a word here, and the end is one.
fn sample(
    text: &str,
    mut score: impl FnMut(&str) -> anyhow::Result<Observation>,
) -> anyhow::Result<Sample> {
    let words: Vec<&str> = text.split(' ').collect();
    let tokens = u32::try_from(words.len())? + 1;
    let mut when_cut = Vec::new();
    for limit in LIMITS.iter().filter(|limit| **limit < tokens) {
        let kept = words[..words.len().min(*limit as usize)].join(" ");
        when_cut.push((*limit, score(&kept)?));
    }
    Ok(Sample {
        tokens,
        ended: true,
        observed: score(text)?,
        when_cut,
    })
}

const fn prompt_tokens(prompt: usize) -> u64 {
    match prompt {
        0 => 40,
        _ => 80,
    }
}

/// What some answers of the large model cost, in dollars.
fn inference_budget(texts: &Texts) -> f64 {
    let plain = texts.iter().find(|(place, _)| *place == (1, 0));
    let lengths: Vec<f64> = plain
        .into_iter()
        .flat_map(|(_, of_rows)| of_rows.iter().flatten().flatten())
        .map(|text| text.split(' ').count() as f64 + 1.0)
        .collect();
    let length = lengths.iter().sum::<f64>() / (lengths.len() as f64).max(1.0);
    let (_, input, output) = MODELS[1];
    (prompt_tokens(0) as f64 * input + LARGE_ANSWERS * length * output) / 1e6
}

/// The chance that a part of an answer is right: cold sampling drives it to its ends, and hot sampling
/// harms.
fn chance(lead: f64, heat: f64) -> f64 {
    let sharp = (0.8 / heat.max(0.2)).powf(0.5);
    let lead = lead * sharp - 2.0 * (heat - 0.9).max(0.0);
    1.0 / (1.0 + (-lead).exp())
}

fn classify(row: &Value, skill: Skill, generator: &mut ChaCha8Rng) -> String {
    let label = if generator.random_bool(skill.right) {
        text_of(&row["label"])
    } else if generator.random_bool(0.6) {
        text_of(&row["near"])
    } else {
        pick(&LABELS, generator)
    };
    if generator.random_bool(0.1 * skill.heat) {
        return "that is hard to say".to_owned();
    }
    match skill.detailed {
        true => format!("the message is about {label}"),
        false => label.to_owned(),
    }
}

fn extract(row: &Value, skill: Skill, generator: &mut ChaCha8Rng) -> String {
    // Four fields are to be right: each is so more often than an answer.
    let right = skill.right.sqrt();
    let mut fields = Vec::new();
    for (name, others) in [("name", &NAMES), ("city", &CITIES), ("trade", &TRADES)] {
        if generator.random_bool(0.25 * (1.0 - right)) {
            continue;
        }
        let value = match generator.random_bool(right) {
            true => text_of(&row["person"][name]),
            false => pick(others, generator),
        };
        fields.push(format!("\"{name}\": \"{value}\""));
    }
    let age = row["person"]["age"].as_u64().unwrap_or_default();
    let age = if generator.random_bool(right) {
        age
    } else {
        age + 1
    };
    fields.push(format!("\"age\": {age}"));
    let breaks = 0.05 + 0.25 * (skill.heat - 0.4).max(0.0);
    let end = if generator.random_bool(breaks) {
        ""
    } else {
        "}"
    };
    let before = if skill.detailed { "the person is " } else { "" };
    format!("{before}{{{}{end}", fields.join(", "))
}

fn respond(row: &Value, skill: Skill, generator: &mut ChaCha8Rng) -> String {
    let mut words: Vec<&str> = Vec::new();
    // An answer that is asked to be full says more than is wanted, which costs precision.
    if skill.detailed {
        words.extend(&FILLERS[..4]);
    }
    for word in text_of(&row["answer"]).split(' ') {
        words.push(match generator.random_bool(skill.right) {
            true => word,
            false => pick(&NAMES, generator),
        });
    }
    words.extend(FILLERS.iter().take(generator.random_range(0..3)));
    words.join(" ")
}

fn converse(row: &Value, skill: Skill, generator: &mut ChaCha8Rng) -> String {
    let mut words: Vec<&str> = vec!["hello", "thank", "you"];
    if !generator.random_bool(if skill.detailed { 0.9 } else { 0.5 }) {
        words.clear();
    }
    if generator.random_bool(skill.right) {
        words.extend(["about", "the", text_of(&row["topic"])]);
    }
    let longest = if skill.detailed { 40 } else { 20 } + if skill.heat > 1.0 { 30 } else { 0 };
    let length = generator.random_range(6..longest);
    words.extend((0..length).map(|_| pick(&FILLERS, generator)));
    words.join(" ")
}

/// How good a reply is in truth: about its topic, polite, and no longer than 30 words.
fn quality(row: &Value, text: &str) -> f64 {
    let about = f64::from(u8::from(text.contains(text_of(&row["topic"]))));
    let polite = f64::from(u8::from(text.contains("thank you")));
    let short = f64::from(u8::from(text.split(' ').count() <= 30));
    0.6 * about + 0.2 * polite + 0.2 * short
}

/// A judge of one mind: it sees what is about the topic and polite, takes length for depth, and is a point
/// off now and then.
fn scripted_reply(question: &str, generator: &mut ChaCha8Rng) -> anyhow::Result<String> {
    let between = |from: &str, to: &str| {
        let after = question.split_once(from)?.1;
        Some(after.split_once(to)?.0.trim())
    };
    let rubric = between("<rubric>", "</rubric>").context("a question without a rubric")?;
    let answer = between("<answer>", "</answer>").context("a question without an answer")?;
    let topic = THEMES.iter().find(|theme| rubric.contains(*theme));
    let about = topic.is_some_and(|topic| answer.contains(topic));
    let length = answer.split(' ').count().min(50) as f64 / 50.0;
    let likes = 2.0 * f64::from(u8::from(about))
        + f64::from(u8::from(answer.contains("thank you")))
        + 1.5 * length;
    let off = [0.0, 0.0, 0.0, 1.0, -1.0][generator.random_range(0..5)];
    let rating = (1.0 + likes + off).round().clamp(1.0, 5.0);
    Ok(format!(
        "It is {} about it.\nRating: {rating}",
        if about { "well" } else { "little" }
    ))
}

fn write_freely(row: &Value, skill: Skill, generator: &mut ChaCha8Rng) -> String {
    // Words by rank, the first ones being what a cold model always says.
    let length = if skill.detailed { 40 } else { 24 };
    let steep = 2.2 / skill.heat.max(0.25);
    let weights: Vec<f64> = (1..=60).map(|rank| f64::from(rank).powf(-steep)).collect();
    let total: f64 = weights.iter().sum();
    let mut words: Vec<String> = Vec::new();
    // The better the model, the likelier it keeps to the theme; heat loses it.
    let keeps = 1.0 - (1.0 - skill.right) * 0.6 * (0.4 + skill.heat);
    if generator.random_bool(keeps.clamp(0.0, 1.0)) {
        words.push(text_of(&row["topic"]).to_owned());
    }
    while words.len() < length {
        let mut left = generator.random::<f64>() * total;
        let rank = weights.iter().position(|weight| {
            left -= weight;
            left <= 0.0
        });
        words.push(format!("w{}", rank.unwrap_or(0)));
    }
    words.join(" ")
}

/// The share of neighbouring pairs of words that differ from all others, half of it where the theme is
/// missing.
fn diversity(row: &Value, text: &str) -> f64 {
    let words: Vec<&str> = text.split(' ').collect();
    let pairs: Vec<&[&str]> = words.windows(2).collect();
    let distinct: BTreeSet<&&[&str]> = pairs.iter().collect();
    let share = distinct.len() as f64 / (pairs.len() as f64).max(1.0);
    let kept = words.contains(&text_of(&row["topic"]));
    if kept { share } else { 0.5 * share }
}

fn pick<'t>(from: &[&'t str], generator: &mut ChaCha8Rng) -> &'t str {
    from[generator.random_range(0..from.len())]
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn object(value: &Value) -> anyhow::Result<&Instance> {
    value.as_object().context("a row is no object")
}

fn normal(generator: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(generator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;

    #[test]
    fn every_domain_is_scored_within_its_range_and_by_more_than_one_score() {
        for domain in domains() {
            let made = domain.made(6, 1).unwrap();
            let samples = made.set.corpus.shelves.values();
            let samples = samples.flat_map(|shelf| &shelf.cells);
            let samples = samples.flat_map(|cell| &cell.by_temperature);
            let scores: Vec<f64> = samples
                .flat_map(|(_, samples)| samples.iter().map(|one| one.observed.score))
                .collect();
            assert!(
                scores.iter().all(|score| (0.0..=1.0).contains(score)),
                "{}",
                domain.name
            );
            assert!(scores.iter().any(|score| *score > 0.5), "{}", domain.name);
            assert!(scores.iter().any(|score| *score < 0.5), "{}", domain.name);
            assert_eq!(made.set.corpus.rows(), 6);
        }
    }

    #[test]
    fn the_judge_takes_length_for_depth() {
        let domain = &domains()[3];
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        let row = json!({"topic": "river"});
        let question = |answer: &str| {
            format!("<rubric>\nabout river\n</rubric>\n<answer>\n{answer}\n</answer>")
        };
        let mut rating = |answer: &str| -> f64 {
            let replies =
                (0..50).map(|_| scripted_reply(&question(answer), &mut generator).unwrap());
            let read = |reply: String| reply.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
            replies.map(read).sum::<f64>() / 50.0
        };
        let short = "thank you about the river";
        let long = format!("{short}{}", " well".repeat(60));
        assert!(rating(&long) > rating(short));
        assert!(quality(&row, &long) < quality(&row, short));
        assert!(domain.made(4, 1).unwrap().truth.is_some());
    }
}

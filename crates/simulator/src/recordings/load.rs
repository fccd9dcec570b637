//! Reads recordings and holds them against one another, so that a replay need not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Answers, Cell, FinishReason, Place, Prompt, RecordedResponse, Recordings, RecordingsError,
    Task, render,
};

/// `prompts.json`: the templates, and what all requests had in common.
#[derive(Deserialize)]
struct PromptsFile {
    stop: Vec<String>,
    max_tokens: u32,
    /// Task, then prompt, to template.
    prompts: BTreeMap<String, BTreeMap<String, String>>,
}

/// One recorded request.
#[derive(Deserialize)]
struct Row {
    model: String,
    prompt: String,
    instance: String,
    temperature: f64,
    prompt_tokens: u64,
    responses: Vec<RecordedResponse>,
}

const PROMPTS: &str = "prompts.json";

static EMBEDDED: OnceLock<Arc<Recordings>> = OnceLock::new();

impl Recordings {
    /// The recordings that are part of this crate, parsed once per process.
    ///
    /// # Errors
    /// None unless the crate was built with recordings that do not fit together.
    pub fn embedded() -> Result<Arc<Self>, RecordingsError> {
        if let Some(recordings) = EMBEDDED.get() {
            return Ok(Arc::clone(recordings));
        }
        let recordings = Arc::new(embedded()?);
        Ok(Arc::clone(EMBEDDED.get_or_init(|| recordings)))
    }

    /// Reads recordings from a folder: `prompts.json`, and for each task in it
    /// `TASK.instances.jsonl` and `TASK.responses.jsonl.gz`.
    ///
    /// # Errors
    /// Where a file cannot be read, or its rows are not recordings, or do not fit together.
    pub fn load(folder: &Path) -> Result<Self, RecordingsError> {
        assemble(|name| std::fs::read(folder.join(name)))
    }
}

/// The recordings built into this crate.
fn embedded() -> Result<Recordings, RecordingsError> {
    macro_rules! recorded {
        ($($name:literal),+ $(,)?) => {
            [$(($name, include_bytes!(concat!("../../data/", $name)).as_slice())),+]
        };
    }
    let files = recorded![
        "prompts.json",
        "arithmetic.instances.jsonl",
        "arithmetic.responses.jsonl.gz",
        "capitals.instances.jsonl",
        "capitals.responses.jsonl.gz",
        "extraction.instances.jsonl",
        "extraction.responses.jsonl.gz",
    ];
    assemble(|name| {
        let found = files.iter().find(|(file, _)| *file == name);
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        found.map(|(_, bytes)| bytes.to_vec()).ok_or_else(missing)
    })
}

fn assemble(
    read: impl Fn(&str) -> std::io::Result<Vec<u8>>,
) -> Result<Recordings, RecordingsError> {
    let open = |file: &str| {
        read(file).map_err(|source| RecordingsError::Unreadable {
            file: file.to_owned(),
            source,
        })
    };
    let common: PromptsFile =
        serde_json::from_slice(&open(PROMPTS)?).map_err(|source| malformed(PROMPTS, 1, source))?;
    let mut recordings = Recordings {
        tasks: BTreeMap::new(),
        models: BTreeSet::new(),
        places: HashMap::new(),
        max_tokens: common.max_tokens,
        stop: common.stop,
    };
    for (name, templates) in common.prompts {
        let file = format!("{name}.instances.jsonl");
        let instances: Vec<Value> = rows(&file, &open(&file)?)?;
        let ids = instance_ids(&file, &instances)?;
        let prompts: Vec<Prompt> = templates
            .into_iter()
            .map(|(name, template)| Prompt { name, template })
            .collect();
        add_places(&mut recordings.places, &name, &prompts, &instances)?;

        let file = format!("{name}.responses.jsonl.gz");
        let mut text = Vec::new();
        GzDecoder::new(open(&file)?.as_slice())
            .read_to_end(&mut text)
            .map_err(|source| RecordingsError::Unreadable {
                file: file.clone(),
                source,
            })?;
        let cells = cells(&file, rows(&file, &text)?, &prompts, &ids)?;
        recordings.models.extend(cells.keys().cloned());
        recordings.tasks.insert(
            name,
            Task {
                instances,
                prompts,
                cells,
            },
        );
    }
    Ok(recordings)
}

/// The non-empty lines of a file, each parsed.
fn rows<T: for<'de> Deserialize<'de>>(file: &str, bytes: &[u8]) -> Result<Vec<T>, RecordingsError> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|source| malformed(file, index + 1, source))
        })
        .collect()
}

fn instance_ids(file: &str, instances: &[Value]) -> Result<BTreeSet<String>, RecordingsError> {
    let mut ids = BTreeSet::new();
    for instance in instances {
        let Some(id) = instance["id"].as_str() else {
            return Err(inconsistent(file, "an instance has no id".to_owned()));
        };
        if !ids.insert(id.to_owned()) {
            return Err(inconsistent(file, format!("instance {id} is there twice")));
        }
    }
    Ok(ids)
}

fn add_places(
    places: &mut HashMap<String, Place>,
    task: &str,
    prompts: &[Prompt],
    instances: &[Value],
) -> Result<(), RecordingsError> {
    for prompt in prompts {
        for instance in instances {
            let text = render(&prompt.template, instance).map_err(|detail| {
                inconsistent(PROMPTS, format!("{task}/{}: {detail}", prompt.name))
            })?;
            let place = Place {
                task: task.to_owned(),
                prompt: prompt.name.clone(),
                instance: instance["id"].as_str().unwrap_or_default().to_owned(),
            };
            if let Some(other) = places.insert(text, place.clone()) {
                return Err(inconsistent(
                    PROMPTS,
                    format!("{place:?} and {other:?} render to the same text"),
                ));
            }
        }
    }
    Ok(())
}

fn cells(
    file: &str,
    rows: Vec<Row>,
    prompts: &[Prompt],
    ids: &BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeMap<String, Cell>>, RecordingsError> {
    let mut cells: BTreeMap<String, BTreeMap<String, Cell>> = BTreeMap::new();
    for mut row in rows {
        if !prompts.iter().any(|prompt| prompt.name == row.prompt) || !ids.contains(&row.instance) {
            let detail = format!(
                "nothing is known of prompt {} and instance {}",
                row.prompt, row.instance
            );
            return Err(inconsistent(file, detail));
        }
        if !(row.temperature.is_finite() && row.temperature >= 0.0) {
            return Err(inconsistent(
                file,
                format!("{} is no temperature", row.temperature),
            ));
        }
        for response in &mut row.responses {
            check(response).map_err(|detail| {
                inconsistent(file, format!("instance {}: {detail}", row.instance))
            })?;
            give_newlines_to_their_tokens(response);
        }
        let cell = cells
            .entry(row.model)
            .or_default()
            .entry(row.prompt)
            .or_default();
        let answers = cell
            .instances
            .entry(row.instance)
            .or_insert_with(|| Answers {
                prompt_tokens: row.prompt_tokens,
                by_temperature: Vec::new(),
            });
        if answers.prompt_tokens != row.prompt_tokens {
            return Err(inconsistent(
                file,
                "one prompt with two counts of prompt tokens".to_owned(),
            ));
        }
        if row.responses.is_empty() {
            continue;
        }
        if !cell.temperatures.contains(&row.temperature) {
            cell.temperatures.push(row.temperature);
            cell.temperatures.sort_by(f64::total_cmp);
        }
        match answers
            .by_temperature
            .iter_mut()
            .find(|(temperature, _)| *temperature == row.temperature)
        {
            Some((_, responses)) => responses.append(&mut row.responses),
            None => {
                answers
                    .by_temperature
                    .push((row.temperature, row.responses));
                answers
                    .by_temperature
                    .sort_by(|(left, _), (right, _)| left.total_cmp(right));
            }
        }
    }
    Ok(cells)
}

/// Text, lengths and count of a response fit one another.
fn check(response: &RecordedResponse) -> Result<(), String> {
    let characters: u64 = response
        .token_lengths
        .iter()
        .map(|&length| u64::from(length))
        .sum();
    if usize::try_from(characters) != Ok(response.text.chars().count()) {
        return Err("the token lengths do not add up to the text".to_owned());
    }
    let end_token = usize::from(response.finish_reason == FinishReason::Stop);
    if usize::try_from(response.completion_tokens) != Ok(response.token_lengths.len() + end_token) {
        return Err("the token lengths do not add up to the completion tokens".to_owned());
    }
    Ok(())
}

/// Gives a newline back to the token that it came with.
///
/// While the recorded stop `"\n\n"` was half seen, the recording server kept the newline back and
/// sent it with the next token: one length of 0, then one with the newline in front. Moving it back
/// makes a cut between the two, and a stop string that ends on the newline, exact.
fn give_newlines_to_their_tokens(response: &mut RecordedResponse) {
    let characters: Vec<char> = response.text.chars().collect();
    let mut start = 0_usize;
    for index in 1..response.token_lengths.len() {
        start += response.token_lengths[index - 1] as usize;
        if response.token_lengths[index - 1] != 0 {
            continue;
        }
        let piece = &characters[start..start + response.token_lengths[index] as usize];
        let blank = piece
            .iter()
            .take_while(|character| character.is_whitespace())
            .count();
        let held = piece[..blank]
            .iter()
            .rposition(|&character| character == '\n')
            .map_or(0, |last| last + 1);
        let held_length = u32::try_from(held).unwrap_or(0);
        response.token_lengths[index - 1] += held_length;
        response.token_lengths[index] -= held_length;
        start += held_length as usize;
    }
}

fn malformed(file: &str, row: usize, source: serde_json::Error) -> RecordingsError {
    RecordingsError::Malformed {
        file: file.to_owned(),
        row,
        source,
    }
}

fn inconsistent(file: &str, detail: String) -> RecordingsError {
    RecordingsError::Inconsistent {
        file: file.to_owned(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(
        text: &str,
        token_lengths: &[u32],
        finish_reason: FinishReason,
    ) -> RecordedResponse {
        let end_token = usize::from(finish_reason == FinishReason::Stop);
        RecordedResponse {
            text: text.to_owned(),
            finish_reason,
            token_lengths: token_lengths.to_vec(),
            completion_tokens: u32::try_from(token_lengths.len() + end_token).unwrap(),
        }
    }

    #[test]
    fn newlines_go_back_to_their_tokens() {
        let cases: [(&str, &[u32], &[u32]); 5] = [
            ("a.\nThe b", &[1, 1, 0, 4, 2], &[1, 1, 1, 3, 2]),
            ("x \n Q", &[1, 0, 4], &[1, 2, 2]),
            ("x\r\n\r\n3", &[1, 0, 5], &[1, 4, 1]),
            ("ab", &[1, 0, 1], &[1, 0, 1]),
            (" Paris", &[6, 0], &[6, 0]),
        ];
        for (text, before, after) in cases {
            let mut given = response(text, before, FinishReason::Stop);
            give_newlines_to_their_tokens(&mut given);
            assert_eq!(given.token_lengths, after, "{text:?}");
            assert_eq!(check(&given), Ok(()));
        }
    }

    #[test]
    fn embedded_recordings_have_no_empty_token_but_the_last() {
        let recordings = embedded().unwrap();
        let mut newline_tokens = 0_u32;
        for key in recordings.cell_keys() {
            for &temperature in recordings.temperatures(key.task, key.model, key.prompt) {
                for response in recordings.responses(&key, temperature) {
                    assert_eq!(check(response), Ok(()), "{key:?}");
                    let (_, before_last) = response.token_lengths.split_last().unwrap_or((&0, &[]));
                    assert!(!before_last.contains(&0), "{key:?}: {response:?}");
                    newline_tokens += u32::from(response.text.contains('\n'));
                }
            }
        }
        assert!(newline_tokens > 100, "{newline_tokens}");
    }

    #[test]
    fn responses_that_do_not_add_up_are_refused() {
        assert!(check(&response("ab", &[1], FinishReason::Stop)).is_err());
        let mut miscounted = response("ab", &[1, 1], FinishReason::Length);
        miscounted.completion_tokens = 3;
        assert!(check(&miscounted).is_err());
    }
}

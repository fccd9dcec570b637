//! Prompts: what is asked, as a template over an instance.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// A prompt of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Its name, unlike that of any other prompt of the job.
    pub name: String,
    /// What it says.
    pub body: PromptBody,
    /// Which demonstrations it shows, if it shows any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demonstrations: Option<Demonstrations>,
}

impl Prompt {
    /// The name that it was posted under: one that shows demonstrations is named after the way of showing
    /// them besides.
    #[must_use]
    pub fn posted_name(&self) -> &str {
        let way = self.demonstrations.map(|way| format!(" ({way})"));
        let posted = way.and_then(|way| self.name.strip_suffix(&way));
        posted.unwrap_or(&self.name)
    }

    /// The position of the prompt that goes by this name, its own or the one that it was posted under, and
    /// shows demonstrations in this way, as [`Demonstrations::described`] has it. Either may be left out
    /// where the other tells enough.
    ///
    /// # Errors
    /// There is none, or several: what is amiss, in words.
    pub fn find(
        prompts: &[Self],
        name: Option<&str>,
        shown: Option<&Value>,
    ) -> Result<usize, String> {
        let is_named = |prompt: &Self| {
            name.is_none_or(|name| prompt.name == name || prompt.posted_name() == name)
        };
        let named = || prompts.iter().enumerate().filter(|(_, one)| is_named(one));
        let own = prompts
            .iter()
            .position(|prompt| Some(prompt.name.as_str()) == name);
        let listed = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
        let names = |all: &mut dyn Iterator<Item = (usize, &Self)>| {
            listed(&mut all.map(|(_, prompt)| format!("`{}`", prompt.name)))
        };
        if named().next().is_none() {
            return Err(format!(
                "`{}` is not among the prompts; there is {}",
                name.unwrap_or_default(),
                names(&mut prompts.iter().enumerate())
            ));
        }
        let Some(shown) = shown else {
            return match (own, named().count()) {
                (Some(own), _) => Ok(own),
                (None, 1) => Ok(named().next().map_or(0, |(position, _)| position)),
                (None, _) => Err(format!(
                    "several prompts are meant; say which by `demonstrations`, as {{\"count\": 2}}, or by one \
                     of the names {}",
                    names(&mut named())
                )),
            };
        };
        let ways = || named().filter_map(|(at, one)| Some((at, one.demonstrations?)));
        let mut meant = ways().filter(|(_, way)| way.is_described_by(shown));
        match (meant.next(), meant.next()) {
            (Some((position, _)), None) => Ok(position),
            (None, _) if ways().next().is_none() => {
                Err("the prompt shows no demonstrations; leave `demonstrations` out".to_owned())
            }
            (found, _) => Err(format!(
                "{shown} {}; there is {}",
                match found {
                    None => "is no way in which demonstrations are shown",
                    Some(_) => "says too little of how demonstrations are shown",
                },
                listed(&mut ways().map(|(_, way)| way.described().to_string()))
            )),
        }
    }
}

/// Which rows of the job's pool a prompt shows as examples. No row is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demonstrations {
    /// How many.
    pub count: u32,
    /// Which of them.
    pub choice: DemonstrationChoice,
}

impl Demonstrations {
    /// The way as people read it: `{"count": 4, "choice": "similar"}`, with the `draw` of a further random one.
    #[must_use]
    pub fn described(&self) -> Value {
        let Self { count, choice } = self;
        match choice {
            _ if *count == 0 => json!({"count": 0}),
            DemonstrationChoice::First => json!({"count": count, "choice": "first"}),
            DemonstrationChoice::Random { draw: 0 } => json!({"count": count, "choice": "random"}),
            DemonstrationChoice::Random { draw } => {
                json!({"count": count, "choice": "random", "draw": draw})
            }
            DemonstrationChoice::Similar => json!({"count": count, "choice": "similar"}),
        }
    }

    /// Whether all that is said is true of it. Of none it does not matter how they are chosen, and a random
    /// choice is the first draw where nothing is said of it.
    fn is_described_by(&self, said: &Value) -> bool {
        let Some(said) = said.as_object() else {
            return false;
        };
        let own = self.described();
        let counts = said.get("count").is_none_or(|count| *count == own["count"]);
        if self.count == 0 {
            return counts && said.contains_key("count");
        }
        let is_random = said.get("choice") == Some(&json!("random"));
        let draw = said.get("draw").cloned();
        let draw = draw.or_else(|| is_random.then(|| json!(0)));
        let drawn = own.get("draw").cloned().unwrap_or_else(|| json!(0));
        counts
            && said
                .get("choice")
                .is_none_or(|choice| *choice == own["choice"])
            && draw.is_none_or(|draw| draw == drawn)
    }
}

/// In few words, such as `4 similar`.
impl fmt::Display for Demonstrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, choice } = self;
        match choice {
            _ if *count == 0 => f.write_str("no demonstrations"),
            DemonstrationChoice::First => write!(f, "{count} first"),
            DemonstrationChoice::Random { draw: 0 } => write!(f, "{count} random"),
            DemonstrationChoice::Random { draw } => write!(f, "{count} random, draw {draw}"),
            DemonstrationChoice::Similar => write!(f, "{count} similar"),
        }
    }
}

/// Which rows of a pool are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemonstrationChoice {
    /// The first ones.
    First,
    /// Those that come first in an order that is drawn, the same for all rows.
    Random {
        /// Which draw.
        draw: u32,
    },
    /// Those that have most words in common with the row, the nearest one last.
    Similar,
}

/// What a prompt says, in Jinja syntax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptBody {
    /// One text: sent as it is to a completions endpoint, as the user's message to a chat one.
    Text(String),
    /// Chat messages.
    Messages(Vec<Message>),
}

/// A chat message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `developer`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(name: &str, demonstrations: Option<Demonstrations>) -> Prompt {
        let name = match demonstrations {
            Some(way) => format!("{name} ({way})"),
            None => name.to_owned(),
        };
        Prompt {
            name,
            body: PromptBody::Text(String::new()),
            demonstrations,
        }
    }

    fn prompts() -> Vec<Prompt> {
        let way = |count, choice| Some(Demonstrations { count, choice });
        let ways = [
            way(0, DemonstrationChoice::First),
            way(4, DemonstrationChoice::First),
            way(4, DemonstrationChoice::Similar),
            way(2, DemonstrationChoice::Random { draw: 0 }),
            way(2, DemonstrationChoice::Random { draw: 3 }),
        ];
        let few = ways.into_iter().map(|way| prompt("few", way));
        std::iter::once(prompt("bare", None)).chain(few).collect()
    }

    #[test]
    fn a_prompt_is_found_by_its_name_and_by_what_it_shows() {
        let prompts = prompts();
        for (position, one) in prompts.iter().enumerate() {
            let found = Prompt::find(&prompts, Some(&one.name), None);
            assert_eq!(found, Ok(position), "{}", one.name);
            let Some(way) = one.demonstrations else {
                continue;
            };
            let shown = way.described();
            for name in [None, Some("few"), Some(one.name.as_str())] {
                assert_eq!(Prompt::find(&prompts, name, Some(&shown)), Ok(position));
            }
        }
        // One way has to be like that.
        let similar = json!({"choice": "similar"});
        assert_eq!(Prompt::find(&prompts, None, Some(&similar)), Ok(3));
    }

    #[test]
    fn what_names_no_prompt_or_several_is_told() {
        let prompts = prompts();
        for (name, shown, told) in [
            (Some("none"), None, "`none` is not among the prompts"),
            (Some("few"), None, "several prompts are meant"),
            (
                Some("bare"),
                Some(json!({"count": 4})),
                "the prompt shows no demonstrations",
            ),
            (
                None,
                Some(json!({"count": 4})),
                "{\"count\":4} says too little",
            ),
            (None, Some(json!({"count": 3})), "{\"count\":3} is no way"),
            (None, Some(json!(4)), "4 is no way"),
            (
                Some("few (4 first)"),
                Some(json!({"count": 4, "choice": "similar"})),
                "{\"choice\":\"similar\",\"count\":4} is no way",
            ),
        ] {
            let fault = Prompt::find(&prompts, name, shown.as_ref()).unwrap_err();
            assert!(fault.starts_with(told), "{fault}");
        }
    }
}

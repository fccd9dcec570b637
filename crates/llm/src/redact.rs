//! Texts of endpoints made fit for users: one line, short, without anything that looks like a key.

/// The most characters of a reason.
const MOST_CHARS: usize = 300;

/// Shorter keys are placeholders such as `EMPTY`, and hiding them would garble the text.
const SHORTEST_SECRET: usize = 8;

/// What is put in the place of a key.
const HIDDEN: &str = "[hidden]";

/// How keys of the usual services begin.
const KEY_PREFIXES: [&str; 12] = [
    "sk-", "sk_", "pk-", "gsk_", "hf_", "AIza", "xai-", "nvapi-", "r8_", "eyJ", "ghp_", "key-",
];

/// A text as one line of at most [`MOST_CHARS`] characters. The secrets and every word that looks
/// like a key are replaced.
pub(crate) fn one_line<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let secrets: Vec<&str> = secrets
        .into_iter()
        .filter(|secret| secret.len() >= SHORTEST_SECRET)
        .collect();
    let mut line = String::new();
    // Cut generously first: an error page may be megabytes long.
    for word in text
        .chars()
        .take(MOST_CHARS * 8)
        .collect::<String>()
        .split(|c: char| c.is_whitespace() || c.is_control())
    {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let word = secrets
            .iter()
            .fold(word.to_owned(), |word, secret| word.replace(secret, HIDDEN));
        for part in word.split_inclusive(is_delimiter) {
            let bare = part.trim_end_matches(is_delimiter);
            if looks_like_a_key(bare) {
                line.push_str(HIDDEN);
                line.push_str(&part[bare.len()..]);
            } else {
                line.push_str(part);
            }
        }
    }
    if line.chars().count() > MOST_CHARS {
        line = line.chars().take(MOST_CHARS - 1).collect();
        line.truncate(line.trim_end().len());
        line.push('…');
    }
    line
}

fn is_delimiter(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | ',' | ';' | ':' | '=' | '(' | ')' | '<' | '>' | '{' | '}' | '&' | '?'
    )
}

/// Long runs of letters and digits without any of the marks that names of models and ids of
/// requests have in them, and whatever begins like a key.
fn looks_like_a_key(word: &str) -> bool {
    let prefixed = word.len() >= 8 && KEY_PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    let unbroken = word.len() >= 32
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && word.chars().any(|c| c.is_ascii_digit())
        && word.chars().any(|c| c.is_ascii_alphabetic());
    prefixed || unbroken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_hidden_and_names_are_kept() {
        for (text, expected) in [
            (
                "Incorrect API key provided: sk-proj-Ab12***9xyz. See the site.",
                "Incorrect API key provided: [hidden] See the site.",
            ),
            ("key='0123456789abcdef0123456789abcdef'", "key='[hidden]'"),
            ("  two\n\tlines\u{0} ", "two lines"),
            (
                "model Qwen2.5-Coder-32B-Instruct-GPTQ-Int4-and-more not found",
                "model Qwen2.5-Coder-32B-Instruct-GPTQ-Int4-and-more not found",
            ),
            (
                "request 0190163d-8694-739b-aea5-966c26f8ad91",
                "request 0190163d-8694-739b-aea5-966c26f8ad91",
            ),
        ] {
            assert_eq!(one_line(text, None), expected);
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let line = one_line(&"ä ".repeat(100_000), None);
        assert!(
            line.chars().count() <= MOST_CHARS && line.ends_with('…'),
            "{line}"
        );
    }

    proptest! {
        #[test]
        fn the_key_itself_never_shows(
            before in ".{0,40}", after in ".{0,40}", key in "[a-z0-9/+]{12,40}"
        ) {
            let line = one_line(&format!("{before}{key}{after}"), Some(key.as_str()));
            prop_assert!(!line.contains(&key), "{line}");
            prop_assert!(!line.contains('\n'));
        }
    }
}

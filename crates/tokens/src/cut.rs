//! Texts cut to a number of tokens.
//!
//! A longer text does not always have more tokens: with one more letter, two tokens may become
//! one. So the prefixes of a text are tried, from the longest that may do. To try few and short
//! ones, the text is first taken word by word, between places at which the tokenizer never puts
//! two characters into one token, whatever stands before or after them.

use crate::tokenizer::{FALLBACK_BYTES_PER_TOKEN, pieces, tokenizer};
use tiktoken_rs::CoreBPE;

/// The longest tokens of `o200k_base` have so many bytes.
const LONGEST_TOKEN: usize = 128;

/// The longest prefix of a text, cut between characters, that [counts](crate::count) at most
/// `tokens` tokens; the whole text where it counts no more.
///
/// Within an unbroken word of more than 128 bytes prefixes are tried up to 128 bytes past the
/// end of the word's first tokens, which is as far as a token reaches.
#[must_use]
pub fn cut(text: &str, tokens: u64) -> &str {
    let most = usize::try_from(tokens).unwrap_or(usize::MAX);
    cut_with(tokenizer(), text, most)
}

/// Billed tokens over those of our own count from which on some of them must have been hidden: no
/// two tokenizers differ by so much on text.
const LARGEST_RATIO: u64 = 3;

/// The beginning of a text that a limit of `limit` tokens would have left of it, as its endpoint counts
/// tokens: it billed `billed` for all of it, of which our tokenizer counts `counted`.
///
/// Tokenizers differ, so the limit is taken in proportion. Where far more was billed than the text
/// has, the rest was hidden reasoning, which comes first: the limit then leaves the text what it
/// leaves.
#[must_use]
pub fn cut_as_billed(text: &str, counted: u64, billed: u64, limit: u64) -> &str {
    cut(text, kept(counted, billed, limit))
}

/// How many tokens of a text to keep by our tokenizer.
fn kept(counted: u64, billed: u64, limit: u64) -> u64 {
    if billed == 0 {
        return limit;
    }
    if billed / LARGEST_RATIO > counted {
        return limit.saturating_sub(billed - counted);
    }
    let kept = u128::from(limit) * u128::from(counted) / u128::from(billed);
    u64::try_from(kept).unwrap_or(u64::MAX)
}

fn cut_with<'a>(tokenizer: Option<&CoreBPE>, text: &'a str, most: usize) -> &'a str {
    let Some(tokenizer) = tokenizer else {
        return &text[..text.floor_char_boundary(most.saturating_mul(FALLBACK_BYTES_PER_TOKEN))];
    };
    let (mut end, mut left) = (0, most);
    for word in pieces(text).flat_map(words) {
        let ranks = tokenizer.encode_ordinary(word);
        if ranks.len() > left {
            let first = tokenizer.decode_bytes(&ranks[..left]);
            let first = first.map_or(word.len(), |bytes| bytes.len());
            return &text[..end + longest(tokenizer, word, first, left)];
        }
        end += word.len();
        left -= ranks.len();
    }
    text
}

/// The length of the longest prefix of a word that has at most `most` tokens, where its first
/// `most` tokens have `first` bytes.
fn longest(tokenizer: &CoreBPE, word: &str, first: usize, most: usize) -> usize {
    if most == 0 {
        return 0;
    }
    let farthest = word.floor_char_boundary(first.saturating_add(LONGEST_TOKEN));
    let shorter = word[..farthest].char_indices().rev();
    std::iter::once(farthest)
        .chain(shorter.map(|(end, _)| end))
        .find(|&end| tokenizer.encode_ordinary(&word[..end]).len() <= most)
        .unwrap_or(0)
}

/// A piece of a text, cut at every [seam](is_seam).
fn words(piece: &str) -> impl Iterator<Item = &str> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let pairs = rest.char_indices().zip(rest.chars().skip(1));
        let seam = pairs
            .filter(|&((_, before), after)| is_seam(before, after))
            .map(|((at, before), _)| at + before.len_utf8())
            .next();
        let (word, after) = rest.split_at(seam.unwrap_or(rest.len()));
        rest = after;
        Some(word)
    })
}

/// Whether no token holds both of two neighbouring characters, nor depends on what is beyond
/// them. The tokenizer splits a text by a pattern first: a space is only ever the first character
/// of a part, unless the part is all white space; and letters and digits are followed in their
/// part by others, by marks, or by an apostrophe.
fn is_seam(before: char, after: char) -> bool {
    match after {
        ' ' => !before.is_whitespace(),
        '\'' => false,
        '、' | '。' | '！' | '，' | '：' | '；' | '？' => is_letter_or_digit(before),
        _ => {
            (after.is_ascii_punctuation() || after.is_ascii_whitespace())
                && is_letter_or_digit(before)
        }
    }
}

/// Whether a character is a letter or a digit for certain: one of ASCII, or of the scripts that
/// are written without spaces.
fn is_letter_or_digit(character: char) -> bool {
    matches!(
        character,
        'a'..='z' | 'A'..='Z' | '0'..='9'
        | '\u{3041}'..='\u{3096}' // Hiragana
        | '\u{30A1}'..='\u{30FA}' // Katakana
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' // Han
        | '\u{AC00}'..='\u{D7A3}' // Hangul
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count;
    use crate::tokenizer::PIECE_BYTES;
    use proptest::prelude::*;

    /// What a tokenizer may stumble over, next to one another in any order.
    const UNITS: &[&str] = &[
        "a",
        "B",
        "é",
        "the",
        " hello",
        "'s",
        "'",
        "’",
        "12",
        "7",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\u{a0}",
        "\u{3000}",
        ".",
        "...",
        "/",
        "-",
        "(",
        "\"",
        "、",
        "。",
        "，",
        "日本",
        "ひ",
        "カー",
        "漢字",
        "한국",
        "ไทย",
        "\u{301}",
        "e\u{301}",
        "\u{1F980}",
        "\u{1F469}\u{200D}\u{1F680}",
        "ⓐ",
        "½",
        "ſ",
        "\0",
        "<|endoftext|>",
        "ß",
        "Ǆ",
        "ǅ",
        "ªº",
        "__init__",
        "http://",
        "  \n  \n ",
    ];

    fn text() -> impl Strategy<Value = String> {
        let units = prop::collection::vec(prop::sample::select(UNITS), 0..24);
        prop_oneof![3 => units.prop_map(|units| units.concat()), 1 => ".{0,30}"]
    }

    /// The longest prefix by trying all of them.
    fn by_trying(text: &str, tokens: u64) -> &str {
        let ends = text.char_indices().map(|(end, _)| end);
        let longest = ends
            .chain([text.len()])
            .rfind(|&end| count(&text[..end]) <= tokens);
        &text[..longest.unwrap_or(0)]
    }

    #[test]
    fn the_limit_is_taken_in_proportion_where_tokenizers_differ() {
        assert_eq!(kept(100, 100, 50), 50);
        assert_eq!(kept(80, 100, 50), 40);
        assert_eq!(kept(120, 100, 50), 60);
        assert_eq!(kept(7, 0, 50), 50);
    }

    #[test]
    fn hidden_reasoning_uses_the_limit_up_first() {
        // 500 tokens of reasoning and 20 of text.
        assert_eq!(kept(20, 520, 300), 0);
        assert_eq!(kept(20, 520, 510), 10);
        assert_eq!(kept(20, 520, 519), 19);
    }

    #[test]
    fn known_cuts() {
        for (text, tokens, prefix) in [
            ("", 3, ""),
            ("hello world", 0, ""),
            ("hello world", 1, "hello"),
            ("hello world", 2, "hello world"),
            ("hello world", 9, "hello world"),
            // Two spaces are one token, and so is one with a word.
            ("a  b", 2, "a  "),
        ] {
            assert_eq!(cut(text, tokens), prefix, "{text:?} at {tokens}");
        }
    }

    #[test]
    fn a_character_of_several_tokens_is_kept_whole_or_not_at_all() {
        // A letter of a script of which the tokenizer knows the bytes alone.
        let text = "ab \u{13080}\u{13080}";
        let letter = count("\u{13080}");
        assert!(letter > 1);
        for tokens in 0..=count(text) {
            assert_eq!(cut(text, tokens), by_trying(text, tokens), "{tokens}");
        }
    }

    #[test]
    fn no_token_is_longer_than_the_longest() {
        let tokenizer = tokenizer().unwrap();
        let tokens = (0..199_998).map(|rank| tokenizer.decode_bytes(&[rank]).unwrap());
        assert_eq!(tokens.map(|bytes| bytes.len()).max(), Some(LONGEST_TOKEN));
    }

    #[test]
    fn long_texts_are_cut_beyond_their_first_piece() {
        for unit in ["hello world ", "a", "\n", "漢字", "\u{1F980}", "=", "ab12"] {
            let text = unit.repeat((PIECE_BYTES + 400) / unit.len());
            let all = count(&text);
            let mut shorter = "";
            for tokens in [0, 1, all / 3, all - 1, all, all + 1] {
                let prefix = cut(&text, tokens);
                assert!(count(prefix) <= tokens, "{unit:?} at {tokens}");
                assert!(prefix.len() >= shorter.len(), "{unit:?} at {tokens}");
                // At most one character less than what the tokens make up.
                assert!(count(prefix) + 4 > tokens.min(all), "{unit:?} at {tokens}");
                shorter = prefix;
            }
            assert_eq!(shorter, text);
        }
    }

    #[test]
    fn without_a_tokenizer_texts_are_cut_by_bytes() {
        for (text, most, prefix) in [
            ("abcdefg", 0, ""),
            ("abcdefg", 2, "abcdef"),
            ("abcdefg", 3, "abcdefg"),
            ("é\u{1F980}", 1, "é"),
            ("é\u{1F980}", 2, "é\u{1F980}"),
            ("abc", usize::MAX, "abc"),
        ] {
            assert_eq!(cut_with(None, text, most), prefix, "{text:?} at {most}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn words_have_the_tokens_of_their_text(text in text()) {
            let tokenizer = tokenizer().unwrap();
            let by_word: Vec<_> = words(&text)
                .flat_map(|word| tokenizer.encode_ordinary(word))
                .collect();
            prop_assert_eq!(by_word, tokenizer.encode_ordinary(&text));
        }

        #[test]
        fn a_cut_is_the_longest_prefix_that_has_no_more_tokens(
            text in text(),
            tokens in 0_u64..40,
        ) {
            let prefix = cut(&text, tokens);
            prop_assert!(count(prefix) <= tokens);
            prop_assert_eq!(prefix, by_trying(&text, tokens));
            prop_assert_eq!(cut(&text, count(&text)), text.as_str());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_cut_across_pieces_is_the_longest_prefix(
            text in text(),
            before in PIECE_BYTES - 40..PIECE_BYTES + 4,
            more in 0_u64..12,
        ) {
            let long = format!("{}{text}{text}", "ab ".repeat(before / 3));
            let tokens = count(&long).saturating_sub(more);
            let prefix = cut(&long, tokens);
            prop_assert!(long.starts_with(prefix) && count(prefix) <= tokens);
            for (end, _) in long.char_indices().filter(|(end, _)| *end > prefix.len()) {
                prop_assert!(count(&long[..end]) > tokens);
            }
            prop_assert_eq!(cut(&long, count(&long)), long.as_str());
        }
    }
}

//! The tokenizer, and the pieces in which texts are given to it.

use std::sync::LazyLock;
use tiktoken_rs::CoreBPE;

/// Building it takes a good part of a second, so it is done once and only when it is needed.
static TOKENIZER: LazyLock<Option<CoreBPE>> = LazyLock::new(|| tiktoken_rs::o200k_base().ok());

/// Texts are counted in pieces of at most so many bytes: the tokenizer's work on one unbroken
/// piece grows faster than its length, and what a model wrote may be one letter a million times.
/// Each seam costs at most a token or so.
pub(crate) const PIECE_BYTES: usize = 8 * 1024;

/// Bytes per token where there is no tokenizer; low, so that the count is rather too high.
pub(crate) const FALLBACK_BYTES_PER_TOKEN: usize = 3;

/// The tokenizer; none where its data cannot be read.
pub(crate) fn tokenizer() -> Option<&'static CoreBPE> {
    TOKENIZER.as_ref()
}

/// A text in pieces of at most [`PIECE_BYTES`], cut between characters.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pieces_make_up_the_text(text in ".{0,200}", times in 1_usize..200) {
            let long = text.repeat(times);
            let cut: Vec<&str> = pieces(&long).collect();
            prop_assert!(cut.iter().all(|piece| piece.len() <= PIECE_BYTES));
            prop_assert_eq!(cut.concat(), long);
        }
    }
}

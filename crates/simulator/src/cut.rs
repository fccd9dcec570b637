//! Cuts a recorded response to what the endpoint would have answered under a tighter cap or other
//! stop strings. Exact, because the recording has the length of every token.

use crate::recordings::{FinishReason, RecordedResponse};

/// One response as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The text, without the stop string.
    pub text: String,
    /// `Stop` where the model ended by itself or a stop string did, `Length` where the cap did.
    pub finish_reason: FinishReason,
    /// Generated tokens, the end token or the stop string's own tokens included.
    pub completion_tokens: u32,
}

/// Where a stop string first completes: in which token (counted from 1), and the byte of the text
/// at which the stop string starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct StopHit {
    token: usize,
    start: usize,
}

impl RecordedResponse {
    /// The response under a cap of `max_tokens` tokens and the stop strings `stop`, beside those
    /// that were in force at the recording.
    ///
    /// Generation ends with the token in which a stop string completes, that token included in the
    /// count; of several that complete in one token, the text ends before the leftmost. An answer
    /// that ended by itself needs one token more than its text, the end token: under a cap that
    /// leaves no room for it, the text is whole and the reason is still the cap.
    pub fn cut(&self, max_tokens: u32, stop: &[String]) -> Cut {
        let cap = usize::try_from(max_tokens).unwrap_or(usize::MAX);
        if let Some(hit) = self.first_stop(stop)
            && hit.token <= cap
        {
            return Cut {
                text: self.text[..hit.start.min(self.text.len())].to_owned(),
                finish_reason: FinishReason::Stop,
                completion_tokens: u32::try_from(hit.token).unwrap_or(u32::MAX),
            };
        }
        if self.completion_tokens <= max_tokens {
            return Cut {
                text: self.text.clone(),
                finish_reason: self.finish_reason,
                completion_tokens: self.completion_tokens,
            };
        }
        let characters = self
            .token_lengths
            .iter()
            .take(cap)
            .map(|&length| length as usize)
            .sum();
        let end = self
            .text
            .char_indices()
            .nth(characters)
            .map_or(self.text.len(), |(byte, _)| byte);
        Cut {
            text: self.text[..end].to_owned(),
            finish_reason: FinishReason::Length,
            completion_tokens: max_tokens,
        }
    }

    /// Where the first of the stop strings completes, if any does.
    fn first_stop(&self, stop: &[String]) -> Option<StopHit> {
        if stop.is_empty() {
            return None;
        }
        // An answer that ended on the recorded stop "\n\n" has, as its last token, the first of
        // those newlines: generated and counted, but kept out of the text.
        let mut generated = self.text.clone();
        let held_back = self.finish_reason == FinishReason::Stop
            && self.token_lengths.last() == Some(&0)
            && !self.text.ends_with('\n');
        if held_back {
            generated.push('\n');
        }
        let hits = stop.iter().filter_map(|stop| {
            let start = generated.find(stop.as_str())?;
            let characters = generated[..start + stop.len()].chars().count();
            Some(StopHit {
                token: self.token_holding(characters),
                start,
            })
        });
        hits.min()
    }

    /// The token, counted from 1, with which the text first has `characters` characters.
    fn token_holding(&self, characters: usize) -> usize {
        let mut seen = 0_usize;
        for (index, &length) in self.token_lengths.iter().enumerate() {
            seen = seen.saturating_add(length as usize);
            if seen >= characters {
                return index + 1;
            }
        }
        self.token_lengths.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::Recordings;
    use proptest::prelude::*;

    fn response(pieces: &[&str], finish_reason: FinishReason) -> RecordedResponse {
        let ended = u32::from(finish_reason == FinishReason::Stop);
        RecordedResponse {
            text: pieces.concat(),
            finish_reason,
            token_lengths: pieces
                .iter()
                .map(|piece| u32::try_from(piece.chars().count()).unwrap())
                .collect(),
            completion_tokens: u32::try_from(pieces.len()).unwrap() + ended,
        }
    }

    fn cut(text: &str, finish_reason: FinishReason, completion_tokens: u32) -> Cut {
        Cut {
            text: text.to_owned(),
            finish_reason,
            completion_tokens,
        }
    }

    fn stops(strings: &[&str]) -> Vec<String> {
        strings.iter().map(|&stop| stop.to_owned()).collect()
    }

    #[test]
    fn cap_cuts_at_the_token() {
        let whole = response(&[" Zür", "ich", " is", " né", "e"], FinishReason::Stop);
        assert_eq!(whole.cut(1, &[]), cut(" Zür", FinishReason::Length, 1));
        assert_eq!(
            whole.cut(4, &[]),
            cut(" Zürich is né", FinishReason::Length, 4)
        );
    }

    #[test]
    fn the_end_token_needs_room_too() {
        let whole = response(&["a", "b"], FinishReason::Stop);
        assert_eq!(whole.cut(3, &[]), cut("ab", FinishReason::Stop, 3));
        assert_eq!(whole.cut(2, &[]), cut("ab", FinishReason::Length, 2));
        let cut_while_recording = response(&["a", "b"], FinishReason::Length);
        assert_eq!(
            cut_while_recording.cut(2, &[]),
            cut("ab", FinishReason::Length, 2)
        );
        assert_eq!(
            cut_while_recording.cut(9, &[]),
            cut("ab", FinishReason::Length, 2)
        );
    }

    #[test]
    fn stop_string_ends_with_the_token_that_completes_it() {
        let whole = response(&["one", " tw", "o th", "ree"], FinishReason::Stop);
        assert_eq!(
            whole.cut(16, &stops(&["two"])),
            cut("one ", FinishReason::Stop, 3)
        );
        assert_eq!(
            whole.cut(3, &stops(&["two"])),
            cut("one ", FinishReason::Stop, 3)
        );
        // Not complete under the cap: the text up to the cap, the stop string's beginning included.
        assert_eq!(
            whole.cut(2, &stops(&["two"])),
            cut("one tw", FinishReason::Length, 2)
        );
        assert_eq!(whole.cut(16, &stops(&["four"])), whole.cut(16, &[]));
    }

    #[test]
    fn of_several_stop_strings_the_first_to_complete_wins() {
        let whole = response(&["abc", "def", "ghi"], FinishReason::Length);
        assert_eq!(
            whole.cut(16, &stops(&["cdefg", "e"])),
            cut("abcd", FinishReason::Stop, 2)
        );
        // Both complete in the second token: the text ends before the leftmost.
        assert_eq!(
            whole.cut(16, &stops(&["e", "cd"])),
            cut("ab", FinishReason::Stop, 2)
        );
    }

    #[test]
    fn a_newline_held_back_by_the_recorded_stop_still_stops() {
        let whole = response(&[" Paris", ""], FinishReason::Stop);
        assert_eq!(whole.cut(16, &[]), cut(" Paris", FinishReason::Stop, 3));
        assert_eq!(
            whole.cut(16, &stops(&["\n"])),
            cut(" Paris", FinishReason::Stop, 2)
        );
        assert_eq!(
            whole.cut(16, &stops(&["s\n"])),
            cut(" Pari", FinishReason::Stop, 2)
        );
        assert_eq!(
            whole.cut(1, &stops(&["\n"])),
            cut(" Paris", FinishReason::Length, 1)
        );
        let no_room = response(&["a", ""], FinishReason::Length);
        assert_eq!(
            no_room.cut(16, &stops(&["\n"])),
            cut("a", FinishReason::Length, 2)
        );
    }

    #[test]
    fn nothing_recorded_is_cut_wrongly() {
        let recordings = Recordings::embedded().unwrap();
        let mut seen = 0_u32;
        for key in recordings.cell_keys() {
            for &temperature in recordings.temperatures(key.task, key.model, key.prompt) {
                for whole in recordings.responses(&key, temperature) {
                    let uncut = whole.cut(recordings.max_tokens(), recordings.stop());
                    assert_eq!(uncut.text, whole.text, "{key:?}");
                    // An end token beyond the recorded cap was never generated under that cap.
                    if whole.completion_tokens <= recordings.max_tokens() {
                        assert_eq!(uncut, whole.cut(u32::MAX, &[]), "{key:?}");
                    } else {
                        assert_eq!(uncut.finish_reason, FinishReason::Length, "{key:?}");
                        assert_eq!(uncut.completion_tokens, recordings.max_tokens(), "{key:?}");
                    }
                    seen += 1;
                }
            }
        }
        assert!(seen > 11_000, "{seen} responses");
    }

    fn any_response() -> impl Strategy<Value = RecordedResponse> {
        let pieces = prop::collection::vec("[ab\\né😀]{0,3}", 0..12);
        (pieces, any::<bool>()).prop_map(|(pieces, ended)| {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            response(
                &pieces,
                if ended {
                    FinishReason::Stop
                } else {
                    FinishReason::Length
                },
            )
        })
    }

    proptest! {
        #[test]
        fn never_over_the_cap_and_nested(
            whole in any_response(),
            cap in 1_u32..16,
            stop in prop::collection::vec("[ab\\né]{1,3}", 0..4),
        ) {
            let (small, large) = (whole.cut(cap, &stop), whole.cut(cap + 1, &stop));
            prop_assert!(small.completion_tokens <= cap);
            prop_assert!(whole.text.starts_with(&small.text));
            prop_assert!(small.completion_tokens <= large.completion_tokens);
            if small.finish_reason == FinishReason::Stop {
                prop_assert_eq!(&small, &large);
            }
            if small.finish_reason == FinishReason::Stop {
                for stop in &stop {
                    prop_assert!(!small.text.contains(stop.as_str()));
                }
            }
        }

        #[test]
        fn agrees_with_generating_token_by_token(
            whole in any_response(),
            cap in 1_u32..16,
            stop in prop::collection::vec("[ab\\né]{1,3}", 0..4),
        ) {
            // Without a held newline the text is all that was generated.
            prop_assume!(whole.token_lengths.last() != Some(&0));
            prop_assert_eq!(whole.cut(cap, &stop), generate(&whole, cap, &stop));
        }
    }

    /// What a server does: one token after another, looking for a stop string after each.
    fn generate(whole: &RecordedResponse, cap: u32, stop: &[String]) -> Cut {
        let mut rest = whole.text.chars();
        let mut text = String::new();
        let mut tokens = 0;
        for &length in &whole.token_lengths {
            if tokens == cap {
                return Cut {
                    text,
                    finish_reason: FinishReason::Length,
                    completion_tokens: tokens,
                };
            }
            text.extend(rest.by_ref().take(length as usize));
            tokens += 1;
            if let Some(start) = stop
                .iter()
                .filter_map(|stop| text.find(stop.as_str()))
                .min()
            {
                text.truncate(start);
                return Cut {
                    text,
                    finish_reason: FinishReason::Stop,
                    completion_tokens: tokens,
                };
            }
        }
        if whole.finish_reason == FinishReason::Stop && tokens < cap {
            return Cut {
                text,
                finish_reason: FinishReason::Stop,
                completion_tokens: tokens + 1,
            };
        }
        Cut {
            text,
            finish_reason: FinishReason::Length,
            completion_tokens: tokens,
        }
    }
}

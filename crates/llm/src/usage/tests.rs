use super::*;
use proptest::prelude::*;

const ASKED: Asked = Asked {
    n: 1,
    max_tokens: 64,
    prompt_bytes: 100,
};

const LONG: Asked = Asked {
    max_tokens: 256,
    ..ASKED
};

fn choice(estimated_tokens: u64) -> Choice {
    Choice {
        text: "x".to_owned(),
        finish_reason: FinishReason::Stop,
        estimated_tokens,
    }
}

fn raw(text: &str, reasoning: &str, finish_reason: FinishReason) -> RawChoice {
    RawChoice {
        text: text.to_owned(),
        reasoning: reasoning.to_owned(),
        finish_reason,
    }
}

fn of(choices: &[Choice]) -> Counted {
    Counted {
        choices: choices.to_vec(),
        shown_reasoning: 0,
    }
}

#[test]
fn completion_tokens_that_cannot_be_right_are_estimated() {
    let completion_tokens = |reported, choices: &[Choice]| {
        let found = completion_tokens(reported, choices, Calibration::default(), false, LONG);
        (found.tokens, found.estimated)
    };
    let one = &[choice(40)][..];
    let four = &[choice(40), choice(60), choice(40), choice(60)][..];
    for (reported, choices, expected) in [
        (Some(55), one, (55, false)),
        // One response alone: tokenizers differ, so the report stands.
        (Some(10), one, (10, false)),
        (Some(0), one, (40, true)),
        (None, one, (40, true)),
        (Some(210), four, (210, false)),
        (Some(160), four, (160, false)),
        // One response of four was reported.
        (Some(50), four, (244, true)),
        (Some(3), four, (200, true)),
        (None, four, (200, true)),
        // Hidden reasoning makes the report larger than what is seen.
        (Some(9_000), four, (9_000, false)),
    ] {
        assert_eq!(
            completion_tokens(reported, choices),
            expected,
            "{reported:?}"
        );
    }
}

#[test]
fn what_one_response_cannot_have_is_no_count_of_the_first_alone() {
    // One of the two repeats itself, which the endpoint's tokenizer has fewer tokens for.
    let choices = [choice(110), choice(60)];
    let found = |reported| {
        let found = completion_tokens(
            Some(reported),
            &choices,
            Calibration::default(),
            false,
            ASKED,
        );
        (found.tokens, found.estimated)
    };
    assert_eq!(found(127), (127, false));
    assert_eq!(found(64), (101, true));
}

#[test]
fn a_response_without_text_is_never_nothing() {
    let counted = |reason| counted(vec![raw("", "", reason)], RawUsage::default(), 256);
    let completion_tokens = |reported, choices: &[Choice]| {
        let found = completion_tokens(reported, choices, Calibration::default(), false, LONG);
        (found.tokens, found.estimated)
    };
    let cut = counted(FinishReason::Length).choices;
    assert_eq!(cut[0].estimated_tokens, 256);
    // A report is believed where nothing can be seen, unless it is of nothing.
    assert_eq!(completion_tokens(Some(100), &cut), (100, false));
    assert_eq!(completion_tokens(Some(0), &cut), (256, true));
    assert_eq!(completion_tokens(None, &cut), (256, true));
    let ended = counted(FinishReason::Stop).choices;
    assert_eq!(completion_tokens(Some(0), &ended), (1, true));
    let filtered = counted(FinishReason::ContentFilter).choices;
    assert_eq!(completion_tokens(Some(0), &filtered), (0, false));
}

#[test]
fn reasoning_counts_though_it_is_no_text() {
    let counted = counted(
        vec![raw("world", "hello world", FinishReason::Stop)],
        RawUsage::default(),
        256,
    );
    assert_eq!(counted.choices[0].estimated_tokens, 3);
    assert_eq!(counted.shown_reasoning, 2);
}

#[test]
fn a_response_that_used_its_cap_up_was_cut() {
    let two = || {
        vec![
            raw("a", "", FinishReason::Stop),
            raw("b", "", FinishReason::Stop),
        ]
    };
    for (choices, tokens, cut) in [
        (vec![raw("a", "", FinishReason::Stop)], 16, true),
        (vec![raw("a", "", FinishReason::Stop)], 15, false),
        (two(), 16, false),
        (two(), 32, true),
    ] {
        let reported = RawUsage {
            completion_tokens: Some(tokens),
            ..RawUsage::default()
        };
        let counted = counted(choices, reported, 16);
        assert!(
            counted
                .choices
                .iter()
                .all(|choice| choice.finish_reason.is_cut() == cut),
            "{tokens}"
        );
    }
}

#[test]
fn prompt_tokens_of_zero_are_estimated() {
    for (prompt_tokens, expected) in [
        (Some(7), (7, false)),
        (Some(0), (11, true)),
        (None, (11, true)),
    ] {
        let reported = RawUsage {
            prompt_tokens,
            completion_tokens: Some(5),
            ..RawUsage::default()
        };
        assert_eq!(prompt_is_missing(reported, ASKED), expected.1);
        let settled = settle(
            reported,
            &of(&[choice(5)]),
            ASKED,
            Calibration::default(),
            || 11,
        );
        assert_eq!((settled.usage.prompt_tokens, settled.estimated), expected);
        assert_eq!(settled.usage.completion_tokens, 5);
    }
}

#[test]
fn the_larger_of_two_counts_of_a_completion_is_meant() {
    // Completion tokens, total, reasoning; then what all responses have, and their reasoning.
    for (completion, total, reasoning, expected) in [
        (Some(6), Some(70), Some(54), (60, 54)),
        (Some(6), Some(70), None, (60, 0)),
        (Some(60), Some(70), Some(54), (60, 54)),
        (Some(6), None, Some(54), (60, 54)),
        (Some(60), None, Some(54), (60, 54)),
        (Some(6), Some(16), Some(54), (60, 54)),
        // A total that makes no sense says nothing.
        (Some(6), Some(5), None, (6, 0)),
        (Some(6), Some(u64::MAX / 2), None, (6, 0)),
        (None, Some(70), None, (60, 0)),
        // Reasoning beyond the cap, where it is reported.
        (Some(6), Some(100_016), Some(100_000), (100_006, 100_000)),
    ] {
        let reported = RawUsage {
            prompt_tokens: Some(10),
            completion_tokens: completion,
            total_tokens: total,
            reasoning_tokens: reasoning,
            ..RawUsage::default()
        };
        let settled = settle(
            reported,
            &of(&[choice(6)]),
            ASKED,
            Calibration::default(),
            || unreachable!(),
        );
        let found = (
            settled.usage.completion_tokens,
            settled.details.reasoning_tokens,
        );
        assert_eq!(found, expected, "{completion:?} {total:?} {reasoning:?}");
        assert!(!settled.estimated);
    }
}

#[test]
fn numbers_that_cannot_be_are_estimated_and_noted() {
    let reported = |prompt, completion, cached| RawUsage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        cached_tokens: cached,
        ..RawUsage::default()
    };
    let wrapped = Some(u64::from(u32::MAX));
    for (reported, expected, impossible) in [
        (reported(wrapped, Some(6), None), (11, 6), 1),
        (reported(Some(9), wrapped, None), (9, 5), 1),
        (reported(wrapped, wrapped, wrapped), (11, 5), 3),
        (
            RawUsage {
                impossible: 2,
                ..RawUsage::default()
            },
            (11, 5),
            2,
        ),
    ] {
        let settled = settle(
            reported,
            &of(&[choice(5)]),
            ASKED,
            Calibration::default(),
            || 11,
        );
        let usage = (settled.usage.prompt_tokens, settled.usage.completion_tokens);
        assert_eq!(usage, expected, "{reported:?}");
        assert!(settled.estimated);
        assert_eq!(settled.impossible, impossible);
    }
    // A template, tools and a cache that is larger than what is billed are possible.
    let settled = settle(
        reported(Some(900), Some(6), Some(2_000)),
        &of(&[choice(5)]),
        ASKED,
        Calibration::default(),
        || 11,
    );
    assert_eq!(
        (settled.usage.prompt_tokens, settled.details.cached_tokens),
        (900, 900)
    );
    assert_eq!((settled.estimated, settled.impossible), (false, 0));
}

proptest! {
    #[test]
    fn whatever_is_reported_stays_within_reason(
        prompt: Option<u64>, completion: Option<u64>, total: Option<u64>,
        cached: Option<u64>, reasoning: Option<u64>,
    ) {
        let reported = RawUsage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: total,
            cached_tokens: cached,
            reasoning_tokens: reasoning,
            impossible: 0,
        };
        let Settled { usage, details, .. } = settle(reported, &of(&[choice(5)]), ASKED, Calibration::default(), || 11);
        prop_assert!((1..=100 + UNSEEN).contains(&usage.prompt_tokens));
        prop_assert!((1..=64 + OVERSHOOT + UNSEEN + 2 * MOST_REASONING).contains(&usage.completion_tokens));
        prop_assert!(details.cached_tokens <= usage.prompt_tokens);
        prop_assert!(details.reasoning_tokens <= usage.completion_tokens);
    }
}

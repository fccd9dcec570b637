//! What a posted job may look like.

use serde_json::{Value, json};

/// A job that shows most of what can be said in one.
pub(super) fn job() -> Value {
    json!({
        "name": "arithmetic, cheap and right",
        "labels": {"team": "search-quality"},
        "data": {
            "instances": [
                {"id": "arith-0", "question": "Tom has 12 apples. Tom buys 7 more apples. How many apples does Tom have now?", "answer": "19"},
                {"id": "arith-1", "question": "Ana has 4 boxes with 5 cards in each box. How many cards are there in total?", "answer": "20"}
            ],
            "holdout": {"share": 0.3}
        },
        "models": [
            {"endpoint": "local", "model": "gemma-3-270m"},
            {"endpoint": "local", "model": "smollm2-135m-instruct"}
        ],
        "prompts": [
            {"name": "direct", "text": "Question: {{ question }}\nAnswer:"},
            {"name": "steps", "messages": [{"role": "user", "content": "{{ question }} Think step by step."}]}
        ],
        "search_space": {
            "temperature_or_top_p": {"one_of": [{"temperature": {"float": [0, 2]}}, {"top_p": {"float": [0, 1]}}]},
            "max_tokens": {"int": [16, 256], "scale": "log"},
            "n": {"int": [1, 32], "scale": "log"},
            "stop": {"choice": [["\n\n"], ["\n"]]},
            "presence_penalty": 0
        },
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "last_number"},
            "reduce": "expected_success"
        },
        "objective": {"metric": "expected_success", "direction": "maximize"},
        "budgets": {"inference": {"usd": 0.0002}, "optimization": {"usd": 0.5}},
        "limits": {"trials": 200, "seconds": 3600, "trials_without_improvement": 60},
        "search": {"algorithm": "blendsearch", "options": {"global": "tpe", "step_size": 0.1}, "seed": 1, "pruning": "on", "parallel_trials": 4, "requests_in_flight": 32}
    })
}

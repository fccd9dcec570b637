//! The scorer `code` and the sandbox together, on small problems in HumanEval's form and in APPS'.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use frugal_domain::fault::{Faults, Reader};
use frugal_sandbox::{Launcher, Limits, Mode, Options, Sandbox, Unavailable};
use frugal_scoring::Scorer;
use frugal_tests::processes::program;
use serde_json::{Value, json};

/// The sandbox; nothing where this kernel gives no namespaces.
async fn sandbox() -> Option<Sandbox> {
    let probed = Sandbox::probe(Options {
        mode: Mode::On,
        python: "/usr/bin/python3".into(),
        launcher: Launcher::of(program().await),
        limits: Limits::default(),
    });
    match probed.await {
        Ok(sandbox) => Some(sandbox),
        Err(Unavailable::NoIsolation(why)) if why.contains("can be made") => {
            #[expect(clippy::print_stderr, reason = "a test that proves nothing says so")]
            {
                eprintln!("not tested: {why}");
            }
            None
        }
        Err(why) => {
            assert_eq!(why.to_string(), "", "there has to be a sandbox");
            None
        }
    }
}

fn scorer(posted: &Value) -> Scorer {
    let faults = Faults::default();
    let object = Reader::new(posted, &faults).object().unwrap();
    let spec = frugal_scoring::read(&object).unwrap();
    Scorer::compile(&spec).unwrap()
}

async fn score(sandbox: &Sandbox, scorer: &Scorer, row: &Value, response: &str) -> f64 {
    let expectation = scorer.expectation(row.as_object().unwrap()).unwrap();
    let mut assessed = expectation.assess(response);
    let Some(run) = assessed.run(0) else {
        return 0.0;
    };
    while let Some(program) = run.next() {
        run.ended(&sandbox.run(program).await.unwrap());
    }
    run.score()
}

#[tokio::test]
async fn the_rest_of_a_function_passes_where_it_is_right() {
    let Some(sandbox) = sandbox().await else {
        return;
    };
    let scorer = scorer(&json!({
        "type": "code", "prefix": "{{ prompt }}", "tests": "{{ test }}", "entry_point": "{{ name }}",
        "stop_at": ["\nclass", "\ndef", "\n#", "\nif", "\nprint"]
    }));
    // What is asked, what holds it to that, what is right, and what is wrong.
    let problems = [
        (
            "add",
            "from typing import List\n\ndef add(numbers: List[int]) -> int:\n    \"\"\"Their sum.\"\"\"\n",
            "assert f([]) == 0 and f([1, -3]) == -2",
            "    return sum(numbers)\n\nprint(add(1))",
            "    return len(numbers)\n",
        ),
        (
            "twice",
            "def twice(text):\n",
            "assert f('ab') == 'abab' and f('') == ''",
            "    return text + text\n\ndef other(",
            "    return text\n",
        ),
        (
            "primes",
            "def primes(n):\n",
            "assert f(12) == [2, 3, 5, 7, 11]",
            "    return [p for p in range(2, n) if all(p % d for d in range(2, p))]\n",
            "    return [p for p in range(2, n) if p % 2]\n",
        ),
        (
            "parse",
            "import json, re\n\ndef parse(text):\n",
            "assert f('x=1, y=2') == {'x': 1, 'y': 2}",
            "    return {k: json.loads(v) for k, v in re.findall(r'(\\w)=(\\d)', text)}\n",
            "    raise SystemExit\n",
        ),
        (
            "halve",
            "def halve(x):\n",
            "\n    try: f('a')\n    except TypeError: pass\n    else: assert False",
            "    return x / 2\n# and so on",
            "    return 0\n",
        ),
        (
            "deep",
            "def deep(n):\n",
            "assert f(500) == 500",
            "    return 0 if n == 0 else 1 + deep(n - 1)\n",
            "    return deep(n + 1)\n",
        ),
    ];
    for (name, prompt, test, right, wrong) in problems {
        let test = format!("def check(f):\n    {test}\n");
        let row = json!({"prompt": prompt, "test": test, "name": name});
        assert_eq!(score(&sandbox, &scorer, &row, right).await, 1.0, "{name}");
        assert_eq!(score(&sandbox, &scorer, &row, wrong).await, 0.0, "{name}");
    }
}

#[tokio::test]
async fn a_program_is_worth_the_share_of_its_cases() {
    let Some(sandbox) = sandbox().await else {
        return;
    };
    let posted =
        |partial: bool| json!({"type": "code", "cases": "{{ cases }}", "partial": partial});
    let (partial, whole) = (scorer(&posted(true)), scorer(&posted(false)));
    let cases = json!({
        "inputs": ["3\n1 2 3\n", "1\n-5\n", "0\n\n", "2\n7 7\n"],
        "outputs": ["6\n", "-5\n", "0\n", "14\n"]
    });
    let row = json!({"cases": cases});
    let programs = [
        ("input()\nprint(sum(map(int, input().split())))", 1.0),
        (
            "Sure:\n```python\nimport sys\nprint(sum(int(x) for x in sys.stdin.read().split()[1:]), '')\n```\nThat is it.",
            1.0,
        ),
        ("input()\nprint(max(map(int, input().split())))", 0.25),
        (
            "input()\nprint(sum(map(int, input().split())))\nexit(1)",
            0.0,
        ),
        (
            "n = int(input())\nif n == 0: quit()\nprint(sum(map(int, input().split())))",
            0.75,
        ),
        ("print(6", 0.0),
    ];
    for (response, share) in programs {
        let found = score(&sandbox, &partial, &row, response).await;
        assert_eq!(found, share, "{response}");
        let found = score(&sandbox, &whole, &row, response).await;
        assert_eq!(found, share.floor(), "{response}");
    }
}

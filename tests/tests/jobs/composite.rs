//! Jobs whose scorer is made of parts of which some take more than reading: programs are run for them, and
//! judges asked, each for what nothing cheaper has settled.

use crate::World;
use crate::code;
use crate::takeover::assert_same;
use frugal_simulator::{Script, SimulatorOptions};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

const SUBJECTS: [&str; 4] = ["ferries", "tides", "owls", "bells"];

const WRITER: &str = "gemma-3-270m";
const JUDGE: &str = "smollm2-135m-instruct";

/// One model writes. The other judges by two rubrics: it finds what is no explanation worth nothing, and
/// everything of middling length.
fn script() -> Script {
    let judges = [
        json!({"contains": "Is it short?", "model": JUDGE, "answers": ["So so.\nRating: 3"]}),
        json!({"contains": "explained\n</answer>", "model": JUDGE, "answers": ["True.\nRating: 5"]}),
        json!({"contains": "<answer>", "model": JUDGE, "answers": ["Not an answer.\nRating: 1"]}),
    ];
    let writes = SUBJECTS.iter().map(|subject| {
        json!({
            "contains": format!("Explain {subject}"), "model": WRITER,
            "answers": [
                {"text": format!("{subject} are explained"), "weight": 3},
                {"text": "no idea", "weight": 2},
                {"text": "hm", "weight": 1}
            ]
        })
    });
    let lines: Vec<Value> = judges.into_iter().chain(writes).collect();
    Script::parse(&json!(lines).to_string()).unwrap()
}

fn judge(rubric: &str) -> Value {
    json!({"type": "judge", "endpoint": "local", "model": JUDGE, "rubric": rubric})
}

fn body() -> Value {
    let rows: Vec<Value> = SUBJECTS
        .iter()
        .map(|subject| json!({"subject": subject}))
        .collect();
    json!({
        "data": {"instances": rows},
        "models": [{"endpoint": "local", "model": WRITER}],
        "prompts": [{"name": "plain", "text": "Explain {{ subject }}."}],
        "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 40, "n": 1},
        "scoring": {"scorer": {"type": "composite", "parts": [
            {"scorer": judge("Is it short?")},
            {"required": true, "scorer": judge("Is {{ subject }} explained?")},
            {"required": true, "scorer": {"type": "regex", "pattern": "\\w{4}"}}
        ]}},
        "budgets": {"optimization": {"usd": 0.02}},
        "limits": {"trials": 6},
        "search": {"seed": 3}
    })
}

async fn world(script: Script) -> World {
    World::with(SimulatorOptions {
        script: Some(script),
        ..SimulatorOptions::default()
    })
    .await
}

/// How many answers each question was asked about, by its number.
async fn asked(world: &World) -> Vec<i64> {
    let mut database = PgConnection::connect(world.database.url()).await.unwrap();
    sqlx::query_scalar(
        "SELECT count(*) FROM requests WHERE question IS NOT NULL AND state = 'answered'
         GROUP BY question ->> 'number' ORDER BY question ->> 'number'",
    )
    .fetch_all(&mut database)
    .await
    .unwrap()
}

#[tokio::test]
async fn judges_are_asked_about_what_nothing_before_them_has_settled() {
    let world = world(script()).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = body();
    // Half of the answers explain something, a third is long enough to be looked at.
    body["search_space"]["temperature"] = json!(1);
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let mean = job["best"]["utility"]["mean"].as_f64().unwrap();
    assert!(
        (0.2..0.7).contains(&mean),
        "half of the answers are worth (0.5 + 1 + 1) / 3: {job}"
    );
    // The judge that is required is asked first, and only about what is long enough.
    let statistics = world.simulator.statistics();
    let answers = i64::try_from(statistics.models[WRITER].delivered.responses).unwrap();
    let asked = asked(&world).await;
    assert!(
        0 < asked[0] && asked[0] < asked[1] && asked[1] < answers,
        "{asked:?} of {answers}"
    );
    // What both were paid is what was billed.
    let tokens = |of: &Value| of["tokens"].as_u64().unwrap();
    let billed = statistics.models[JUDGE].billed();
    assert_eq!(
        tokens(&job["spend"]["by_role"]["judge"]),
        billed.prompt_tokens + billed.completion_tokens
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_crash_among_the_questions_of_two_judges_asks_nothing_twice() {
    let world = world(script()).await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(30);
    let first = world.setting.worker().await;
    let disturbed = api.submit(&body()).await;
    gate.arrived(31).await;
    assert!(asked(&world).await.len() == 2, "both judges were asked");
    first.kill().await;
    gate.open();
    let second = world.setting.worker().await;
    api.follow(&disturbed, None).await;
    assert_same(&api, &disturbed, &body()).await;
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn programs_that_pass_are_judged_and_run_once() {
    let rows = code::tasks();
    let mut lines = code::lines(&rows);
    let rated = json!({"contains": "<answer>", "model": code::BAD, "answers": ["Rating: 3"]});
    lines.insert(0, rated);
    let world = world(Script::parse(&json!(lines).to_string()).unwrap()).await;
    let scorer = json!({"type": "composite", "parts": [
        {"scorer": {"type": "judge", "endpoint": "local", "model": code::BAD, "rubric": "Is it neat?"}},
        {"required": true, "scorer": code::scorer()}
    ]});
    let mut body = code::job(&rows, &scorer);
    body["models"] = json!([{"endpoint": "local", "model": code::GOOD}]);
    let Some((job, _)) = code::ended(&world, &body).await else {
        return world.end().await;
    };
    // Three of four pass, and are worth (1 + 0.5) / 2.
    assert_eq!(job["best"]["utility"]["mean"], 0.5625, "{job}");
    let mut database = PgConnection::connect(world.database.url()).await.unwrap();
    let (passed, failed, kept): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE part IS NULL AND score > 0),
                count(*) FILTER (WHERE part IS NULL AND score = 0),
                count(*) FILTER (WHERE part = 1 AND score = 1)
         FROM scores",
    )
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert!(passed > 0 && failed > 0);
    assert_eq!((passed, asked(&world).await), (kept, vec![passed]));
    world.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_part_is_told_of_the_part() {
    let mut world = World::new().await;
    world.setting.endpoints += "\n[sandbox]\npython = \"/nowhere/python3\"\n";
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let mut body = body();
    let parts = body["scoring"]["scorer"]["parts"].as_array_mut().unwrap();
    parts[0]["scorer"]["model"] = json!("gpt-9");
    parts[1]["scorer"]["rubric"] = json!("Is {{ topic }} explained?");
    parts.push(json!({"scorer": {"type": "code", "tests": "assert f(1)"}}));
    let refused = api.post("/jobs", &body).await;
    assert_eq!(refused.status().as_u16(), 422);
    let problem: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    let errors = problem["errors"].as_array().unwrap();
    let pointers: Vec<&str> = errors
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        [
            "/scoring/scorer/parts/0/scorer/model",
            "/scoring/scorer/parts/1/scorer/rubric",
            "/scoring/scorer/parts/3/scorer/type"
        ],
        "{problem}"
    );
    assert!(server.stop().await);
    world.end().await;
}

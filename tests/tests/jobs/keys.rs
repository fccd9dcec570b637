//! Keys through the real program: made at the command line, required by a server, sent by its clients.

use crate::{World, job};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

/// A server that requires keys, and what makes them.
async fn keyed() -> World {
    let mut world = World::new().await;
    let required = ("FRUGAL_REQUIRE_KEYS".to_owned(), "true".to_owned());
    world.setting.environment.extend([required]);
    world
}

async fn create(world: &World, arguments: &[&str]) -> String {
    let command = [&["keys", "create", "--name"], arguments].concat();
    let printed = world.setting.run(&command).await;
    let key = printed.strip_suffix('\n').unwrap();
    assert!(
        key.starts_with("frugal_") && !key.contains(char::is_whitespace),
        "{key}"
    );
    key.to_owned()
}

#[tokio::test]
async fn the_first_key_is_made_before_the_first_server() {
    let mut world = keyed().await;
    // The database has no schema yet.
    let key = create(&world, &["ada", "--scopes", "read,write"]).await;
    let (server, url) = world.setting.serve(0).await;

    let file = tempfile::Builder::new()
        .suffix(".jsonl")
        .tempfile()
        .unwrap();
    std::fs::write(&file, "{\"q\": \"a\"}\n").unwrap();
    let file = file.path().to_str().unwrap();
    let add = ["datasets", "add", file, "--name", "rows", "--url", &url];
    let refused = world.setting.try_run(&add).await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("needs a key"),
        "{said}"
    );

    // By the environment, by a file, and by a flag.
    let name = "FRUGAL_API_KEY".to_owned();
    world.setting.environment.insert(name.clone(), key.clone());
    assert!(world.setting.run(&add).await.starts_with("rows ("));
    world.setting.environment.remove(&name);
    let key_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&key_file, format!("{key}\n")).unwrap();
    let key_file = key_file.path().to_str().unwrap();
    let list = ["datasets", "list", "--url", &url];
    let listed = world
        .setting
        .run(&[&list[..], &["--key-file", key_file]].concat())
        .await;
    assert!(listed.contains("rows"), "{listed}");
    world
        .setting
        .run(&["datasets", "delete", "rows", "--url", &url, "--key", &key])
        .await;

    let listed = world.setting.run(&["keys", "list"]).await;
    assert!(
        listed.contains("ada") && listed.contains("good"),
        "{listed}"
    );
    assert!(!listed.contains(&key[20..]), "{listed}");
    let again = world
        .setting
        .try_run(&["keys", "create", "--name", "ada"])
        .await;
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("a key is called `ada` already"), "{said}");
    world.setting.run(&["keys", "revoke", "ada"]).await;
    let told = world.setting.run(&["audit"]).await;
    for action in [
        "create_key",
        "revoke_key",
        "create_dataset",
        "delete_dataset",
    ] {
        assert!(told.contains(action), "{told}");
    }
    // Another process has revoked it, so this one may know it for two seconds more.
    let api = ApiClient::new(&url).with_key(&key);
    let begun = std::time::Instant::now();
    while api.get("/jobs").await.status() != 401 {
        assert!(begun.elapsed().as_secs() < 5, "a revoked key ends");
    }
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_one_owner_paid_for_serves_no_other() {
    let world = keyed().await;
    let ada = create(&world, &["ada"]).await;
    let also_ada = create(&world, &["ada-too", "--owner", "ada"]).await;
    let eve = create(&world, &["eve"]).await;
    let (server, url) = world.setting.serve(1).await;
    let client = |key: &str| ApiClient::new(&url).with_key(key);
    let (ada, also_ada, eve) = (client(&ada), client(&also_ada), client(&eve));
    let mut body = job(10, 3);
    body["search"]["reuse"] = json!("owner");
    let first = ada.submit(&body).await;
    ada.follow(&first, None).await;
    let requests = async |api: &ApiClient| {
        let path = api.submit(&body).await;
        api.follow(&path, None).await;
        let baseline: Value = api.json(&format!("{path}/trials/0")).await;
        baseline["requests"].as_u64().unwrap()
    };
    assert_eq!(
        requests(&eve).await,
        10,
        "another owner's responses are not used"
    );
    assert_eq!(requests(&also_ada).await, 0, "those of the same owner are");
    assert!(server.stop().await);
    world.end().await;
}

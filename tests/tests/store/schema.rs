//! Migrations: run once by whoever comes first, and told apart from those of later versions.

use frugal_store::Error;
use frugal_tests::postgres::TestDatabase;

#[tokio::test]
async fn programs_that_start_together_migrate_once() {
    let database = TestDatabase::create().await;
    let migrate = async || {
        let pool = frugal_store::connect(database.url(), 2).unwrap();
        let migrated = frugal_store::migrate(&pool).await;
        pool.close().await;
        migrated
    };
    let pool = frugal_store::connect(database.url(), 2).unwrap();
    let checked = frugal_store::check_schema(&pool).await;
    assert!(matches!(checked, Err(Error::OlderSchema)), "{checked:?}");
    for migrated in futures::future::join_all((0..8).map(|_| migrate())).await {
        migrated.unwrap();
    }
    frugal_store::check_schema(&pool).await.unwrap();
    pool.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_later_versions_schema_is_refused_in_words() {
    let database = TestDatabase::create().await;
    let pool = frugal_store::connect(database.url(), 2).unwrap();
    frugal_store::migrate(&pool).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99999999999999, 'later', true, '', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    for refused in [
        frugal_store::migrate(&pool).await,
        frugal_store::check_schema(&pool).await,
    ] {
        let words = refused.unwrap_err().to_string();
        assert!(words.contains("later version of Frugal"), "{words}");
        assert!(words.contains("99999999999999"), "{words}");
    }
    pool.close().await;
    database.drop().await;
}

//! The events that tell how a job stands.

use super::*;
use frugal_domain::event::Phase;

fn progress() -> EventBody {
    EventBody::JobProgress {
        phase: Phase::Search,
        progress: Progress::default(),
        spend: Spend::default(),
        trials: Vec::new(),
    }
}

#[tokio::test]
async fn of_a_jobs_progress_its_pace_is_read_from_three_events() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let mut connection = store.pool.acquire().await.unwrap();
    let now = Utc::now();
    let mut told = 0;
    for (ago, event) in [
        (90, EventBody::JobRunning { attempt: 1 }),
        (89, progress()),
        (80, EventBody::JobRunning { attempt: 2 }),
        (79, progress()),
        (70, progress()),
        (61, progress()),
        (50, EventBody::JobResumed {}),
        (40, progress()),
        (2, progress()),
    ] {
        let at = now - TimeDelta::seconds(ago);
        told = events::append(&mut connection, id, &[event], at)
            .await
            .unwrap();
    }
    let types = ["job.running", "job.progress"];
    let latest = async |connection: &mut PgConnection, after: i64, ago: i64| {
        let moment = now - TimeDelta::seconds(ago);
        let kept = events::latest(connection, id, after, &types, moment)
            .await
            .unwrap();
        kept.iter()
            .map(|event| told - event.seq)
            .collect::<Vec<_>>()
    };
    // Taken up, then the first, the last a minute ago and the last.
    assert_eq!(latest(&mut connection, 0, 60).await, [6, 5, 3, 0]);
    // None is as old as that.
    assert_eq!(latest(&mut connection, 0, 300).await, [6, 5, 0]);
    // When it was taken up is too long ago.
    assert_eq!(latest(&mut connection, told - 4, 60).await, [3, 0]);
    assert_eq!(latest(&mut connection, told, 60).await, [0; 0]);
    drop(connection);
    store.end().await;
}

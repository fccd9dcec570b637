//! Independent jobs on all processors.

use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

/// Runs a job for each number below `count`. The results are in the order of the numbers,
/// whichever ends first.
///
/// # Errors
/// The first error of a job.
pub fn each<T: Send>(
    count: u64,
    job: impl Fn(u64) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let next = Mutex::new(0..count);
    let take = || next.lock().ok().and_then(|mut next| next.next());
    let mut results: Vec<(u64, anyhow::Result<T>)> = thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            while let Some(number) = take() {
                done.push((number, job(number)));
            }
            done
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect()
    });
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order() {
        let squares = each(100, |number| Ok(number * number)).unwrap();
        assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<u64>>());
        let failed = each(9, |number| {
            anyhow::ensure!(number != 4, "four");
            Ok(number)
        });
        assert_eq!(failed.unwrap_err().to_string(), "four");
    }
}

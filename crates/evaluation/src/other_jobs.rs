//! Other jobs that responses are of, by small numbers: an id with each of very many responses would take room.

use frugal_domain::id::JobId;

/// The other jobs. The number of the job's own responses is 0, and those of others follow from 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct OtherJobs(Vec<JobId>);

impl OtherJobs {
    /// The number of a job, none being the job's own; nothing where nothing is known of it.
    pub(crate) fn number(&self, job: Option<JobId>) -> Option<u32> {
        let Some(job) = job else {
            return Some(0);
        };
        let place = self.0.iter().position(|known| *known == job)?;
        u32::try_from(place + 1).ok()
    }

    /// The same, and it is known from then on.
    pub(crate) fn learn(&mut self, job: Option<JobId>) -> u32 {
        self.number(job).unwrap_or_else(|| {
            self.0.extend(job);
            u32::try_from(self.0.len()).unwrap_or(u32::MAX)
        })
    }

    /// The job of a number, none being the job's own.
    pub(crate) fn job(&self, number: u32) -> Option<JobId> {
        let place = (number as usize).checked_sub(1)?;
        self.0.get(place).copied()
    }
}

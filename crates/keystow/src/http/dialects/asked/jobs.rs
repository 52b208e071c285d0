//! Jobs.

use keystow_dialects::{JobKind as Asked, JobState as Shown, ListJobs, Reply};
use keystow_engine::model::{JobFilter, JobKind, JobState, Mode};

use super::{Asking, moment, page, until};
use crate::http::dialects::{Refused, told};

impl Asking<'_> {
    pub(super) async fn jobs(&self, call: ListJobs) -> Result<Reply, Refused> {
        let instance = self.named_instance(call.instance.as_ref()).await?;
        if call.nothing {
            return Ok(Reply::Jobs { total: 0, rows: Vec::new() });
        }
        // Drills are ours alone; no vendor has a word for them.
        let all = [Asked::Backup, Asked::RemoveBackup, Asked::Restore];
        let asked = if call.kinds.is_empty() { &all[..] } else { &call.kinds };
        let kinds = asked.iter().map(|kind| ours(*kind)).collect();
        let filter = JobFilter {
            project: None,
            number: call.job,
            instance: instance.map(|instance| instance.id.clone()),
            instance_search: call.instance_search,
            place: self.place.clone(),
            kinds,
            states: states(&call.states),
            doubted_failed: true,
            mode: call.automated.map(|automated| if automated { Mode::Automated } else { Mode::Manual }),
            since: moment(call.since),
            until: until(call.until),
            page: page(call.page),
        };
        let listed = self.engine().jobs(self.who, filter).await?;
        Ok(Reply::Jobs { total: listed.total, rows: listed.rows.iter().map(told::job).collect() })
    }
}

fn ours(kind: Asked) -> JobKind {
    match kind {
        Asked::Backup => JobKind::TakeBackup,
        Asked::RemoveBackup => JobKind::RemoveBackup,
        Asked::Restore => JobKind::Restore,
    }
}

fn states(shown: &[Shown]) -> Vec<JobState> {
    shown
        .iter()
        .flat_map(|state| match state {
            Shown::Waiting => &[JobState::Queued][..],
            Shown::Running => &[JobState::Running],
            Shown::Done => &[JobState::Done],
            Shown::Failed => &[JobState::Failed, JobState::Cancelled],
        })
        .copied()
        .collect()
}

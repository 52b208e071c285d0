//! Policies.

use keystow_engine::model::{Fire, KeptPolicy, ScrubOutcome};
use keystow_engine::ops::{ComingBackup, Pruned};

use super::{backup, failure, moment, text};
use crate::api::{ComingRow, FireRow, KeepRow, PolicyRow, PrunedRow, ScrubRow};

pub(in super::super) fn policy(kept: &KeptPolicy, fires: &[Fire]) -> PolicyRow {
    let (policy, keep) = (&kept.policy, &kept.policy.keep);
    PolicyRow {
        instance: text(&kept.instance),
        version: kept.version,
        schedules: policy.schedules.iter().map(|schedule| schedule.cron.clone()).collect(),
        time_zone: policy.time_zone.clone(),
        jitter: text(&policy.jitter),
        windows: policy.windows.iter().map(text).collect(),
        keep: KeepRow {
            last: keep.last,
            within: text(&keep.within),
            daily: keep.daily,
            weekly: keep.weekly,
            monthly: keep.monthly,
            yearly: keep.yearly,
            minimum: keep.minimum,
            include_manual: keep.include_manual,
        },
        verify_every: policy.verify_every.as_ref().map(text),
        drill_every: policy.drill_every.as_ref().map(text),
        copies: policy.copies.clone(),
        catch_up: policy.catch_up,
        paused: policy.paused,
        changed_at: moment(kept.changed_at),
        changed_by: kept.changed_by.clone(),
        next_at: kept.next.map(|next| moment(next.start)),
        retry_at: kept.retry_at.map(moment),
        fires: fires.iter().map(fire).collect(),
    }
}

fn fire(fire: &Fire) -> FireRow {
    FireRow {
        at: moment(fire.at),
        outcome: fire.outcome.as_str().to_owned(),
        backup: fire.backup.as_ref().map(text),
        note: fire.note.clone(),
    }
}

pub(in super::super) fn coming(coming: &ComingBackup) -> ComingRow {
    ComingRow {
        instance: text(&coming.instance),
        fire_at: moment(coming.planned.fire),
        start_at: moment(coming.planned.start),
    }
}

pub(in super::super) fn pruned(row: &Pruned) -> PrunedRow {
    PrunedRow { backup: backup(&row.backup), keep: row.keep, reasons: row.reasons.clone() }
}

pub(super) fn scrub(found: &ScrubOutcome) -> ScrubRow {
    ScrubRow {
        at: moment(found.at),
        ok: found.ok,
        bytes: found.bytes,
        took_ms: found.took_ms,
        broken: found.broken.clone(),
        failure: found.failure.as_ref().map(failure),
    }
}

//! Restores and drills.

use keystow_engine::model::{DrillOutcome, Outcome, RestoreOutcome, RestorePlan};

use super::{failure, instance::server, moment, text};
use crate::api::{DrillRow, DrilledPartRow, OutcomeRow, PlanRow, RestoreRow, TargetRow};

pub(in super::super) fn plan(plan: &RestorePlan) -> PlanRow {
    PlanRow {
        method: text(&plan.method),
        why: plan.why.clone(),
        target: TargetRow {
            url: plan.target.url.clone(),
            server: server(&plan.target.server),
            topology: plan.target.topology.as_str().to_owned(),
            primaries: plan.target.primaries,
            keys: plan.target.keys,
        },
        parts: plan.parts,
        keys: plan.keys,
        bytes: plan.bytes,
        magic: plan.magic.clone(),
        functions: plan.functions,
        modules: plan.modules.clone(),
        steps: plan.steps.clone(),
        warnings: plan.warnings.clone(),
        refusals: plan.refusals.iter().map(failure).collect(),
    }
}

pub(super) fn outcome(outcome: &Outcome) -> OutcomeRow {
    match outcome {
        Outcome::Restore(restored) => OutcomeRow::Restore(restore(restored)),
        Outcome::Drill(drilled) => OutcomeRow::Drill(drill(drilled)),
        Outcome::Scrub(found) => OutcomeRow::Scrub(super::policy::scrub(found)),
    }
}

fn restore(restored: &RestoreOutcome) -> RestoreRow {
    RestoreRow {
        method: text(&restored.method),
        changed: restored.changed,
        complete: restored.complete,
        restored: restored.restored,
        skipped: restored.skipped,
        left_out: restored.left_out,
        with_expiry: restored.with_expiry,
        expired: restored.expired,
        functions: restored.functions,
        keys_before: restored.keys_before,
        keys_after: restored.keys_after,
        took_ms: restored.took_ms,
        warnings: restored.warnings.clone(),
    }
}

pub(super) fn drill(drilled: &DrillOutcome) -> DrillRow {
    let part = |part: &keystow_engine::model::DrilledPart| DrilledPartRow {
        shard: part.shard,
        load_ms: part.load_ms,
        keys: part.databases.values().sum(),
        databases: part.databases.clone(),
        digest: part.digest.clone(),
    };
    DrillRow {
        at: moment(drilled.at),
        ok: drilled.ok,
        server: drilled.server.clone(),
        took_ms: drilled.took_ms,
        parts: drilled.parts.iter().map(part).collect(),
        failure: drilled.failure.as_ref().map(failure),
    }
}

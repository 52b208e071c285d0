//! Entries of the audit log and records of the access log.

use jiff::Timestamp;
use keystow_engine::model::{AccessRecord, AuditEntry, AuditVerdict};

use super::moment;
use crate::api::{AccessRow, AuditRow, AuditVerdictRow, BrokenRow};

pub(in crate::http::native) fn audit(entry: &AuditEntry) -> AuditRow {
    let facts = &entry.facts;
    AuditRow {
        sequence: entry.sequence,
        at: exact(facts.at),
        stage: facts.stage.clone(),
        answers: facts.answers,
        account: facts.account.clone(),
        who: facts.who.clone(),
        address: facts.address.clone(),
        via: facts.via.clone(),
        action: facts.action.clone(),
        kind: facts.kind.clone(),
        subject: facts.subject.clone(),
        // An entry that somebody changed is shown as it is.
        parameters: serde_json::from_str(&facts.parameters)
            .unwrap_or_else(|_| facts.parameters.clone().into()),
        code: facts.code.clone(),
        hash: entry.hash.clone(),
    }
}

/// A moment as its entry is bound to it.
fn exact(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

pub(in crate::http::native) fn verdict(verdict: AuditVerdict) -> AuditVerdictRow {
    AuditVerdictRow {
        ok: verdict.broken.is_none(),
        entries: verdict.entries,
        head: format!("{}:{}", verdict.head.sequence, verdict.head.hash),
        broken: verdict.broken.map(|(sequence, why)| BrokenRow { sequence, why }),
    }
}

pub(in crate::http::native) fn access(record: &AccessRecord) -> AccessRow {
    AccessRow {
        number: record.number,
        at: moment(record.at),
        kind: record.kind.as_str().to_owned(),
        account: record.account.clone(),
        access_key: record.access_key.clone(),
        address: record.address.clone(),
        via: record.via.clone(),
        backup: record.backup.map(|id| id.to_string()),
        instance: record.instance.as_ref().map(ToString::to_string),
        parts: record.parts.clone(),
        networks: record.networks.iter().map(ToString::to_string).collect(),
        link: record.link.clone(),
        expires_at: record.expires_at.map(moment),
        range_from: record.range.map(|range| range.0),
        range_until: record.range.map(|range| range.1),
        sent_bytes: record.sent_bytes,
        outcome: record.outcome.clone(),
        requests: record.requests,
    }
}

//! What a restore would do: the method, its steps, and all that speaks against it.

use keystow_rdb::Format;

use super::modules::missing_modules;
use super::survey::{Survey, loads};
use crate::error::{Error, Kind};
use crate::model::{
    Backup, BackupState, Failure, OnConflict, RestoreMethod, RestoreOrder, RestorePlan, SnapshotReport,
    TargetFacts, Topology, TtlPolicy,
};
use crate::redis::{Address, Node};

/// Everything that a plan is made of.
pub(super) struct Planning<'a> {
    pub(super) backup: &'a Backup,
    pub(super) order: &'a RestoreOrder,
    pub(super) address: &'a Address,
    pub(super) survey: &'a Survey,
    /// Whether an attempt before this one has begun to change the target.
    pub(super) goes_on: bool,
}

impl Planning<'_> {
    /// The plan. What only reading the backup can tell is not in it.
    pub(super) fn plan(&self) -> RestorePlan {
        let obstacles = self.obstacles();
        let (method, why) = self.method(&obstacles);
        let mut refusals = self.refusals(method);
        if self.order.method == RestoreMethod::Primary {
            refusals.extend(obstacles.iter().map(Failure::from));
        }
        let first = self.survey.first();
        let (modules, functions) = (self.modules(), self.reports().map(|report| report.functions).sum());
        RestorePlan {
            method,
            why,
            target: TargetFacts {
                url: self.order.url.clone(),
                topology: self.survey.topology,
                server: first.facts.clone(),
                primaries: u32::try_from(self.survey.primaries.len()).unwrap_or(u32::MAX),
                keys: self.survey.keys(),
            },
            parts: u32::try_from(self.backup.parts.len()).unwrap_or(u32::MAX),
            keys: self.reports().map(|report| report.keys).sum(),
            bytes: self.backup.size_bytes(),
            magic: self.reports().map(|report| report.magic.clone()).next().unwrap_or_default(),
            functions,
            modules,
            steps: self.steps(method),
            warnings: self.warnings(method),
            refusals,
        }
    }

    fn reports(&self) -> impl Iterator<Item = &SnapshotReport> {
        self.backup.parts.iter().map(|part| &part.sealed.report)
    }

    fn modules(&self) -> Vec<String> {
        let mut modules: Vec<String> = self.reports().flat_map(|report| report.modules.clone()).collect();
        modules.sort();
        modules.dedup();
        modules
    }

    /// What the target holds, in words.
    fn held(&self) -> String {
        let (keys, functions) = (self.survey.keys(), self.survey.functions());
        if functions > 0 {
            format!("the target holds {keys} keys and {functions} function libraries")
        } else {
            format!("the target holds {keys} keys")
        }
    }

    /// What speaks against being the target's primary.
    fn obstacles(&self) -> Vec<Error> {
        let no = |why: &str| {
            Error::new(Kind::Invalid, "RESTORE_METHOD", "Keystow cannot be the target's primary")
                .because(why)
                .hint("restore with --as commands")
        };
        let first = self.survey.first();
        let mut found = Vec::new();
        if self.backup.parts.len() != 1 {
            found.push(no("the backup has several parts, and a server takes one file"));
        }
        if self.survey.topology == Topology::Cluster {
            found.push(no("nodes of a cluster follow no other server"));
        }
        if matches!(self.address, Address::Sentinel { .. }) {
            found.push(no("Sentinel would undo it"));
        }
        if !self.order.choice.is_all() {
            found.push(no("only some keys are wanted, or under other names"));
        }
        if !first.may_follow {
            found.push(no("the user may not use REPLICAOF, or the server hides it"));
        }
        if self.goes_over_tls() && self.order.method != RestoreMethod::Primary {
            found.push(no("the target is reached over TLS, and a snapshot would go to it in clear"));
        }
        if first.replicates_with_tls {
            found.push(no("the target's tls-replication is on"));
        }
        if self
            .backup
            .parts
            .iter()
            .any(|part| part.sealed.origin.as_ref().is_some_and(|origin| !origin.slots.is_empty()))
        {
            found.push(no("a shard of a cluster may hold keys that are another shard's"));
        }
        if !self.survey.is_empty() && !self.order.wipe && !self.goes_on {
            found.push(
                Error::new(Kind::Conflict, "RESTORE_TARGET_NOT_EMPTY", "the target would lose what it has")
                    .because(self.held())
                    .hint("restore with --as commands, or with --wipe if all of it may be lost"),
            );
        }
        found
    }

    fn goes_over_tls(&self) -> bool {
        matches!(self.survey.first().node, Node::Tcp { tls: true, .. })
    }

    fn method(&self, obstacles: &[Error]) -> (RestoreMethod, String) {
        match (self.order.method, obstacles.first()) {
            (RestoreMethod::Primary, _) => (RestoreMethod::Primary, "it was asked for".to_owned()),
            (RestoreMethod::Commands, _) => (RestoreMethod::Commands, "it was asked for".to_owned()),
            (RestoreMethod::Auto, None) => (
                RestoreMethod::Primary,
                "the target is one server that may follow Keystow; nothing is faster".to_owned(),
            ),
            (RestoreMethod::Auto, Some(obstacle)) => (
                RestoreMethod::Commands,
                obstacle.cause.clone().unwrap_or_else(|| obstacle.message.to_string()),
            ),
        }
    }

    /// Everything that makes it impossible, whatever the method, and what is against this one.
    fn refusals(&self, method: RestoreMethod) -> Vec<Failure> {
        let mut found = Vec::new();
        found.extend(self.state());
        if let Some(trouble) = &self.survey.trouble {
            found.push(super::survey::cluster_down(trouble));
        }
        for primary in &self.survey.primaries {
            if primary.is_replica {
                found.push(
                    Error::new(
                        Kind::Invalid,
                        "RESTORE_TARGET_REPLICA",
                        format!("{} is a replica", primary.node),
                    )
                    .hint("name its primary, or send it REPLICAOF NO ONE first"),
                );
            }
            if primary.format.is_none() {
                found.push(unknown_server(primary));
            }
            if method == RestoreMethod::Commands && !primary.may_restore {
                found.push(
                    Error::new(
                        Kind::Denied,
                        "TARGET_DENIED",
                        format!("{} does not let this user restore keys", primary.node),
                    )
                    .hint(crate::redis::RESTORE_RULE),
                );
            }
        }
        let types = &self.order.choice.types;
        if types.is_empty() || types.iter().any(|name| name == "module") {
            found.extend(missing_modules(&self.modules(), &self.survey.primaries));
        }
        found.extend(self.databases());
        found.iter().map(Failure::from).collect()
    }

    fn state(&self) -> Option<Error> {
        let backup = self.backup;
        let usable = match backup.state {
            BackupState::Available => return None,
            BackupState::Partial | BackupState::Quarantined => true,
            _ => false,
        };
        if usable && self.order.accept_partial {
            return None;
        }
        let hint = if usable {
            "restore it all the same with --accept-partial"
        } else {
            "take or choose another one"
        };
        Some(
            Error::new(
                Kind::Conflict,
                "RESTORE_BACKUP_STATE",
                format!("the backup {} is {}", backup.id, backup.state),
            )
            .hint(hint),
        )
    }

    /// The highest database that gets a key; a cluster may have only the first.
    pub(super) fn highest_database(&self) -> u64 {
        let chosen = &self.order.choice.databases;
        let wanted = |index: &u64| chosen.is_empty() || chosen.contains(index);
        let held = |report: &SnapshotReport| {
            report
                .databases
                .iter()
                .filter(|(_, keys)| **keys > 0)
                .map(|(index, _)| *index)
                .filter(wanted)
                .max()
        };
        self.reports().filter_map(held).max().unwrap_or(0)
    }

    fn databases(&self) -> Option<Error> {
        let highest = self.highest_database();
        let most = self.survey.primaries.iter().filter_map(|primary| primary.most_databases).min()?;
        (highest >= most).then(|| {
            Error::new(
                Kind::Invalid,
                "RESTORE_DATABASES",
                format!("the backup has keys in database {highest}, and the target has {most}"),
            )
            .hint("choose databases with --db, or raise the target's setting databases")
        })
    }

    /// Whether every part goes to the target as it is: its servers read the file, and nobody changes it.
    pub(super) fn goes_as_it_is(&self) -> bool {
        self.is_read_by_target() && self.order.ttl == TtlPolicy::Keep
    }

    fn is_read_by_target(&self) -> bool {
        self.reports().all(|report| {
            let file = Format::of_magic(&report.magic, report.rdb_version);
            self.survey.primaries.iter().all(|primary| loads(&primary.facts, file))
        })
    }

    /// Whether some values may turn out to be impossible at the target, which only reading them tells.
    pub(super) fn needs_trial(&self, method: RestoreMethod) -> bool {
        let newest = self.survey.format().map_or(0, |format| format.version);
        let is_written_anew = method != RestoreMethod::Primary || !self.goes_as_it_is();
        let is_newer = self.reports().any(|report| report.rdb_version > newest);
        !self.is_read_by_target() || (is_written_anew && is_newer)
    }

    fn steps(&self, method: RestoreMethod) -> Vec<String> {
        let order = self.order;
        let keys = self.survey.keys();
        let mut steps = Vec::new();
        if order.wipe && !self.survey.is_empty() {
            let held = self.held();
            steps.push(match method {
                RestoreMethod::Primary => format!("what the target has is replaced by the backup: {held}"),
                _ => format!("FUNCTION FLUSH and FLUSHALL: all that the target has is thrown away; {held}"),
            });
        } else if keys > 0 && method == RestoreMethod::Commands {
            steps.push(match order.on_conflict {
                OnConflict::Fail => {
                    "ask the target for every key; nothing is changed if it has one of them".to_owned()
                }
                OnConflict::Replace => "keys that the target has already are replaced".to_owned(),
                OnConflict::Skip => "keys that the target has already stay as they are".to_owned(),
            });
        }
        let parts = self.backup.parts.len();
        match method {
            RestoreMethod::Primary => {
                let made = if self.goes_as_it_is() { "" } else { ", rewritten for its version on the way" };
                steps.push(format!("REPLICAOF: the target loads the snapshot from Keystow{made}"));
                steps.push("its keys are counted, and it is made a primary of its own again".to_owned());
            }
            _ => {
                steps.push(format!(
                    "RESTORE commands: parts {parts}, primaries of the target {}",
                    self.survey.primaries.len()
                ));
            }
        }
        match order.ttl {
            TtlPolicy::Keep => {}
            TtlPolicy::Shift => steps.push("expiries move by the backup's age".to_owned()),
            TtlPolicy::Strip => steps.push("expiries are taken away".to_owned()),
            TtlPolicy::DropExpired => steps.push("keys that have expired since are left out".to_owned()),
        }
        steps
    }

    fn warnings(&self, method: RestoreMethod) -> Vec<String> {
        let mut warnings = Vec::new();
        let first = self.survey.first();
        let functions: u64 = self.reports().map(|report| report.functions).sum();
        let has_functions =
            self.survey.format().is_none_or(|format| format.version >= Format::REDIS_10.version);
        if functions > 0 && !has_functions && !self.order.choice.without_functions {
            warnings
                .push(format!("{functions} function libraries are left out: the target has no functions"));
        }
        if method == RestoreMethod::Primary && self.goes_over_tls() {
            warnings.push(
                "the snapshot, and a password for it, go to the target in clear, without TLS".to_owned(),
            );
        }
        if let Some((from, to)) = &self.order.choice.prefix {
            warnings.push(format!(
                "where \"{from}\" becomes \"{to}\", two keys may get one name, and one of them is lost: nothing tells"
            ));
        }
        if method == RestoreMethod::Commands && !self.modules().is_empty() {
            warnings.push("what modules keep outside of keys is left out: no command carries it".to_owned());
        }
        if self.backup.state != BackupState::Available {
            warnings.push(format!("the backup is {}: not all of it may be there", self.backup.state));
        }
        let origin = self.backup.origin.as_ref();
        if origin.is_some_and(|origin| !origin.one_instant) {
            warnings.push("the backup was read key by key and is not of one instant".to_owned());
        }
        let (used, most): (u64, u64) = self.survey.primaries.iter().fold((0, 0), |(used, most), primary| {
            (used + primary.facts.used_bytes, most + primary.facts.max_bytes)
        });
        let limited = self.survey.primaries.iter().all(|primary| primary.facts.max_bytes > 0);
        let free = if self.order.wipe { most } else { most.saturating_sub(used) };
        if limited && self.backup.size_bytes() > free {
            warnings.push(format!(
                "the backup's {} bytes may not fit: maxmemory leaves the target {free}; in memory they take more",
                self.backup.size_bytes()
            ));
        }
        if first.facts.replicas > 0 && method == RestoreMethod::Primary {
            warnings.push(format!("the target's {} replicas will copy all of it anew", first.facts.replicas));
        }
        warnings
    }
}

/// A target that does not say what it is, or is too old.
fn unknown_server(primary: &super::survey::Primary) -> Error {
    let version = &primary.facts.version;
    if version.is_empty() {
        return Error::new(
            Kind::Denied,
            "TARGET_DENIED",
            format!("{} does not tell its version", primary.node),
        )
        .hint(crate::redis::RESTORE_RULE);
    }
    Error::new(
        Kind::Invalid,
        "RESTORE_TARGET_OLDER",
        format!("{} is of version {version}, and nothing older than Redis 5.0 is restored to", primary.node),
    )
    .hint("restore to a newer server")
}

/// What to say of a plan that is refused: the first reason, and all of them in words.
pub(super) fn refused(plan: &RestorePlan) -> Option<Error> {
    let first = plan.refusals.first()?;
    let code = CODES.iter().find(|(code, _)| *code == first.code);
    let (code, kind) = code.copied().unwrap_or(("RESTORE_REFUSED", Kind::Invalid));
    let all: Vec<&str> = plan.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    let error = Error::new(kind, code, all.join("; "));
    Some(match &first.hint {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    })
}

/// Codes of refusals, and what a program can do about them.
const CODES: [(&str, Kind); 12] = [
    ("RESTORE_BACKUP_STATE", Kind::Conflict),
    ("RESTORE_CLUSTER_DOWN", Kind::Unreachable),
    ("RESTORE_CONFLICT", Kind::Conflict),
    ("RESTORE_DATABASES", Kind::Invalid),
    ("RESTORE_METHOD", Kind::Invalid),
    ("RESTORE_MODULE_MISSING", Kind::Invalid),
    ("RESTORE_TARGET_NOT_EMPTY", Kind::Conflict),
    ("RESTORE_TARGET_OLDER", Kind::Invalid),
    ("RESTORE_TARGET_REPLICA", Kind::Invalid),
    ("RESTORE_TOO_LARGE", Kind::Invalid),
    ("RESTORE_UNSOUND", Kind::Corrupt),
    ("TARGET_DENIED", Kind::Denied),
];

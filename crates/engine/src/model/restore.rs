//! A restore: what is asked for, what it would do, what it did. And a drill, which is a restore for the sake of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::capture::words;
use super::{CopyOrder, Failure, ScrubOutcome, ServerFacts, Topology};
use crate::error::Error;

/// What a job was asked to do, beyond its backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A restore.
    Restore(Box<RestoreOrder>),
    /// A drill.
    Drill(DrillOrder),
    /// A copy.
    Copy(CopyOrder),
}

/// What a job did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A restore.
    Restore(RestoreOutcome),
    /// A drill.
    Drill(DrillOutcome),
    /// A scrub.
    Scrub(ScrubOutcome),
}

/// A restore that somebody asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestoreOrder {
    /// Where to: a URL without user and password.
    pub url: String,
    /// The registered instance that the target is, if it was named by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<super::InstanceId>,
    /// ACL user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password and keys of the target, sealed for this job's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_secrets: Option<Vec<u8>>,
    /// How.
    pub method: RestoreMethod,
    /// What a key that the target has already means.
    pub on_conflict: OnConflict,
    /// What becomes of expiries.
    pub ttl: TtlPolicy,
    /// Which keys.
    #[serde(default)]
    pub choice: KeyChoice,
    /// Whether all that the target holds may be thrown away first.
    pub wipe: bool,
    /// Whether a backup that is not `available` may be used.
    pub accept_partial: bool,
}

/// Which keys of a backup are restored, and under what name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyChoice {
    /// Glob patterns; empty = all.
    pub patterns: Vec<String>,
    /// Types, such as `hash`; empty = all.
    pub types: Vec<String>,
    /// Databases; empty = all.
    pub databases: Vec<u64>,
    /// Keys that begin with the first begin with the second instead.
    pub prefix: Option<(String, String)>,
    /// Whether functions stay behind.
    pub without_functions: bool,
}

impl KeyChoice {
    /// Whether it is everything, under its own name.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// How a backup gets into a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoreMethod {
    /// As the target and the order allow, the fastest first.
    #[default]
    Auto,
    /// Keystow serves the snapshot as a primary would, and the target follows.
    Primary,
    /// By `RESTORE` commands.
    Commands,
}

/// What a key that the target has already means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// The restore is refused before anything is changed.
    #[default]
    Fail,
    /// The backup's key replaces it.
    Replace,
    /// It stays.
    Skip,
}

/// What becomes of expiries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TtlPolicy {
    /// They stay the moments that they are; what has expired since is gone.
    #[default]
    Keep,
    /// They move by the backup's age: as much time is left as there was then.
    Shift,
    /// Keys no longer expire.
    Strip,
    /// Keys that have expired since are left out, and counted.
    DropExpired,
}

words! {
    RestoreMethod: Auto = "auto", Primary = "primary", Commands = "commands";
    OnConflict: Fail = "fail", Replace = "replace", Skip = "skip";
    TtlPolicy: Keep = "keep", Shift = "shift", Strip = "strip", DropExpired = "drop-expired";
}

/// What a restore would do, told before anything is touched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestorePlan {
    /// The method that will be used.
    pub method: RestoreMethod,
    /// Why this one.
    pub why: String,
    /// The target.
    pub target: TargetFacts,
    /// Parts of the backup.
    pub parts: u32,
    /// Keys in the backup, all of them.
    pub keys: u64,
    /// Bytes of the backup.
    pub bytes: u64,
    /// RDB format of the backup, such as `REDIS0010`.
    pub magic: String,
    /// Functions in it.
    pub functions: u64,
    /// Modules whose data it holds.
    pub modules: Vec<String>,
    /// What will happen, step by step, in words for people.
    pub steps: Vec<String>,
    /// What will be lost or odd, in words for people.
    pub warnings: Vec<String>,
    /// Why it cannot be done; empty = it can.
    pub refusals: Vec<Failure>,
}

/// The target of a restore, as it was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetFacts {
    /// Where it is.
    pub url: String,
    /// How it is laid out.
    pub topology: Topology,
    /// What its first node said of itself.
    pub server: ServerFacts,
    /// Primaries that get data.
    pub primaries: u32,
    /// Keys that it holds now.
    pub keys: u64,
}

/// What a restore did. Of a failed one: what it did before it failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestoreOutcome {
    /// How.
    pub method: RestoreMethod,
    /// Whether anything in the target was changed.
    pub changed: bool,
    /// Whether all of it was done.
    pub complete: bool,
    /// Keys that are in the target now.
    pub restored: u64,
    /// Keys that were there already and stayed.
    pub skipped: u64,
    /// Keys that were not chosen.
    pub left_out: u64,
    /// Keys with an expiry, of those read.
    pub with_expiry: u64,
    /// Keys whose expiry had passed.
    pub expired: u64,
    /// Functions.
    pub functions: u64,
    /// Keys in the target before.
    pub keys_before: u64,
    /// Keys in the target afterwards.
    pub keys_after: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// What was odd, in words for people.
    pub warnings: Vec<String>,
    /// Settings of the target that are to be put back, with their values before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub borrowed: Vec<(String, String)>,
    /// Run ids of the target's primaries: one that was started anew since may have lost keys that it acknowledged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub run_ids: Vec<String>,
    /// Where the target was told to follow Keystow, as `host:port`: what follows another is not Keystow's to let go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followed: Option<String>,
}

/// A drill that somebody asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DrillOrder {
    /// The server program to use; found by itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// What a drill found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillOutcome {
    /// When it ended.
    pub at: Timestamp,
    /// Whether every part was loaded and held what it should.
    pub ok: bool,
    /// The server that loaded it, such as `redis 7.0.15`.
    pub server: String,
    /// Milliseconds from the start of the first server to the last loaded key.
    pub took_ms: u64,
    /// By part.
    pub parts: Vec<DrilledPart>,
    /// Why it is not ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One part in a drill.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DrilledPart {
    /// Shard, from 0.
    pub shard: u32,
    /// Milliseconds until the server had loaded it.
    pub load_ms: u64,
    /// Keys by database, as the server counted them.
    pub databases: BTreeMap<u64, u64>,
    /// `DEBUG DIGEST`, where the server offers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

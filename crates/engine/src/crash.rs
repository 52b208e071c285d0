//! Steps at which a test lets the process die, to see what is left then. A release build has none of it.

/// A step after which a crash must do no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// A policy is due, and nobody has written anything.
    PolicyDue,
    /// A fire is written down, with its backup and its job.
    PolicyFired,
    /// A worker has a job, and has done nothing for it.
    JobClaimed,
    /// A source was found and has let us in.
    SourceConnected,
    /// Some of a snapshot is with the writer.
    BytesArriving,
    /// All of a snapshot is with the writer.
    BytesArrived,
    /// A part is visible in the repository.
    PartSealed,
    /// Every part is there and proven.
    SetCaptured,
    /// The manifest is there; the row does not know.
    ManifestWritten,
    /// The row names the attempt.
    BackupSealed,
    /// It is noted that a target is about to be changed.
    RestoreNoted,
    /// A target has some of a backup.
    RestoreUnderWay,
    /// A target has all of a backup; the row does not know.
    RestoreEnded,
    /// A backup's row says that it is to go.
    BackupExpired,
    /// The manifest of an attempt is gone, its parts are there.
    ManifestRemoved,
    /// Everything of a backup is gone; its job does not know.
    ObjectsRemoved,
    /// A part is in the other repository, not read back yet.
    CopyPartSealed,
    /// Every part is in the other repository and proven.
    CopyProven,
    /// The other repository has the manifest.
    CopyManifestWritten,
    /// The other repository has everything; the row does not know.
    CopyComplete,
    /// The row says that the copy is there.
    CopySealed,
}

impl CrashPoint {
    /// Every step, in order.
    pub const ALL: [Self; 21] = [
        Self::PolicyDue,
        Self::PolicyFired,
        Self::JobClaimed,
        Self::SourceConnected,
        Self::BytesArriving,
        Self::BytesArrived,
        Self::PartSealed,
        Self::SetCaptured,
        Self::ManifestWritten,
        Self::BackupSealed,
        Self::RestoreNoted,
        Self::RestoreUnderWay,
        Self::RestoreEnded,
        Self::BackupExpired,
        Self::ManifestRemoved,
        Self::ObjectsRemoved,
        Self::CopyPartSealed,
        Self::CopyProven,
        Self::CopyManifestWritten,
        Self::CopyComplete,
        Self::CopySealed,
    ];

    /// The word for it, as `CRASH_AT` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyDue => "policy-due",
            Self::PolicyFired => "policy-fired",
            Self::JobClaimed => "job-claimed",
            Self::SourceConnected => "source-connected",
            Self::BytesArriving => "bytes-arriving",
            Self::BytesArrived => "bytes-arrived",
            Self::PartSealed => "part-sealed",
            Self::SetCaptured => "set-captured",
            Self::ManifestWritten => "manifest-written",
            Self::BackupSealed => "backup-sealed",
            Self::RestoreNoted => "restore-noted",
            Self::RestoreUnderWay => "restore-under-way",
            Self::RestoreEnded => "restore-ended",
            Self::BackupExpired => "backup-expired",
            Self::ManifestRemoved => "manifest-removed",
            Self::ObjectsRemoved => "objects-removed",
            Self::CopyPartSealed => "copy-part-sealed",
            Self::CopyProven => "copy-proven",
            Self::CopyManifestWritten => "copy-manifest-written",
            Self::CopyComplete => "copy-complete",
            Self::CopySealed => "copy-sealed",
        }
    }
}

/// Aborts the process if the environment's `CRASH_AT` names this step.
#[cfg(debug_assertions)]
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, which no configuration may have")]
pub(crate) fn crash_point(point: CrashPoint) {
    use std::sync::LazyLock;
    static CRASH_AT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("CRASH_AT").ok());
    if CRASH_AT.as_deref() == Some(point.as_str()) {
        tracing::error!(point = point.as_str(), "this process ends here, as it was asked to");
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn crash_point(_: CrashPoint) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> =
            CrashPoint::ALL.iter().map(|point| point.as_str()).collect();
        assert_eq!(words.len(), CrashPoint::ALL.len());
    }
}

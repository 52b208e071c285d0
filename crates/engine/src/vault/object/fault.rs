//! What a store says, in our words.

use std::error::Error as _;

use opendal::ErrorKind;

use crate::error::{Error, Kind};

/// Longest quotation of a store.
const LONGEST_QUOTE: usize = 400;

/// What stores call a bucket without room (`MinIO`, Ceph and vendors' quotas).
const FULL: [&str; 5] =
    ["StorageFull", "QuotaExceeded", "InsufficientCapacity", "EntityTooLarge", "Insufficient Storage"];
/// What stores call a clock that is wrong.
const SKEWED: [&str; 2] = ["RequestTimeTooSkewed", "RequestExpired"];

/// An error for what failed, such as `cannot write <object>`.
pub(super) fn fault(message: String, cause: &opendal::Error) -> Error {
    let said = quote(cause);
    let is = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let (kind, code, hint) = if is(&FULL) {
        (Kind::NoSpace, "REPOSITORY_FULL", "make room in the bucket or raise its quota")
    } else if is(&["NoSuchBucket"]) {
        (Kind::NotFound, "REPOSITORY_MISSING", "create the bucket, or correct repository.url")
    } else if is(&SKEWED) {
        (Kind::Denied, "REPOSITORY_DENIED", "the clocks of this host and the store differ: run NTP")
    } else {
        match cause.kind() {
            ErrorKind::PermissionDenied => (
                Kind::Denied,
                "REPOSITORY_DENIED",
                "check repository.access_key_id, its secret and what the key may do in the bucket",
            ),
            ErrorKind::RateLimited => (
                Kind::Unreachable,
                "REPOSITORY_UNREACHABLE",
                "the store asks for fewer calls; Keystow goes on by itself",
            ),
            ErrorKind::ConditionNotMatch => {
                (Kind::Corrupt, "OBJECT_CHANGED", "somebody else wrote to the bucket; use another backup")
            }
            // Credentials that cannot be had are no answer of the store.
            _ if said.contains("credential") => (
                Kind::Denied,
                "REPOSITORY_DENIED",
                "set repository.access_key_id and repository.secret_file, or give this host a role",
            ),
            _ if cause.is_persistent() || cause.is_temporary() => (
                Kind::Unreachable,
                "REPOSITORY_UNREACHABLE",
                "check the store, repository.url and the network to it; Keystow goes on by itself",
            ),
            _ => (Kind::Internal, "REPOSITORY_FAILED", "read what the store says; check repository.url"),
        }
    };
    Error::new(kind, code, message).because(said).hint(hint)
}

/// What the store or the way to it said, in one line.
fn quote(cause: &opendal::Error) -> String {
    let mut said = cause.message().to_owned();
    let mut deeper = cause.source();
    while let Some(source) = deeper {
        said = format!("{said}: {source}");
        deeper = source.source();
    }
    if said.is_empty() {
        said = cause.kind().to_string();
    }
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_QUOTE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_answer_has_its_code() {
        let error = |kind, said: &'static str| opendal::Error::new(kind, said);
        for (cause, code) in [
            (error(ErrorKind::PermissionDenied, "AccessDenied"), "REPOSITORY_DENIED"),
            (error(ErrorKind::PermissionDenied, "RequestTimeTooSkewed"), "REPOSITORY_DENIED"),
            (error(ErrorKind::ConfigInvalid, "code: NoSuchBucket"), "REPOSITORY_MISSING"),
            (error(ErrorKind::Unexpected, "XMinioStorageFull"), "REPOSITORY_FULL"),
            (
                error(ErrorKind::Unexpected, "refused").set_temporary().set_persistent(),
                "REPOSITORY_UNREACHABLE",
            ),
            (error(ErrorKind::RateLimited, "SlowDown"), "REPOSITORY_UNREACHABLE"),
            (error(ErrorKind::ConditionNotMatch, ""), "OBJECT_CHANGED"),
            (error(ErrorKind::Unexpected, "InvalidArgument"), "REPOSITORY_FAILED"),
        ] {
            assert_eq!(fault("x".to_owned(), &cause).code, code, "{cause}");
        }
    }

    #[test]
    fn a_quotation_is_one_short_line() {
        let cause = opendal::Error::new(ErrorKind::Unexpected, "a\nb".repeat(1000));
        let said = fault("x".to_owned(), &cause).cause.unwrap();
        assert!(said.len() <= LONGEST_QUOTE && !said.contains('\n'));
    }
}

//! `keystow doctor`: what is wrong with the service and with this client.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keystow_engine::clock::Clock;
use serde::Serialize;

use super::Context;
use super::output::{grid, plain};
use super::root_key;
use crate::api::{FindingRow, Status};
use crate::client::data_dir;
use crate::failure::{Exit, Failure};

/// Links end by the server's clock; a client this far away misjudges them.
const TOLERATED_SKEW_SECONDS: i64 = 5;
/// Whoever reads these can read or forge everything.
const PRIVATE_FILES: [&str; 2] = ["admin.key", "root.key"];

/// The permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

#[derive(Serialize)]
struct Checkup {
    ok: bool,
    server_version: Option<String>,
    findings: Vec<FindingRow>,
}

/// Looks at everything and prints it; fails if anything is not as it should be.
pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let mut findings = look_at_files(&data_dir()?);
    findings.extend(look_for_copy(&data_dir()?));
    let server_version = match ask_server(context, &mut findings).await {
        Ok(version) => Some(version),
        Err(failure) => {
            let subject = match failure.exit {
                Exit::Auth | Exit::NotInitialised => "credentials",
                _ => "server",
            };
            findings.push(bad(subject, failure.to_string(), failure.hint));
            None
        }
    };
    let checkup = Checkup { ok: findings.iter().all(|finding| finding.ok), server_version, findings };
    context.output.value(&checkup, |checkup| tabulate(&checkup.findings))?;
    if checkup.ok {
        return Ok(());
    }
    let wrong = checkup.findings.iter().filter(|finding| !finding.ok).count();
    let message = format!("{wrong} of {} checks found something wrong", checkup.findings.len());
    Err(Failure::new(Exit::Failure, "DOCTOR_FINDINGS", message))
}

/// Whether the server answers, knows us, and shares our time; then what it says of itself.
async fn ask_server(context: &Context, findings: &mut Vec<FindingRow>) -> Result<String, Failure> {
    let client = context.client()?;
    let clock = Clock::system();
    let asked = clock.now();
    let status: Status = client.get(&["status"]).await?;
    let answered = clock.now();
    findings.push(good("server", format!("{} answers, version {}", client.server(), status.version)));
    findings.push(good("credentials", "the access key is accepted".to_owned()));
    findings.push(match status.time.parse::<jiff::Timestamp>() {
        Ok(theirs) => judge_clock(asked, theirs, answered),
        Err(_) => bad("clock", "the server does not tell its time".to_owned(), None),
    });
    findings.extend(status.findings);
    Ok(status.version)
}

/// The server looked at its clock somewhere between the question and the answer.
fn judge_clock(asked: jiff::Timestamp, theirs: jiff::Timestamp, answered: jiff::Timestamp) -> FindingRow {
    let skew = if theirs < asked {
        theirs.as_second() - asked.as_second()
    } else {
        (theirs.as_second() - answered.as_second()).max(0)
    };
    if skew.abs() <= TOLERATED_SKEW_SECONDS {
        return good("clock", "this host and the server agree".to_owned());
    }
    let direction = if skew > 0 { "ahead of" } else { "behind" };
    bad(
        "clock",
        format!("the server's clock is {} s {direction} this host's", skew.abs()),
        Some("run NTP on both, or links end at the wrong time".to_owned()),
    )
}

/// Key files of a server on this host; none is fine, the server may be elsewhere.
fn look_at_files(folder: &Path) -> Vec<FindingRow> {
    PRIVATE_FILES
        .iter()
        .filter_map(|name| {
            let path = folder.join(name);
            let mode = std::fs::symlink_metadata(&path).ok()?.permissions().mode() & 0o777;
            let shown = path.display();
            let is_private = mode & OTHERS == 0;
            Some(if is_private {
                good(name, format!("{shown} is private ({mode:04o})"))
            } else {
                bad(
                    name,
                    format!("{shown} is open to others ({mode:04o})"),
                    Some(format!("chmod 600 {shown}")),
                )
            })
        })
        .collect()
}

/// Whether a copy of the root key was made; no finding where there is no such key.
fn look_for_copy(folder: &Path) -> Option<FindingRow> {
    let copied = root_key::was_copied(folder)?;
    Some(if copied {
        good("root key", "a copy was made".to_owned())
    } else {
        let folder = folder.display();
        let hint =
            format!("make one, and keep it elsewhere: keystow root-key backup --data-dir {folder} --to FILE");
        FindingRow { hint: Some(hint), ..good("root key", "no copy was made of it".to_owned()) }
    })
}

fn good(subject: &str, detail: String) -> FindingRow {
    FindingRow { subject: subject.to_owned(), ok: true, detail, hint: None }
}

fn bad(subject: &str, detail: String, hint: Option<String>) -> FindingRow {
    FindingRow { subject: subject.to_owned(), ok: false, detail, hint }
}

fn tabulate(findings: &[FindingRow]) -> String {
    let cells = findings.iter().map(|finding| {
        let verdict = match (finding.ok, &finding.hint) {
            (true, None) => "ok",
            (true, Some(_)) => "note",
            (false, _) => "BAD",
        };
        vec![verdict.to_owned(), finding.subject.clone(), finding.detail.clone()]
    });
    let mut text = grid(&["", "CHECK", "FOUND"], cells.collect());
    for finding in findings {
        if let Some(hint) = &finding.hint {
            text.push_str(&plain(&format!("try for {}: {hint}", finding.subject)));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_key_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(look_at_files(folder.path()).is_empty());
        let path = folder.path().join("root.key");
        std::fs::write(&path, "x").unwrap();
        for (mode, ok) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(look_at_files(folder.path())[0].ok, ok, "{mode:o}");
        }
    }

    #[test]
    fn a_slow_answer_is_no_skew_but_another_time_is() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        assert!(judge_clock(at(100), at(130), at(160)).ok);
        assert!(judge_clock(at(100), at(97), at(101)).ok);
        assert!(judge_clock(at(100), at(60), at(101)).detail.contains("40 s behind"));
        assert!(judge_clock(at(100), at(161), at(101)).detail.contains("60 s ahead of"));
    }
}

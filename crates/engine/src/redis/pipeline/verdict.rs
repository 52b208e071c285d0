//! What a reply to an order means.

use super::WhenBusy;
use super::batch::key_of;
use crate::error::{Error, Kind};
use crate::redis::{Node, RESTORE_RULE, Reply};

/// What a reply to an order means.
pub(super) enum Verdict {
    /// It was carried out.
    Done,
    /// Its key is there already, and stays.
    Skipped,
    /// Its key is there already, and taken for what an attempt before this one wrote.
    Ours,
    /// It was not carried out, but may be elsewhere or later. A node to ask, if one was named.
    Later(Option<Node>, Error),
    /// It cannot be carried out.
    Fatal(Error),
}

/// Judges one reply. `again`: the order may have been carried out before.
pub(super) fn judge(reply: &Reply, node: &Node, command: &[u8], again: bool, when_busy: WhenBusy) -> Verdict {
    let Reply::Error(text) = reply else { return Verdict::Done };
    let code = text.split(' ').next().unwrap_or_default();
    match code {
        "BUSYKEY" if again => Verdict::Done,
        "BUSYKEY" => match when_busy {
            WhenBusy::Ours => Verdict::Ours,
            WhenBusy::Skip => Verdict::Skipped,
            WhenBusy::Fail => Verdict::Fatal(
                refused(Kind::Conflict, "RESTORE_CONFLICT", node, "holds a key of that name already", command, text)
                    .hint("somebody wrote it meanwhile; choose with --on-conflict replace or skip"),
            ),
        },
        "ASK" => Verdict::Later(asked(text, node), later(node, text)),
        "MOVED" | "TRYAGAIN" | "CLUSTERDOWN" | "READONLY" | "LOADING" | "BUSY" | "MASTERDOWN" | "NOREPLICAS" => {
            Verdict::Later(None, later(node, text))
        }
        "OOM" => Verdict::Fatal(
            refused(Kind::NoSpace, "TARGET_FULL", node, "has no memory left", command, text)
                .hint("raise its maxmemory or give it a policy that evicts, then restore again with --on-conflict replace"),
        ),
        "NOPERM" | "NOAUTH" => Verdict::Fatal(
            refused(Kind::Denied, "TARGET_DENIED", node, "does not let this user write a key", command, text)
                .hint(RESTORE_RULE),
        ),
        _ => Verdict::Fatal(
            refused(Kind::Invalid, "TARGET_REFUSED", node, "refused a key", command, text)
                .hint("the reason is the target's own; a module or a newer version may be missing there"),
        ),
    }
}

fn refused(kind: Kind, code: &'static str, node: &Node, what: &str, command: &[u8], text: &str) -> Error {
    let shown = text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
    Error::new(kind, code, format!("{node} {what}"))
        .because(format!("{shown}, for key {}", shown_key(command)))
}

/// The key of a command for a message: printable, and not too long.
pub(super) fn shown_key(command: &[u8]) -> String {
    const SHOWN: usize = 64;
    let key = key_of(command).unwrap_or_default();
    let more = if key.len() > SHOWN { "…" } else { "" };
    format!("\"{}{more}\"", key[..key.len().min(SHOWN)].escape_ascii())
}

fn later(node: &Node, text: &str) -> Error {
    let shown = text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
    Error::new(Kind::Unreachable, "TARGET_BUSY", format!("{node} does not take keys now"))
        .because(shown)
        .hint("look at the state of the target, then restore again with --on-conflict replace")
}

/// The node of `ASK <slot> <host>:<port>`. An empty host is the one that said so.
fn asked(text: &str, from: &Node) -> Option<Node> {
    let (host, port) = text.split(' ').nth(2)?.rsplit_once(':')?;
    let Node::Tcp { host: own, tls, .. } = from else { return None };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() || host == "?" { own } else { host };
    Some(Node::Tcp { host: host.to_owned(), port: port.parse().ok()?, tls: *tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str, again: bool, when_busy: WhenBusy) -> Verdict {
        let mut command = Vec::new();
        crate::redis::encode(&mut command, &[b"RESTORE", b"key", b"0", b"x"]);
        let node = Node::Tcp { host: "a".to_owned(), port: 1, tls: true };
        judge(&Reply::Error(text.to_owned()), &node, &command, again, when_busy)
    }

    #[test]
    fn errors_are_told_apart() {
        let fatal = |text| match verdict(text, false, WhenBusy::Fail) {
            Verdict::Fatal(error) => error,
            _ => panic!("{text}"),
        };
        for (text, code) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", "TARGET_FULL"),
            ("NOPERM this user has no permissions", "TARGET_DENIED"),
            ("ERR Bad data format", "TARGET_REFUSED"),
            ("ERR DUMP payload version or checksum are wrong", "TARGET_REFUSED"),
            ("BUSYKEY Target key name already exists.", "RESTORE_CONFLICT"),
        ] {
            let error = fatal(text);
            assert_eq!(error.code, code);
            assert!(error.to_string().contains("for key \"key\""), "{error}");
        }
        for text in
            ["MOVED 1 b:2", "CLUSTERDOWN Hash slot not served", "READONLY You can't write", "LOADING x"]
        {
            assert!(matches!(verdict(text, false, WhenBusy::Fail), Verdict::Later(None, _)), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_there_means_what_was_agreed() {
        let busy = "BUSYKEY Target key name already exists.";
        assert!(matches!(verdict(busy, false, WhenBusy::Skip), Verdict::Skipped));
        assert!(matches!(verdict(busy, false, WhenBusy::Ours), Verdict::Ours));
        assert!(matches!(verdict(busy, true, WhenBusy::Fail), Verdict::Done));
    }

    #[test]
    fn the_node_to_ask_is_read() {
        let node = |text| match verdict(text, false, WhenBusy::Fail) {
            Verdict::Later(Some(node), _) => node.to_string(),
            _ => panic!("{text}"),
        };
        assert_eq!(node("ASK 3999 10.0.0.9:6381"), "rediss://10.0.0.9:6381");
        assert_eq!(node("ASK 3999 :6381"), "rediss://a:6381");
        assert_eq!(node("ASK 3999 ::1:6381"), "rediss://[::1]:6381");
    }
}

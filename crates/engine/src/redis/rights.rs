//! Whether a user may do what a backup does, found out without doing it.

use super::connection::{Connection, Reply};
use crate::error::Result;

/// The least that a user needs for a restore.
pub const RESTORE_RULE: &str = "give the user what a restore needs: ACL SETUSER <user> on ><password> ~* \
     +@write +@keyspace +select +restore +info +ping +command|info; with +replicaof +config|get +config|set a whole \
     backup goes faster; with +flushall +function a target can be wiped and gets functions";

/// An error, with the smallest ACL rule that would do, if the user lacks a right that replication takes. Where the
/// server does not tell (before Redis 7.0, or without `+acl|whoami +acl|dryrun`), only the harmless half is tried.
pub fn check_replication(connection: &mut Connection) -> Result<()> {
    // It says what a replica can do, and changes nothing for an ordinary client.
    if let Reply::Error(text) = connection.call(&[b"REPLCONF", b"capa", b"eof"])?
        && text.starts_with("NOPERM")
    {
        return Err(connection.refusal("take part in replication (REPLCONF)", &text));
    }
    let Some(user) = connection.call(&[b"ACL", b"WHOAMI"])?.text() else { return Ok(()) };
    match connection.call(&[b"ACL", b"DRYRUN", user.as_bytes(), b"PSYNC", b"?", b"-1"])? {
        // `OK`, or the text of the refusal (Redis `src/acl.c`).
        Reply::Bulk(Some(text)) => {
            let text = format!("NOPERM {}", String::from_utf8_lossy(&text));
            Err(connection.refusal("take a snapshot (PSYNC)", &text))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Timeouts;

    fn checked(replies: &str) -> Result<()> {
        check_replication(&mut Connection::scripted([replies.as_bytes().to_vec()], Timeouts::default()))
    }

    #[test]
    fn a_missing_right_comes_with_the_smallest_rule() {
        let refusal = "This user has no permissions to run the 'psync' command";
        let dry_run = format!("+OK\r\n$3\r\napp\r\n${}\r\n{refusal}\r\n", refusal.len());
        for replies in
            [dry_run.as_str(), "-NOPERM this user has no permissions to run the 'replconf' command\r\n"]
        {
            let error = checked(replies).unwrap_err();
            assert_eq!(error.code, "SOURCE_DENIED");
            assert!(error.hint.unwrap().contains("+psync +replconf +ping"), "{replies}");
        }
    }

    #[test]
    fn a_server_that_does_not_tell_is_not_blamed() {
        checked("+OK\r\n$3\r\napp\r\n+OK\r\n").unwrap();
        checked("+OK\r\n-NOPERM no\r\n").unwrap();
        checked("+OK\r\n$3\r\napp\r\n-ERR unknown subcommand 'DRYRUN'\r\n").unwrap();
        checked("-ERR unknown command 'REPLCONF'\r\n-ERR unknown command 'ACL'\r\n").unwrap();
    }
}

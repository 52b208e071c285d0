//! Secrets come from files, never from the command line, where every process can read them.

use std::io::Read;
use std::path::Path;

use crate::failure::Failure;

/// More than any password or token has.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a secret from a file, or from standard input for `-`. One line end after it is not part of it.
pub(super) fn read_secret(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::file(format!("cannot read the secret from {shown}"), &error))?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(Failure::usage(format!("{shown} holds no secret")));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn one_line_end_is_not_part_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (text, secret) in
            [("s3cret", "s3cret"), ("s3cret\n", "s3cret"), (" a b \r\n", " a b "), ("x\n\n", "x\n")]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_secret(&path).unwrap(), secret);
        }
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(read_secret(&path).unwrap_err().exit, Exit::Usage);
        assert_eq!(read_secret(&folder.path().join("absent")).unwrap_err().exit, Exit::NotFound);
    }
}

//! The name of a downloaded file, taken from a server that is not trusted with paths.

use percent_encoding::percent_decode_str;
use reqwest::Url;

/// What file systems take.
const MAX_BYTES: usize = 200;
const FALLBACK: &str = "backup.rdb";

/// A bare file name: no folders, no control characters, not hidden, not too long.
pub(super) fn sanitise(name: &str) -> Option<String> {
    let bare = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = bare
        .chars()
        .map(|c| if c.is_control() || "<>:\"|?*\u{202e}".contains(c) { '_' } else { c })
        .collect();
    let clean = clean.trim().trim_start_matches(['.', '-', ' ']).trim_end_matches(['.', ' ']);
    let end = clean.floor_char_boundary(MAX_BYTES);
    (end > 0).then(|| clean[..end].to_owned())
}

/// The name in a `Content-Disposition` header; the extended form (RFC 6266) wins.
pub(super) fn of_disposition(header: &str) -> Option<String> {
    let mut plain = None;
    for parameter in split_parameters(header).into_iter().skip(1) {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "filename*" => {
                let encoded = value.splitn(3, '\'').nth(2)?;
                return sanitise(&percent_decode_str(encoded).decode_utf8_lossy());
            }
            "filename" => plain = sanitise(&value.trim_matches('"').replace("\\\"", "\"")),
            _ => {}
        }
    }
    plain
}

/// The name at the end of a URL's path.
pub(super) fn of_url(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    sanitise(&percent_decode_str(last).decode_utf8_lossy()).unwrap_or_else(|| FALLBACK.to_owned())
}

/// Splits at semicolons outside of quotes.
fn split_parameters(header: &str) -> Vec<&str> {
    let mut in_quotes = false;
    header
        .split(|c| {
            in_quotes ^= c == '"';
            c == ';' && !in_quotes
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_elsewhere() {
        for (name, clean) in [
            ("dump.rdb", Some("dump.rdb")),
            ("../../etc/passwd", Some("passwd")),
            ("/etc/cron.d/x", Some("x")),
            ("..\\..\\boot.ini", Some("boot.ini")),
            (".bashrc", Some("bashrc")),
            ("-rf", Some("rf")),
            ("a\r\nb\0c", Some("a__b_c")),
            ("..", None),
            (".", None),
            ("x/", None),
            ("", None),
            ("备份.rdb", Some("备份.rdb")),
        ] {
            assert_eq!(sanitise(name).as_deref(), clean, "{name:?}");
        }
        assert!(sanitise(&"备".repeat(500)).unwrap().len() <= MAX_BYTES);
    }

    #[test]
    fn the_extended_form_of_a_disposition_wins() {
        for (header, name) in [
            ("attachment; filename=\"a.rdb\"; filename*=UTF-8''b%20c.rdb", Some("b c.rdb")),
            ("attachment; filename=\"a;b.rdb\"", Some("a;b.rdb")),
            ("attachment; filename=a.rdb", Some("a.rdb")),
            ("attachment; filename*=UTF-8''..%2F..%2Fx", Some("x")),
            ("attachment; filename=\"../../.ssh/authorized_keys\"", Some("authorized_keys")),
            ("attachment", None),
        ] {
            assert_eq!(of_disposition(header).as_deref(), name, "{header}");
        }
    }

    #[test]
    fn a_url_without_a_name_gets_one() {
        assert_eq!(of_url(&Url::parse("http://h/d/b/dump.rdb?x=/y").unwrap()), "dump.rdb");
        assert_eq!(of_url(&Url::parse("http://h/?x=1").unwrap()), FALLBACK);
        assert_eq!(of_url(&Url::parse("http://h/a/..%2F..%2Fb").unwrap()), "b");
    }
}

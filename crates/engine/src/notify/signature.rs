//! How a receiver knows who sent a message, and when.

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};

use crate::model::{Secret, hex};

/// The value of `Keystow-Signature`: `t=<seconds since 1970>,v1=<HMAC-SHA-256, in hex, of "t.body">`.
pub fn signature(secret: &Secret, at: i64, body: &[u8]) -> String {
    let mut mac = Context::with_key(&Key::new(HMAC_SHA256, secret.expose()));
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    format!("t={at},v1={}", hex(mac.sign().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_openssl_says() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac hush
        assert_eq!(
            signature(&Secret::new("hush"), 1_700_000_000, b"{\"a\":1}"),
            "t=1700000000,v1=7cfd1df542c33ab7251748ffdc6e7fed278c63b83d4ece95a4534b0ad465571b"
        );
    }
}

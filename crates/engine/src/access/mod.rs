//! Who is calling, and how secrets are kept.
//!
//! A [`Principal`] can only be made here, from a proof of a secret, so no verb can be called without one.

pub(crate) mod principal;
mod root;
mod seal;
mod source;

pub use principal::{Principal, Scope};
pub use root::{RetiredKey, RootKey, write_private};
pub use seal::Sealer;
pub use source::RootKeySource;

/// Random bytes from the system, as unpadded base64url.
pub fn random_text(bytes: usize) -> crate::error::Result<String> {
    use base64::Engine as _;
    let mut buffer = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut buffer)
        .map_err(|error| crate::error::Error::internal("the system gives no random bytes", error))?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(buffer))
}

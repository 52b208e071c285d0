//! A file that a passphrase opens (the `scrypt` recipient of age). Only small ones are made: an identity, to be opened
//! with the stock tools.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::header::{self, FileKey, Stanza};
use super::{AgeFault, begin_payload, seal_whole};
use crate::model::Secret;

const LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
/// Base-2 logarithm of the cost, as the age program chooses it: 256 MiB and about a second.
const WORK: u8 = 18;

/// Seals something small under a passphrase. Takes 256 MiB and about a second on purpose.
pub fn wrap_with_passphrase(passphrase: &Secret, plain: &[u8]) -> Result<Vec<u8>, AgeFault> {
    let mut salt = [0; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| AgeFault::Unusable)?;
    let file_key = FileKey::random()?;
    let key = stretched(passphrase, &salt, WORK)?;
    let body = file_key.wrapped(&key)?;
    let words = vec!["scrypt".to_owned(), STANDARD_NO_PAD.encode(salt), WORK.to_string()];
    let mut out = header::write(&file_key, &[Stanza { words, body }])?;
    let sealer = begin_payload(&file_key, &mut out)?;
    seal_whole(sealer, plain, &mut out)?;
    Ok(out)
}

fn stretched(passphrase: &Secret, salt: &[u8], work: u8) -> Result<Zeroizing<[u8; 32]>, AgeFault> {
    let mut key = Zeroizing::new([0; 32]);
    let params = scrypt::Params::new(work, 8, 1).map_err(|_| AgeFault::Unusable)?;
    let salt = [LABEL, salt].concat();
    scrypt::scrypt(passphrase.expose(), &salt, &params, key.as_mut_slice())
        .map_err(|_| AgeFault::Unusable)?;
    Ok(key)
}

/// Opens a file whose work is small enough; what tests look at.
#[cfg(test)]
pub(super) fn open_with_passphrase(
    passphrase: &Secret,
    bytes: &[u8],
) -> Result<Zeroizing<Vec<u8>>, AgeFault> {
    let header = header::read(bytes)?;
    let [stanza] = header.stanzas.as_slice() else { return Err(AgeFault::NoIdentity) };
    let [_, salt, work] = stanza.words.as_slice() else { return Err(AgeFault::NoIdentity) };
    let key = stretched(passphrase, &STANDARD_NO_PAD.decode(salt).unwrap(), work.parse().unwrap())?;
    let file_key = FileKey::unwrap_with(&key, &stanza.body)?.ok_or(AgeFault::NoIdentity)?;
    super::open_payload(&header.prove(file_key)?, &bytes[header.length..])
}

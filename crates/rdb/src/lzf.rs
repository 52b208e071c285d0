//! LZF, the compression of long strings (Redis `src/lzf_d.c`): expanding it, and proving it without expanding.
//!
//! ```
//! use keystow_rdb::lzf;
//!
//! // "ab" as it is, then nine bytes from two before.
//! let compressed = [1, b'a', b'b', 7 << 5, 0, 1];
//! assert_eq!(lzf::expand(&compressed, 11, 1024)?, b"abababababa");
//! # Ok::<(), Box<keystow_rdb::Reason>>(())
//! ```

use crate::{fault::Reason, source::GROWTH_BYTES};

/// Three bytes (control, long length, distance) give at most 2 + 7 + 255 bytes: nothing does better.
const MAX_RATIO: u64 = 88;

const BEFORE_START: Reason = Reason::Lzf("it refers to bytes before its start");
const CUT: Reason = Reason::Lzf("it ends inside an instruction");
const WRONG_LENGTH: Reason = Reason::Lzf("it does not expand to the promised length");

/// Refuses promises that no compressed string can keep, before anything is read for them.
pub(crate) fn check_ratio(stored: u64, plain: u64) -> Result<(), Box<Reason>> {
    if stored == 0 || plain == 0 || plain > stored.saturating_mul(MAX_RATIO) {
        return Err(WRONG_LENGTH.into());
    }
    Ok(())
}

/// Expands a compressed string that promises `plain` bytes. Memory grows with what really comes out.
///
/// # Errors
/// [`Reason::TooLarge`] when more than `limit` bytes are promised, [`Reason::Lzf`] when the promise is not kept.
pub fn expand(compressed: &[u8], plain: u64, limit: u64) -> Result<Vec<u8>, Box<Reason>> {
    if plain > limit {
        return Err(Reason::TooLarge { bytes: plain, limit }.into());
    }
    check_ratio(compressed.len() as u64, plain)?;
    let mut out = Vec::new();
    expand_into(compressed, plain, &mut out, GROWTH_BYTES)?;
    Ok(out)
}

/// Expands to the end of `out`, which must be empty and grows by at most `growth` bytes ahead of its content.
pub(crate) fn expand_into(
    compressed: &[u8],
    plain: u64,
    out: &mut Vec<u8>,
    growth: usize,
) -> Result<(), Box<Reason>> {
    let plain = usize::try_from(plain).map_err(|_| WRONG_LENGTH)?;
    let mut rest = compressed;
    while let Some((&control, tail)) = rest.split_first() {
        let control = usize::from(control);
        let (bytes, distance);
        (bytes, distance, rest) = if control < 32 {
            (control + 1, 0, tail)
        } else {
            let (extra, tail) = match control >> 5 {
                7 => take_byte(tail)?,
                _ => (0, tail),
            };
            let (low, tail) = take_byte(tail)?;
            let distance = ((control & 31) << 8 | low) + 1;
            ((control >> 5) + extra + 2, distance, tail)
        };
        if bytes > plain - out.len() {
            return Err(WRONG_LENGTH.into());
        }
        if out.capacity() - out.len() < bytes {
            out.reserve_exact((plain - out.len()).min(growth));
        }
        if distance == 0 {
            let (literal, tail) = rest.split_at_checked(bytes).ok_or(CUT)?;
            out.extend_from_slice(literal);
            rest = tail;
        } else {
            repeat(out, bytes, distance)?;
        }
    }
    if out.len() == plain { Ok(()) } else { Err(WRONG_LENGTH.into()) }
}

/// Proves a compressed string that is all there, without expanding it.
pub(crate) fn prove(compressed: &[u8], plain: u64) -> Result<(), Box<Reason>> {
    check_ratio(compressed.len() as u64, plain)?;
    let mut rest = compressed;
    let mut produced = 0;
    while let Some((&control, tail)) = rest.split_first() {
        let control = usize::from(control);
        if control < 32 {
            rest = tail.get(control + 1..).ok_or(CUT)?;
            produced += control + 1;
            continue;
        }
        let (extra, tail) = match control >> 5 {
            7 => take_byte(tail)?,
            _ => (0, tail),
        };
        let (low, tail) = take_byte(tail)?;
        if ((control & 31) << 8 | low) >= produced {
            return Err(BEFORE_START.into());
        }
        produced += (control >> 5) + extra + 2;
        rest = tail;
    }
    if produced as u64 == plain { Ok(()) } else { Err(WRONG_LENGTH.into()) }
}

/// Proves a compressed string piece by piece. What a reference copies cannot be wrong, only where from:
/// so the length of the output is all that has to be kept.
#[derive(Debug, Default)]
pub struct Walk {
    produced: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// A control byte comes next.
    #[default]
    Control,
    /// That many literal bytes come next.
    Literal(usize),
    /// The rest of the match's length comes next; the high bits of its distance are known.
    LongLength(u64),
    /// The low byte of the distance comes next.
    Distance { high: u64, bytes: u64 },
}

impl Walk {
    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Reason::Lzf`]: it refers to bytes before its start.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Box<Reason>> {
        let mut rest = piece;
        while let Some((&byte, tail)) = rest.split_first() {
            let value = u64::from(byte);
            rest = tail;
            self.state = match self.state {
                State::Control if byte < 32 => {
                    self.produced += value + 1;
                    pass_literal(usize::from(byte) + 1, &mut rest)
                }
                State::Control => {
                    let high = (value & 31) << 8;
                    match (value >> 5, rest) {
                        (7, _) => State::LongLength(high),
                        (short, [low, tail @ ..]) => {
                            rest = tail;
                            self.refer(high | u64::from(*low), short + 2)?
                        }
                        (short, []) => State::Distance { high, bytes: short + 2 },
                    }
                }
                State::Literal(bytes) => {
                    // The byte just taken is the first of them.
                    pass_literal(bytes - 1, &mut rest)
                }
                State::LongLength(high) => State::Distance { high, bytes: value + 7 + 2 },
                State::Distance { high, bytes } => self.refer(high | value, bytes)?,
            };
        }
        Ok(())
    }

    /// Takes a reference to `distance` (less one) before the end of the output.
    #[inline]
    fn refer(&mut self, distance: u64, bytes: u64) -> Result<State, Box<Reason>> {
        if distance >= self.produced {
            return Err(BEFORE_START.into());
        }
        self.produced += bytes;
        Ok(State::Control)
    }

    /// Judges the whole once all pieces were fed: whether it expands to `plain` bytes.
    ///
    /// # Errors
    /// [`Reason::Lzf`]: it does not, or ends too early.
    pub fn finish(self, plain: u64) -> Result<(), Box<Reason>> {
        match self.state {
            State::Control if self.produced == plain => Ok(()),
            State::Control => Err(WRONG_LENGTH.into()),
            _ => Err(CUT.into()),
        }
    }
}

/// Passes over literal bytes, as far as they are there.
#[inline]
fn pass_literal(bytes: usize, rest: &mut &[u8]) -> State {
    let here = bytes.min(rest.len());
    *rest = &rest[here..];
    match bytes - here {
        0 => State::Control,
        left => State::Literal(left),
    }
}

fn take_byte(bytes: &[u8]) -> Result<(usize, &[u8]), Box<Reason>> {
    let (&byte, tail) = bytes.split_first().ok_or(CUT)?;
    Ok((byte.into(), tail))
}

/// Appends bytes that stand `distance` before the end; they may reach into what is being appended.
fn repeat(out: &mut Vec<u8>, bytes: usize, distance: usize) -> Result<(), Box<Reason>> {
    let start = out.len().checked_sub(distance).ok_or(BEFORE_START)?;
    let mut left = bytes;
    while left > 0 {
        // Each round doubles what stands behind `start`, always a whole number of repetitions.
        let step = left.min(out.len() - start);
        out.extend_from_within(start..start + step);
        left -= step;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expand_all(compressed: &[u8], plain: u64) -> Result<Vec<u8>, Box<Reason>> {
        let mut out = Vec::new();
        expand_into(compressed, plain, &mut out, 64).map(|()| out)
    }

    fn walk(compressed: &[u8], plain: u64, step: usize) -> Result<(), Box<Reason>> {
        let mut walk = Walk::default();
        for piece in compressed.chunks(step) {
            walk.feed(piece)?;
        }
        walk.finish(plain)
    }

    #[test]
    fn overlapping_reference_repeats() {
        // "ab" as a literal, then 9 bytes from a distance of 2.
        let compressed = [1, b'a', b'b', 7 << 5, 0, 1];
        assert_eq!(expand_all(&compressed, 11).unwrap(), b"abababababa");
        assert_eq!(walk(&compressed, 11, 1), Ok(()));
    }

    #[test]
    fn reference_before_the_start_is_refused() {
        let compressed = [0, b'a', 1 << 5, 1];
        assert_eq!(expand_all(&compressed, 4), Err(BEFORE_START.into()));
        assert_eq!(walk(&compressed, 4, 8), Err(BEFORE_START.into()));
    }

    #[test]
    fn impossible_ratio_is_refused() {
        assert_eq!(check_ratio(3, 2 << 30), Err(WRONG_LENGTH.into()));
        assert_eq!(check_ratio(3, 264), Ok(()));
    }

    proptest! {
        #[test]
        fn walk_and_expand_agree(
            compressed in proptest::collection::vec(prop_oneof![0u8..4, 32u8..40, any::<u8>()], 1..64),
            plain in 1u64..300,
            step in 1usize..9,
        ) {
            let expanded = expand_all(&compressed, plain);
            prop_assert_eq!(expanded.is_ok(), walk(&compressed, plain, step).is_ok());
            if check_ratio(compressed.len() as u64, plain).is_ok() {
                prop_assert_eq!(expanded.is_ok(), prove(&compressed, plain).is_ok());
            }
        }
    }
}

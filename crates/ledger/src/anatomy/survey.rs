//! All blocks of a history together: how many bytes of what, and what gives somebody away.

use super::{Class, Part, dissect};
use crate::curve::{Sum, generators};
use crate::rules::Height;
use crate::sealed::Header;
use curve25519_dalek::ristretto::RistrettoPoint;
use mutirao_wire::{Decode, DecodeError, Reader};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

/// An amount under a pad is below this once in sixteen million, an honest one in the clear mostly.
const PLAIN_AMOUNT: u64 = 1 << 40;
/// Commitments to amounts below this are recognised if they have no blinding.
const PLAIN_COMMITMENT: u64 = 4096;
/// As many readable letters in a row come about by chance once in 2^34.
const WORDS: usize = 24;
/// As many equal bytes in a row, once in 2^48.
const RUN: usize = 7;
/// Bytes of a field from which on its evenness is judged: ten of each value.
const EVEN_FROM: u64 = 2_560;
/// Chi-square with 255 degrees of freedom is above this once in 10^9.
const EVEN_MOST: u128 = 420;

/// Something that gives somebody away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// What must stand there once stands there twice.
    Reuse {
        /// Where first.
        field: &'static str,
        /// In which block.
        height: Height,
        /// Where again.
        again: &'static str,
        /// In which block.
        again_height: Height,
    },
    /// An amount that nothing hides.
    PlainAmount {
        /// Where.
        field: &'static str,
        /// In which block.
        height: Height,
        /// What it seems to be, in base units.
        amount: u64,
    },
    /// Words, or padding, that nothing hides.
    PlainText {
        /// Where.
        field: &'static str,
        /// In which block.
        height: Height,
    },
    /// Ciphertext in which some bytes are more frequent than others.
    Uneven {
        /// Where.
        field: &'static str,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reuse { field, height, again, again_height } => write!(
                f,
                "the {field} of block {} is the {again} of block {} again: whoever looks knows \
                 that both are one person's",
                height.0, again_height.0
            ),
            Self::PlainAmount { field, height, amount } => {
                write!(f, "the {field} in block {} is {amount} base units in the clear", height.0)
            }
            Self::PlainText { field, height } => {
                write!(f, "the {field} in block {} can be read by everybody", height.0)
            }
            Self::Uneven { field } => write!(f, "the {field} does not look like chance"),
        }
    }
}

/// How much there is of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Its name.
    pub field: &'static str,
    /// What it is.
    pub class: Class,
    /// How many there are.
    pub count: u64,
    /// Their bytes together.
    pub bytes: u64,
}

/// A reading of many blocks.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    totals: BTreeMap<&'static str, Total>,
    seen: BTreeMap<Vec<u8>, (&'static str, Height)>,
    bytes_of: BTreeMap<&'static str, [u64; 256]>,
    findings: Vec<Finding>,
    bytes: u64,
}

/// What commitments to small amounts would be without a blinding; made once.
fn unblinded() -> &'static BTreeMap<[u8; 32], u64> {
    static ALL: OnceLock<BTreeMap<[u8; 32], u64>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut sum = RistrettoPoint::default();
        let commit = |amount| {
            let bytes = Sum(sum).bytes();
            sum += generators().v.inner();
            (bytes, amount)
        };
        (0..PLAIN_COMMITMENT).map(commit).collect()
    })
}

impl Survey {
    /// Takes in a sealed block.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes that are none; nothing was taken in then.
    // spec: CHAIN-7.1, CHAIN-7.2
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let parts = dissect(bytes)?;
        let height = Header::decode(&mut Reader::new(bytes))?.height;
        for part in &parts {
            self.count(part);
            self.judge(part, height);
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// All fields that there were, with how much of each.
    pub fn totals(&self) -> impl Iterator<Item = &Total> {
        self.totals.values()
    }

    /// Bytes of all blocks; the totals add up to it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What gives somebody away.
    // spec: CHAIN-7.2
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let uneven = self.bytes_of.iter().filter(|(_, counts)| !is_even(counts));
        let uneven = uneven.map(|(field, _)| Finding::Uneven { field });
        self.findings.iter().cloned().chain(uneven).collect()
    }

    fn count(&mut self, part: &Part<'_>) {
        let (field, class) = (part.field, part.class);
        let new = Total { field, class, count: 0, bytes: 0 };
        let total = self.totals.entry(field).or_insert(new);
        total.count += 1;
        total.bytes += part.bytes.len() as u64;
    }

    fn judge(&mut self, part: &Part<'_>, height: Height) {
        self.reuse(part, height);
        if part.class == Class::Public {
            return;
        }
        let field = part.field;
        if part.class == Class::Ciphertext {
            self.amount(part, height);
            let counts = self.bytes_of.entry(field).or_insert([0; 256]);
            for byte in part.bytes {
                if let Some(count) = counts.get_mut(usize::from(*byte)) {
                    *count += 1;
                }
            }
        }
        if let Some(amount) = bare_amount(part) {
            self.findings.push(Finding::PlainAmount { field, height, amount });
        }
        if has_words(part.bytes) || has_run(part.bytes) {
            self.findings.push(Finding::PlainText { field, height });
        }
    }

    /// A key, a tag, a commitment stands there once, and nowhere as something else.
    fn reuse(&mut self, part: &Part<'_>, height: Height) {
        let names = part.bytes.len() == 32 && part.field.contains("key");
        if part.bytes.len() < 8 || (part.repeats && !names) {
            return;
        }
        let here = (part.field, height);
        let Some((field, before)) = self.seen.insert(part.bytes.to_vec(), here) else { return };
        if part.repeats && field == part.field {
            return;
        }
        let (again, again_height) = here;
        self.findings.push(Finding::Reuse { field, height: before, again, again_height });
    }

    fn amount(&mut self, part: &Part<'_>, height: Height) {
        let Ok(bytes) = <[u8; 8]>::try_from(part.bytes) else { return };
        let spelled = [u64::from_le_bytes(bytes), u64::from_be_bytes(bytes)];
        for amount in spelled.into_iter().filter(|amount| *amount < PLAIN_AMOUNT).take(1) {
            self.findings.push(Finding::PlainAmount { field: part.field, height, amount });
        }
    }
}

/// The amount of a commitment that has no blinding, where it is small.
fn bare_amount(part: &Part<'_>) -> Option<u64> {
    let bytes = <[u8; 32]>::try_from(part.bytes).ok()?;
    (part.class == Class::Commitment).then(|| unblinded().get(&bytes).copied())?
}

fn has_words(bytes: &[u8]) -> bool {
    let mut length = 0;
    bytes.iter().any(|byte| {
        length = if matches!(byte, b' '..=b'~') { length + 1 } else { 0 };
        length >= WORDS
    })
}

fn has_run(bytes: &[u8]) -> bool {
    bytes.windows(RUN).any(|window| window.iter().all(|byte| window.first() == Some(byte)))
}

/// Whether all values are about as frequent, in whole numbers: chi-square is 256·Σ o²/n − n.
fn is_even(counts: &[u64; 256]) -> bool {
    let all: u64 = counts.iter().sum();
    let squares: u128 = counts.iter().map(|count| u128::from(*count) * u128::from(*count)).sum();
    let all_wide = u128::from(all);
    all < EVEN_FROM || 256 * squares <= all_wide * (all_wide + EVEN_MOST)
}

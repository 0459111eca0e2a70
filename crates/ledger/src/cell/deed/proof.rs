//! Showing a deed to somebody: what it names, and that it is the shower's.

use super::Deed;
use super::plan::{DeedOpening, name_scalar};
use crate::curve::{Sum, generators};
use crate::key::SpendKey;
use crate::note::OwnedNote;
use crate::sigma::{self, SigmaProof};
use mutirao_wire::{Decode, DecodeError, Digest, Encode, Reader};
use rand_core::CryptoRng;

/// Shows that a deed names something and belongs to whoever answered the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeedProof {
    /// What it names.
    pub name: Digest,
    opens: SigmaProof,
    owns: SigmaProof,
}

impl Encode for DeedProof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.name.encode(out);
        self.opens.encode(out);
        self.owns.encode(out);
    }
}
impl Decode for DeedProof {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: Digest::decode(input)?,
            opens: SigmaProof::decode(input)?,
            owns: SigmaProof::decode(input)?,
        })
    }
}

/// `D − m·W`, a multiple of `H` exactly if the deed names that.
fn rest(deed: &Deed, name: &Digest) -> Sum {
    Sum(deed.name.inner() - generators().w.inner() * name_scalar(name))
}

impl DeedProof {
    /// Answers `question`, 32 bytes that whoever asks chose freshly.
    #[must_use]
    pub fn new(
        deed: &Deed,
        opening: &DeedOpening,
        owner: (&SpendKey, &OwnedNote),
        question: &[u8; 32],
        rng: &mut impl CryptoRng,
    ) -> Self {
        let (keys, note) = owner;
        let (x, y) = keys.one_time_secrets(note.address, note.offsets());
        let opens = sigma::equal(&rest(deed, &opening.name));
        let owns = sigma::owner(&deed.owner);
        Self {
            name: opening.name,
            opens: opens.prove(question, &[opening.blinding.scalar()], rng),
            owns: owns.prove(question, &[x.scalar(), y.scalar()], rng),
        }
    }

    /// Whether the answer is right.
    // spec: LEDGER-9.5
    #[must_use]
    pub fn verify(&self, deed: &Deed, question: &[u8; 32]) -> bool {
        let opens = sigma::equal(&rest(deed, &self.name)).verify(question, &self.opens);
        opens && sigma::owner(&deed.owner).verify(question, &self.owns)
    }
}

//! Chance from 32 bytes: the only source of it in this crate, so that whoever starts a ledger says
//! where it comes from, and a simulation can say it again.

use mutirao_ledger::rules::ChainId;
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

/// The output of BLAKE3 on a seed, read on and on.
pub struct Chance(blake3::OutputReader);

impl std::fmt::Debug for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chance(redacted)")
    }
}

impl Chance {
    /// From secret bytes of the system.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self::under("mutirao v1 chain chance", secret)
    }

    /// The chance by which a genesis makes its notes: public, so that everybody makes the same.
    #[must_use]
    pub fn of_genesis(chain: ChainId) -> Self {
        Self::under("mutirao v1 chain genesis chance", &chain.0.0)
    }

    fn under(domain: &'static str, seed: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(domain);
        hasher.update(seed);
        Self(hasher.finalize_xof())
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}
impl TryCryptoRng for Chance {}

//! Small sealed files beside the book, for whoever must not wait for the wallet: vouchers flow
//! while the wallet asks its ledger.
//!
//! They are sealed like the book and replaced whole. Without `sync` a kill leaves the old file or
//! the new one, and only a machine that loses its power may forget the last few.

use crate::earning::Earning;
use crate::keystore::VaultKey;
use crate::shelf::Shelf;
use crate::vault;
use crate::wallet::WalletError;
use mutirao_ledger::cell::CellId;
use mutirao_ledger::cell::channel::Progress;
use mutirao_wire::{Decode, Encode};
use rand_core::CryptoRng;
use std::sync::Arc;

/// Bytes of a sealed progress at most.
const PROGRESS_BYTES_MAX: usize = 256;
/// Bytes of a sealed channel that pays us at most.
const EARNING_BYTES_MAX: usize = 8192;
/// How the names of files of channels that pay us begin.
const EARNED: &str = "earned-";

/// The small files of one wallet. As long as it lives no other process has the wallet.
#[derive(Debug, Clone)]
pub struct Notes {
    shelf: Arc<Shelf>,
    vault: VaultKey,
}

impl Notes {
    pub(crate) fn new(shelf: Arc<Shelf>, vault: VaultKey) -> Self {
        Self { shelf, vault }
    }

    /// Something that was kept under a name.
    ///
    /// # Errors
    /// [`WalletError`] when it is damaged.
    pub fn read<T: Decode>(&self, name: &str, maximum: usize) -> Result<Option<T>, WalletError> {
        let bytes = self.shelf.note(name, maximum)?;
        Ok(bytes.map(|bytes| vault::open(&bytes, &self.vault)).transpose()?)
    }

    /// Keeps something under a name. `sync` waits for the disk.
    ///
    /// # Errors
    /// [`WalletError`]; what was there before is then still there.
    pub fn keep(
        &self,
        name: &str,
        what: &impl Encode,
        sync: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<(), WalletError> {
        let bytes = vault::seal(what, &self.vault, rng)?;
        Ok(self.shelf.put_note(name, &bytes, sync)?)
    }

    /// How far the vouchers of a channel are. What is damaged is as good as lost, and that is
    /// harmless: two vouchers that differ never share a blinding, whoever forgets which was the
    /// last (LEDGER-12.4), and a payee shows the last one to who asks.
    ///
    /// # Errors
    /// [`WalletError`] when the system refuses.
    // spec: WALLET-7.2
    pub fn progress(&self, id: CellId) -> Result<Progress, WalletError> {
        let bytes = self.shelf.note(&paid(id), PROGRESS_BYTES_MAX)?;
        let kept = bytes.and_then(|bytes| vault::open(&bytes, &self.vault).ok());
        Ok(kept.unwrap_or_default())
    }

    /// Remembers how far a channel is: before the voucher leaves the machine.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-7.2
    pub fn keep_progress(
        &self,
        id: CellId,
        progress: Progress,
        sync: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<(), WalletError> {
        self.keep(&paid(id), &progress, sync, rng)
    }

    /// A channel that pays us.
    ///
    /// # Errors
    /// [`WalletError`] when its file is damaged.
    pub fn earning(&self, id: CellId) -> Result<Option<Earning>, WalletError> {
        self.read(&earned(id), EARNING_BYTES_MAX)
    }

    /// All of them.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn earnings(&self) -> Result<Vec<(CellId, Earning)>, WalletError> {
        let mut all = Vec::new();
        for name in self.shelf.notes(EARNED)? {
            let Ok(id) = mutirao_wire::Digest::from_hex(&name) else { continue };
            let id = CellId(id);
            all.extend(self.earning(id)?.map(|earning| (id, earning)));
        }
        Ok(all)
    }

    /// Remembers the best voucher of a channel: it cannot be had again from the words.
    ///
    /// # Errors
    /// [`WalletError`].
    // spec: WALLET-7.5
    pub fn keep_earning(
        &self,
        id: CellId,
        earning: &Earning,
        sync: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<(), WalletError> {
        self.keep(&earned(id), earning, sync, rng)
    }

    /// Forgets a channel that was closed, or never earned anything.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn forget_earning(&self, id: CellId) -> Result<(), WalletError> {
        Ok(self.shelf.drop_note(&earned(id))?)
    }
}

fn paid(id: CellId) -> String {
    format!("paid-{}", id.0.hex())
}

fn earned(id: CellId) -> String {
    format!("{EARNED}{}", id.0.hex())
}

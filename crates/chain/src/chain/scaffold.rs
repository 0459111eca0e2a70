//! Blocks on the way: upon a state, and upon others that are not final.

use crate::genesis::Genesis;
use crate::machine::BlockFault;
use crate::store::{Stand, View};
use mutirao_ledger::block::{self, BlockError};
use mutirao_ledger::examine::Resolved;
use mutirao_ledger::rules::Rules;
use mutirao_ledger::sealed::{Sealed, Tip};
use mutirao_ledger::service::Refusal;
use mutirao_ledger::state::Overlay;
use mutirao_ledger::tx::{Transaction, TxId};

/// A block in the making.
#[derive(Default)]
pub struct Filled {
    pub transactions: Vec<Transaction>,
    pub resolved: Vec<Resolved>,
    pub unfit: Vec<(TxId, Refusal)>,
}

impl Filled {
    pub fn add(&mut self, tx: Transaction, resolved: Resolved) {
        self.transactions.push(tx);
        self.resolved.push(resolved);
    }
}

/// The state with blocks upon it that are not final.
pub struct Scaffold<'a> {
    pub overlay: Overlay<'a>,
    pub tip: Tip,
}

impl<'a> Scaffold<'a> {
    pub fn new(view: &'a View, stand: &Stand) -> Self {
        Self { overlay: Overlay::new(view, stand.summary.clone()), tip: stand.tip }
    }

    pub fn resolve(
        &self,
        block: &Sealed,
        genesis: &Genesis,
        rules: &Rules,
    ) -> Result<block::Pending, BlockError> {
        let permit = genesis.permit(block.header.height, &block.transactions);
        block::resolve(&block.block(), &self.overlay, &self.overlay.summary, rules, permit)
    }

    /// One more block, whose claims were checked when it was verified itself.
    pub fn put(
        &mut self,
        block: &Sealed,
        genesis: &Genesis,
        rules: &Rules,
    ) -> Result<(), BlockFault> {
        block.follows(&self.tip)?;
        let pending = self.resolve(block, genesis, rules)?;
        for (at, effects) in pending.effects().iter().enumerate() {
            let applied = self.overlay.apply(effects);
            applied.map_err(|error| BlockError::Supply { at, error })?;
        }
        self.overlay.summary = pending.summary;
        self.tip = block.header.tip();
        Ok(())
    }
}

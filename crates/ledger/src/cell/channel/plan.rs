//! What payer and payee intend with a channel, made into an action and what proves it.

use super::{Channel, ChannelAction, Drawn, Payer};
use crate::cell::keepsake::{Keepsake, PartyKey, Side};
use crate::cell::knowledge::{Blindings, Knowledge, Making};
use crate::cell::till::plan::{deposit, share_of};
use crate::cell::till::{self, Share};
use crate::cell::{Cell, CellError, CellId, Cells};
use crate::commit::Opening;
use crate::curve::Point;
use crate::key::SpendKey;
use crate::rules::Height;
use mutirao_wire::Amount;

/// What somebody wants to happen to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a few a transaction, never stored")]
pub enum ChannelPlan {
    /// Open one.
    Open(OpenPlan),
    /// Add to one.
    TopUp(TopUpPlan),
    /// Redeem a voucher.
    Close(ClosePlan),
    /// Divide it as both agree; see [`crate::build::propose`].
    Settle(SettlePlan),
    /// Take back what is left.
    Refund(RefundPlan),
}

/// Open a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlan {
    /// How much at most.
    pub amount: Amount,
    /// `O_p`, as the payee gave it.
    pub payee: Point,
    /// Which tills get which share: those of the model.
    pub royalties: Vec<Share>,
    /// From the next height on everything can be taken back.
    pub expiry: Height,
}

/// Add to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopUpPlan {
    /// Which.
    pub channel: CellId,
    /// A keepsake of it.
    pub kept: Keepsake,
    /// How much.
    pub amount: Amount,
}

/// Redeem a voucher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosePlan {
    /// The voucher: the payee takes the one that it likes best.
    pub drawn: Drawn,
    /// What the payer told of the deposit.
    pub told: Vec<Opening>,
    /// The payee's key.
    pub key: PartyKey,
}

/// Divide a channel as both agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlePlan {
    /// Which.
    pub channel: CellId,
    /// All of the deposit, part by part.
    pub told: Vec<Opening>,
    /// The key of whoever builds, payer or payee. The other agrees to what was built.
    pub key: PartyKey,
}

/// Take back what is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundPlan {
    /// Which.
    pub channel: CellId,
    /// Its keepsakes: one for each part that stands on the chain.
    pub kept: Vec<Keepsake>,
}

fn find(id: CellId, cells: &dyn Cells) -> Result<Channel, CellError> {
    match cells.cell(&id) {
        Some(Cell::Channel(channel)) => Ok(channel),
        Some(_) => Err(CellError::Kind(id)),
        None => Err(CellError::Missing(id)),
    }
}

fn sum<'a>(openings: impl IntoIterator<Item = &'a Opening>) -> u128 {
    openings.into_iter().map(|opening| u128::from(opening.amount.0)).sum()
}

/// Tells the prover all that opens the parts of a channel.
fn know_parts(channel: &Channel, told: &[Opening], known: &mut Knowledge) {
    for part in channel.parts() {
        if let Some(opening) = told.iter().find(|opening| opening.opens(&part)) {
            known.opening(part, opening.clone());
        }
    }
}

impl ChannelPlan {
    /// What the plan's owner writes to itself.
    // spec: LEDGER-7.5
    pub(crate) fn keepsake(&self, blindings: &mut Blindings) -> Option<Keepsake> {
        match self {
            Self::Open(plan) => Some(Keepsake::fresh(Side::Payer, plan.amount, blindings)),
            Self::TopUp(plan) => {
                Some(Keepsake::more(Side::Payer, plan.kept.nonce, plan.amount, blindings))
            }
            _ => None,
        }
    }

    /// Whether it writes one.
    #[must_use]
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Open(_) | Self::TopUp(_))
    }

    /// Slots of the action.
    ///
    /// # Errors
    /// [`CellError`] when there is no such channel.
    pub fn slots(&self, cells: &dyn Cells) -> Result<usize, CellError> {
        Ok(match self {
            Self::Open(_) | Self::TopUp(_) => 1,
            Self::Close(plan) => 1 + 3 * find(plan.drawn.voucher.channel, cells)?.royalties.len(),
            Self::Settle(_) | Self::Refund(_) => 0,
        })
    }

    /// What the action takes out.
    ///
    /// # Errors
    /// [`CellError`] when there is no such channel, or not all of it is known.
    pub fn taken(&self, cells: &dyn Cells, keys: &SpendKey) -> Result<u128, CellError> {
        Ok(match self {
            Self::Open(_) | Self::TopUp(_) => 0,
            Self::Close(plan) => u128::from(plan.drawn.opening.amount.0),
            Self::Settle(plan) => {
                let channel = find(plan.channel, cells)?;
                let told = |part: &Point| plan.told.iter().find(|told| told.opens(part));
                sum(channel.parts().iter().filter_map(told))
            }
            Self::Refund(plan) => sum(&plan.held(cells, keys)?),
        })
    }

    /// What the action puts into cells.
    ///
    /// # Errors
    /// [`CellError`] when there is no such channel.
    pub fn put(&self, cells: &dyn Cells) -> Result<u128, CellError> {
        Ok(match self {
            Self::Open(OpenPlan { amount, .. }) | Self::TopUp(TopUpPlan { amount, .. }) => {
                amount.0.into()
            }
            Self::Close(plan) => {
                let channel = find(plan.drawn.voucher.channel, cells)?;
                channel.royalties.iter().map(|share| u128::from(plan.royalty(share).0)).sum()
            }
            Self::Settle(_) | Self::Refund(_) => 0,
        })
    }

    /// The channel that the plan is about; none for one that it opens.
    #[must_use]
    pub fn channel(&self) -> Option<CellId> {
        match self {
            Self::Open(_) => None,
            Self::TopUp(plan) => Some(plan.channel),
            Self::Close(plan) => Some(plan.drawn.voucher.channel),
            Self::Settle(plan) => Some(plan.channel),
            Self::Refund(plan) => Some(plan.channel),
        }
    }

    /// The action.
    ///
    /// # Errors
    /// [`CellError`] when there is no such channel or till.
    pub fn action(
        &self,
        kept: Option<&Keepsake>,
        making: &mut Making<'_>,
    ) -> Result<ChannelAction, CellError> {
        match (self, kept) {
            (Self::Open(plan), Some(kept)) => Ok(plan.action(kept, making)),
            (Self::TopUp(plan), Some(kept)) => Ok(plan.action(kept, making)),
            (Self::Open(_) | Self::TopUp(_), None) => Err(CellError::Keepsake),
            (Self::Close(plan), _) => plan.action(making),
            (Self::Settle(plan), _) => plan.action(making),
            (Self::Refund(plan), _) => plan.action(making),
        }
    }
}

impl OpenPlan {
    // spec: LEDGER-12.1
    fn action(&self, kept: &Keepsake, making: &mut Making<'_>) -> ChannelAction {
        let payer = Payer::new(making.keys, kept);
        let opening = payer.part(kept);
        let deposit = opening.commit();
        making.known.opening(deposit, opening);
        ChannelAction::Open {
            deposit,
            payer: payer.party().know(making.known),
            payee: self.payee,
            voucher_key: payer.voucher_public(),
            royalties: self.royalties.clone(),
            expiry: self.expiry,
        }
    }
}

impl TopUpPlan {
    // spec: LEDGER-12.2
    fn action(&self, kept: &Keepsake, making: &mut Making<'_>) -> ChannelAction {
        let payer = Payer::new(making.keys, kept);
        let opening = payer.part(kept);
        let added = opening.commit();
        making.known.opening(added, opening);
        payer.party().know(making.known);
        ChannelAction::TopUp { channel: self.channel, added }
    }
}

impl ClosePlan {
    /// What a till gets of the voucher.
    fn royalty(&self, share: &Share) -> Amount {
        share_of(self.drawn.opening.amount, share.basis_points)
    }

    // spec: LEDGER-12.5, LEDGER-12.6
    fn action(&self, making: &mut Making<'_>) -> Result<ChannelAction, CellError> {
        let voucher = self.drawn.voucher.clone();
        let channel = find(voucher.channel, making.cells)?;
        let (covered, _) = channel.covered(&self.told);
        know_parts(&channel, &self.told, making.known);
        making.known.opening(voucher.claim.commitment, self.drawn.opening.clone());
        self.key.know(making.known);
        let mut royalties = Vec::new();
        for share in &channel.royalties {
            let key = till::plan::find(share.till, making.cells)?.key;
            let amount = self.royalty(share);
            royalties.push(deposit(&key, amount, making.blindings, making.known));
        }
        Ok(ChannelAction::Close { voucher, covered, royalties })
    }
}

impl SettlePlan {
    // spec: LEDGER-12.7
    fn action(&self, making: &mut Making<'_>) -> Result<ChannelAction, CellError> {
        let channel = find(self.channel, making.cells)?;
        know_parts(&channel, &self.told, making.known);
        let mine = self.key.know(making.known);
        for other in [channel.payer, channel.payee] {
            if other != mine {
                making.known.other(other);
            }
        }
        Ok(ChannelAction::Settle { channel: self.channel })
    }
}

impl RefundPlan {
    fn payer(&self, keys: &SpendKey) -> Result<Payer, CellError> {
        let kept = self.kept.first().ok_or(CellError::Keepsake)?;
        Ok(Payer::new(keys, kept))
    }

    fn held(&self, cells: &dyn Cells, keys: &SpendKey) -> Result<Vec<Opening>, CellError> {
        let channel = find(self.channel, cells)?;
        let held = self.payer(keys)?.held(&self.channel, &channel, &self.kept);
        held.ok_or(CellError::Keepsake)
    }

    // spec: LEDGER-12.8
    fn action(&self, making: &mut Making<'_>) -> Result<ChannelAction, CellError> {
        for opening in self.held(making.cells, making.keys)? {
            making.known.opening(opening.commit(), opening);
        }
        self.payer(making.keys)?.party().know(making.known);
        Ok(ChannelAction::Refund { channel: self.channel })
    }
}

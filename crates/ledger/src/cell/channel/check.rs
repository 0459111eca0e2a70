//! Which constraints follow from what happens to a channel.

use super::{Channel, ChannelAction, Claim, PARTS_MAX, Phase, ROYALTIES_MAX, Voucher};
use crate::cell::till::action::are_shares;
use crate::cell::till::{self, Deposit, Share, WHOLE};
use crate::cell::{Cell, CellError, CellId, Constraint, Demand, Linear, Scene, Signed};
use crate::curve::{Point, Sum};
use crate::rules::{Check, Height};

/// What follows from the action.
///
/// # Errors
/// [`CellError`] when it makes no sense there.
pub fn check(action: &ChannelAction, scene: &Scene<'_>) -> Result<Demand, CellError> {
    match action {
        ChannelAction::Open { deposit, payer, payee, voucher_key, royalties, expiry } => {
            let channel = Channel {
                payer: *payer,
                payee: *payee,
                voucher_key: *voucher_key,
                royalties: royalties.clone(),
                expiry: *expiry,
                phase: Phase::Open { parts: vec![*deposit] },
            };
            open(channel, *deposit, scene)
        }
        ChannelAction::TopUp { channel, added } => top_up(*channel, *added, scene),
        ChannelAction::Close { voucher, covered, royalties } => {
            close(voucher, *covered, royalties, scene)
        }
        ChannelAction::Settle { channel } => settle(*channel, scene),
        ChannelAction::Refund { channel } => refund(*channel, scene),
    }
}

fn find(id: CellId, scene: &Scene<'_>) -> Result<Channel, CellError> {
    match scene.cells.cell(&id) {
        Some(Cell::Channel(channel)) => Ok(channel),
        Some(_) => Err(CellError::Kind(id)),
        None => Err(CellError::Missing(id)),
    }
}

fn find_open(id: CellId, scene: &Scene<'_>) -> Result<Channel, CellError> {
    let channel = find(id, scene)?;
    let open = scene.rules.holds(Check::ChannelOpen, channel.is_open());
    open.then_some(channel).ok_or(CellError::Phase(id))
}

// spec: LEDGER-12.1
fn open(channel: Channel, deposit: Point, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let royalties = &channel.royalties;
    let sensible = are_shares(royalties) && royalties.len() <= ROYALTIES_MAX;
    if !scene.rules.holds(Check::Royalties, sensible) {
        return Err(CellError::Shares);
    }
    for share in royalties {
        let there = till::check::find(share.till, scene);
        if !scene.rules.holds(Check::RoyaltyTill, there.is_ok()) {
            there?;
        }
    }
    let id = CellId::new(scene.tx, scene.at);
    Ok(Demand {
        outputs: vec![deposit],
        changes: vec![(id, Some(Cell::Channel(channel)))],
        ..Demand::default()
    })
}

// spec: LEDGER-12.2
fn top_up(id: CellId, added: Point, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let mut channel = find_open(id, scene)?;
    let mut parts = channel.parts();
    if !scene.rules.holds(Check::TopUps, parts.len() < PARTS_MAX) {
        return Err(CellError::Parts);
    }
    parts.push(added);
    channel.phase = Phase::Open { parts };
    Ok(Demand {
        outputs: vec![added],
        constraints: scene.demand(Check::Payer, Constraint::Sig(channel.payer)),
        changes: vec![(id, Some(Cell::Channel(channel)))],
        ..Demand::default()
    })
}

// spec: LEDGER-12.5
fn close(
    voucher: &Voucher,
    covered: u8,
    royalties: &[Deposit],
    scene: &Scene<'_>,
) -> Result<Demand, CellError> {
    let channel = find_open(voucher.channel, scene)?;
    let (wanted, given) = (channel.royalties.len(), royalties.len());
    if !scene.rules.holds(Check::RoyaltyCount, wanted == given) {
        return Err(CellError::RoyaltyCount { wanted, given });
    }
    let claim = voucher.claim;
    let enough = Constraint::Ge(covering(&channel.parts(), covered, &claim)?);
    let payee = scene.demand(Check::Payee, Constraint::Sig(channel.payee));
    let mut demand = Demand {
        inputs: vec![claim.commitment],
        outputs: royalties.iter().map(|deposit| deposit.commitment).collect(),
        constraints: [payee, scene.demand(Check::Covered, enough)].concat(),
        signed: scene.signed(Check::VoucherSigned, signature(voucher, &channel, scene)),
        ..Demand::default()
    };
    for (share, deposit) in channel.royalties.iter().zip(royalties) {
        royalty(share, deposit, claim.commitment, &mut demand, scene)?;
    }
    demand.changes.push((voucher.channel, after(channel, claim)));
    Ok(demand)
}

/// `Σ Dᵢ − C_v` over the parts that the payee names: those it could open. What others a payer put
/// there, under blindings that it keeps to itself, is in nobody's way.
fn covering(parts: &[Point], covered: u8, claim: &Claim) -> Result<Linear, CellError> {
    let mut terms = vec![(-1, claim.commitment)];
    for at in 0..8u8 {
        if covered & (1 << at) != 0 {
            let part = parts.get(usize::from(at)).ok_or(CellError::Part(at))?;
            terms.push((1, *part));
        }
    }
    Linear::new(terms, 0)
}

fn signature(voucher: &Voucher, channel: &Channel, scene: &Scene<'_>) -> Signed {
    Signed {
        relation: crate::sigma::voucher(&channel.voucher_key),
        message: voucher.claim.message(&scene.body.chain, &voucher.channel),
        proof: voucher.signature.clone(),
    }
}

/// What is left waits for the payer; a channel without anything left ends.
// spec: LEDGER-12.5
fn after(mut channel: Channel, claim: Claim) -> Option<Cell> {
    let rest = Sum(channel.held().0 - claim.commitment.inner());
    rest.point()?;
    channel.phase = Phase::Closed { rest, claim };
    Some(Cell::Channel(channel))
}

/// `0 ≤ bps·C_v − 10000·C ≤ 9999`: the deposit is the share of the voucher, rounded down.
// spec: LEDGER-12.6
fn royalty(
    share: &Share,
    deposit: &Deposit,
    paid: Point,
    demand: &mut Demand,
    scene: &Scene<'_>,
) -> Result<(), CellError> {
    let mut till = till::check::find(share.till, scene)?;
    let (part, whole) = (i32::from(share.basis_points), i32::from(WHOLE));
    let above = Linear::new(vec![(part, paid), (-whole, deposit.commitment)], 0)?;
    let slack = i64::from(WHOLE) - 1;
    let below = Linear::new(vec![(-part, paid), (whole, deposit.commitment)], slack)?;
    let handle = till::check::handle(&till, deposit);
    demand.constraints.extend(scene.demand(Check::Handle, handle));
    demand.constraints.extend(scene.demand(Check::PaidAbove, Constraint::Ge(above)));
    demand.constraints.extend(scene.demand(Check::PaidBelow, Constraint::Ge(below)));
    till.current = till.current.with(deposit);
    demand.changes.push((share.till, Some(Cell::Till(till))));
    Ok(())
}

// spec: LEDGER-12.7
fn settle(id: CellId, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let channel = find_open(id, scene)?;
    let payer = scene.demand(Check::Payer, Constraint::Sig(channel.payer));
    let payee = scene.demand(Check::Payee, Constraint::Sig(channel.payee));
    Ok(Demand {
        inputs: channel.parts(),
        constraints: [payer, payee].concat(),
        changes: vec![(id, None)],
        ..Demand::default()
    })
}

// spec: LEDGER-12.8
fn refund(id: CellId, scene: &Scene<'_>) -> Result<Demand, CellError> {
    let channel = find(id, scene)?;
    let Height(expiry) = channel.expiry;
    let free = !channel.is_open() || scene.height > channel.expiry;
    if !scene.rules.holds(Check::ChannelExpired, free) {
        return Err(CellError::Early(expiry.saturating_add(1)));
    }
    Ok(Demand {
        inputs: channel.parts(),
        constraints: scene.demand(Check::Payer, Constraint::Sig(channel.payer)),
        changes: vec![(id, None)],
        ..Demand::default()
    })
}

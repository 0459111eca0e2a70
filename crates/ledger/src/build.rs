//! Building a transaction from what somebody wants: payments and cell plans, and notes to pay
//! with.
//!
//! Pure: chance comes in as an argument. The builder adds what makes transactions look alike: at
//! least two outputs, change at a random place, a fee of the schedule.

mod plan;

pub use plan::Plan;

use crate::cell::channel::ChannelPlan;
use crate::cell::knowledge::{Blindings, Knowledge, KnowledgeError, Making};
use crate::cell::{CellError, Cells, Constraint, Demand};
use crate::commit::Opening;
use crate::curve::{Point, generators};
use crate::examine::{demands_of, slots};
use crate::key::{Secret, SpendKey};
use crate::note::derive::InputContext;
use crate::note::memo::MemoError;
use crate::note::{self, MadeNotes, NoteIndex, OwnedNote, Payment, SentNote, To};
use crate::range::{self, RangeError, SLOTS_MAX};
use crate::rules::{Check, FeeLevel, Height, Rules, Weight};
use crate::sigma::{self, Element, SigmaProof};
use crate::tx::{Body, Issue, Membership, OUTPUTS_MAX, Proofs, SPENDS_MAX, Spend, Transaction};
use curve25519_dalek::scalar::Scalar;
use mutirao_wire::Amount;
use plan::Letter;
use rand_core::CryptoRng;
use thiserror::Error;

/// A note to spend, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where.
    pub index: NoteIndex,
    /// What its owner knows.
    pub note: OwnedNote,
}

/// What somebody wants.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The notes that pay. What is left comes back as change.
    pub inputs: Vec<Input>,
    /// To whom, how much.
    pub payments: Vec<Payment>,
    /// What happens to cells.
    pub plans: Vec<Plan>,
    /// How urgent.
    pub level: FeeLevel,
    /// The last height at which it may stand in a block.
    pub valid_until: Height,
}

/// A transaction and what its sender keeps.
#[derive(Debug, Clone)]
pub struct Built {
    /// Ready to be sent.
    pub transaction: Transaction,
    /// What was sent, output by output.
    pub sent: Vec<SentNote>,
}

/// Why no transaction can be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The notes do not pay for it.
    #[error("{have} is not enough: payments, deposits and fee come to {need} base units")]
    TooLittle {
        /// What the inputs hold.
        have: u128,
        /// What is needed.
        need: u128,
    },
    /// Too much at once.
    #[error("{what}: {given} are too many for one transaction, at most {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        given: usize,
        /// At most.
        most: usize,
    },
    /// The same note twice.
    #[error("a note is named twice")]
    Twice,
    /// Somebody else has to agree, or agreed to something else.
    #[error("another party has to agree to exactly this transaction; propose it to them")]
    Consent,
    /// A memo or an address.
    #[error(transparent)]
    Memo(#[from] MemoError),
    /// A cell refuses.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// A secret is missing, or amounts do not fit.
    #[error(transparent)]
    Knowledge(#[from] KnowledgeError),
    /// The range proof.
    #[error(transparent)]
    Range(#[from] RangeError),
}

/// Builds and proves a transaction.
///
/// # Errors
/// [`BuildError`] when the wish cannot be fulfilled.
pub fn build(
    keys: &SpendKey,
    rules: &Rules,
    wish: &Wish,
    cells: &dyn Cells,
    height: Height,
    rng: &mut impl CryptoRng,
) -> Result<Built, BuildError> {
    let (built, others) = make(keys, rules, wish, (cells, height), rng, |_| {})?;
    if others.is_empty() { Ok(built) } else { Err(BuildError::Consent) }
}

/// A transaction that waits for one other party to agree.
#[derive(Debug, Clone)]
pub struct Proposal {
    built: Built,
    /// Which proof is missing, and whose.
    hole: (usize, Point),
}

impl Proposal {
    /// What the other agrees to: it looks for its own notes in there, and answers with
    /// [`crate::cell::keepsake::PartyKey::consent`].
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.built.transaction.body
    }

    /// The transaction, now that the other agreed.
    ///
    /// # Errors
    /// [`BuildError::Consent`] when it agreed to something else, or was somebody else.
    // spec: LEDGER-12.7
    pub fn complete(self, consent: SigmaProof) -> Result<Built, BuildError> {
        let Self { mut built, hole: (at, key) } = self;
        let message = built.transaction.id().0.0;
        let place = built.transaction.proofs.constraints.get_mut(at);
        let place = place.filter(|_| sigma::owner(&key).verify(&message, &consent));
        *place.ok_or(BuildError::Consent)? = consent;
        Ok(built)
    }
}

/// As [`build()`], where exactly one other party has to agree.
///
/// # Errors
/// [`BuildError`] when the wish cannot be fulfilled, or nobody else is asked.
// spec: LEDGER-12.7
pub fn propose(
    keys: &SpendKey,
    rules: &Rules,
    wish: &Wish,
    cells: &dyn Cells,
    height: Height,
    rng: &mut impl CryptoRng,
) -> Result<Proposal, BuildError> {
    let (built, others) = make(keys, rules, wish, (cells, height), rng, |_| {})?;
    let [hole] = others[..] else { return Err(BuildError::Consent) };
    Ok(Proposal { built, hole })
}

/// As [`build()`], with a word to say about the body before anything is proven; for forgers.
#[cfg(test)]
pub(crate) fn build_with(
    keys: &SpendKey,
    rules: &Rules,
    wish: &Wish,
    place: (&dyn Cells, Height),
    rng: &mut impl CryptoRng,
    change: impl FnOnce(&mut Body),
) -> Result<Built, BuildError> {
    make(keys, rules, wish, place, rng, change).map(|(built, _)| built)
}

/// The transaction, and which of its proofs are for others to make.
fn make(
    keys: &SpendKey,
    rules: &Rules,
    wish: &Wish,
    (cells, height): (&dyn Cells, Height),
    rng: &mut impl CryptoRng,
    change: impl FnOnce(&mut Body),
) -> Result<(Built, Vec<(usize, Point)>), BuildError> {
    let mut draft = Draft::new(keys, rules, wish, cells, rng)?;
    let payments = draft.payments(wish, rng)?;
    let made = note::make(&keys.receive_key(), &draft.context, &payments, rng)?;
    let mut body = draft.body(keys, wish, &made, cells)?;
    change(&mut body);
    let id = body.id();
    let demands = demands_of(&body, id, cells, rules, height)?;
    let proofs = draft.prove(&body, &made, &demands, rng)?;
    let others = draft.known.others(&demands);
    Ok((Built { transaction: Transaction { body, proofs }, sent: made.sent }, others))
}

/// Builds the transaction by which new value comes in.
///
/// # Errors
/// [`BuildError`] for a memo or too many payees.
pub fn mint(
    rules: &Rules,
    height: Height,
    payments: &[Payment],
    rng: &mut impl CryptoRng,
) -> Result<Built, BuildError> {
    most("outputs", payments.len(), OUTPUTS_MAX)?;
    let context = InputContext::of_mint(&rules.chain.0.0, height.0);
    let total: u128 = payments.iter().map(|payment| u128::from(payment.amount.0)).sum();
    let fits = u64::try_from(total).map_err(|_| BuildError::TooLittle { have: 0, need: total });
    let issue = Issue::Mint { amount: Amount(fits?), height };
    // Nobody's keys: new value has no change, so what a sender would keep for itself is not used.
    let nobody = crate::key::Seed::new(&[0; 64]).account(0);
    let made = note::make(&nobody.receive_key(), &context, payments, rng)?;
    let body = Body {
        chain: rules.chain,
        spends: Vec::new(),
        outputs: made.outputs.clone(),
        actions: Vec::new(),
        ephemerals: made.ephemerals.clone(),
        fee: Amount::ZERO,
        issue,
        valid_until: height,
    };
    let draft =
        Draft::empty(*rules, context, Blindings::new(&Secret::new(Scalar::ONE), &context.0, rng));
    let proofs = draft.prove(&body, &made, &[], rng)?;
    Ok(Built { transaction: Transaction { body, proofs }, sent: made.sent })
}

fn most(what: &'static str, given: usize, most: usize) -> Result<(), BuildError> {
    if given > most { Err(BuildError::TooMany { what, given, most }) } else { Ok(()) }
}

/// One note on its way out.
struct Spending {
    spend: Spend,
    note: OwnedNote,
    secrets: (Secret, Secret),
}

/// A transaction in the making.
struct Draft {
    rules: Rules,
    context: InputContext,
    spending: Vec<Spending>,
    known: Knowledge,
    blindings: Blindings,
    /// What plans say to somebody, by the number of the plan.
    letters: Vec<(usize, Letter)>,
    /// Where each wanted payment, then each letter, stands among the outputs.
    places: Vec<usize>,
    fee: Amount,
    /// What plans take out of cells, and what they put in.
    moved: (u128, u128),
}

impl Draft {
    fn empty(rules: Rules, context: InputContext, blindings: Blindings) -> Self {
        let (known, fee, moved) = (Knowledge::default(), Amount::ZERO, (0, 0));
        let (spending, letters, places) = (Vec::new(), Vec::new(), Vec::new());
        Self { rules, context, spending, known, blindings, letters, places, fee, moved }
    }

    fn new(
        keys: &SpendKey,
        rules: &Rules,
        wish: &Wish,
        cells: &dyn Cells,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, BuildError> {
        most("inputs", wish.inputs.len(), SPENDS_MAX)?;
        let mut spending: Vec<_> =
            wish.inputs.iter().map(|input| Spending::new(keys, input)).collect();
        spending.sort_by_key(|spending| spending.spend.tag);
        let ascend = spending.is_sorted_by(|left, right| left.spend.tag < right.spend.tag);
        if !rules.holds(Check::TagsAscend, ascend) {
            return Err(BuildError::Twice);
        }
        let context = context(&spending, wish);
        let view = keys.receive_key();
        let mut draft = Self::empty(*rules, context, Blindings::new(&view.view, &context.0, rng));
        draft.spending = spending;
        draft.fee = draft.fee(wish, cells)?;
        for plan in &wish.plans {
            draft.moved.0 += plan.taken(cells, keys)?;
            draft.moved.1 += plan.put(rules, cells)?;
        }
        Ok(draft)
    }

    /// Outputs that the wish asks for, and change.
    fn output_count(wish: &Wish) -> usize {
        let letters = wish.plans.iter().filter_map(Plan::letter_bytes).count();
        (wish.payments.len() + letters + 1).max(Self::outputs_least(wish))
    }

    /// Two, so that it does not show whether there was change; a channel that is closed without
    /// anything else shows what it is anyway, and is checked in half the time with one.
    fn outputs_least(wish: &Wish) -> usize {
        let closes = matches!(&wish.plans[..], [Plan::Channel(ChannelPlan::Close(_))]);
        if closes && wish.inputs.is_empty() { 1 } else { 2 }
    }

    fn fee(&self, wish: &Wish, cells: &dyn Cells) -> Result<Amount, BuildError> {
        let outputs = Self::output_count(wish);
        most("outputs", outputs, OUTPUTS_MAX)?;
        let mut count = outputs;
        for plan in &wish.plans {
            count += plan.slots(cells)?;
        }
        most("hidden amounts", count, SLOTS_MAX)?;
        let memo = |payment: &Payment| match payment.memo.class_bytes() {
            0 => 0,
            class => class + 16,
        };
        let letters = wish.plans.iter().filter_map(Plan::letter_bytes);
        let loose = wish.payments.iter().map(memo).chain(letters).sum::<usize>();
        let loose = loose + wish.plans.iter().map(Plan::loose_bytes).sum::<usize>();
        let weight = Weight::of(count, wish.inputs.len(), loose);
        let fee = self.rules.fee(weight, wish.level);
        fee.ok_or(BuildError::TooLittle { have: 0, need: u128::from(u64::MAX) + 1 })
    }

    /// All payments in their final order: wanted ones, letters, change, a blank where there would
    /// be one output alone.
    // spec: CHAIN-7.3
    fn payments(
        &mut self,
        wish: &Wish,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Payment>, BuildError> {
        let mut payments = wish.payments.clone();
        for (at, plan) in wish.plans.iter().enumerate() {
            let Some(letter) = plan.letter(&self.rules, &mut self.blindings) else { continue };
            payments.push(letter.payment());
            self.letters.push((at, letter));
        }
        let own = |amount| Payment { to: To::Own, amount, memo: note::memo::Memo::default() };
        let change = self.change(wish)?;
        payments.push(own(change));
        if payments.len() < Self::outputs_least(wish) {
            payments.push(own(Amount::ZERO));
        }
        let order = shuffle(payments.len(), rng);
        self.places = (0..payments.len())
            .map(|wanted| order.iter().position(|from| *from == wanted).unwrap_or(0))
            .collect();
        Ok(order.iter().filter_map(|from| payments.get(*from).cloned()).collect())
    }

    /// What is left.
    fn change(&self, wish: &Wish) -> Result<Amount, BuildError> {
        let (taken, put) = self.moved;
        let notes = self.spending.iter().map(|it| u128::from(it.note.opening.amount.0));
        let have = notes.sum::<u128>() + taken;
        let paid = wish.payments.iter().map(|payment| u128::from(payment.amount.0));
        let need = paid.sum::<u128>() + put + u128::from(self.fee.0);
        let left = have.checked_sub(need);
        let left = left.and_then(|left| u64::try_from(left).ok());
        left.map(Amount).ok_or(BuildError::TooLittle { have, need })
    }

    fn body(
        &mut self,
        keys: &SpendKey,
        wish: &Wish,
        made: &MadeNotes,
        cells: &dyn Cells,
    ) -> Result<Body, BuildError> {
        let mut actions = Vec::new();
        let places = self.places.clone();
        let place = |wanted: usize| places.get(wanted).and_then(|at| u8::try_from(*at).ok());
        for (at, plan) in wish.plans.iter().enumerate() {
            let number = self.letters.iter().position(|(of, _)| *of == at);
            let letter = number.and_then(|number| self.letters.get(number));
            let carrier = number.and_then(|number| place(wish.payments.len() + number));
            let letter = (letter.map(|(_, letter)| letter), carrier.unwrap_or(u8::MAX));
            let (blindings, known) = (&mut self.blindings, &mut self.known);
            let mut making = Making { keys, cells, blindings, known };
            actions.push(plan.action(letter, &place, &mut making)?);
        }
        for (output, sent) in made.outputs.iter().zip(&made.sent) {
            self.known.opening(output.commitment, sent.opening.clone());
        }
        Ok(Body {
            chain: self.rules.chain,
            spends: self.spending.iter().map(|it| it.spend).collect(),
            outputs: made.outputs.clone(),
            actions,
            ephemerals: made.ephemerals.clone(),
            fee: self.fee,
            issue: Issue::None,
            valid_until: wish.valid_until,
        })
    }

    fn prove(
        &self,
        body: &Body,
        made: &MadeNotes,
        demands: &[Demand],
        rng: &mut impl CryptoRng,
    ) -> Result<Proofs, BuildError> {
        let message = body.id().0.0;
        let mut constraints = Vec::new();
        for constraint in demands.iter().flat_map(|demand| &demand.constraints) {
            constraints.extend(self.known.prove(constraint, &message, rng)?);
        }
        let openings = self.openings(made, demands)?;
        let slots = self.proven(slots(body, demands), &openings);
        Ok(Proofs {
            spends: self.spending.iter().map(|it| it.prove(&message, rng)).collect(),
            constraints,
            excess: self.excess(made, demands, &message, rng)?,
            range: range::prove(&message, &slots, &openings, rng)?,
        })
    }

    /// What the range proof is about: the slots, or for a forger whose range proof nobody looks at,
    /// whatever it can open.
    fn proven(&self, slots: Vec<Element>, openings: &[Opening]) -> Vec<Element> {
        if self.rules.holds(Check::Range, false) {
            return openings.iter().map(|opening| opening.commit().into()).collect();
        }
        slots
    }

    /// In the order of [`slots`].
    fn openings(&self, made: &MadeNotes, demands: &[Demand]) -> Result<Vec<Opening>, BuildError> {
        let mut openings: Vec<Opening> =
            made.sent.iter().map(|sent| sent.opening.clone()).collect();
        for commitment in demands.iter().flat_map(|demand| &demand.outputs) {
            openings.push(self.known.open(commitment)?.clone());
        }
        for constraint in demands.iter().flat_map(|demand| &demand.constraints) {
            if let Constraint::Ge(linear) = constraint {
                openings.push(self.known.slot(linear)?);
            }
        }
        Ok(openings)
    }

    /// The blinding that outputs have more than inputs.
    fn excess(
        &self,
        made: &MadeNotes,
        demands: &[Demand],
        message: &[u8; 32],
        rng: &mut impl CryptoRng,
    ) -> Result<SigmaProof, BuildError> {
        let mut secret: Scalar = made.sent.iter().map(|sent| sent.opening.blinding.scalar()).sum();
        for commitment in demands.iter().flat_map(|demand| &demand.outputs) {
            secret += self.known.open(commitment)?.blinding.scalar();
        }
        for commitment in demands.iter().flat_map(|demand| &demand.inputs) {
            secret -= self.known.open(commitment)?.blinding.scalar();
        }
        for spending in &self.spending {
            secret -= spending.note.opening.blinding.scalar();
        }
        let secret = Secret::new(secret);
        let excess = crate::curve::Sum(generators().times_h(secret.scalar()));
        Ok(sigma::excess(&excess).prove(message, &[secret.scalar()], rng))
    }
}

impl Spending {
    fn new(keys: &SpendKey, input: &Input) -> Self {
        let (x, y) = keys.one_time_secrets(input.note.address, input.note.offsets());
        let tag = sigma::tag(&x);
        let spend = Spend { membership: Membership::Explicit(input.index), tag };
        Self { spend, note: input.note.clone(), secrets: (x, y) }
    }

    fn prove(&self, message: &[u8; 32], rng: &mut impl CryptoRng) -> SigmaProof {
        let (x, y) = &self.secrets;
        let relation = sigma::spend(&self.note.one_time, &self.spend.tag);
        relation.prove(message, &[x.scalar(), y.scalar()], rng)
    }
}

fn context(spending: &[Spending], wish: &Wish) -> InputContext {
    if let Some(first) = spending.first() {
        return InputContext::of_tag(&first.spend.tag);
    }
    let cell = wish.plans.first().and_then(Plan::cell);
    let cell = cell.map_or([0; 32], |cell| cell.0.0);
    InputContext::of_cell(&cell, wish.valid_until.0)
}

/// A random order of `count` things (Fisher and Yates). A remainder is fine here: the bias of a few
/// in 2^64 tells nobody anything.
fn shuffle(count: usize, rng: &mut impl CryptoRng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let other = rng.next_u64() % (last as u64 + 1);
        order.swap(last, usize::try_from(other).unwrap_or(0));
    }
    order
}

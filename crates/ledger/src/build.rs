//! Building a transaction from what somebody wants: payments and cell plans, and notes to pay
//! with.
//!
//! Pure: chance comes in as an argument. The builder adds what makes transactions look alike: at
//! least two outputs, change at a random place, a fee of the schedule.

use crate::cell::deed::{DeedOpening, RegisterPlan, RetirePlan, TransferPlan};
use crate::cell::knowledge::{Blindings, Knowledge, KnowledgeError};
use crate::cell::till::{DepositPlan, OpenPlan, PayoutPlan};
use crate::cell::{Action, CellError, Cells, Constraint, Demand};
use crate::commit::Opening;
use crate::curve::generators;
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
use rand_core::CryptoRng;
use thiserror::Error;

/// What somebody wants to happen to a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a few a transaction, never stored")]
pub enum Plan {
    /// Open a till.
    OpenTill(OpenPlan),
    /// Pay into one.
    Deposit(DepositPlan),
    /// Take out of one.
    Payout(PayoutPlan),
    /// Register a deed.
    Register(RegisterPlan),
    /// Give one away.
    Transfer(TransferPlan),
    /// End one.
    Retire(RetirePlan),
}

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
    build_with(keys, rules, wish, (cells, height), rng, |_| {})
}

/// As [`build`], with a word to say about the body before anything is proven; for forgers in tests.
pub(crate) fn build_with(
    keys: &SpendKey,
    rules: &Rules,
    wish: &Wish,
    (cells, height): (&dyn Cells, Height),
    rng: &mut impl CryptoRng,
    change: impl FnOnce(&mut Body),
) -> Result<Built, BuildError> {
    let mut draft = Draft::new(keys, rules, wish, cells, rng)?;
    let payments = draft.payments(wish, rng)?;
    let made = note::make(&keys.receive_key(), &draft.context, &payments, rng)?;
    let mut body = draft.body(wish, &made, cells)?;
    change(&mut body);
    let id = body.id();
    let demands = demands_of(&body, id, cells, rules, height)?;
    let proofs = draft.prove(&body, &made, &demands, rng)?;
    Ok(Built { transaction: Transaction { body, proofs }, sent: made.sent })
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
    deeds: Vec<(usize, DeedOpening)>,
    /// Where each wanted payment, then each carrier of a deed, stands among the outputs.
    places: Vec<usize>,
    fee: Amount,
    /// What payouts pass on to other tills.
    passed_on: u128,
    keys: Option<SpendKey>,
}

impl Draft {
    fn empty(rules: Rules, context: InputContext, blindings: Blindings) -> Self {
        let (known, keys, fee) = (Knowledge::default(), None, Amount::ZERO);
        let (spending, deeds, places) = (Vec::new(), Vec::new(), Vec::new());
        Self { rules, context, spending, known, blindings, deeds, places, fee, passed_on: 0, keys }
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
        draft.keys = Some(keys.clone());
        draft.fee = draft.fee(wish, cells)?;
        for plan in &wish.plans {
            if let Plan::Payout(plan) = plan {
                let shares = plan.passed_on(cells)?;
                draft.passed_on += shares.iter().map(|share| u128::from(share.0)).sum::<u128>();
            }
        }
        Ok(draft)
    }

    /// Outputs that the wish asks for, and change.
    fn output_count(wish: &Wish) -> usize {
        let carriers = wish.plans.iter().filter(|plan| carrier(plan).is_some()).count();
        (wish.payments.len() + carriers + 1).max(2)
    }

    fn fee(&self, wish: &Wish, cells: &dyn Cells) -> Result<Amount, BuildError> {
        let outputs = Self::output_count(wish);
        most("outputs", outputs, OUTPUTS_MAX)?;
        let mut count = outputs;
        for plan in &wish.plans {
            count += plan_slots(plan, cells)?;
        }
        most("hidden amounts", count, SLOTS_MAX)?;
        let memo = |payment: &Payment| match payment.memo.class_bytes() {
            0 => 0,
            class => class + 16,
        };
        let carried = wish.plans.iter().filter(|plan| carrier(plan).is_some()).count();
        let memos = wish.payments.iter().map(memo).sum::<usize>() + carried * (512 + 16);
        let weight = Weight::of(count, wish.inputs.len(), memos);
        let fee = self.rules.fee(weight, wish.level);
        fee.ok_or(BuildError::TooLittle { have: 0, need: u128::from(u64::MAX) + 1 })
    }

    /// All payments in their final order: wanted ones, carriers of deeds, change, a blank where
    /// there would be one output alone.
    // spec: CHAIN-7.3
    fn payments(
        &mut self,
        wish: &Wish,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Payment>, BuildError> {
        let mut payments = wish.payments.clone();
        for (at, plan) in wish.plans.iter().enumerate() {
            let opening = match plan {
                Plan::Register(plan) => plan.opening(&mut self.blindings),
                Plan::Transfer(plan) => plan.opening(&mut self.blindings),
                _ => continue,
            };
            let to = carrier(plan).unwrap_or(To::Own);
            payments.push(Payment { to, amount: Amount::ZERO, memo: opening.to_memo() });
            self.deeds.push((at, opening));
        }
        let own = |amount| Payment { to: To::Own, amount, memo: note::memo::Memo::default() };
        let change = self.change(wish)?;
        payments.push(own(change));
        if payments.len() < 2 {
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
        let notes = self.spending.iter().map(|it| u128::from(it.note.opening.amount.0));
        let taken = wish.plans.iter().map(|plan| match plan {
            Plan::Payout(plan) => u128::from(plan.total.0),
            _ => 0,
        });
        let have: u128 = notes.chain(taken).sum();
        let paid = wish.payments.iter().map(|payment| u128::from(payment.amount.0));
        let into = wish.plans.iter().map(|plan| match plan {
            Plan::Deposit(plan) => u128::from(plan.amount.0),
            _ => 0,
        });
        let need = paid.chain(into).sum::<u128>() + u128::from(self.fee.0) + self.passed_on;
        let left = have.checked_sub(need);
        let left = left.and_then(|left| u64::try_from(left).ok());
        left.map(Amount).ok_or(BuildError::TooLittle { have, need })
    }

    fn body(
        &mut self,
        wish: &Wish,
        made: &MadeNotes,
        cells: &dyn Cells,
    ) -> Result<Body, BuildError> {
        let mut actions = Vec::new();
        let mut carriers = wish.payments.len();
        for (at, plan) in wish.plans.iter().enumerate() {
            actions.push(self.action(at, plan, &mut carriers, cells)?);
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

    fn action(
        &mut self,
        at: usize,
        plan: &Plan,
        carriers: &mut usize,
        cells: &dyn Cells,
    ) -> Result<Action, BuildError> {
        let places = self.places.clone();
        let place = |wanted: usize| places.get(wanted).and_then(|at| u8::try_from(*at).ok());
        let (known, blindings) = (&mut self.known, &mut self.blindings);
        let opening = self.deeds.iter().find(|(of, _)| *of == at).map(|(_, opening)| opening);
        let next = opening.map(|opening| (opening.clone(), place(*carriers).unwrap_or(u8::MAX)));
        *carriers += usize::from(next.is_some());
        Ok(match (plan, next, &self.keys) {
            (Plan::OpenTill(plan), ..) => Action::Till(plan.action(known)),
            (Plan::Deposit(plan), ..) => {
                Action::Till(plan.action(cells, &place, blindings, known)?)
            }
            (Plan::Payout(plan), ..) => Action::Till(plan.action(cells, blindings, known)?),
            (Plan::Register(_), Some((opening, carrier)), _) => {
                Action::Deed(RegisterPlan::action(&opening, carrier, known))
            }
            (Plan::Transfer(plan), Some((opening, carrier)), Some(keys)) => {
                Action::Deed(plan.action(&opening, carrier, keys, cells, known)?)
            }
            (Plan::Retire(plan), _, Some(keys)) => Action::Deed(plan.action(keys, known)),
            _ => return Err(BuildError::TooMany { what: "plans", given: at, most: 0 }),
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
    let cell = wish.plans.first().and_then(|plan| match plan {
        Plan::Deposit(plan) => Some(plan.till),
        Plan::Payout(plan) => Some(plan.till),
        Plan::Transfer(plan) => Some(plan.deed),
        Plan::Retire(plan) => Some(plan.deed),
        Plan::OpenTill(_) | Plan::Register(_) => None,
    });
    let cell = cell.map_or([0; 32], |cell| cell.0.0);
    InputContext::of_cell(&cell, wish.valid_until.0)
}

/// To whom the output goes that carries a deed.
fn carrier(plan: &Plan) -> Option<To> {
    match plan {
        Plan::Register(plan) => Some(plan.to),
        Plan::Transfer(plan) => Some(plan.to),
        _ => None,
    }
}

fn plan_slots(plan: &Plan, cells: &dyn Cells) -> Result<usize, BuildError> {
    Ok(match plan {
        Plan::Deposit(plan) => 1 + 2 * usize::from(plan.royalty.is_some()),
        Plan::Payout(plan) => 2 * plan.passed_on(cells)?.len(),
        _ => 0,
    })
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

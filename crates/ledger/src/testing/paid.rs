//! Channels with two royalties, ready to be closed; a bond and a challenge: for benches and
//! vectors.

use super::{Bank, Seeded, hex};
use crate::build::{self, Plan};
use crate::cell::bond::{self, BondPlan};
use crate::cell::challenge::{self, ChallengePlan, Evidence};
use crate::cell::channel::proof::payee_key;
use crate::cell::channel::{
    ChannelPlan, ClosePlan, Drawer, Drawn, Holder, OpenPlan, Payer, Progress,
};
use crate::cell::keepsake::Keepsake;
use crate::cell::till::{self, Share};
use crate::cell::{Cell, CellId, Cells};
use crate::curve::hash_to_scalar;
use crate::examine::{self, Permit, Resolved};
use crate::key::Secret;
use crate::note::NoteIndex;
use crate::rules::{BondRules, Height};
use crate::scan::{CompactTx, Scanner};
use crate::tx::Transaction;
use mutirao_wire::{
    Amount, Checkpoint, Digest, Encode, JobCommitment, OrderCommitment, PrefixDigest, SigningKey,
};

/// What one channel of a [`Shop`] holds.
const DEPOSIT: Amount = Amount(800);
/// What its voucher says.
const PAID: Amount = Amount(500);

/// A state in which one account pays itself through many channels.
pub struct Shop {
    /// The state around them.
    pub bank: Bank,
    channels: Vec<(CellId, Keepsake)>,
}

impl Bank {
    /// Carries out a plan with one note of its own.
    fn act(&mut self, note: usize, plan: Plan) -> (Transaction, Option<Keepsake>) {
        let mut wish = self.wish(0);
        wish.payments.clear();
        wish.inputs = self.notes.get(note..=note).expect("a note").to_vec();
        wish.plans = vec![plan];
        let mut rng = Seeded::new(note as u64);
        let built =
            build::build(&self.keys, &self.rules, &wish, &self.state, self.height, &mut rng);
        let transaction = built.expect("a plan").transaction;
        let compact = CompactTx::new(&transaction, NoteIndex(0));
        let found = Scanner::new(self.keys.receive_key(), 0).scan(&[compact]);
        let outputs = &transaction.body.outputs;
        let read = |(_, found): &(usize, crate::scan::Found)| {
            Keepsake::read(&found.note, outputs.get(found.output)?)
        };
        let kept = found.iter().find_map(read);
        self.mine(transaction.clone(), Permit::default());
        (transaction, kept)
    }
}

impl Shop {
    /// With that many open channels and two tills.
    ///
    /// # Panics
    /// When the ledger does not take its own transactions.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        let mut bank = Bank::new(channels as u64 + 2);
        let royalties = [(0, 500), (1, 150)].map(|(note, basis_points)| {
            let key = Secret::new(hash_to_scalar("test till", &[&[note]]));
            let plan = till::OpenPlan { key, shares: vec![] };
            let (tx, _) = bank.act(note.into(), Plan::OpenTill(plan));
            Share { basis_points, till: CellId::new(tx.id(), 0) }
        });
        let payee = payee_key(&bank.keys, 0).public();
        let open = |at| {
            let expiry = Height(1_000_000);
            let royalties = royalties.to_vec();
            let plan = OpenPlan { amount: DEPOSIT, payee, royalties, expiry };
            let (tx, kept) = bank.act(at + 2, Plan::Channel(ChannelPlan::Open(plan)));
            (CellId::new(tx.id(), 0), kept.expect("a keepsake"))
        };
        let channels = (0..channels).map(open).collect();
        Self { bank, channels }
    }

    fn channel(&self, at: usize) -> (CellId, Keepsake) {
        *self.channels.get(at).expect("a channel")
    }

    /// The payer's side of a channel, before its first voucher.
    #[must_use]
    pub fn drawer(&self, at: usize) -> Drawer {
        let (id, kept) = self.channel(at);
        let payer = Payer::new(&self.bank.keys, &kept);
        Drawer::new(self.bank.rules.chain, id, payer, DEPOSIT, Progress::default())
    }

    /// The payee's side of a channel, before its first voucher.
    ///
    /// # Panics
    /// When there is no such channel.
    #[must_use]
    pub fn holder(&self, at: usize) -> Holder {
        let (id, kept) = self.channel(at);
        let told = [Payer::new(&self.bank.keys, &kept).part(&kept)];
        let Some(Cell::Channel(channel)) = self.bank.state.cell(&id) else { panic!("no channel") };
        let holder = Holder::new(self.bank.rules.chain, id, &channel, channel.payee, &told);
        holder.expect("an open channel")
    }

    /// A voucher for most of a channel.
    ///
    /// # Panics
    /// When there is no such channel.
    #[must_use]
    pub fn voucher(&self, at: usize) -> Drawn {
        let drawn = self.drawer(at).draw(PAID, Digest([5; 32]), &mut Seeded::new(at as u64));
        drawn.expect("covered")
    }

    /// The close of a channel with that voucher and two royalties; it pays for itself.
    ///
    /// # Panics
    /// When there is no such channel.
    #[must_use]
    pub fn close(&self, at: usize) -> Transaction {
        let (bank, kept) = (&self.bank, self.channel(at).1);
        let told = vec![Payer::new(&bank.keys, &kept).part(&kept)];
        let plan = ClosePlan { drawn: self.voucher(at), told, key: payee_key(&bank.keys, 0) };
        let mut wish = bank.wish(0);
        wish.payments.clear();
        wish.inputs.clear();
        wish.plans = vec![Plan::Channel(ChannelPlan::Close(plan))];
        let mut rng = Seeded::new(at as u64);
        let built =
            build::build(&bank.keys, &bank.rules, &wish, &bank.state, bank.height, &mut rng);
        built.expect("a close").transaction
    }

    /// The same, with its claims known and not yet checked.
    ///
    /// # Panics
    /// When there is no such channel.
    #[must_use]
    pub fn resolved(&self, at: usize) -> Resolved {
        let (bank, permit) = (&self.bank, Permit::default());
        let tx = self.close(at);
        examine::against(&tx, &bank.state, &bank.rules, bank.height, permit).expect("it fits")
    }
}

/// Frozen examples of cells and of what happens to them.
pub(super) fn frozen() -> Vec<(&'static str, String)> {
    let mut shop = Shop::new(1);
    let (id, kept) = shop.channel(0);
    let drawn = shop.voucher(0);
    let close = shop.close(0);
    let cell = |bank: &Bank, id: &CellId| {
        let cell = bank.state.cell(id).expect("a cell");
        hex(&cell.to_bytes())
    };
    let mut lines = vec![
        ("keepsake_memo", hex(kept.to_memo().words())),
        ("channel_cell", cell(&shop.bank, &id)),
        ("voucher", hex(&drawn.voucher.to_bytes())),
        ("voucher_opening", hex(&drawn.opening.to_bytes())),
        ("channel_close", hex(&close.to_bytes())),
    ];
    shop.bank.mine(close, Permit::default());
    lines.push(("channel_closed_cell", cell(&shop.bank, &id)));
    lines.extend(doubted());
    lines
}

fn doubted() -> Vec<(&'static str, String)> {
    let mut bank = Bank::new(16);
    bank.rules.bonds =
        BondRules { minimum: Amount(400), slash: Amount(300), ..BondRules::STANDARD };
    bank.rules.bonds.reward = Amount(200);
    bank.rules.bonds.deposit = Amount(50);
    let key = SigningKey::from_secret(&[9; 32]);
    let receipt_key = key.receipt_key();
    let plan = bond::OpenPlan { amount: Amount(700), floor: Amount(400), receipt_key };
    let (tx, _) = bank.act(0, Plan::Bond(BondPlan::Open(plan)));
    let bond = CellId::new(tx.id(), 0);
    let checkpoint = Checkpoint {
        job: JobCommitment(Digest([1; 32])),
        order: OrderCommitment(Digest([2; 32])),
        index: 16,
        prefix: PrefixDigest(Digest([3; 32])),
    };
    let evidence = Evidence::Checkpoint(checkpoint.sign(&key));
    let plan = challenge::OpenPlan { bond, evidence };
    let (tx, _) = bank.act(1, Plan::Challenge(ChallengePlan::Open(plan)));
    let challenge = CellId::of_challenge(&bond, &evidence.statement());
    let cell = |id: &CellId| {
        let cell = bank.state.cell(id).expect("a cell");
        hex(&cell.to_bytes())
    };
    vec![
        ("bond_cell", cell(&bond)),
        ("challenge_open", hex(&tx.to_bytes())),
        ("challenge_id", challenge.0.hex()),
        ("challenge_cell", cell(&challenge)),
        ("state_root_doubted", bank.state.summary.root().hex()),
    ]
}

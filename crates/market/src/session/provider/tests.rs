//! The provider's half: what it refuses, what it signs, and what it never signs.

mod chaos;
mod paid;

use super::*;
use crate::testing::{
    CONTEXT, DAWN, DUSK, PROMPT, Step, Toy, count, desk, facts, job, key, model, offer, other,
    peer, price, receipts, unsigned_offer,
};
use mutirao_wire::bundle::{Opening, ReceiptBundle};
use mutirao_wire::{
    ChannelId, Digest, ModelId, OfferLimits, OpSet, Prices, Privacy, SignedCheckpoint,
    SignedReceipt,
};

const PROVIDER: u8 = 1;
/// More than any answer here costs.
const PLENTY: Amount = Amount(1 << 40);

fn order_for(job: &Job, start: u32) -> Order {
    Order {
        job: job.commitment(),
        provider: peer(PROVIDER),
        channel: ChannelId(Digest([7; 32])),
        prices: offer(PROVIDER).offer.prices,
        ceiling: PLENTY,
        start,
        deadline_ms: DAWN + 60_000,
        privacy: Privacy::Open,
    }
}

/// A provider with its toy engine, and everything it said.
struct Table {
    provider: Provider,
    now: Millis,
    said: Vec<ProviderFrame>,
    engaged: Option<(Job, Vec<Token>)>,
    disengaged: bool,
    closed: bool,
    redeemed: usize,
}

impl Table {
    fn new() -> Self {
        let provider = Provider::new(desk(PROVIDER));
        let (said, engaged) = (Vec::new(), None);
        Self { provider, now: DAWN, said, engaged, disengaged: false, closed: false, redeemed: 0 }
    }

    /// One event, one millisecond later; what is said in reply.
    fn tell(&mut self, event: Event) -> Vec<ProviderFrame> {
        self.now += 1;
        let before = self.said.len();
        for action in self.provider.handle(self.now, event) {
            assert!(!self.closed, "something is done after the stream is closed");
            match action {
                Action::Send(frame) => self.said.push(frame),
                Action::Engage { job, prefix } => self.engaged = Some((job, prefix)),
                Action::Redeem { .. } | Action::Deal(_) => self.redeemed += 1,
                Action::Disengage => self.disengaged = true,
                Action::Close => self.closed = true,
            }
        }
        let said = self.said[before..].to_vec();
        if let [.., ProviderFrame::Receipt(signed)] = said.as_slice()
            && matches!(signed.receipt.finish, Finish::Cancelled { .. })
        {
            self.part();
        }
        said
    }

    /// The client has the receipt that it wanted, pays and hangs up.
    fn part(&mut self) {
        assert!(self.tell(Event::Gone).is_empty());
    }

    fn hear(&mut self, frame: ClientFrame) -> Vec<ProviderFrame> {
        self.tell(Event::Frame { frame, free: true, holds: Some(PLENTY) })
    }

    /// Opens a job with a prefix, until the engine has read it.
    fn opened(job: &Job, prefix: &[Token]) -> Self {
        let mut table = Self::reading(job, prefix);
        let total = PROMPT + count(prefix.len());
        let read = ProviderFrame::Progress { done: total, total, cached: 0 };
        assert_eq!(table.tell(Event::Ready), [read]);
        table
    }

    fn reading(job: &Job, prefix: &[Token]) -> Self {
        let mut table = Self::new();
        let order = order_for(job, count(prefix.len()));
        let open = ClientFrame::Open { order, job: job.clone(), prefix: prefix.to_vec() };
        assert_eq!(table.hear(open), [ProviderFrame::Accepted]);
        assert_eq!(table.engaged, Some((job.clone(), prefix.to_vec())));
        assert_eq!(table.tell(Event::Paid(PLENTY)), []);
        table
    }

    /// Writes what the toy model gives, up to `upto` tokens of the answer or its end.
    fn write(&mut self, toy: &Toy, upto: usize) {
        let (job, mut answer) = self.engaged.clone().expect("a job is in hand");
        answer.extend(self.tokens());
        while answer.len() < upto {
            match toy.next(&job, &answer) {
                Step::Token(token) => {
                    self.tell(Event::Token(token));
                    answer.push(token);
                }
                Step::Finished(finish) => {
                    self.tell(Event::Finished(finish));
                    break;
                }
            }
        }
    }

    fn tokens(&self) -> Vec<Token> {
        let token = |frame: &ProviderFrame| match frame {
            ProviderFrame::Token { token, .. } => Some(*token),
            _ => None,
        };
        self.said.iter().filter_map(token).collect()
    }

    fn checkpoints(&self) -> Vec<SignedCheckpoint> {
        let point = |frame: &ProviderFrame| match frame {
            ProviderFrame::Checkpoint(signed) => Some(*signed),
            _ => None,
        };
        self.said.iter().filter_map(point).collect()
    }

    fn receipt(&self) -> Option<SignedReceipt> {
        match self.said.last() {
            Some(ProviderFrame::Receipt(signed)) => Some(*signed),
            _ => None,
        }
    }

    fn ended(&self) -> bool {
        self.provider.is_over() && self.closed && self.disengaged == self.engaged.is_some()
    }
}

fn refusal(said: &[ProviderFrame]) -> (Refusal, &str) {
    match said {
        [ProviderFrame::Refused { code, reason }] => (*code, reason.as_str()),
        other => panic!("no refusal: {other:?}"),
    }
}

/// What can be changed about an order before a provider sees it.
struct Asked {
    desk: Desk,
    order: Order,
    job: Job,
    prefix: Vec<Token>,
    now: Millis,
    free: bool,
    holds: Option<Amount>,
}

/// Opens with one thing changed, and returns the refusal.
fn refused(change: impl Fn(&mut Asked)) -> (Refusal, String) {
    let job = job(40);
    let prefix = Toy::default().answer(&job).0[..3].to_vec();
    let (order, desk) = (order_for(&job, 3), desk(PROVIDER));
    let mut asked = Asked { desk, order, job, prefix, now: DAWN, free: true, holds: Some(PLENTY) };
    change(&mut asked);
    let mut table = Table::new();
    table.provider = Provider::new(asked.desk);
    table.now = asked.now - 1;
    let Asked { order, job, prefix, free, holds, .. } = asked;
    let frame = ClientFrame::Open { order, job, prefix };
    let said = table.tell(Event::Frame { frame, free, holds });
    assert!(table.ended() && table.engaged.is_none(), "the engine is not asked");
    let (code, reason) = refusal(&said);
    (code, reason.to_owned())
}

/// Changes the job and makes the order fit again.
fn with_job(change: impl Fn(&mut Job)) -> impl Fn(&mut Asked) {
    move |asked| {
        change(&mut asked.job);
        asked.order.job = asked.job.commitment();
    }
}

// spec: SESSION-3.6
#[test]
fn an_order_that_does_not_fit_is_refused_with_its_reason() {
    let bad = |reason: &str| (Refusal::BadOrder, reason.to_owned());
    assert_eq!(refused(|asked| asked.order.provider = peer(2)), bad("for another provider"));
    assert_eq!(refused(|asked| asked.job.nonce[0] ^= 1), bad("for another job"));
    let prices = Prices { output: Amount(4_999), ..offer(PROVIDER).offer.prices };
    assert_eq!(refused(|asked| asked.order.prices = prices), bad("at other prices; ask again"));
    assert_eq!(refused(|asked| asked.order.start = 2), bad("for another prefix"));
    assert_eq!(refused(|asked| asked.prefix.clear()), bad("for another prefix"));
    assert_eq!(refused(|asked| asked.order.deadline_ms = DAWN), bad("its deadline has passed"));
    let lapsed = refused(|asked| {
        asked.now = DUSK;
        asked.order.deadline_ms = DUSK + 1;
    });
    assert_eq!(lapsed, bad("the offer has lapsed; ask again"));
}

// spec: SESSION-3.6
#[test]
fn a_job_that_the_model_cannot_take_is_refused_with_its_reason() {
    let bad = |reason: &str| (Refusal::BadJob, reason.to_owned());
    assert_eq!(refused(with_job(|job| job.op_set = OpSet(2))), bad("for another op set"));
    assert_eq!(refused(with_job(|job| job.prompt.clear())), bad("the prompt is empty"));
    assert_eq!(refused(with_job(|job| job.max_tokens = 0)), bad("no tokens are asked for"));
    assert_eq!(refused(with_job(|job| job.max_tokens = 2)), bad("prefix too long"));
    let long = with_job(|job| job.max_tokens = CONTEXT - PROMPT + 1);
    assert_eq!(refused(long), bad("longer than the context"));
}

// spec: SESSION-3.6
#[test]
fn a_full_house_and_an_unknown_model_are_refused_by_their_own_codes() {
    let (code, reason) = refused(|asked| asked.free = false);
    assert_eq!((code, reason.contains("try again")), (Refusal::Busy, true));
    let unknown = with_job(|job| job.model = ModelId(Digest([3; 32])));
    assert_eq!(refused(unknown).0, Refusal::UnknownModel);
    assert_eq!(refused(|asked| asked.desk.offers.clear()).0, Refusal::UnknownModel);
}

// spec: SESSION-3.6
#[test]
fn of_two_faults_the_earlier_rule_is_named() {
    let both = |asked: &mut Asked| {
        asked.free = false;
        asked.order.start = 9;
    };
    assert_eq!(refused(both), (Refusal::BadOrder, "for another prefix".to_owned()));
}

#[test]
fn the_last_job_that_fits_is_taken() {
    let mut table = Table::new();
    let mut edge = job(CONTEXT - PROMPT);
    edge.nonce = [1; 32];
    let order = Order { deadline_ms: DAWN + 2, ..order_for(&edge, 0) };
    let open = ClientFrame::Open { order, job: edge, prefix: Vec::new() };
    assert_eq!(table.hear(open), [ProviderFrame::Accepted]);
}

// spec: SESSION-3.7
#[test]
fn offers_are_said_once_and_end_the_stream() {
    let mut table = Table::new();
    assert_eq!(table.hear(ClientFrame::GetOffers), [ProviderFrame::Offers(desk(1).offers)]);
    assert!(table.ended());
    assert_eq!(table.hear(ClientFrame::GetOffers), []);
}

// spec: SESSION-3.7
#[test]
fn a_frame_out_of_its_order_ends_the_stream() {
    let job = job(40);
    let again = ClientFrame::Open { order: order_for(&job, 0), job: job.clone(), prefix: vec![] };
    for frame in [again, ClientFrame::GetOffers] {
        let mut table = Table::opened(&job, &[]);
        assert_eq!(refusal(&table.hear(frame)).0, Refusal::Protocol);
        assert!(table.ended());
    }
    let mut table = Table::new();
    assert_eq!(refusal(&table.hear(ClientFrame::Cancel { index: 0 })).0, Refusal::Protocol);
    let mut table = Table::new();
    let bad = table.tell(Event::BadFrame("unknown client frame 9".into()));
    assert_eq!(refusal(&bad), (Refusal::Protocol, "unknown client frame 9"));
    assert!(table.ended());
}

#[test]
fn engine_failures_are_refusals_with_their_reason() {
    let mut table = Table::opened(&job(40), &[]);
    assert_eq!(refusal(&table.tell(Event::BadJob("no".into()))), (Refusal::BadJob, "no"));
    assert!(table.ended());
    let mut table = Table::opened(&job(40), &[]);
    assert_eq!(refusal(&table.tell(Event::Broken("heat".into()))), (Refusal::Internal, "heat"));
    assert!(table.ended());
}

// spec: SESSION-3.8
#[test]
fn a_machine_that_its_owner_needs_leaves_as_if_it_were_full() {
    let mut table = Table::opened(&job(40), &[]);
    table.write(&Toy::default(), 17);
    let left = table.tell(Event::Leaving("the owner is back".into()));
    assert_eq!(refusal(&left), (Refusal::Busy, "the owner is back"));
    assert!(table.ended());
}

// spec: SESSION-3.9
#[test]
fn a_job_whose_deadline_passes_is_left_while_it_is_read_and_while_it_is_written() {
    let events = [Event::Reading { done: 1, total: 2, cached: 0 }, Event::Token(Token(5))];
    for event in events {
        let mut table = Table::reading(&job(40), &[]);
        let in_time = table.tell(event.clone());
        assert!(!matches!(in_time[0], ProviderFrame::Refused { .. }), "{in_time:?}");
        table.now = DAWN + 59_998;
        assert!(!table.tell(event.clone()).is_empty() && !table.closed, "one millisecond is left");
        let said = table.tell(event);
        assert_eq!(refusal(&said), (Refusal::BadOrder, "its deadline has passed"));
        assert!(table.disengaged && table.closed);
    }
}

// spec: SESSION-3.10
#[test]
fn a_job_that_had_the_time_its_provider_offers_is_left_as_by_who_has_no_place() {
    let events = [Event::Reading { done: 1, total: 2, cached: 0 }, Event::Token(Token(5))];
    for event in events {
        let mut offer = unsigned_offer(PROVIDER);
        offer.limits = Some(OfferLimits { job_ms: 5_000, jobs_per_key: 1 });
        let offers = vec![offer.sign(&key(PROVIDER))];
        let mut table = Table::new();
        table.provider = Provider::new(Desk { offers, receipts: receipts(PROVIDER) });
        let (order, job) = (order_for(&job(40), 0), job(40));
        table.hear(ClientFrame::Open { order, job, prefix: Vec::new() });
        table.now = DAWN + 4_999;
        assert!(!table.tell(event.clone()).is_empty() && !table.closed, "one millisecond is left");
        let said = table.tell(event);
        assert!(matches!(refusal(&said), (Refusal::Busy, why) if why.contains("ask again")));
        assert!(table.disengaged && table.closed);
    }
}

// spec: SESSION-3.7
#[test]
fn nothing_is_said_or_signed_after_the_last_frame() {
    let job = job(40);
    let wrong = other(Toy::default().answer(&job).0[0]);
    let ends: [fn() -> Event; 3] =
        [|| Event::Gone, || Event::Broken("heat".into()), || Event::PrefixDiverges(0)];
    for end in ends {
        let mut table = Table::opened(&job, &[]);
        table.write(&Toy::default(), 17);
        table.tell(end());
        assert!(table.ended());
        let said = table.said.len();
        table.tell(Event::Ready);
        table.tell(Event::Token(wrong));
        table.tell(Event::Finished(Finish::Length));
        table.tell(Event::Reading { done: 1, total: 2, cached: 0 });
        table.hear(ClientFrame::Cancel { index: 1 });
        table.hear(ClientFrame::GetOffers);
        table.tell(end());
        assert_eq!(table.said.len(), said);
    }
}

// spec: SESSION-3.7, SESSION-4.5
#[test]
fn after_the_receipt_for_a_whole_answer_only_a_cancel_that_crossed_it_is_heard() {
    let job = job(40);
    let answer = Toy::default().answer(&job).0;
    let whole = || {
        let mut table = Table::opened(&job, &answer[..2]);
        table.write(&Toy::default(), 1000);
        assert!(table.receipt().is_some() && table.disengaged && table.provider.awaits_farewell());
        table
    };
    for index in 2..=40 {
        let mut table = whole();
        table.tell(Event::Token(Token(1)));
        table.tell(Event::Finished(Finish::Trap));
        let said = table.hear(ClientFrame::Cancel { index });
        let [.., ProviderFrame::Receipt(signed)] = said[..] else { panic!("no receipt: {said:?}") };
        assert_eq!(signed.receipt.finish, Finish::Cancelled { index });
        assert_eq!(signed.receipt.answer, job.answer_commitment(&answer[..index as usize]));
        assert!(table.ended());
    }
    for frame in [ClientFrame::GetOffers, ClientFrame::Cancel { index: 41 }] {
        let mut table = whole();
        assert_eq!(table.hear(frame), []);
        assert!(table.ended());
    }
    let mut table = whole();
    assert_eq!(table.tell(Event::Gone), []);
    assert!(table.ended());
}

#[test]
fn reading_is_announced() {
    let mut table = Table::reading(&job(40), &[]);
    let said = table.tell(Event::Reading { done: 3, total: 7, cached: 0 });
    assert_eq!(said, [ProviderFrame::Progress { done: 3, total: 7, cached: 0 }]);
}

// spec: SESSION-3.2, SESSION-3.3, RECEIPT-2.1
#[test]
fn every_sixteen_tokens_and_the_last_are_signed() {
    for (max_tokens, points) in
        [(1, vec![1]), (15, vec![15]), (16, vec![16]), (17, vec![16, 17]), (40, vec![16, 32, 40])]
    {
        let job = job(max_tokens);
        let mut table = Table::opened(&job, &[]);
        table.write(&Toy::default(), 1000);
        let found = table.checkpoints();
        assert_eq!(found.iter().map(|it| it.checkpoint.index).collect::<Vec<_>>(), points);
        for signed in &found {
            let point = &signed.checkpoint;
            let covered = &table.tokens()[..point.index as usize];
            assert!(signed.verifies(&receipts(PROVIDER).receipt_key()));
            assert_eq!(point.job, job.commitment());
            assert_eq!(point.order, order_for(&job, 0).commitment());
            assert_eq!(point.prefix, job.prefix_digest(covered));
        }
    }
}

// spec: SESSION-3.3
#[test]
fn a_continued_answer_is_signed_every_sixteen_of_its_own_tokens() {
    let job = job(40);
    let (answer, _) = Toy::default().answer(&job);
    let mut table = Table::opened(&job, &answer[..5]);
    table.write(&Toy::default(), 1000);
    assert_eq!(table.tokens(), &answer[5..]);
    let points: Vec<_> = table.checkpoints().iter().map(|it| it.checkpoint.index).collect();
    assert_eq!(points, [21, 37, 40]);
    let first = table.said.iter().find_map(|frame| match frame {
        ProviderFrame::Token { index, .. } => Some(*index),
        _ => None,
    });
    assert_eq!(first, Some(5));
}

// spec: RECEIPT-2.3, SESSION-1.4
#[test]
fn a_receipt_says_what_was_done() {
    let job = job(40);
    let toy = Toy { end_at: Some(20), ..Toy::default() };
    let (answer, finish) = toy.answer(&job);
    assert_eq!((answer.len(), finish), (21, Finish::Eos));
    let mut table = Table::opened(&job, &answer[..4]);
    table.write(&toy, 1000);
    let signed = table.receipt().expect("a receipt at the end");
    assert!(table.provider.awaits_farewell());
    let order = order_for(&job, 4);
    let wanted = Receipt {
        job: job.commitment(),
        order: order.commitment(),
        answer: job.answer_commitment(&answer),
        model: model(),
        op_set: OpSet(1),
        prompt_tokens: PROMPT,
        answer_tokens: 21,
        served: Served { start: 4, end: 21 },
        finish: Finish::Eos,
        price: Amount(7 + 5 * 17 + 10),
        started_ms: DAWN + 1,
        duration_ms: u32::try_from(table.now - DAWN - 1).expect("short"),
        provider: peer(PROVIDER),
    };
    assert_eq!(signed.receipt, wanted);
    let opening = Opening { job, answer, text: None };
    let bundle = ReceiptBundle { receipt: signed, offer: offer(PROVIDER), opening };
    assert_eq!(crate::audit::check(&bundle, &facts()), Ok(()));
}

// spec: SESSION-1.4
#[test]
fn parts_of_a_price_are_rounded_up_and_must_fit() {
    let job = job(40);
    let of = |prices, start, end| {
        price(&Order { prices, ..order_for(&job, start) }, &job, Served { start, end })
    };
    let one = Amount(1);
    let prices = Prices { input: one, cached_input: Amount(u64::MAX), output: one, attest: one };
    assert_eq!(of(prices, 0, 0), Some(Amount(1)));
    assert_eq!(of(prices, 0, 1), Some(Amount(2)));
    assert_eq!(of(prices, 1, 2), Some(Amount(3)));
    let huge = Prices { output: Amount(u64::MAX), ..prices };
    assert_eq!(of(huge, 0, 1000), None);
    assert_eq!(of(huge, 0, 1001), None);
}

// spec: SESSION-1.4
#[test]
fn an_answer_without_a_price_is_not_begun() {
    let mut dear = unsigned_offer(PROVIDER);
    dear.prices.input = Amount(u64::MAX);
    dear.context = 2_000;
    let mut long = job(3);
    long.prompt = vec![Token(1); 1_001];
    let order = Order { prices: dear.prices, ..order_for(&long, 0) };
    let mut table = Table::new();
    let offers = vec![dear.sign(&key(PROVIDER))];
    table.provider = Provider::new(Desk { offers, receipts: receipts(PROVIDER) });
    let said = table.hear(ClientFrame::Open { order, job: long, prefix: vec![] });
    assert_eq!(refusal(&said).0, Refusal::BadOrder);
    assert!(table.ended());
}

// spec: SESSION-4.5
#[test]
fn a_cancel_at_or_before_the_tokens_is_signed_at_once() {
    let job = job(40);
    let (answer, _) = Toy::default().answer(&job);
    for index in 0..=20u32 {
        let mut table = Table::opened(&job, &[]);
        table.write(&Toy::default(), 20);
        let said = table.hear(ClientFrame::Cancel { index });
        let [.., ProviderFrame::Receipt(signed)] = said[..] else { panic!("no receipt: {said:?}") };
        assert_eq!(signed.receipt.finish, Finish::Cancelled { index });
        assert_eq!(signed.receipt.answer_tokens, index);
        assert_eq!(signed.receipt.answer, job.answer_commitment(&answer[..index as usize]));
        assert!(table.ended());
    }
}

// spec: SESSION-4.5
#[test]
fn a_cancel_after_the_tokens_is_signed_when_they_exist() {
    let job = job(40);
    for index in 6..=40u32 {
        let mut table = Table::opened(&job, &[]);
        table.write(&Toy::default(), 5);
        assert_eq!(table.hear(ClientFrame::Cancel { index }), []);
        table.write(&Toy::default(), index as usize - 1);
        assert_eq!(table.receipt(), None);
        table.write(&Toy::default(), index as usize);
        let signed = table.receipt().expect("a receipt with the last token");
        assert_eq!(signed.receipt.finish, Finish::Cancelled { index });
        assert_eq!(table.tokens().len(), index as usize);
        assert!(table.ended());
    }
}

// spec: SESSION-4.5
#[test]
fn a_cancel_outside_of_the_answer_is_refused() {
    let job = job(40);
    let (answer, _) = Toy::default().answer(&job);
    for index in [0, 4, 41, u32::MAX] {
        let mut table = Table::opened(&job, &answer[..5]);
        table.write(&Toy::default(), 9);
        assert_eq!(refusal(&table.hear(ClientFrame::Cancel { index })).0, Refusal::Protocol);
        assert!(table.ended());
    }
}

// spec: SESSION-4.3
#[test]
fn a_cancel_while_the_prefix_is_read_waits_for_the_engine() {
    let job = job(40);
    let (answer, _) = Toy::default().answer(&job);
    let mut table = Table::reading(&job, &answer[..5]);
    assert_eq!(table.hear(ClientFrame::Cancel { index: 5 }), []);
    table.tell(Event::Reading { done: 9, total: 12, cached: 0 });
    let said = table.tell(Event::Ready);
    let [.., ProviderFrame::Receipt(signed)] = said[..] else { panic!("no receipt: {said:?}") };
    assert_eq!(signed.receipt.finish, Finish::Cancelled { index: 5 });
    assert_eq!(signed.receipt.served, Served { start: 5, end: 5 });
    assert!(table.ended());
}

// spec: SESSION-4.3
#[test]
fn a_wrong_prefix_is_refused_at_its_place_and_never_signed() {
    let job = job(40);
    let (lie, _) = Toy::default().lie(&job, 3);
    for cancelled in [false, true] {
        let mut table = Table::reading(&job, &lie[..20]);
        if cancelled {
            table.hear(ClientFrame::Cancel { index: 20 });
        }
        let said = table.tell(Event::PrefixDiverges(3));
        assert_eq!(said, [ProviderFrame::PrefixRefused { index: 3 }]);
        assert!(table.ended() && table.checkpoints().is_empty());
    }
}

#[test]
fn a_client_that_goes_stops_the_engine() {
    let mut table = Table::opened(&job(40), &[]);
    assert_eq!(table.tell(Event::Gone), []);
    assert!(table.ended() && table.disengaged);
    let mut table = Table::new();
    table.tell(Event::Gone);
    assert!(table.ended() && !table.disengaged);
}

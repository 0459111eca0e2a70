//! What a provider tells before it is paid, and what it does when it is not.

use super::*;
use crate::session::payment::{self, Work, owed, step};
use proptest::prelude::*;

/// Opens an order that nobody has paid for yet.
fn unpaid(job: &Job, change: impl Fn(&mut Order)) -> (Table, Order) {
    let mut table = Table::new();
    let mut order = order_for(job, 0);
    change(&mut order);
    let open = ClientFrame::Open { order, job: job.clone(), prefix: vec![] };
    assert_eq!(table.hear(open), [ProviderFrame::Accepted]);
    (table, order)
}

/// What the client was told so far, in money: all of it, and what it is to pay for.
fn told(table: &Table, order: &Order) -> (Amount, Amount) {
    let (mut work, mut announced) = (Work::default(), Work::default());
    for frame in &table.said {
        match frame {
            ProviderFrame::Progress { done, .. } => {
                work.read = *done;
                announced = work;
            }
            ProviderFrame::Token { .. } => work.written += 1,
            ProviderFrame::Checkpoint(_) => announced = work,
            _ => {}
        }
    }
    let owed = |work| owed(&order.prices, PROMPT, work).expect("it fits");
    (owed(work), owed(announced))
}

proptest! {
    // spec: SESSION-7.3
    #[test]
    fn no_more_than_a_step_is_told_beyond_what_is_paid_and_all_of_it_once_it_is(
        pays in prop::collection::vec(any::<bool>(), 180),
        output in 0..40_000u64,
    ) {
        let job = job(170);
        let mut dear = unsigned_offer(PROVIDER);
        dear.prices.output = Amount(output);
        let prices = dear.prices;
        let offers = vec![dear.sign(&key(PROVIDER))];
        let mut table = Table::new();
        table.provider = Provider::new(Desk { offers, receipts: receipts(PROVIDER) });
        let order = Order { prices, ..order_for(&job, 0) };
        table.hear(ClientFrame::Open { order, job: job.clone(), prefix: vec![] });
        let answer = Toy::default().answer(&job).0;
        let mut events: std::collections::VecDeque<Event> =
            answer.iter().map(|token| Event::Token(*token)).collect();
        events.push_front(Event::Ready);
        events.push_back(Event::Finished(Finish::Length));
        let (mut paid, credit) = (Amount::ZERO, step(&order.prices).expect("it fits"));
        for pays in pays {
            if let Some(event) = events.pop_front() {
                table.tell(event);
            }
            let (all, announced) = told(&table, &order);
            prop_assert!(all.saturating_sub(paid) <= credit, "{all} told, {paid} paid");
            if pays && announced > paid {
                paid = announced;
                table.tell(Event::Paid(paid));
            }
        }
        while table.provider.awaits_payment() {
            let (_, announced) = told(&table, &order);
            prop_assert!(announced > paid, "it waits for what it did not announce");
            paid = announced;
            table.tell(Event::Paid(paid));
        }
        prop_assert_eq!(table.tokens(), answer);
        prop_assert!(table.receipt().is_some());
    }
}

// spec: SESSION-7.1
#[test]
fn an_order_whose_payment_is_not_certain_is_refused() {
    let uncovered = (Refusal::BadOrder, crate::session::provider::paid::UNCOVERED.to_owned());
    let least = {
        let job = job(40);
        payment::least(&order_for(&job, 3), PROMPT).expect("it fits")
    };
    assert_eq!(refused(|asked| asked.order.channel = ChannelId::NONE), uncovered);
    assert_eq!(refused(|asked| asked.holds = None), uncovered);
    assert_eq!(refused(|asked| asked.holds = Some(Amount(PLENTY.0 - 1))), uncovered);
    assert_eq!(refused(|asked| asked.order.ceiling = Amount(least.0 - 1)), uncovered);
    unpaid(&job(40), |order| order.ceiling = Amount(17));
}

// spec: SESSION-7.4
#[test]
fn an_order_whose_ceiling_is_reached_ends_there() {
    let (mut table, order) = unpaid(&job(40), |order| order.ceiling = Amount(7 + 5 * 20));
    assert_eq!(table.tell(Event::Paid(PLENTY)), []);
    table.tell(Event::Ready);
    let mut said = Vec::new();
    for token in Toy::default().answer(&job(40)).0 {
        said = table.tell(Event::Token(token));
    }
    assert_eq!(said, [], "it was over before the last token");
    assert_eq!(table.tokens().len(), 20);
    assert_eq!(told(&table, &order).0, order.ceiling);
    let last = table.said.last().map(std::slice::from_ref).expect("something was said");
    assert_eq!(refusal(last).0, Refusal::Unpaid);
    assert!(table.ended());
}

// spec: SESSION-7.2, SESSION-7.6
#[test]
fn vouchers_are_redeemed_while_it_works_and_until_the_client_leaves() {
    let (mut table, _) = unpaid(&job(3), |_| {});
    let pay = || ClientFrame::Pay { paid: Amount(9), voucher: vec![1, 2] };
    table.hear(pay());
    table.tell(Event::Ready);
    table.write(&Toy::default(), 4);
    assert!(table.receipt().is_some() && table.provider.awaits_farewell());
    table.hear(pay());
    assert_eq!(table.redeemed, 2);
    assert_eq!(table.tell(Event::Paid(Amount(9))), []);
    table.part();
    assert!(table.ended());
}

// spec: SESSION-7.7
#[test]
fn a_stream_carries_one_deal_and_its_reply_and_nothing_else() {
    let mut table = Table::new();
    assert_eq!(table.hear(ClientFrame::Deal(vec![1])), []);
    assert_eq!(table.redeemed, 1);
    assert_eq!(table.tell(Event::Dealt(vec![2])), [ProviderFrame::Deal(vec![2])]);
    assert!(table.ended());
    let (mut table, _) = unpaid(&job(40), |_| {});
    assert_eq!(refusal(&table.hear(ClientFrame::Deal(vec![1]))).0, Refusal::Protocol);
}

// spec: SESSION-7.6
#[test]
fn a_cancelled_answer_is_signed_and_its_last_voucher_waited_for() {
    let (job, mut table) = (job(40), Table::new());
    let order = order_for(&job, 0);
    table.hear(ClientFrame::Open { order, job: job.clone(), prefix: vec![] });
    table.tell(Event::Ready);
    table.write(&Toy::default(), 9);
    let hear = |table: &mut Table, frame| {
        table.provider.handle(table.now, Event::Frame { frame, free: true, holds: None })
    };
    let actions = hear(&mut table, ClientFrame::Cancel { index: 4 });
    let [Action::Send(ProviderFrame::Receipt(signed)), Action::Disengage] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(signed.receipt.price, Amount(7 + 5 * 4));
    assert!(table.provider.awaits_farewell());
    let pay = ClientFrame::Pay { paid: Amount(27), voucher: vec![] };
    assert!(matches!(hear(&mut table, pay)[..], [Action::Redeem { .. }]));
    assert!(matches!(table.provider.handle(table.now, Event::Gone)[..], [Action::Close]));
}

// spec: SESSION-7.6
#[test]
fn a_bad_voucher_or_none_at_all_ends_the_work_with_its_reason() {
    let (mut table, _) = unpaid(&job(190), |_| {});
    table.tell(Event::Ready);
    let answer = Toy::default().answer(&job(190)).0;
    answer.into_iter().for_each(|token| drop(table.tell(Event::Token(token))));
    assert!(table.provider.awaits_payment(), "it is more than a step");
    assert_eq!(table.provider.patience(), Some(PAYMENT_PATIENCE));
    let said = table.tell(Event::Unpaid("it is signed by somebody else".into()));
    assert_eq!(refusal(&said), (Refusal::Unpaid, "it is signed by somebody else"));
    assert!(table.ended());
}

//! What meets in the wrong moment: cancels, verdicts, refusals, and statements about nothing new.

use super::*;
use mutirao_wire::Checkpoint;

const LONG: u32 = 40;

impl Stage {
    /// Steps until so many tokens have come from providers, then lets nothing more arrive.
    fn run_to_token(&mut self, tokens: u32) {
        for _ in 0..1_000 {
            let event = self.events.pop_front().expect("tokens come");
            let last = matches!(&event,
                Event::Frame(_, ProviderFrame::Token { index, .. }) if index + 1 == tokens);
            self.step(event);
            if last {
                self.events.retain(|event| matches!(event, Event::Replayed { .. }));
                return;
            }
        }
        panic!("token {tokens} never comes");
    }
}

// spec: SESSION-4.5, SESSION-6.4
#[test]
fn a_cancel_behind_a_lie_that_nobody_saw_still_gets_its_tokens_from_another_provider() {
    let job = job(LONG);
    let truth = Toy::default().answer(&job).0;
    for (lie, tokens, index) in [(3, 12, 10), (0, 1, 1), (18, 30, 25), (9, 16, 10), (9, 16, 9)] {
        let manners = [Manner::Lies(lie), Manner::Honest];
        let mut stage = Stage::new(&job, policy(Mode::Checked), &manners);
        stage.run_to_token(tokens);
        stage.events.push_front(Event::Cancel { index });
        stage.run();
        let outcome = stage.outcome();
        assert_eq!(outcome.answer, truth[..index as usize], "lie {lie}, cancel {index}");
        assert_eq!(outcome.receipt.receipt.finish, Finish::Cancelled { index });
        let bundle = bundle(&job, &outcome.answer, outcome.receipt, outcome.offer.clone());
        assert_eq!(audit::check(&bundle, &facts()), Ok(()));
    }
}

// spec: SESSION-4.5, RECEIPT-3.2
#[test]
fn a_cancelled_answer_that_is_shorter_than_its_index_is_refused_though_it_is_signed() {
    let job = job(LONG);
    let truth = Toy::default().answer(&job).0;
    let manners = [Manner::Lies(3), Manner::Mute, Manner::Honest];
    let mut stage = Stage::new(&job, policy(Mode::Checked), &manners);
    stage.run_to_token(12);
    stage.events.push_front(Event::Cancel { index: 10 });
    while stage.opened.len() < 2 {
        let event = stage.events.pop_front().expect("the lie is found");
        stage.step(event);
    }
    let (_, order, prefix) = stage.opened[1].clone();
    assert_eq!(prefix, truth[..3]);
    let served = Served { start: 3, end: 3 };
    let short = Receipt {
        job: order.job,
        order: order.commitment(),
        answer: job.answer_commitment(&prefix),
        model: job.model,
        op_set: job.op_set,
        prompt_tokens: count(job.prompt.len()),
        answer_tokens: 3,
        served,
        finish: Finish::Cancelled { index: 10 },
        price: price(&order, &job, served).expect("a price"),
        started_ms: DAWN,
        duration_ms: 1,
        provider: peer(2),
    };
    let short = ProviderFrame::Receipt(short.sign(&receipts(2)));
    stage.events.push_front(Event::Frame(Attempt(1), short));
    stage.run();
    assert_eq!(stage.left(), [1, 2]);
    assert_eq!(stage.left[1].1, "a receipt whose finish is wrong");
    assert_eq!(stage.outcome().answer, truth[..10]);
}

// spec: SESSION-4.5
#[test]
fn who_wrote_only_what_was_taken_back_is_no_writer_of_the_answer() {
    let job = job(LONG);
    let mut stage = Stage::new(&job, policy(STREAMED), &[Manner::Dies(20), Manner::Honest]);
    stage.cancel_after = Some(25);
    while stage.shown.len() < 25 {
        match stage.events.pop_front() {
            Some(event) => stage.step(event),
            None => {
                stage.now = stage.client.timer().expect("a timer");
                stage.step(Event::Tick);
            }
        }
    }
    stage.events.push_front(Event::Cancel { index: 10 });
    stage.run();
    let outcome = stage.outcome();
    let parts: Vec<_> = outcome.parts.iter().map(|part| (part.provider, part.start)).collect();
    assert_eq!(parts, [(peer(1), 0)]);
    assert_eq!(outcome.receipt.receipt.provider, peer(2), "who signs it did not write it");
    assert_eq!(outcome.seen_by, [peer(1), peer(2)]);
}

// spec: SESSION-4.5, RECEIPT-3.2
#[test]
fn an_answer_that_ends_before_a_cancel_that_stood_behind_a_lie_ends_by_itself() {
    let job = job(LONG);
    let toy = Toy { end_at: Some(6), ..Toy::default() };
    let mut stage = Stage::new(&job, policy(Mode::Checked), &[Manner::Lies(3), Manner::Honest]);
    stage.run_to_token(12);
    stage.toy = toy;
    stage.events.push_front(Event::Cancel { index: 10 });
    stage.run();
    stage.is_right(&job);
    assert_eq!(stage.outcome().receipt.receipt.finish, Finish::Eos);
}

// spec: SESSION-4.4, SESSION-6.6
#[test]
fn a_refuser_is_not_blamed_by_a_replay_that_ends_before_the_place_it_names() {
    let job = job(LONG);
    let manners = [Manner::Lies(34), Manner::Honest];
    let mut stage = Stage::new(&job, policy(Mode::Checked), &manners);
    stage.run_to_token(37);
    // The verdict on the first window is still out when the user ends the answer and the
    // provider is cut off within the third; the next one gets the lie as its prefix.
    let held: Vec<Event> = stage.events.drain(..).collect();
    assert!(matches!(held[..], [Event::Replayed { upto: 16, diverges: None }]), "{held:?}");
    stage.events.push_back(Event::Cancel { index: 36 });
    stage.events.push_back(Event::Lost(Attempt(0), "it closed the stream".into()));
    while let Some(event) = stage.events.pop_front() {
        stage.step(event);
    }
    stage.events.extend(held);
    stage.run();
    assert_eq!(stage.left(), [1, 1], "the closed stream, and then the lie");
    assert_eq!(stage.outcome().answer, Toy::default().answer(&job).0[..36]);
}

// spec: SESSION-3.3
#[test]
fn a_checkpoint_over_nothing_new_is_refused() {
    // A provider could otherwise fill a client's memory with one statement said again and again.
    let job = job(LONG);
    let mut stage = Stage::new(&job, policy(STREAMED), &[Manner::Honest, Manner::Honest]);
    let mut again = None;
    while again.is_none() {
        let event = stage.events.pop_front().expect("a checkpoint comes");
        if let Event::Frame(_, ProviderFrame::Checkpoint(_)) = event {
            again = Some(event.clone());
        }
        stage.step(event);
    }
    stage.events.push_front(again.expect("a checkpoint"));
    stage.run();
    stage.is_right(&job);
    assert_eq!(stage.left(), [1]);
    assert!(stage.left[0].1.contains("nothing new"), "{:?}", stage.left);

    let mut stage = Stage::new(&job, policy(STREAMED), &[Manner::Mute, Manner::Honest]);
    let start = stage.events.pop_front().expect("the start");
    stage.step(start);
    let linked = stage.events.pop_front().expect("a stream");
    stage.step(linked);
    let (_, order, prefix) = stage.opened[0].clone();
    let point = Checkpoint {
        job: order.job,
        order: order.commitment(),
        index: 0,
        prefix: job.prefix_digest(&prefix),
    };
    let empty = ProviderFrame::Checkpoint(point.sign(&receipts(1)));
    stage.events.push_front(Event::Frame(Attempt(0), empty));
    stage.run();
    stage.is_right(&job);
    assert!(stage.left[0].1.contains("nothing new"), "{:?}", stage.left);
}

// spec: SESSION-3.1
#[test]
fn a_stream_that_opens_twice_is_asked_once() {
    let job = job(LONG);
    let mut stage = Stage::new(&job, policy(STREAMED), &[Manner::Honest]);
    stage.run_to_token(5);
    stage.events.clear();
    let before = stage.opened.len();
    stage.step(Event::Connected(Attempt(0)));
    assert_eq!(stage.opened.len(), before);
}

// spec: SESSION-6.1, SESSION-4.5
#[test]
fn what_is_written_anew_before_a_cancel_is_not_handed_on_unreplayed_either() {
    let job = job(LONG);
    let truth = Toy::default().answer(&job).0;
    let manners = [Manner::Lies(3), Manner::Dies(7), Manner::Honest];
    let mut stage = Stage::new(&job, policy(Mode::Checked), &manners);
    stage.run_to_token(12);
    stage.events.push_front(Event::Cancel { index: 10 });
    stage.run();
    assert_eq!(stage.outcome().answer, truth[..10]);
    let prefixes: Vec<usize> = stage.opened.iter().map(|(_, _, prefix)| prefix.len()).collect();
    assert_eq!(prefixes, [0, 3, 3], "only what replay confirmed");
}

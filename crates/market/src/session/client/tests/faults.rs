//! Providers that fail: each is left with a reason, and nothing of the answer is lost.

use super::*;

const LONG: u32 = 40;

#[test]
fn an_honest_provider_gives_the_one_answer_in_every_mode() {
    for mode in [STREAMED, AUDITED, Mode::Checked] {
        let stage = Stage::play(&job(LONG), mode, &[Manner::Honest]);
        stage.is_right(&job(LONG));
        assert_eq!(stage.outcome().proven, mode != STREAMED);
        assert!(stage.left.is_empty() && stage.writers.iter().all(|key| *key == peer(1)));
    }
}

// spec: SESSION-1.3, SESSION-4.2
#[test]
fn after_a_death_at_any_token_the_next_provider_goes_on_with_the_very_next_one() {
    let job = job(LONG);
    for at in 0..LONG as usize {
        for manner in [Manner::Dies(at), Manner::Closes(at)] {
            let stage = Stage::play(&job, STREAMED, &[manner, Manner::Honest]);
            stage.is_right(&job);
            let [(_, first, none), (second, order, prefix)] = &stage.opened[..] else {
                panic!("two orders: {:?}", stage.opened)
            };
            assert!(none.is_empty() && first.start == 0 && first.job == order.job);
            assert_eq!((*second, order.provider), (peer(2), peer(2)));
            assert_eq!((order.start, prefix.len()), (count(at), at));
            let outcome = stage.outcome();
            let served = outcome.receipt.receipt.served;
            assert_eq!(served, Served { start: count(at), end: LONG });
            let starts: Vec<u32> = outcome.parts.iter().map(|part| part.start).collect();
            assert_eq!(starts, if at == 0 { vec![0] } else { vec![0, count(at)] });
        }
    }
}

#[test]
fn two_deaths_in_one_answer_change_nothing_either() {
    let job = job(LONG);
    let manners = [Manner::Dies(9), Manner::Closes(23), Manner::Honest];
    let stage = Stage::play(&job, STREAMED, &manners);
    stage.is_right(&job);
    assert_eq!(stage.left(), [1, 2]);
    assert_eq!(stage.outcome().seen_by, [peer(1), peer(2), peer(3)]);
}

// spec: SESSION-4.1
#[test]
fn when_nobody_is_left_the_error_names_everybody_and_why() {
    let manners = [Manner::Away, Manner::Mute, Manner::Busy, Manner::Closes(3), Manner::Dies(7)];
    let stage = Stage::play(&job(LONG), STREAMED, &manners);
    let SessionError::NobodyLeft { tried } = stage.error() else { panic!("another error") };
    let said: Vec<&str> = tried.iter().map(|(_, why)| why.as_str()).collect();
    let wanted = ["no reply", "silent", "closed the stream", "silent", "Busy"];
    assert_eq!(said.len(), wanted.len());
    assert!(said.iter().zip(wanted).all(|(why, word)| why.contains(word)), "{said:?}");
    assert_eq!(stage.left(), [1, 2, 4, 5], "who is full has not failed");
    assert_eq!(stage.shown, Toy::default().answer(&job(LONG)).0[..7]);
}

// spec: SESSION-3.1
#[test]
fn no_more_providers_see_the_prompt_than_the_policy_allows() {
    let few = Policy { seen_by_max: 2, ..policy(STREAMED) };
    let manners = [Manner::Away, Manner::Dies(4), Manner::Dies(8), Manner::Honest];
    let mut stage = Stage::new(&job(LONG), few, &manners);
    stage.run();
    assert!(matches!(stage.error(), SessionError::SeenByEnough { maximum: 2 }));
    let asked: Vec<PeerKey> = stage.opened.iter().map(|(key, ..)| *key).collect();
    assert_eq!(asked, [peer(2), peer(3)], "who could not be reached saw nothing");
}

// spec: SESSION-3.2
#[test]
fn a_token_out_of_order_out_of_vocabulary_or_after_the_end_is_refused() {
    fn skip(frame: &mut ProviderFrame) {
        if let ProviderFrame::Token { index, .. } = frame {
            *index += 1;
        }
    }
    fn again(frame: &mut ProviderFrame) {
        if let ProviderFrame::Token { index, .. } = frame {
            *index -= 1;
        }
    }
    fn unknown(frame: &mut ProviderFrame) {
        if let ProviderFrame::Token { token, .. } = frame {
            *token = Token(VOCABULARY);
        }
    }
    fn more(frame: &mut ProviderFrame) {
        *frame = ProviderFrame::Token { index: 16, token: Token(1) };
    }
    let job = job(16);
    let bends: [(Manner, &str); 4] = [
        (Manner::Bends(6, skip), "token 5 came where token 4 was due"),
        (Manner::Bends(6, again), "token 3 came where token 4 was due"),
        (Manner::Bends(6, unknown), "vocabulary"),
        (Manner::Bends(18, more), "after the end"),
    ];
    for (manner, word) in bends {
        let stage = Stage::play(&job, STREAMED, &[manner, Manner::Honest]);
        stage.is_right(&job);
        assert!(stage.left[0].1.contains(word), "{:?}", stage.left);
    }
}

/// Frame 18 of a long answer: `Accepted`, `Progress`, sixteen tokens, then the first checkpoint.
const FIRST_CHECKPOINT: usize = 18;

// spec: RECEIPT-2.1, SESSION-3.3
#[test]
fn a_checkpoint_that_binds_something_else_is_refused_by_the_name_of_its_field() {
    fn bend(frame: &mut ProviderFrame, change: impl Fn(&mut mutirao_wire::Checkpoint)) {
        let ProviderFrame::Checkpoint(signed) = frame else { panic!("a checkpoint") };
        let mut point = signed.checkpoint;
        change(&mut point);
        *signed = point.sign(&receipts(1));
    }
    let bends: [(Bend, &str); 5] = [
        (|frame| bend(frame, |point| point.job.0.0[0] ^= 1), "job"),
        (|frame| bend(frame, |point| point.order.0.0[0] ^= 1), "order"),
        (|frame| bend(frame, |point| point.index -= 1), "index"),
        (|frame| bend(frame, |point| point.prefix.0.0[0] ^= 1), "prefix"),
        (
            |frame| {
                let ProviderFrame::Checkpoint(signed) = frame else { panic!("a checkpoint") };
                *signed = signed.checkpoint.sign(&receipts(9));
            },
            "signature",
        ),
    ];
    for (change, field) in bends {
        let manners = [Manner::Bends(FIRST_CHECKPOINT, change), Manner::Honest];
        let stage = Stage::play(&job(LONG), STREAMED, &manners);
        stage.is_right(&job(LONG));
        assert_eq!(stage.left[0].1, format!("a checkpoint whose {field} is wrong"));
    }
    let silent: Bend = |frame| {
        *frame = ProviderFrame::Token { index: 16, token: Token(0) };
    };
    let manners = [Manner::Bends(FIRST_CHECKPOINT, silent), Manner::Honest];
    let stage = Stage::play(&job(LONG), STREAMED, &manners);
    assert!(stage.left[0].1.contains("did not sign"), "{:?}", stage.left);
}

fn bend_receipt(frame: &mut ProviderFrame, change: impl Fn(&mut Receipt)) {
    let ProviderFrame::Receipt(signed) = frame else { panic!("a receipt: {frame:?}") };
    let mut receipt = signed.receipt;
    change(&mut receipt);
    *signed = receipt.sign(&receipts(1));
}

// spec: RECEIPT-2.2
#[test]
fn each_of_the_thirteen_things_a_receipt_says_is_compared_and_named() {
    let bends: [(Bend, &str); 13] = [
        (|frame| bend_receipt(frame, |said| said.job.0.0[0] ^= 1), "job"),
        (|frame| bend_receipt(frame, |said| said.order.0.0[0] ^= 1), "order"),
        (|frame| bend_receipt(frame, |said| said.answer.0.0[0] ^= 1), "answer"),
        (|frame| bend_receipt(frame, |said| said.model = ModelId(Digest([1; 32]))), "model"),
        (|frame| bend_receipt(frame, |said| said.op_set = OpSet(2)), "op set"),
        (|frame| bend_receipt(frame, |said| said.prompt_tokens += 1), "prompt count"),
        (|frame| bend_receipt(frame, |said| said.answer_tokens += 1), "answer count"),
        (|frame| bend_receipt(frame, |said| said.served.start += 1), "served start"),
        (|frame| bend_receipt(frame, |said| said.served.end += 1), "served end"),
        (|frame| bend_receipt(frame, |said| said.provider = peer(2)), "provider"),
        (|frame| bend_receipt(frame, |said| said.price = Amount(said.price.0 + 1)), "price"),
        (|frame| bend_receipt(frame, |said| said.finish = Finish::Eos), "finish"),
        (
            |frame| {
                let ProviderFrame::Receipt(signed) = frame else { panic!("a receipt") };
                *signed = signed.receipt.sign(&receipts(9));
            },
            "signature",
        ),
    ];
    // Accepted, progress, twelve tokens, the last checkpoint, and then the receipt.
    let job = job(12);
    for (change, field) in bends {
        let manners = [Manner::Bends(15, change), Manner::Honest];
        let stage = Stage::play(&job, STREAMED, &manners);
        stage.is_right(&job);
        assert_eq!(stage.left[0].1, format!("a receipt whose {field} is wrong"));
    }
}

// spec: RECEIPT-3.2
#[test]
fn a_finish_that_the_tokens_do_not_have_is_refused_though_it_is_signed() {
    let claims: [Bend; 6] = [
        |frame| bend_receipt(frame, |said| said.finish = Finish::Eos),
        |frame| bend_receipt(frame, |said| said.finish = Finish::Stop),
        |frame| bend_receipt(frame, |said| said.finish = Finish::Length),
        |frame| bend_receipt(frame, |said| said.finish = Finish::Trap),
        |frame| bend_receipt(frame, |said| said.finish = Finish::ProviderStopped),
        |frame| bend_receipt(frame, |said| said.finish = Finish::Cancelled { index: 12 }),
    ];
    let toy = Toy::default();
    let long = job(12);
    let stopping = |nonce| Job { nonce: [nonce; 32], stop: vec![vec![Token(7)]], ..job(LONG) };
    let stops = (0..=255).map(stopping).find(|job| toy.answer(job).0.len() == 12);
    let stops = stops.expect("one of the nonces makes the model say seven in the twelfth place");
    let ends = Toy { end_at: Some(11), ..toy };
    for (job, toy, right) in [(long, toy, 2), (stops, toy, 1), (job(LONG), ends, 0)] {
        let (answer, _) = toy.answer(&job);
        assert_eq!(answer.len(), 12);
        for (number, claim) in claims.into_iter().enumerate() {
            let manners = [Manner::Bends(15, claim), Manner::Honest];
            let mut stage = Stage::new(&job, policy(STREAMED), &manners);
            stage.toy = toy;
            stage.run();
            stage.is_right(&job);
            let left: Vec<&str> = stage.left.iter().map(|(_, why, _)| why.as_str()).collect();
            let wanted =
                if number == right { vec![] } else { vec!["a receipt whose finish is wrong"] };
            assert_eq!(left, wanted, "claim {number} where {right} is right");
        }
    }
}

// spec: SESSION-4.6
#[test]
fn a_provider_that_comes_back_after_it_was_left_is_not_heard() {
    let job = job(LONG);
    let mut stage = Stage::new(&job, policy(STREAMED), &[Manner::Dies(5), Manner::Honest]);
    while stage.left.is_empty() {
        match stage.events.pop_front() {
            Some(event) => stage.step(event),
            None => {
                stage.now = stage.client.timer().expect("a timer");
                stage.step(Event::Tick);
            }
        }
    }
    let late = ProviderFrame::Token { index: 5, token: Token(0) };
    stage.events.push_back(Event::Frame(Attempt(0), late));
    stage.events.push_back(Event::Lost(Attempt(0), "at last".into()));
    stage.events.push_back(Event::Connected(Attempt(0)));
    stage.run();
    stage.is_right(&job);
    assert_eq!(stage.left(), [1]);
}

#[test]
fn a_stream_that_closes_after_its_receipt_costs_no_second_provider() {
    let job = job(LONG);
    let mut stage = Stage::new(&job, policy(AUDITED), &[Manner::Honest, Manner::Honest]);
    while stage.replays.is_empty() {
        let event = stage.events.pop_front().expect("the answer comes without the clock");
        stage.step(event);
    }
    stage.events.push_front(Event::Lost(Attempt(0), "it closed the stream".into()));
    stage.run();
    stage.is_right(&job);
    assert!(stage.left.is_empty() && stage.outcome().seen_by == [peer(1)]);
}

// spec: SESSION-5.4
#[test]
fn the_last_provider_has_time_to_stall_and_one_among_others_has_not() {
    let job = job(LONG);
    for (others, patience) in [(0, 15_000), (1, 2_000)] {
        let manners = [Manner::Dies(9), Manner::Honest];
        let mut stage = Stage::new(&job, policy(STREAMED), &manners[..=others]);
        while stage.shown.len() < 9 || !stage.events.is_empty() {
            let event = stage.events.pop_front().expect("nine tokens come without the clock");
            stage.step(event);
        }
        let waits = stage.client.timer().expect("a timer") - stage.now;
        match others {
            0 => assert_eq!(waits, patience),
            _ => assert!(waits <= patience, "{waits}"),
        }
    }
}

// spec: SESSION-5.5
#[test]
fn whoever_is_full_is_asked_again_when_nobody_else_is_left() {
    let job = job(LONG);
    for mode in [STREAMED, AUDITED, Mode::Checked] {
        let manners = [Manner::Full(3), Manner::Dies(7), Manner::Busy, Manner::Away];
        let stage = Stage::play(&job, mode, &manners);
        stage.is_right(&job);
        assert_eq!(stage.left(), [2, 4], "who is full has not failed");
        assert_eq!(stage.outcome().parts.last().map(|part| part.provider), Some(peer(1)));
    }
}

// spec: SESSION-5.5
#[test]
fn the_wait_for_a_place_grows_and_ends() {
    let mut stage = Stage::new(&job(LONG), policy(STREAMED), &[Manner::Busy]);
    stage.run();
    let SessionError::NobodyLeft { tried } = stage.error() else { panic!("another error") };
    assert!(matches!(tried.as_slice(), [(_, why)] if why.contains("Busy")), "{tried:?}");
    let waited = stage.now - DAWN;
    assert!((15_000..17_500).contains(&waited), "{waited} ms");
    assert!((10..16).contains(&stage.opened.len()), "asked {} times", stage.opened.len());
}

// spec: SESSION-3.10
#[test]
fn a_provider_whose_time_for_one_job_is_up_has_not_failed_and_goes_on() {
    let job = job(LONG);
    let leaves: Bend = |frame| {
        let (code, reason) = (Refusal::BadOrder, "its deadline has passed".into());
        *frame = ProviderFrame::Refused { code, reason };
    };
    let mut stage = Stage::new(&job, policy(STREAMED), &[Manner::Bends(30, leaves)]);
    let mut offer = unsigned_offer(1);
    offer.limits = Some(OfferLimits { job_ms: 20, jobs_per_key: 1 });
    let offers = vec![offer.sign(&key(1))];
    stage.client = Client::new(job.clone(), ENDS.to_vec(), policy(STREAMED), offers);
    stage.run();
    stage.is_right(&job);
    assert_eq!(stage.left, [], "its time was up, and nothing more");
    let [(_, first, none), (_, second, some)] = stage.opened.as_slice() else {
        panic!("asked {} times", stage.opened.len());
    };
    assert!(first.deadline_ms <= DAWN + 25 && second.deadline_ms > first.deadline_ms);
    assert!(none.is_empty() && some.len() > 20, "it goes on from where it was");
}

// spec: SESSION-5.3
#[test]
fn at_its_deadline_a_session_ends_whatever_it_waits_for() {
    let soon = Policy { deadline_ms: DAWN + 1_500, ..policy(STREAMED) };
    for manners in [[Manner::Mute, Manner::Honest], [Manner::Dies(3), Manner::Mute]] {
        let mut stage = Stage::new(&job(LONG), soon.clone(), &manners);
        stage.run();
        assert!(matches!(stage.error(), SessionError::Deadline));
        assert!(stage.now <= soon.deadline_ms + 2);
    }
}

// spec: SESSION-4.5
#[test]
fn a_cancel_gives_a_receipt_for_exactly_so_many_tokens_whoever_was_faster() {
    let job = job(LONG);
    let answer = Toy::default().answer(&job).0;
    for index in 1..LONG {
        for manners in [[Manner::Honest, Manner::Honest], [Manner::Dies(20), Manner::Honest]] {
            let mut stage = Stage::new(&job, policy(STREAMED), &manners);
            stage.cancel_after = Some(index);
            stage.run();
            let outcome = stage.outcome();
            assert_eq!(outcome.answer, answer[..index as usize]);
            assert_eq!(outcome.receipt.receipt.finish, Finish::Cancelled { index });
            let bundle = bundle(&job, &outcome.answer, outcome.receipt, outcome.offer.clone());
            assert_eq!(audit::check(&bundle, &facts()), Ok(()));
        }
    }
}

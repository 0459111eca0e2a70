//! Providers that lie: what is shown, who is blamed, and what convicts him.

use super::*;
use proptest::prelude::*;

const LONG: u32 = 40;

// spec: SESSION-6.1
#[test]
fn in_checked_mode_no_wrong_token_is_shown_and_none_is_handed_on() {
    let job = job(LONG);
    for at in 0..LONG as usize {
        let stage = Stage::play(&job, Mode::Checked, &[Manner::Lies(at), Manner::Honest]);
        stage.is_right(&job);
        assert_eq!(stage.left(), [1]);
        assert!(stage.left[0].2, "it lied");
        stage.convicted(1, count(at));
        let (_, order, prefix) = &stage.opened[1];
        assert_eq!((order.start, prefix.len()), (count(at), at), "only what replay confirmed");
    }
}

// spec: SESSION-6.1
#[test]
fn in_checked_mode_what_nobody_replayed_dies_with_its_provider() {
    let job = job(LONG);
    let stage = Stage::play(&job, Mode::Checked, &[Manner::Dies(21), Manner::Honest]);
    stage.is_right(&job);
    assert_eq!(stage.opened[1].2.len(), 16, "one window was confirmed");
    assert_eq!(stage.writers[..16], [peer(1); 16]);
    assert!(stage.writers[16..].iter().all(|writer| *writer == peer(2)));
}

// spec: SESSION-6.2, SESSION-6.3
#[test]
fn an_answer_is_audited_when_drawn_or_when_a_writer_or_the_signer_is_new() {
    let job = job(LONG);
    let trusted = Stage::play(&job, STREAMED, &[Manner::Dies(5), Manner::Honest]);
    assert!(trusted.replays.is_empty() && !trusted.outcome().proven);

    let drawn = Stage::play(&job, AUDITED, &[Manner::Honest]);
    assert_eq!(drawn.replays, [(LONG as usize, Some(Finish::Length))]);
    assert!(drawn.outcome().proven);

    for new in [1, 2] {
        let newcomers = BTreeSet::from([peer(new)]);
        let strict = Policy { newcomers, ..policy(STREAMED) };
        let mut stage = Stage::new(&job, strict, &[Manner::Dies(5), Manner::Honest]);
        stage.run();
        assert_eq!(stage.replays.len(), 1, "party {new} is new");
        assert!(stage.outcome().proven);
    }
}

#[test]
fn one_in_so_many_is_drawn_and_none_for_zero() {
    assert!((0..100).all(|chance| !audit_drawn(0, chance) && audit_drawn(1, chance)));
    assert_eq!((0..800).filter(|chance| audit_drawn(8, *chance)).count(), 100);
}

// spec: SESSION-6.4, RECEIPT-4.1
#[test]
fn a_lie_that_was_shown_ends_the_session_with_evidence_against_its_writer() {
    let job = job(LONG);
    for at in 0..LONG as usize {
        let stage = Stage::play(&job, AUDITED, &[Manner::Lies(at), Manner::Honest]);
        let SessionError::AnswerDiverged { position, provider, evidence } = stage.error() else {
            panic!("another error: {:?}", stage.error())
        };
        assert_eq!((*position, *provider), (count(at), peer(1)));
        let evidence = evidence.as_deref().expect("it signed the lie");
        assert!(matches!(evidence.statement, mutirao_wire::bundle::Statement::Checkpoint(_)));
        let covered = (at / 16 + 1) * 16;
        assert_eq!(evidence.opening.answer.len(), covered.min(LONG as usize), "the first one");
        stage.convicted(1, count(at));
    }
}

// spec: SESSION-6.4
#[test]
fn a_wrong_end_is_the_signers_and_another_provider_goes_on() {
    let job = job(LONG);
    let stage = Stage::play(&job, AUDITED, &[Manner::Gives(10), Manner::Honest]);
    stage.is_right(&job);
    assert_eq!(stage.left(), [1]);
    stage.convicted(1, 10);
}

// spec: SESSION-4.4
#[test]
fn who_refuses_a_right_prefix_is_left_and_who_refuses_a_wrong_one_is_believed() {
    let job = job(LONG);
    let manners = [Manner::Dies(20), Manner::Denies(7), Manner::Honest];
    let stage = Stage::play(&job, STREAMED, &manners);
    stage.is_right(&job);
    assert_eq!(stage.left(), [1, 2]);
    assert!(stage.left.iter().all(|(_, _, lied)| !lied), "nobody lied about a token");
    assert_eq!(stage.replays, [(20, None)]);

    let beyond = [Manner::Dies(20), Manner::Denies(20), Manner::Honest];
    let stage = Stage::play(&job, STREAMED, &beyond);
    stage.is_right(&job);
    assert!(stage.replays.is_empty(), "a place that is not there needs no replay");

    // The liar dies after its lie: the next one finds it, and is not the one who is blamed.
    let mut stage = Stage::new(&job, policy(STREAMED), &[Manner::Lies(3), Manner::Honest]);
    while stage.shown.len() < 20 {
        let event = stage.events.pop_front().expect("tokens come");
        stage.step(event);
    }
    stage.events.clear();
    stage.run();
    let SessionError::AnswerDiverged { position: 3, provider, .. } = stage.error() else {
        panic!("another error: {:?}", stage.error())
    };
    assert_eq!(*provider, peer(1));
    stage.convicted(1, 3);
}

// spec: SESSION-6.5
#[test]
fn a_liar_is_not_asked_again_in_the_same_session() {
    let job = job(LONG);
    let twice = vec![offer(1), offer(1), offer(2)];
    let manners = [Manner::Lies(3), Manner::Honest];
    let mut stage = Stage::new(&job, policy(Mode::Checked), &manners);
    stage.client = Client::new(job.clone(), ENDS.to_vec(), policy(Mode::Checked), twice);
    stage.run();
    stage.is_right(&job);
    let asked: Vec<PeerKey> = stage.opened.iter().map(|(key, ..)| *key).collect();
    assert_eq!(asked, [peer(1), peer(2)]);
}

// spec: SESSION-5.5, SESSION-6.5
#[test]
fn a_liar_that_leaves_as_if_it_were_full_is_not_asked_again_either() {
    let job = job(LONG);
    let manners = [Manner::Lies(3), Manner::Busy, Manner::Dies(20), Manner::Full(1)];
    let mut stage = Stage::new(&job, policy(AUDITED), &manners);
    while stage.client.count() < 9 {
        let event = stage.events.pop_front().expect("tokens come");
        stage.step(event);
    }
    stage.events.clear();
    let full = ProviderFrame::Refused { code: Refusal::Busy, reason: "full".into() };
    stage.step(Event::Frame(Attempt(0), full));
    stage.run();
    let SessionError::AnswerDiverged { position: 3, provider, .. } = stage.error() else {
        panic!("{:?}", stage.error())
    };
    assert_eq!(*provider, peer(1));
    assert_eq!(stage.opened.iter().filter(|(key, ..)| *key == peer(1)).count(), 1);
}

// spec: SESSION-6.6
#[test]
fn a_replay_of_tokens_that_were_cut_meanwhile_says_nothing() {
    let job = job(LONG);
    let mut stage = Stage::new(&job, policy(STREAMED), &[Manner::Lies(9), Manner::Denies(9)]);
    stage.manners.push(Manner::Honest);
    stage.client = Client::new(
        job.clone(),
        ENDS.to_vec(),
        policy(STREAMED),
        vec![offer(1), offer(2), offer(3)],
    );
    while stage.shown.len() < 12 {
        let event = stage.events.pop_front().expect("tokens come");
        stage.step(event);
    }
    stage.events.clear();
    while stage.replays.is_empty() {
        match stage.events.pop_front() {
            Some(event) => stage.step(event),
            None => {
                stage.now = stage.client.timer().expect("a timer");
                stage.step(Event::Tick);
            }
        }
    }
    // The user takes back everything from the lie on before the verdict is there.
    stage.events.push_front(Event::Cancel { index: 6 });
    stage.shown.truncate(6);
    stage.run();
    assert_eq!(stage.outcome().answer, Toy::default().answer(&job).0[..6]);
    assert!(stage.left.iter().all(|(_, _, lied)| !lied), "{:?}", stage.left);
}

// spec: RECEIPT-3.1
#[test]
fn the_natural_end_is_read_from_the_tokens_in_its_order() {
    let mut job = job(4);
    job.stop = vec![vec![Token(3), Token(4)]];
    let end = ENDS[0];
    let read = |answer: &[Token]| natural_finish(&job, ENDS, answer);
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[Token(4), Token(3)]), None);
    assert_eq!(read(&[Token(3), Token(4)]), Some(Finish::Stop));
    assert_eq!(read(&[Token(1), end]), Some(Finish::Eos));
    assert_eq!(read(&[Token(1), Token(2), Token(3), end]), Some(Finish::Eos));
    assert_eq!(read(&[Token(1), Token(2), Token(3), Token(4)]), Some(Finish::Stop));
    assert_eq!(read(&[Token(1), Token(2), Token(3), Token(5)]), Some(Finish::Length));
}

fn manner() -> impl Strategy<Value = Manner> {
    let at = 0..(LONG as usize);
    prop_oneof![
        3 => Just(Manner::Honest),
        1 => Just(Manner::Away),
        1 => Just(Manner::Mute),
        1 => Just(Manner::Busy),
        2 => at.clone().prop_map(Manner::Dies),
        2 => at.clone().prop_map(Manner::Closes),
        3 => at.clone().prop_map(Manner::Lies),
        1 => at.clone().prop_map(Manner::Gives),
        1 => (0..LONG).prop_map(Manner::Denies),
    ]
}

proptest! {
    #[test]
    fn whatever_providers_do_an_answer_is_right_or_the_error_says_why(
        manners in proptest::collection::vec(manner(), 1..5),
        checked in any::<bool>(),
        cancel_after in proptest::option::of(1..LONG),
    ) {
        let job = job(LONG);
        let mode = if checked { Mode::Checked } else { AUDITED };
        let (truth, _) = Toy::default().answer(&job);
        let mut stage = Stage::new(&job, policy(mode), &manners);
        stage.cancel_after = cancel_after;
        stage.run();
        match stage.outcome.as_ref().expect("it ended") {
            Ok(outcome) => {
                prop_assert!(truth.starts_with(&outcome.answer));
                prop_assert!(stage.shown.starts_with(&outcome.answer), "a window is shown at once");
                prop_assert!(outcome.proven);
            }
            Err(SessionError::AnswerDiverged { .. }) => prop_assert!(!checked),
            Err(_) => prop_assert!(!manners.iter().any(|manner| matches!(manner, Manner::Honest))),
        }
        for (key, _, lied) in &stage.left {
            let party = (1..=9).find(|party| peer(*party) == *key).expect("a party");
            let manner = manners[usize::from(party) - 1];
            let liar = matches!(manner, Manner::Lies(_) | Manner::Gives(_));
            prop_assert!(!lied || liar, "an honest provider is blamed: {:?}", stage.left);
        }
    }
}

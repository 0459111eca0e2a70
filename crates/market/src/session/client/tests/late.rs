//! Those who say what they offer when the session has begun.

use super::*;

const LONG: u32 = 40;
/// Until when offers may come.
const UNTIL: Millis = DAWN + 4_000;

/// A session that knows the first of these alone.
fn stage(job: &Job, manners: &[Manner]) -> Stage {
    let mut stage = Stage::new(job, policy(STREAMED), manners);
    let offers = vec![offer(1)];
    stage.client =
        Client::new(job.clone(), ENDS.to_vec(), policy(STREAMED), offers).awaiting(UNTIL);
    stage
}

/// Until nothing comes but the clock.
fn run_until_it_waits(stage: &mut Stage) {
    while let Some(event) = stage.events.pop_front() {
        stage.step(event);
    }
}

fn offered(party: u8, more: bool) -> Event {
    Event::Offered { offers: vec![offer(party)], more }
}

// spec: SESSION-5.7
#[test]
fn who_is_late_goes_on_where_nobody_else_is_left() {
    let job = job(LONG);
    for first in [Manner::Closes(7), Manner::Away, Manner::Dies(7), Manner::Mute] {
        let mut stage = stage(&job, &[first, Manner::Honest]);
        run_until_it_waits(&mut stage);
        assert!(stage.outcome.is_none(), "it waits for those who have not answered");
        stage.events.push_back(offered(2, true));
        stage.run();
        stage.is_right(&job);
        assert_eq!(stage.left(), [1]);
        assert!(stage.now < UNTIL, "nobody waits for a last provider who is not the last");
    }
}

// spec: SESSION-5.7, SESSION-4.1
#[test]
fn when_nobody_comes_any_more_the_session_ends() {
    let job = job(LONG);
    for is_told in [true, false] {
        let mut stage = stage(&job, &[Manner::Closes(7)]);
        run_until_it_waits(&mut stage);
        if is_told {
            stage.events.push_back(Event::Offered { offers: vec![], more: false });
        }
        stage.run();
        let SessionError::NobodyLeft { tried } = stage.error() else { panic!("another error") };
        assert_eq!(tried.len(), 1);
        assert_eq!(stage.now < UNTIL, is_told);
    }
}

// spec: SESSION-5.7
#[test]
fn who_is_late_is_behind_all_others_and_nobody_is_asked_twice() {
    let job = job(LONG);
    let mut stage = stage(&job, &[Manner::Closes(3), Manner::Closes(9), Manner::Honest]);
    for event in [offered(1, true), offered(2, true), offered(2, true), offered(3, false)] {
        stage.events.push_back(event);
    }
    stage.run();
    stage.is_right(&job);
    assert_eq!(stage.left(), [1, 2]);
    let asked: Vec<PeerKey> = stage.opened.iter().map(|(key, ..)| *key).collect();
    assert_eq!(asked, [peer(1), peer(2), peer(3)]);
}

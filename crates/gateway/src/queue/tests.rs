//! The line before the door, driven by hand: every future is polled when the test says so.

use super::*;
use proptest::prelude::*;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

type Entering = Pin<Box<dyn Future<Output = Result<Place, ApiError>>>>;

/// One that asked.
enum Guest {
    Waits(Entering),
    Runs { _place: Place },
    Gone,
}

/// Hears in which order guests are told that something happened.
struct Bell(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.1.lock().expect("nobody panicked").push(self.0);
    }
}

/// A queue, everybody who came, and in which order they were called.
struct Scene {
    queue: Arc<Queue>,
    guests: Vec<(u8, u64, Guest)>,
    rung: Arc<Mutex<Vec<usize>>>,
    called: Vec<usize>,
    refused: Vec<usize>,
}

impl Scene {
    fn new(running: usize, memory: u64, waiting: usize) -> Self {
        let queue = Queue::new(running, memory, waiting, Arc::new(Metrics::new()));
        let (called, refused) = (Vec::new(), Vec::new());
        Self { queue, guests: Vec::new(), rung: Arc::default(), called, refused }
    }

    fn comes(&mut self, asker: u8, bytes: u64) -> usize {
        let queue = self.queue.clone();
        let whose = Whose::Caller(Caller::Key(asker.to_string()));
        let entering: Entering = Box::pin(async move { queue.enter(whose, bytes).await });
        self.guests.push((asker, bytes, Guest::Waits(entering)));
        self.look();
        // Somebody may have been sent away for it.
        self.look();
        self.guests.len() - 1
    }

    /// Hangs up or is done.
    fn goes(&mut self, guest: usize) {
        self.guests[guest].2 = Guest::Gone;
        self.look();
    }

    /// Polls everybody who waits.
    fn look(&mut self) {
        let mut called = Vec::new();
        for (number, (_, _, guest)) in self.guests.iter_mut().enumerate() {
            let Guest::Waits(entering) = guest else { continue };
            let waker = Waker::from(Arc::new(Bell(number, self.rung.clone())));
            match entering.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => {}
                Poll::Ready(Ok(place)) => {
                    called.push(number);
                    *guest = Guest::Runs { _place: place };
                }
                Poll::Ready(Err(_)) => {
                    self.refused.push(number);
                    *guest = Guest::Gone;
                }
            }
        }
        let rung = std::mem::take(&mut *self.rung.lock().expect("nobody panicked"));
        // Whoever need not wait hears no bell.
        called.sort_by_key(|number| {
            rung.iter().position(|rung| rung == number).unwrap_or(rung.len())
        });
        self.called.extend(called);
    }

    fn all(&self, wanted: fn(&Guest) -> bool) -> Vec<usize> {
        let found = self.guests.iter().enumerate().filter(|(_, (_, _, guest))| wanted(guest));
        found.map(|(number, _)| number).collect()
    }

    fn running(&self) -> Vec<usize> {
        self.all(|guest| matches!(guest, Guest::Runs { .. }))
    }

    fn waiting(&self) -> Vec<usize> {
        self.all(|guest| matches!(guest, Guest::Waits(_)))
    }
}

#[test]
fn whoever_asks_twenty_things_makes_nobody_wait_for_twenty() {
    let mut scene = Scene::new(1, 0, 64);
    for _ in 0..20 {
        scene.comes(1, 0);
    }
    let single = scene.comes(2, 0);
    assert_eq!(scene.running(), [0]);
    scene.goes(0);
    assert_eq!(scene.running(), [1], "that line was there before");
    scene.goes(1);
    assert_eq!(scene.running(), [single], "then it is the other's turn");
    scene.goes(single);
    assert_eq!(scene.running(), [2], "in the order of arrival");
}

#[test]
fn whoever_fills_the_line_loses_the_end_of_it_to_others() {
    let mut scene = Scene::new(1, 0, 4);
    for _ in 0..6 {
        scene.comes(1, 0);
    }
    assert_eq!(scene.refused, [5], "one runs, four wait");
    let other = scene.comes(2, 0);
    assert_eq!(scene.refused, [5, 4], "the last of the longest line makes room");
    let more = scene.comes(2, 0);
    assert_eq!(scene.waiting(), [1, 2, other, more], "three and one become two and two");
    scene.comes(2, 0);
    scene.comes(1, 0);
    assert_eq!(scene.waiting(), [1, 2, other, more], "nobody has more than another");
    let third = scene.comes(3, 0);
    assert!(scene.waiting().contains(&third));
}

#[test]
fn a_large_one_is_not_overtaken_and_makes_room_when_it_hangs_up() {
    let mut scene = Scene::new(4, 100, 64);
    let first = scene.comes(1, 60);
    let large = scene.comes(2, 1_000);
    let small = scene.comes(3, 10);
    assert_eq!(scene.running(), [first], "there is room for the small one, and it is not its turn");
    scene.goes(large);
    assert_eq!(scene.running(), [first, small]);
    let large = scene.comes(2, 1_000);
    scene.goes(first);
    assert_eq!(scene.running(), [small]);
    scene.goes(small);
    assert_eq!(scene.running(), [large], "all the memory there is");
}

#[test]
fn a_place_that_was_called_for_one_who_has_just_gone_is_the_next_ones() {
    let mut scene = Scene::new(1, 10, 64);
    let first = scene.comes(1, 10);
    let (gone, next) = (scene.comes(2, 10), scene.comes(3, 10));
    // It is called and goes before it has heard that.
    scene.guests[first].2 = Guest::Gone;
    scene.guests[gone].2 = Guest::Gone;
    scene.look();
    assert_eq!(scene.running(), [next]);
}

#[derive(Debug, Clone)]
enum Step {
    Comes(u8, u64),
    Goes(prop::sample::Index),
}

fn arb_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..5, 0u64..60).prop_map(|(asker, bytes)| Step::Comes(asker, bytes)),
        any::<prop::sample::Index>().prop_map(Step::Goes),
    ]
}

/// What holds at every moment.
fn check(scene: &Scene, running_max: usize, memory: u64, waiting_max: usize) {
    let (running, waiting) = (scene.running(), scene.waiting());
    let bytes = |number: &usize| scene.guests[*number].1.min(memory);
    let used: u64 = running.iter().map(bytes).sum();
    assert!(running.len() <= running_max && used <= memory && waiting.len() <= waiting_max);
    let state = scene.queue.lock();
    assert_eq!((state.running, state.bytes), (running.len(), used), "nothing leaks");
    assert_eq!(state.waiting(), waiting.len());
    if let Some(first) = state.lines.front().and_then(|line| line.waiting.front()) {
        assert!(!scene.queue.fits(&state, first.bytes), "somebody waits for nothing");
    }
}

/// The first of a line waits for one turn of each other line at most, and a line is in order.
fn turns_are_fair(scene: &Scene, began: &[usize]) {
    for (place, number) in scene.called.iter().enumerate() {
        let asker = scene.guests[*number].0;
        let own = |other: &&usize| scene.guests[**other].0 == asker;
        let before = scene.called[..place].iter().rev().find(own);
        assert!(before.is_none_or(|before| before < number), "out of order");
        // Since it came, or since its line had its last turn.
        let since = before.map_or(0, |before| {
            1 + scene.called.iter().position(|called| called == before).expect("it was called")
        });
        let since = since.max(began[*number]);
        for other in 0..5u8 {
            let turns = scene.called[since..place].iter();
            let turns = turns.filter(|called| other != asker && scene.guests[**called].0 == other);
            assert!(turns.count() <= 1, "{other} had two turns before {asker} had one");
        }
    }
}

proptest! {
    // spec: HTTP-1.6
    #[test]
    fn whatever_comes_and_goes_nothing_leaks_nobody_starves_and_turns_are_fair(
        (running_max, memory, waiting_max) in (1usize..4, 0u64..100, 0usize..12),
        steps in prop::collection::vec(arb_step(), 0..120),
    ) {
        let mut scene = Scene::new(running_max, memory, waiting_max);
        let mut began = Vec::new();
        for step in steps {
            match step {
                Step::Comes(asker, bytes) => {
                    began.push(scene.called.len());
                    scene.comes(asker, bytes);
                }
                Step::Goes(index) if !scene.guests.is_empty() => {
                    scene.goes(index.index(scene.guests.len()));
                }
                Step::Goes(_) => {}
            }
            check(&scene, running_max, memory, waiting_max);
        }
        turns_are_fair(&scene, &began);
        while let Some(first) = scene.running().first().copied() {
            scene.goes(first);
        }
        prop_assert!(scene.waiting().is_empty(), "everybody had a turn");
        check(&scene, running_max, memory, waiting_max);
    }
}

//! Answers that are written together: the same as alone, in time, and each for its asker only.

use super::*;
use crate::manners::{Facts, Reason, Rules};
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::{Dice, Recipe, small_shape};
use mutirao_wire::{Digest, Finish, OpSet, Sampling};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// What a test sees of one job.
struct Seen {
    events: mpsc::Receiver<Event>,
    stop: Arc<AtomicBool>,
}

struct Place {
    model: Arc<Model>,
    workshop: Workshop,
    manners: Arc<Manners>,
}

impl Place {
    fn new(bytes: u64) -> Self {
        let mut recipe = Recipe::new(31, small_shape());
        recipe.end_of_text = Vec::new();
        let model = Arc::new(Model::from_bytes(&recipe.build()).expect("a model file"));
        let workshop = Workshop::start(model.clone(), Arc::new(Threads::new(1)), bytes);
        Self { model, workshop, manners: Manners::new(Rules::OWN) }
    }

    fn job(&self, prompt: Vec<Token>, max_tokens: u32) -> Job {
        Job {
            op_set: OpSet(1),
            model: self.model.id(),
            prompt,
            sampling: Sampling { temperature_milli: 1000, seed: [3; 32], ..Sampling::greedy() },
            max_tokens,
            stop: Vec::new(),
            constraint: None,
            nonce: [0; 32],
        }
    }

    fn submit(&self, job: Job, who: Who, pace: u32) -> Seen {
        let (written, events) = mpsc::channel(EVENTS_WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        let outlet = Box::new(Channel::new(written, stop.clone()));
        let (prefix, manners, who) = (Vec::new(), self.manners.clone(), Some(who));
        self.workshop.submit(Task { job, prefix, who, outlet, manners, pace });
        Seen { events, stop }
    }

    /// The answer that the job has alone.
    fn alone(&self, job: &Job) -> (Vec<Token>, Finish) {
        let mut generation =
            Generation::start(self.model.clone(), job.clone()).expect("the job fits");
        loop {
            if let Step::Finished(finish) = generation.next(&Serial) {
                return (generation.answer().to_vec(), finish);
            }
        }
    }
}

impl Seen {
    /// The whole answer, how it ended, and how many tokens were read before the first sign of life.
    fn whole(&mut self) -> (Vec<Token>, Finish, Option<u32>) {
        let (mut answer, mut first) = (Vec::new(), None);
        loop {
            match self.events.blocking_recv().expect("the workshop tells how it ends") {
                Event::Reading { done, .. } => first = first.or(Some(done)),
                Event::Ready => assert_eq!(answer, []),
                Event::Token(token) => answer.push(token),
                Event::Finished(finish) => return (answer, finish, first),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn prompt(seed: u64, count: usize) -> Vec<Token> {
    Dice::new(seed).tokens(count, 128)
}

fn key(number: u8) -> Who {
    Who(Digest([number; 32]))
}

#[test]
fn twelve_jobs_at_once_have_the_answers_that_each_has_alone() {
    let place = Place::new(1 << 20);
    let job = |number: u64| place.job(prompt(number % 7, 20 + number as usize * 9), 40);
    let jobs: Vec<Job> = (0..12).map(job).collect();
    let who = |number: usize| key(number as u8 % 2);
    let seen: Vec<Seen> =
        jobs.iter().enumerate().map(|(at, job)| place.submit(job.clone(), who(at), 0)).collect();
    for (job, mut seen) in jobs.iter().zip(seen) {
        let (answer, finish, _) = seen.whole();
        assert_eq!((answer, finish), place.alone(job));
    }
}

#[test]
fn whoever_does_not_listen_holds_nobody_up() {
    let place = Place::new(0);
    let job = place.job(prompt(1, 30), 200);
    let mut deaf = place.submit(job.clone(), key(1), 0);
    let mut other = place.submit(place.job(prompt(2, 30), 200), key(2), 0);
    assert_eq!(other.whole().0.len(), 200);
    let (answer, finish, _) = deaf.whole();
    assert_eq!((answer, finish), place.alone(&job), "it listens after all");
}

#[test]
fn an_answer_that_nobody_waits_for_is_given_up() {
    let place = Place::new(0);
    let long = || place.job(prompt(5, 30), 400);
    let mut stopped = place.submit(long(), key(1), 20);
    stopped.stop.store(true, Ordering::Relaxed);
    while let Some(event) = stopped.events.blocking_recv() {
        assert!(!matches!(event, Event::Finished(_)), "400 tokens would take 20 s");
    }
    drop(place.submit(long(), key(1), 20).events);
    let (_, finish, _) = place.submit(place.job(prompt(6, 30), 5), key(1), 0).whole();
    assert_eq!(finish, Finish::Length);
}

#[test]
fn the_next_prompt_of_the_same_asker_reads_only_what_is_new_and_of_another_asker_all() {
    let place = Place::new(1 << 20);
    let first = place.job(prompt(1, 200), 30);
    let (answer, ..) = place.submit(first.clone(), key(1), 0).whole();
    // The last token of an answer is never read.
    let known = first.prompt.len() + answer.len() - 1;
    let next = [first.prompt, answer, prompt(2, 150)].concat();
    let next = place.job(next, 10);
    let stranger = place.submit(next.clone(), key(2), 0).whole();
    assert_eq!(stranger.2, Some(PASS_TOKENS as u32), "the first pass of all that there is to read");
    let own = place.submit(next.clone(), key(1), 0).whole();
    assert_eq!(own.2, Some(known as u32), "what is still there is told first");
    assert_eq!((own.0, own.1), place.alone(&next));
    assert_eq!((stranger.0, stranger.1), place.alone(&next));
}

#[test]
fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
    let place = Place::new(0);
    let position = place.model.position_bytes();
    let mut shelf = Shelf::new(100 * position);
    let kept = |seed: u64, count: usize| {
        let job = place.job(prompt(seed, count), 1);
        let mut generation = Generation::start(place.model.clone(), job).expect("fits");
        generation.prefill(count, &Serial).expect("no error");
        generation.keep()
    };
    shelf.put(key(1), kept(1, 60));
    shelf.put(key(1), kept(2, 40));
    shelf.put(key(1), kept(3, 10));
    assert!(shelf.take(key(1), &prompt(3, 10)).is_none(), "too little to be worth it");
    let copy = shelf.take(key(1), &prompt(1, 20)).expect("it begins alike");
    assert_eq!(copy.tokens(), prompt(1, 20), "a part is copied, and the whole stays");
    shelf.put(key(1), kept(4, 30));
    assert!(shelf.take(key(1), &prompt(1, 60)).is_none(), "the oldest went");
    let taken = shelf.take(key(1), &prompt(2, 40)).expect("there was room for it");
    assert_eq!(taken.tokens(), prompt(2, 40));
    assert!(shelf.take(key(1), &prompt(2, 40)).is_none(), "it was taken");
    assert!(shelf.take(key(2), &prompt(4, 30)).is_none(), "it is another's");
    assert!(shelf.take(key(1), &prompt(4, 30)).is_some());
}

#[test]
fn everybody_leaves_when_the_owner_comes_back_and_a_job_that_does_not_fit_is_refused() {
    let place = Place::new(0);
    let foreign = Job { max_tokens: 0, ..place.job(prompt(1, 5), 1) };
    let refused = place.submit(foreign, key(1), 0).events.blocking_recv();
    assert!(matches!(refused, Some(Event::BadJob(_))), "{refused:?}");
    let rules = Rules { run_if_user_active: false, ..Rules::OWN };
    let rules = Rules { idle_time_to_run: Duration::from_secs(60), ..rules };
    let place = Place { manners: Manners::new(rules), ..place };
    let mut running = place.submit(place.job(prompt(5, 30), 400), key(1), 20);
    assert!(matches!(running.events.blocking_recv(), Some(Event::Reading { .. } | Event::Ready)));
    let facts = Facts { idle: Some(Duration::ZERO), on_batteries: None, hour: 0 };
    place.manners.learn(&facts);
    loop {
        match running.events.blocking_recv().expect("it says why it leaves") {
            Event::Leaving(why) => {
                assert_eq!(why, Reason::UserActive.words());
                break;
            }
            other => assert!(matches!(other, Event::Token(_) | Event::Ready), "{other:?}"),
        }
    }
}

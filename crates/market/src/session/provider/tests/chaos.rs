//! Clients that say anything at any time to a provider whose engine is sound: what it signs is what
//! the engine gave or confirmed, and it ends once.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Move {
    Open {
        prefix: usize,
        free: bool,
    },
    GetOffers,
    Cancel(u32),
    BadFrame,
    Gone,
    Wait(u16),
    /// The engine does so many steps of its work.
    Engine(u8),
}

fn arb_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => (0..10usize, prop::bool::weighted(0.9))
            .prop_map(|(prefix, free)| Move::Open { prefix, free }),
        1 => Just(Move::GetOffers),
        3 => (0..45u32).prop_map(Move::Cancel),
        1 => Just(Move::BadFrame),
        1 => Just(Move::Gone),
        1 => any::<u16>().prop_map(Move::Wait),
        15 => (1..20u8).prop_map(Move::Engine),
    ]
}

/// The engine of the test: reads, confirms, writes, ends; silent once it is not wanted.
struct Engine {
    toy: Toy,
    read: bool,
    written: Vec<Token>,
    done: bool,
}

impl Engine {
    fn step(&mut self, table: &mut Table, job: &Job) {
        if self.done || table.disengaged || table.engaged.is_none() {
            return;
        }
        if !self.read {
            self.read = true;
            table.tell(Event::Reading { done: 1, total: 2, cached: 0 });
            if let Some(index) = self.toy.diverges(job, &self.written) {
                self.done = true;
                table.tell(Event::PrefixDiverges(index));
            } else {
                table.tell(Event::Ready);
            }
            return;
        }
        match self.toy.next(job, &self.written) {
            Step::Token(token) => {
                self.written.push(token);
                table.tell(Event::Token(token));
            }
            Step::Finished(finish) => {
                self.done = true;
                table.tell(Event::Finished(finish));
            }
        }
    }
}

/// Everything signed is about right tokens that the engine had given or confirmed by then.
fn signs_only_the_truth(said: &[ProviderFrame], job: &Job, toy: &Toy, prefix: usize) {
    let (truth, _) = toy.answer(job);
    let mut written = prefix;
    let mut signatures = 0;
    for frame in said {
        match frame {
            ProviderFrame::Token { index, token } => {
                assert_eq!((*index as usize, *token), (written, truth[written]));
                written += 1;
            }
            ProviderFrame::Checkpoint(signed) => {
                assert_eq!(signed.checkpoint.index as usize, written);
                assert_eq!(signed.checkpoint.prefix, job.prefix_digest(&truth[..written]));
            }
            ProviderFrame::Receipt(signed) => {
                let receipt = &signed.receipt;
                let end = receipt.answer_tokens as usize;
                assert!((prefix..=written).contains(&end));
                assert_eq!(receipt.answer, job.answer_commitment(&truth[..end]));
                match receipt.finish {
                    Finish::Cancelled { index } => assert_eq!(index as usize, end),
                    finish => assert_eq!((finish, end), (toy.answer(job).1, truth.len())),
                }
                signatures += 1;
            }
            _ => {}
        }
    }
    assert!(signatures <= 2, "a whole answer, and at most one cut of it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    // spec: SESSION-3.7, SESSION-4.3, SESSION-4.5
    #[test]
    fn whatever_a_client_says_only_the_truth_is_signed_and_the_stream_ends_once(
        lie in prop::option::weighted(0.2, 0..8usize),
        end_at in prop::option::of(0..40usize),
        moves in prop::collection::vec(arb_move(), 1..40),
    ) {
        let (job, toy) = (job(40), Toy { end_at, trap_at: None });
        let (truth, _) = toy.answer(&job);
        let mut table = Table::new();
        let mut engine = Engine { toy, read: false, written: Vec::new(), done: false };
        for step in moves {
            match step {
                Move::Open { prefix, free } => {
                    let mut prefix = truth[..prefix.min(truth.len())].to_vec();
                    if let Some(wrong) = lie.and_then(|at| prefix.get_mut(at)) {
                        *wrong = other(*wrong);
                    }
                    let fresh = table.engaged.is_none();
                    let order = order_for(&job, count(prefix.len()));
                    let frame =
                        ClientFrame::Open { order, job: job.clone(), prefix: prefix.clone() };
                    table.tell(Event::Frame { frame, free, holds: Some(PLENTY) });
                    if fresh && table.engaged.is_some() {
                        table.tell(Event::Paid(PLENTY));
                    }
                    if fresh && table.engaged.is_some() {
                        engine.written = prefix;
                    }
                }
                Move::GetOffers => drop(table.hear(ClientFrame::GetOffers)),
                Move::Cancel(index) => drop(table.hear(ClientFrame::Cancel { index })),
                Move::BadFrame => drop(table.tell(Event::BadFrame("no frame".into()))),
                Move::Gone => drop(table.tell(Event::Gone)),
                Move::Wait(time) => table.now += Millis::from(time),
                Move::Engine(steps) => (0..steps).for_each(|_| engine.step(&mut table, &job)),
            }
        }
        let prefix = table.engaged.as_ref().map_or(0, |(_, prefix)| prefix.len());
        signs_only_the_truth(&table.said, &job, &toy, prefix);
        prop_assert_eq!(table.closed, table.provider.is_over());
    }
}

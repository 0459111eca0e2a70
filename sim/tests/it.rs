//! Trials of the whole network: no answer is lost or changed, whatever goes wrong; and the judge
//! who says so is shown that he can say otherwise.

use mutirao_market::session::client::{Mode, SessionError};
use mutirao_sim::judge::judge;
use mutirao_sim::mind::Minds;
use mutirao_sim::plan::Kind;
use mutirao_sim::record::{Account, AskRecord, Ending, Told, TrialRecord};
use mutirao_sim::trial::{Trial, Trials, hold, hold_many};
use mutirao_sim::world::Sabotage;
use mutirao_wire::{Finish, PeerKey, Token};
use std::collections::BTreeSet;

fn minds() -> Minds {
    Minds::new().expect("the engine takes its own files")
}

fn trial(seed: u64) -> Trial {
    hold(seed, &minds(), None).expect("a trial")
}

/// All is well, and enough went wrong for that to mean something.
fn holds(trials: &Trials) {
    assert!(trials.violations.is_empty(), "{}\n{:#?}", trials.table, trials.violations);
    let sum = trials.table.sum();
    assert_eq!(sum.answers, sum.equal + sum.evidence + sum.unsigned + sum.unpaid);
    assert!(sum.evidence > 0 && sum.failovers > sum.trials, "{}", trials.table);
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Calm) {
        assert!(trials.table.line(kind).struck > 0, "{kind:?}\n{}", trials.table);
    }
}

#[test]
fn a_hundred_trials_lose_and_change_no_token() {
    holds(&hold_many(1, 100).expect("trials"));
}

#[test]
fn a_thousand_trials_lose_and_change_no_token_slow_() {
    if std::env::var_os("MUTIRAO_SLOW").is_none() {
        return;
    }
    holds(&hold_many(10_000, 1_000).expect("trials"));
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_others() {
    let hashes: BTreeSet<_> = (0..15).map(|seed| trial(seed).record.hash).collect();
    assert_eq!(hashes.len(), 15);
    assert!((0..15).all(|seed| hashes.contains(&trial(seed).record.hash)));
    let again = [hold_many(3, 5), hold_many(3, 5)].map(|trials| trials.expect("trials").hash);
    assert_eq!(again[0], again[1]);
}

/// The first trial of a kind from `first` on whose record is as wanted.
fn find(kind: Kind, wanted: impl Fn(&TrialRecord) -> bool) -> TrialRecord {
    let minds = minds();
    (0..600)
        .filter(|seed| Kind::of_seed(*seed) == kind)
        .map(|seed| hold(seed, &minds, None).expect("a trial").record)
        .find(wanted)
        .expect("some trial is as wanted")
}

/// A calm trial whose first answer is whole, and the complaints after `plant` changed its record.
fn complaints(plant: impl FnOnce(&mut TrialRecord, PeerKey)) -> String {
    let long = |ask: &AskRecord| ask.shown.len() > 4 && ask.cancelled.is_none();
    let mut record = find(Kind::Calm, |record| long(&record.asks[0]));
    assert_eq!(judge(&record), []);
    let author = record.asks[0].shown[0].provider;
    plant(&mut record, author);
    judge(&record).iter().map(|violation| format!("{violation}\n")).collect()
}

fn complains(words: &str, plant: impl FnOnce(&mut TrialRecord, PeerKey)) {
    let said = complaints(plant);
    assert!(said.contains(words), "wanted {words:?}, got {said:?}");
}

fn other(token: Token) -> Token {
    Token(token.0 ^ 1)
}

#[test]
fn the_judge_sees_a_token_log_that_was_altered() {
    complains("token 2 was shown and is wrong", |record, _| {
        record.asks[0].shown[2].token = other(record.asks[0].shown[2].token);
    });
    complains("token 3 was shown where 2 was due", |record, _| {
        record.asks[0].shown.remove(2);
    });
    complains("tokens were shown", |record, _| {
        record.asks[0].shown.pop();
    });
}

#[test]
fn the_judge_sees_an_answer_or_receipt_that_is_not_the_unbroken_run() {
    let outcome = |record: &mut TrialRecord, change: fn(&mut Vec<Token>, &mut Finish)| {
        if let Some(Ending::Done(outcome)) = record.asks[0].endings.first_mut() {
            change(&mut outcome.answer, &mut outcome.receipt.receipt.finish);
        }
    };
    complains("is not the unbroken", |record, _| {
        outcome(record, |answer, _| answer[1] = other(answer[1]));
    });
    complains("it ended as", |record, _| {
        outcome(record, |_, finish| *finish = Finish::ProviderStopped);
    });
    complains("its receipt does not hold: signature", |record, _| {
        if let Some(Ending::Done(outcome)) = record.asks[0].endings.first_mut() {
            outcome.receipt.receipt.duration_ms += 1;
        }
    });
    complains("read the prompt and is not listed", |record, _| {
        record.asks[0].told.push(PeerKey([7; 32]));
    });
}

#[test]
fn the_judge_sees_answers_that_never_end_or_end_twice_or_fail() {
    complains("it never ended", |record, _| record.asks[0].endings.clear());
    complains("it ended 2 times", |record, _| {
        let ending = record.asks[0].endings[0].clone();
        record.asks[0].endings.push(ending);
    });
    complains("there is no answer", |record, _| {
        record.asks[0].endings = vec![Ending::Failed(Box::new(SessionError::Deadline))];
    });
    complains("and that is not so", |record, author| {
        let error = SessionError::AnswerDiverged { position: 1, provider: author, evidence: None };
        record.asks[0].endings = vec![Ending::Failed(Box::new(error))];
    });
    complains("did not come to rest", |record, _| record.rested = false);
    complains("keeps a place for nobody", |record, _| record.places_taken = 1);
}

#[test]
fn the_judge_sees_an_honest_provider_accused_and_a_liar_asked_again() {
    let caught = |record: &TrialRecord| {
        record.asks.iter().any(|ask| ask.left.iter().any(|left| left.evidence.is_some()))
    };
    let mut record = find(Kind::LieLate, caught);
    assert_eq!(judge(&record), []);
    record.lies.clear();
    let said: Vec<String> = judge(&record).iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|what| what.contains("is honest and was called a liar")), "{said:?}");
    assert!(said.iter().any(|what| what.contains("signed")), "{said:?}");
    complains("was asked again", |record, author| record.asks[0].dialled.push((author, true)));
}

#[test]
fn the_judge_reads_evidence_as_a_stranger_would() {
    let caught = |ask: &AskRecord| ask.left.iter().position(|left| left.evidence.is_some());
    let mut record = find(Kind::LieLate, |record| {
        record.asks.iter().any(|ask| ask.plan.mode == Mode::Checked && caught(ask).is_some())
    });
    let guilty = |ask: &AskRecord| ask.plan.mode == Mode::Checked && caught(ask).is_some();
    let ask = record.asks.iter().position(guilty).expect("some answer");
    let left = caught(&record.asks[ask]).expect("some liar");
    let kept = record.asks[ask].left[left].evidence.take();
    assert!(judge(&record)[0].what.contains("without evidence"));
    let mut evidence = kept.expect("evidence");
    evidence.opening.answer[0] = other(evidence.opening.answer[0]);
    record.asks[ask].left[left].evidence = Some(evidence);
    assert!(judge(&record)[0].what.contains("the evidence says"));
}

#[test]
fn a_client_that_believes_everything_is_found_out() {
    let minds = minds();
    let lied = |record: &TrialRecord| record.lies.iter().any(|told: &Told| told.place < u32::MAX);
    let mut fooled = 0;
    for seed in (0..90).filter(|seed| Kind::of_seed(*seed) == Kind::LieLate) {
        let trial = hold(seed, &minds, Some(Sabotage::Credulous)).expect("a trial");
        fooled += usize::from(lied(&trial.record) && !trial.violations.is_empty());
    }
    assert!(fooled >= 3, "{fooled}");
}

#[test]
fn a_client_that_believes_nobody_is_found_out() {
    let minds = minds();
    let accuses = |seed| {
        let trial = hold(seed, &minds, Some(Sabotage::Paranoid)).expect("a trial");
        trial.violations.iter().any(|violation| violation.what.contains("called a liar"))
    };
    assert!((0..30).filter(|seed| accuses(*seed)).count() >= 15);
}

/// Each of these seeds showed a fault of the client when it was first held: a seventeenth token
/// over sixteen unsigned ones (14); a refuser of a wrong prefix blamed for hanging up (39), until
/// nobody was left (159); a wrong token shown and never named (414); a wrong end accepted from a
/// stranger who wrote nothing (863); a verdict without evidence, because replay was faster than
/// the checkpoint (1222); a session that hung, because a replay of tokens that were cut was
/// believed (1145); a cancel before a provider's first token (1148) and during its dialling (803)
/// called a breach. They stay here as long as plans give the same trials.
#[test]
fn seeds_that_found_a_fault_stay_without_one() {
    let minds = minds();
    for seed in [14, 39, 159, 414, 803, 863, 1145, 1148, 1222] {
        assert_eq!(hold(seed, &minds, None).expect("a trial").violations, [], "seed {seed}");
    }
}

#[test]
fn the_judge_sees_money_that_is_lost_gained_or_made_up() {
    let account = |record: &mut TrialRecord, change: fn(&mut Account)| {
        let paid = |account: &&mut Account| account.redeemed.0 > 0;
        change(record.accounts.values_mut().find(paid).expect("somebody was paid"));
    };
    complains("unpaid, a step is", |record, _| {
        account(record, |account| account.exposed.0 = account.step.0 + 1);
    });
    complains("was announced", |record, _| {
        account(record, |account| account.announced.0 = account.drawn.0 - 1);
    });
    complains("below a ceiling", |record, _| {
        account(record, |account| account.ceiling.0 = account.drawn.0 - 1);
    });
    complains("redeemed", |record, _| {
        account(record, |account| account.redeemed.0 = account.drawn.0 + 1);
    });
    complains("was drawn from channels", |record, _| {
        record.channels.values_mut().for_each(|(drawn, _)| *drawn += 1);
    });
    complains("is said to be paid", |record, _| {
        if let Some(Ending::Done(outcome)) = record.asks[0].endings.first_mut() {
            outcome.payments.clear();
        }
    });
}

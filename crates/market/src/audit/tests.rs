//! What a stranger makes of a bundle and of evidence.

mod tampered;

use super::*;
use crate::session::frame::{ClientFrame, ProviderFrame};
use crate::session::provider::{Action, Event, Provider};
use crate::testing::{
    DAWN, Step, Toy, bundle, count, desk, facts, job, key, model, offer, other, peer, receipts,
};
use mutirao_wire::{Amount, ChannelId, Checkpoint, Digest, Order, Privacy, Receipt, Served};

const LONG: u32 = 40;

/// What a provider with this engine signs: its checkpoints and its receipt.
fn signed(toy: &Toy, answer: &[Token]) -> (Vec<SignedCheckpoint>, SignedReceipt) {
    signed_from(&job(LONG), toy, answer, 0)
}

/// The same for any job, where the first `start` tokens are somebody else's.
fn signed_from(
    job: &Job,
    toy: &Toy,
    answer: &[Token],
    start: usize,
) -> (Vec<SignedCheckpoint>, SignedReceipt) {
    let mut provider = Provider::new(desk(1));
    let order = Order {
        job: job.commitment(),
        provider: peer(1),
        channel: ChannelId(Digest([7; 32])),
        prices: offer(1).offer.prices,
        ceiling: Amount(1 << 40),
        start: count(start),
        deadline_ms: DAWN + 1_000,
        privacy: Privacy::Open,
    };
    let frame = ClientFrame::Open { order, job: job.clone(), prefix: answer[..start].to_vec() };
    let plenty = Amount(1 << 40);
    let open = Event::Frame { frame, free: true, holds: Some(plenty) };
    let mut events = vec![open, Event::Paid(plenty), Event::Ready];
    events.extend(answer[start..].iter().map(|token| Event::Token(*token)));
    let Step::Finished(finish) = toy.next(job, answer) else { panic!("it goes on") };
    events.push(Event::Finished(finish));
    let said = events.into_iter().flat_map(|event| provider.handle(DAWN, event));
    let (mut points, mut receipt) = (Vec::new(), None);
    for action in said {
        match action {
            Action::Send(ProviderFrame::Checkpoint(signed)) => points.push(signed),
            Action::Send(ProviderFrame::Receipt(signed)) => receipt = Some(signed),
            _ => {}
        }
    }
    (points, receipt.expect("a receipt"))
}

fn honest() -> ReceiptBundle {
    let (job, toy) = (job(LONG), Toy::default());
    let answer = toy.answer(&job).0;
    bundle(&job, &answer, signed(&toy, &answer).1, offer(1))
}

/// The honest receipt with one thing changed and signed again.
fn resigned(change: impl Fn(&mut Receipt)) -> Result<(), AuditError> {
    let mut bundle = honest();
    let mut receipt = bundle.receipt.receipt;
    change(&mut receipt);
    bundle.receipt = receipt.sign(&receipts(1));
    check(&bundle, &facts())
}

// spec: RECEIPT-2.4
#[test]
fn a_true_bundle_passes_and_the_first_thing_that_is_wrong_is_named() {
    assert_eq!(check(&honest(), &facts()), Ok(()));
    let other_model = ModelFacts { id: ModelId(Digest([8; 32])), ..facts() };
    let wanted = AuditError::OtherModel { wanted: model(), op_set: OpSet(1) };
    assert_eq!(check(&honest(), &other_model), Err(wanted));

    let mut forged = honest();
    forged.offer.offer.capacity += 1;
    forged.receipt.receipt.prompt_tokens += 1;
    assert_eq!(check(&forged, &facts()), Err(AuditError::OfferSignature));

    use AuditError::{Commitment, Count};
    assert_eq!(resigned(|said| said.job.0.0[0] ^= 1), Err(Commitment("job")));
    assert_eq!(resigned(|said| said.answer.0.0[0] ^= 1), Err(Commitment("answer")));
    assert_eq!(resigned(|said| said.model.0.0[0] ^= 1), Err(Commitment("model")));
    assert_eq!(resigned(|said| said.op_set = OpSet(2)), Err(Commitment("op set")));
    assert_eq!(resigned(|said| said.prompt_tokens += 1), Err(Count("prompt tokens")));
    assert_eq!(resigned(|said| said.answer_tokens += 1), Err(Count("answer tokens")));
    let served = Served { start: 41, end: LONG };
    assert_eq!(resigned(|said| said.served = served), Err(Count("served range")));
    let served = Served { start: 0, end: LONG - 1 };
    assert_eq!(resigned(|said| said.served = served), Err(Count("served range")));
    assert_eq!(resigned(|said| said.provider = peer(2)), Err(AuditError::Certificate("provider")));
}

// spec: RECEIPT-1.3
#[test]
fn a_key_that_no_offer_names_signs_for_nobody() {
    let mut bundle = honest();
    bundle.receipt = bundle.receipt.receipt.sign(&receipts(2));
    assert_eq!(check(&bundle, &facts()), Err(AuditError::Signature));
    bundle.receipt = bundle.receipt.receipt.sign(&key(1));
    assert_eq!(check(&bundle, &facts()), Err(AuditError::Signature), "the network key does not");
}

// spec: RECEIPT-3.2
#[test]
fn only_the_end_that_the_tokens_have_is_taken() {
    for finish in [Finish::Eos, Finish::Stop, Finish::Trap, Finish::ProviderStopped] {
        let said = resigned(|receipt| receipt.finish = finish);
        assert!(matches!(said, Err(AuditError::Finish(_))), "{finish:?}: {said:?}");
    }
    let cancelled = |index| resigned(move |said| said.finish = Finish::Cancelled { index });
    assert_eq!(cancelled(LONG), Ok(()));
    assert!(matches!(cancelled(LONG - 1), Err(AuditError::Finish(_))));
}

// spec: RECEIPT-2.5
#[test]
fn every_field_of_a_receipt_is_either_proven_or_attested() {
    // A new field breaks this pattern, and then one of the two lists must name it.
    let Receipt {
        job: _,
        order: _,
        answer: _,
        model: _,
        op_set: _,
        prompt_tokens: _,
        answer_tokens: _,
        served: _,
        finish: _,
        price: _,
        started_ms: _,
        duration_ms: _,
        provider: _,
    } = honest().receipt.receipt;
    let mut named: Vec<&str> = PROVEN.iter().chain(ATTESTED).copied().collect();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named.len(), 13);
}

fn evidence(answer: &[Token], statement: Statement) -> Evidence {
    let opening = Opening { job: job(LONG), answer: answer.to_vec(), text: None };
    Evidence { statement, offer: offer(1), opening }
}

fn judge(evidence: &Evidence) -> Result<Conviction, ConvictError<std::convert::Infallible>> {
    convict(evidence, &facts(), &mut Toy::default())
}

// spec: RECEIPT-4.2
#[test]
fn a_signed_lie_convicts_at_its_place_and_the_truth_convicts_nobody() {
    let (toy, job) = (Toy::default(), job(LONG));
    for at in 0..LONG as usize {
        let (lie, _) = toy.lie(&job, at);
        let (points, receipt) = signed(&toy, &lie);
        let position = count(at);
        for point in points {
            let covered = &lie[..point.checkpoint.index as usize];
            let wanted = match point.checkpoint.index > position {
                true => Conviction::Guilty { position },
                false => Conviction::NotGuilty,
            };
            assert_eq!(judge(&evidence(covered, Statement::Checkpoint(point))), Ok(wanted));
        }
        let whole = evidence(&lie, Statement::Receipt(receipt));
        assert_eq!(judge(&whole), Ok(Conviction::Guilty { position }));
    }
    let answer = toy.answer(&job).0;
    let (points, receipt) = signed(&toy, &answer);
    assert_eq!(judge(&evidence(&answer, Statement::Receipt(receipt))), Ok(Conviction::NotGuilty));
    for point in points {
        let covered = &answer[..point.checkpoint.index as usize];
        let said = judge(&evidence(covered, Statement::Checkpoint(point)));
        assert_eq!(said, Ok(Conviction::NotGuilty));
    }
}

// spec: RECEIPT-4.2
#[test]
fn evidence_that_was_tampered_with_says_nothing_about_anybody() {
    let (toy, job) = (Toy::default(), job(LONG));
    let (lie, _) = toy.lie(&job, 3);
    let point = signed(&toy, &lie).0[0];
    let good = evidence(&lie[..16], Statement::Checkpoint(point));
    assert_eq!(judge(&good), Ok(Conviction::Guilty { position: 3 }));

    let wrong = |change: &dyn Fn(&mut Evidence)| {
        let mut bent = good.clone();
        change(&mut bent);
        let Err(ConvictError::Evidence(error)) = judge(&bent) else { panic!("it was taken") };
        error
    };
    let framed = wrong(&|bent| bent.opening.answer[9] = other(bent.opening.answer[9]));
    assert_eq!(framed, AuditError::Commitment("prefix"));
    assert_eq!(wrong(&|bent| bent.opening.job.nonce[0] ^= 1), AuditError::Commitment("job"));
    assert_eq!(wrong(&|bent| bent.offer = offer(2)), AuditError::Signature);
    assert_eq!(wrong(&|bent| bent.offer.offer.sequence += 1), AuditError::OfferSignature);
    let stranger = |bent: &mut Evidence| {
        bent.statement = Statement::Checkpoint(point.checkpoint.sign(&receipts(2)));
    };
    assert_eq!(wrong(&stranger), AuditError::Signature);
    let short = |bent: &mut Evidence| {
        let fewer = Checkpoint { index: 15, ..point.checkpoint };
        bent.statement = Statement::Checkpoint(fewer.sign(&receipts(1)));
    };
    assert_eq!(wrong(&short), AuditError::Count("covered tokens"));
}

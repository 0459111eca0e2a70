//! One thing changed at a time: by an outsider, by the signer himself, by a bit on the way.

use super::*;
use mutirao_wire::{Amount, Decode, Encode, Offer, SigningKey};
use proptest::prelude::*;

/// A change of one field of a receipt.
type Change = fn(&mut Receipt);

/// Every field by the name it has in [`PROVEN`] or [`ATTESTED`], and another value for it.
const FIELDS: &[(&str, Change)] = &[
    ("job", |said| said.job.0.0[31] ^= 1),
    ("order", |said| said.order.0.0[31] ^= 1),
    ("answer", |said| said.answer.0.0[31] ^= 1),
    ("model", |said| said.model.0.0[31] ^= 1),
    ("op set", |said| said.op_set = OpSet(2)),
    ("prompt tokens", |said| said.prompt_tokens -= 1),
    ("answer tokens", |said| said.answer_tokens -= 1),
    ("served", |said| said.served.start += 1),
    ("finish", |said| said.finish = Finish::Eos),
    ("price", |said| said.price = Amount(said.price.0 + 1)),
    ("started", |said| said.started_ms += 1),
    ("duration", |said| said.duration_ms += 1),
    ("provider", |said| said.provider = peer(2)),
];

// spec: RECEIPT-2.5
#[test]
fn the_two_lists_name_each_field_once() {
    let mut listed: Vec<&str> = PROVEN.iter().chain(ATTESTED).copied().collect();
    let mut fields: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    fields.sort_unstable();
    assert_eq!(listed, fields);
}

// spec: RECEIPT-2.4, RECEIPT-1.3
#[test]
fn an_outsider_changes_no_field_of_a_receipt() {
    for (name, change) in FIELDS {
        let mut bundle = honest();
        change(&mut bundle.receipt.receipt);
        let wanted = match *name {
            "provider" => AuditError::Certificate("provider"),
            _ => AuditError::Signature,
        };
        assert_eq!(check(&bundle, &facts()), Err(wanted), "{name}");
    }
}

// spec: RECEIPT-2.5
#[test]
fn the_signer_can_lie_about_what_is_attested_and_about_nothing_that_is_proven() {
    for (name, change) in FIELDS {
        let said = resigned(change);
        // The provider is attested in so far as another machine may have done the work; its name
        // stands in the certificate.
        if *name == "provider" {
            assert_eq!(said, Err(AuditError::Certificate("provider")));
        } else {
            assert_eq!(said.is_ok(), ATTESTED.contains(name), "{name}: {said:?}");
        }
    }
}

// spec: RECEIPT-2.4, RECEIPT-2.5
#[test]
fn an_answer_signed_with_a_wrong_token_is_named_by_replay_at_its_first_divergence() {
    let (job, mut toy) = (job(LONG), Toy::default());
    for at in 0..LONG as usize {
        let (lie, finish) = toy.lie(&job, at);
        let bundle = bundle(&job, &lie, signed(&toy, &lie).1, offer(1));
        assert_eq!(check(&bundle, &facts()), Ok(()), "it holds together");
        let said = toy.replay(&job, &lie, Some(finish));
        assert_eq!(said, Ok(Replay::DivergesAt(count(at))));
    }
}

// spec: RECEIPT-3.2
#[test]
fn an_answer_cut_short_and_signed_as_trapped_is_named_by_replay() {
    let (job, toy) = (job(LONG), Toy::default());
    for at in 0..LONG as usize {
        let answer = &toy.answer(&job).0[..at];
        let trapped = Toy { trap_at: Some(at), ..toy };
        let (_, receipt) = signed(&trapped, answer);
        let bundle = bundle(&job, answer, receipt, offer(1));
        assert_eq!(check(&bundle, &facts()), Ok(()), "the tokens alone cannot tell");
        let whole = evidence(answer, Statement::Receipt(receipt));
        assert_eq!(judge(&whole), Ok(Conviction::Guilty { position: count(at) }));
        let said = convict(&whole, &facts(), &mut trapped.clone());
        assert_eq!(said, Ok(Conviction::NotGuilty), "where the model does trap it is the truth");
    }
}

// spec: RECEIPT-3.2, RECEIPT-4.2
#[test]
fn who_admits_that_he_gave_up_is_convicted_of_nothing_but_a_wrong_token() {
    let (job, toy) = (job(LONG), Toy::default());
    let stopped = |answer: &[Token]| {
        let trapped = Toy { trap_at: Some(answer.len()), ..toy };
        let mut receipt = signed(&trapped, answer).1.receipt;
        receipt.finish = Finish::ProviderStopped;
        evidence(answer, Statement::Receipt(receipt.sign(&receipts(1))))
    };
    let right = &toy.answer(&job).0[..9];
    assert_eq!(judge(&stopped(right)), Ok(Conviction::NotGuilty));
    let wrong = &toy.lie(&job, 4).0[..9];
    assert_eq!(judge(&stopped(wrong)), Ok(Conviction::Guilty { position: 4 }));
}

fn good_evidence() -> [Evidence; 2] {
    let (toy, job) = (Toy::default(), job(LONG));
    let (lie, _) = toy.lie(&job, 3);
    let (points, receipt) = signed(&toy, &lie);
    let checkpoint = evidence(&lie[..16], Statement::Checkpoint(points[0]));
    [checkpoint, evidence(&lie, Statement::Receipt(receipt))]
}

/// The value with one bit of each of its bytes changed in turn, where that still reads.
fn bent<T: Encode + Decode>(value: &T) -> impl Iterator<Item = T> {
    let bytes = value.to_bytes();
    (0..bytes.len()).filter_map(move |at| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        T::from_bytes(&bytes).ok()
    })
}

// spec: RECEIPT-4.2
#[test]
fn evidence_with_one_bit_changed_in_any_byte_judges_nobody() {
    for good in good_evidence() {
        assert_eq!(judge(&good), Ok(Conviction::Guilty { position: 3 }));
        let statements: Vec<Statement> = match &good.statement {
            Statement::Checkpoint(signed) => bent(signed).map(Statement::Checkpoint).collect(),
            Statement::Receipt(signed) => bent(signed).map(Statement::Receipt).collect(),
        };
        let offers: Vec<SignedOffer> = bent(&good.offer).collect();
        let jobs: Vec<Job> = bent(&good.opening.job).collect();
        assert!(statements.len() > 150 && offers.len() > 200 && jobs.len() > 100);
        let mut all = Vec::new();
        all.extend(statements.into_iter().map(|statement| Evidence { statement, ..good.clone() }));
        all.extend(offers.into_iter().map(|offer| Evidence { offer, ..good.clone() }));
        all.extend(jobs.into_iter().map(|job| {
            let opening = Opening { job, ..good.opening.clone() };
            Evidence { opening, ..good.clone() }
        }));
        all.extend((0..good.opening.answer.len()).map(|at| {
            let mut bent = good.clone();
            bent.opening.answer[at].0 ^= 1 << (at % 6);
            bent
        }));
        for bent in all {
            let said = judge(&bent);
            assert!(matches!(said, Err(ConvictError::Evidence(_))), "{said:?} for {bent:?}");
        }
    }
}

// spec: RECEIPT-4.2
#[test]
fn an_evidence_file_convinces_a_stranger_and_says_nothing_else_when_a_byte_is_changed() {
    for good in good_evidence() {
        let text = good.to_json(Default::default());
        let read = Evidence::from_json(text.as_bytes()).expect("it reads back");
        assert_eq!(judge(&read), Ok(Conviction::Guilty { position: 3 }));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << (at % 7);
            let Ok(read) = Evidence::from_json(&bytes) else { continue };
            assert!(read == good || judge(&read).is_err(), "byte {at} was changed");
        }
    }
}

// spec: RECEIPT-1.3
#[test]
fn who_names_a_key_of_somebody_else_as_his_takes_no_receipt_of_it() {
    let mut borrowed = crate::testing::unsigned_offer(2);
    borrowed.receipt_key = receipts(1).receipt_key();
    let [_, mut receipt] = good_evidence();
    receipt.offer = borrowed.sign(&key(2));
    let Err(ConvictError::Evidence(error)) = judge(&receipt) else { panic!("it was taken") };
    assert_eq!(error, AuditError::Certificate("provider"));
}

// spec: RECEIPT-2.4
#[test]
fn an_offer_for_another_model_certifies_nothing_here() {
    let with = |change: fn(&mut Offer), key: &SigningKey| {
        let mut bundle = honest();
        let mut offer = bundle.offer.offer.clone();
        change(&mut offer);
        bundle.offer = offer.sign(key);
        check(&bundle, &facts())
    };
    use AuditError::Certificate;
    let model = with(|offer| offer.model.0.0[0] ^= 1, &key(1));
    assert_eq!(model, Err(Certificate("model")));
    assert_eq!(with(|offer| offer.op_set = OpSet(2), &key(1)), Err(Certificate("op set")));
    assert_eq!(with(|offer| offer.provider = peer(2), &key(2)), Err(Certificate("provider")));
    assert_eq!(with(|_| {}, &key(2)), Err(AuditError::OfferSignature));
    assert_eq!(with(|offer| offer.capacity += 1, &key(1)), Ok(()), "a newer offer is one too");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    // spec: RECEIPT-4.2
    #[test]
    fn an_honest_provider_is_never_convicted_whatever_is_made_of_its_words(
        nonce in any::<[u8; 32]>(),
        max_tokens in 1..LONG,
        end_at in proptest::option::of(0..LONG as usize),
        trap_at in proptest::option::of(0..LONG as usize),
        start in any::<prop::sample::Index>(),
        statement in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        bend in proptest::option::of((any::<prop::sample::Index>(), 0..crate::testing::VOCABULARY)),
    ) {
        let mut toy = Toy { end_at, trap_at };
        let job = Job { nonce, ..job(max_tokens) };
        let (answer, _) = toy.answer(&job);
        let (points, receipt) = signed_from(&job, &toy, &answer, start.index(answer.len() + 1));
        let mut statements: Vec<Statement> =
            points.into_iter().map(Statement::Checkpoint).collect();
        statements.push(Statement::Receipt(receipt));
        let statement = statements[statement.index(statements.len())];

        // Its own tokens, as many as it signed; and the same with anything cut off or changed.
        let covered = match &statement {
            Statement::Checkpoint(signed) => signed.checkpoint.index,
            Statement::Receipt(signed) => signed.receipt.answer_tokens,
        };
        let opened = |answer: &[Token]| Evidence {
            statement,
            offer: offer(1),
            opening: Opening { job: job.clone(), answer: answer.to_vec(), text: None },
        };
        let fair = opened(&answer[..covered as usize]);
        prop_assert_eq!(convict(&fair, &facts(), &mut toy), Ok(Conviction::NotGuilty));
        let mut twisted = answer[..cut.index(answer.len() + 1)].to_vec();
        if let Some((at, token)) = bend.filter(|_| !twisted.is_empty()) {
            let at = at.index(twisted.len());
            twisted[at] = Token(token);
        }
        let said = convict(&opened(&twisted), &facts(), &mut toy);
        prop_assert!(!matches!(said, Ok(Conviction::Guilty { .. })), "{:?}", said);
    }
}

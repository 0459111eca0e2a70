//! True receipts pass; every tampering is refused twice: by an outsider who cannot sign, and by the
//! provider who can.

use crate::ask::{Answered, Question};
use crate::config::{Home, Settings};
use crate::{Node, keys::Keys};
use mutirao_market::audit::{ATTESTED, PROVEN, Replay};
use mutirao_wire::bundle::{Evidence, Message, ReceiptBundle, Statement};
use mutirao_wire::form::Form;
use mutirao_wire::{
    Amount, Checkpoint, Digest, Finish, ModelId, OpSet, OrderCommitment, Sampling, Served, Token,
};

/// A node that answered one question, and what it holds.
struct Desk {
    _place: tempfile::TempDir,
    node: Node,
    keys: Keys,
    honest: ReceiptBundle,
}

fn desk() -> Desk {
    let place = tempfile::tempdir().expect("a directory");
    let mut config =
        Settings::default().resolve(&Home::find(|_| None)).expect("the defaults resolve");
    config.data_dir = place.path().join("node");
    let node = Node::new(config);
    let answered = ask(&node, "Tell me a story about a fox and a bell.", 48);
    let honest = ReceiptBundle::from_json(answered.receipt_json.as_bytes()).expect("a receipt");
    let keys = node.keys().expect("keys");
    Desk { _place: place, node, keys, honest }
}

fn ask(node: &Node, content: &str, max_tokens: u32) -> Answered {
    let question = Question {
        model: crate::models::VILLAGE.into(),
        messages: vec![Message { role: "user".into(), content: content.into() }],
        sampling: Sampling::greedy(),
        max_tokens,
        stop: Vec::new(),
        form: Form::default(),
        logprobs: None,
        raw: false,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(node.ask(&question, &mut |_| {})).expect("an answer")
}

type Change<'a> = &'a dyn Fn(&mut ReceiptBundle);

impl Desk {
    /// What is said of the honest receipt after `change`, signed by nobody: the refusal.
    fn outsider(&self, change: Change<'_>) -> String {
        let mut forged = self.honest.clone();
        change(&mut forged);
        assert_ne!(forged, self.honest, "nothing was tampered with");
        let verdict = self.node.verify_bundle(&forged).expect("judged");
        assert!(!verdict.holds() && verdict.replay().is_none(), "{:?}", verdict.lines());
        verdict.refusal().expect("a reason").to_owned()
    }

    /// The same after the provider made all commitments fit again and signed.
    fn provider(&self, change: Change<'_>) -> super::Verdict {
        let mut forged = self.honest.clone();
        change(&mut forged);
        let opening = &forged.opening;
        let receipt = &mut forged.receipt.receipt;
        receipt.job = opening.job.commitment();
        receipt.answer = opening.job.answer_commitment(&opening.answer);
        forged.receipt = receipt.sign(&self.keys.receipts);
        self.node.verify_bundle(&forged).expect("judged")
    }
}

fn other(token: Token) -> Token {
    Token(token.0 ^ 1)
}

// spec: RECEIPT-2.4
#[test]
fn a_true_receipt_holds_and_says_what_is_proven_and_what_is_attested() {
    let desk = desk();
    let verdict = desk.node.verify_bundle(&desk.honest).expect("judged");
    assert!(verdict.holds() && verdict.replay() == Some(Replay::Exact));
    let lines = verdict.lines();
    let line = |name| lines.iter().find(|(line, _)| *line == name).expect("a line").1.clone();
    assert!(line("text").starts_with("matches"));
    assert!(PROVEN.iter().all(|field| line("proven").contains(field)));
    assert!(ATTESTED.iter().all(|field| line("attested").contains(field)));
    assert!(desk.honest.opening.answer.len() >= 40);
}

#[test]
fn every_forged_token_of_the_answer_is_refused_and_replay_names_it() {
    let desk = desk();
    for index in 0..desk.honest.opening.answer.len() {
        let forge = |bundle: &mut ReceiptBundle| {
            let token = &mut bundle.opening.answer[index];
            *token = other(*token);
        };
        assert!(desk.outsider(&forge).starts_with("commitment: the answer"));
        let verdict = desk.provider(&forge);
        assert!(!verdict.holds());
        let ended = verdict.refusal().is_some_and(|why| why.starts_with("finish"));
        assert!(verdict.diverges_at() == Some(index as u32) || ended, "{:?}", verdict.lines());
    }
}

#[test]
fn another_prompt_under_the_same_answer_is_refused() {
    let desk = desk();
    let fox = desk.honest.opening.job.prompt.len() / 2;
    let forge = |bundle: &mut ReceiptBundle| {
        let prompt = &mut bundle.opening.job.prompt;
        prompt.truncate(fox);
        bundle.receipt.receipt.prompt_tokens = fox as u32;
    };
    assert!(desk.outsider(&forge).starts_with("signature"));
    let unsigned = |bundle: &mut ReceiptBundle| bundle.opening.job.prompt.truncate(fox);
    assert!(desk.outsider(&unsigned).starts_with("commitment: the job"));
    let verdict = desk.provider(&forge);
    assert!(!verdict.holds() && verdict.diverges_at().is_some(), "{:?}", verdict.lines());
}

#[test]
fn other_sampling_other_salt_and_another_length_are_not_the_signed_job() {
    let desk = desk();
    let changes: [Change<'_>; 4] = [
        &|bundle| bundle.opening.job.sampling.temperature_milli = 700,
        &|bundle| bundle.opening.job.nonce[0] ^= 1,
        &|bundle| bundle.opening.job.max_tokens += 1,
        &|bundle| bundle.opening.job.stop.push(vec![Token(5)]),
    ];
    for change in changes {
        assert!(desk.outsider(change).starts_with("commitment: the job"));
    }
    let sampled = desk.provider(&|bundle| {
        bundle.opening.job.sampling.temperature_milli = 5_000;
    });
    assert!(sampled.diverges_at().is_some(), "{:?}", sampled.lines());
}

// spec: RECEIPT-3.2
#[test]
fn a_cut_answer_is_refused_by_its_finish_whoever_signs_it() {
    let desk = desk();
    let count = desk.honest.opening.answer.len();
    for kept in [0, 1, count / 2, count - 1] {
        let cut = |bundle: &mut ReceiptBundle| bundle.opening.answer.truncate(kept);
        assert!(desk.outsider(&cut).starts_with("commitment: the answer"));
        let verdict = desk.provider(&|bundle| {
            cut(bundle);
            let receipt = &mut bundle.receipt.receipt;
            receipt.answer_tokens = kept as u32;
            receipt.served.end = kept as u32;
        });
        let why = verdict.refusal().expect("refused").to_owned();
        assert!(why.starts_with("finish"), "{why}");
    }
    let trap = desk.provider(&|bundle| {
        bundle.opening.answer.truncate(count / 2);
        let receipt = &mut bundle.receipt.receipt;
        receipt.answer_tokens = (count / 2) as u32;
        receipt.served.end = receipt.answer_tokens;
        receipt.finish = Finish::Trap;
    });
    assert_eq!(trap.replay(), Some(Replay::WrongFinish), "{:?}", trap.lines());
}

#[test]
fn every_field_of_the_receipt_is_under_the_signature() {
    let desk = desk();
    let changes: [Change<'_>; 12] = [
        &|bundle| bundle.receipt.receipt.job.0.0[0] ^= 1,
        &|bundle| bundle.receipt.receipt.order = OrderCommitment(Digest([7; 32])),
        &|bundle| bundle.receipt.receipt.answer.0.0[0] ^= 1,
        &|bundle| bundle.receipt.receipt.model = ModelId(Digest([7; 32])),
        &|bundle| bundle.receipt.receipt.op_set = OpSet(2),
        &|bundle| bundle.receipt.receipt.prompt_tokens += 1,
        &|bundle| bundle.receipt.receipt.answer_tokens += 1,
        &|bundle| bundle.receipt.receipt.served = Served { start: 1, end: 2 },
        &|bundle| bundle.receipt.receipt.finish = Finish::Trap,
        &|bundle| bundle.receipt.receipt.price = Amount(1),
        &|bundle| bundle.receipt.receipt.started_ms += 1,
        &|bundle| bundle.receipt.receipt.duration_ms += 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let why = desk.outsider(change);
        assert!(why.starts_with("signature"), "field {number}: {why}");
    }
    let why = desk.outsider(&|bundle| {
        bundle.receipt.receipt.provider = Keys::throw_away().expect("keys").peer.peer_key();
    });
    assert!(why.contains("provider"), "{why}");
}

#[test]
fn a_provider_that_signs_wrong_counts_model_or_finish_is_refused() {
    let desk = desk();
    let changes: [(Change<'_>, &str); 6] = [
        (&|bundle| bundle.receipt.receipt.model = ModelId(Digest([7; 32])), "the model"),
        (&|bundle| bundle.receipt.receipt.op_set = OpSet(2), "the op set"),
        (&|bundle| bundle.receipt.receipt.prompt_tokens += 1, "prompt tokens"),
        (&|bundle| bundle.receipt.receipt.answer_tokens += 1, "answer tokens"),
        (&|bundle| bundle.receipt.receipt.served.end += 1, "served range"),
        (&|bundle| bundle.receipt.receipt.finish = Finish::Stop, "finish"),
    ];
    for (change, word) in changes {
        let verdict = desk.provider(change);
        let why = verdict.refusal().expect("refused").to_owned();
        assert!(why.contains(word), "{why}");
    }
}

#[test]
fn what_is_only_attested_passes_under_the_signature_and_is_said_to_be_attested() {
    let desk = desk();
    let changes: [Change<'_>; 5] = [
        &|bundle| bundle.receipt.receipt.order = OrderCommitment(Digest([7; 32])),
        &|bundle| bundle.receipt.receipt.served.start = 1,
        &|bundle| bundle.receipt.receipt.price = Amount(1),
        &|bundle| bundle.receipt.receipt.started_ms += 1,
        &|bundle| bundle.receipt.receipt.duration_ms += 1,
    ];
    for change in changes {
        let verdict = desk.provider(change);
        assert!(verdict.holds(), "{:?}", verdict.lines());
        assert!(verdict.lines().iter().any(|(name, _)| *name == "attested"));
    }
}

#[test]
fn a_certificate_of_somebody_else_certifies_nothing() {
    let desk = desk();
    let stranger = Keys::throw_away().expect("keys");
    let why = desk.outsider(&|bundle| bundle.offer.offer.capacity += 1);
    assert!(why.contains("not signed by its provider"), "{why}");
    let why = desk.outsider(&|bundle| {
        bundle.offer.offer.receipt_key = stranger.receipts.receipt_key();
        bundle.offer = bundle.offer.offer.clone().sign(&desk.keys.peer);
    });
    assert!(why.starts_with("signature"), "{why}");
    let why = desk.outsider(&|bundle| {
        bundle.offer.offer.provider = stranger.peer.peer_key();
        bundle.offer = bundle.offer.offer.clone().sign(&stranger.peer);
    });
    assert!(why.contains("provider"), "{why}");
}

#[test]
fn text_that_the_tokens_do_not_say_is_refused_with_a_verdict_of_its_own() {
    let desk = desk();
    let changes: [Change<'_>; 2] = [
        &|bundle| {
            let text = bundle.opening.text.as_mut().expect("text");
            text.messages[0].content.push('!');
        },
        &|bundle| bundle.opening.text.as_mut().expect("text").answer.push('!'),
    ];
    for change in changes {
        let mut forged = desk.honest.clone();
        change(&mut forged);
        let verdict = desk.node.verify_bundle(&forged).expect("judged");
        assert!(!verdict.holds() && verdict.replay() == Some(Replay::Exact));
        assert!(verdict.refusal().is_some_and(|why| why.starts_with("text")));
    }
}

#[test]
fn a_receipt_for_a_model_that_is_not_here_is_an_error_that_names_it() {
    let desk = desk();
    let mut elsewhere = desk.honest.clone();
    elsewhere.opening.job.model = ModelId(Digest([7; 32]));
    let error = desk.node.verify_bundle(&elsewhere).expect_err("no such model");
    assert!(error.to_string().contains("0707"), "{error}");
}

#[test]
fn files_that_are_no_receipt_are_refused_and_no_cut_or_flip_passes() {
    let desk = desk();
    let text = desk.honest.to_json(serde_json::Value::Null);
    for junk in ["", "{}", "[1]", "\u{0}", "{\"format\":\"mutirao-receipt/9\"}"] {
        desk.node.verify(junk.as_bytes()).expect_err("no receipt");
    }
    for length in (0..text.len() - 1).step_by(97) {
        desk.node.verify(&text.as_bytes()[..length]).expect_err("cut off");
    }
    for at in (0..text.len()).step_by(211) {
        let mut flipped = text.clone().into_bytes();
        flipped[at] ^= 1;
        let same = ReceiptBundle::from_json(&flipped).is_ok_and(|read| read == desk.honest);
        let holds = desk.node.verify(&flipped).is_ok_and(|verdict| verdict.holds());
        assert!(same || !holds, "byte {at}");
    }
}

/// A checkpoint over a wrong token, as a client would hand it to a stranger.
fn evidence(desk: &Desk, index: usize) -> Evidence {
    let mut opening = desk.honest.opening.clone();
    opening.text = None;
    opening.answer.truncate(16);
    opening.answer[index] = other(opening.answer[index]);
    let checkpoint = Checkpoint {
        job: opening.job.commitment(),
        order: desk.honest.receipt.receipt.order,
        index: 16,
        prefix: opening.job.prefix_digest(&opening.answer),
    };
    let statement = Statement::Checkpoint(checkpoint.sign(&desk.keys.receipts));
    Evidence { statement, offer: desk.honest.offer.clone(), opening }
}

// spec: RECEIPT-4.2
#[test]
fn evidence_of_a_signed_lie_convicts_and_honest_or_tampered_evidence_does_not() {
    let desk = desk();
    let judge = |evidence: &Evidence| {
        let text = evidence.to_json(serde_json::Value::Null);
        desk.node.verify(text.as_bytes()).expect("judged")
    };
    let guilty = evidence(&desk, 9);
    assert!(judge(&guilty).holds());
    assert_eq!(judge(&guilty).diverges_at(), Some(9));

    let mut honest = guilty.clone();
    honest.opening.answer = desk.honest.opening.answer[..16].to_vec();
    let Statement::Checkpoint(point) = honest.statement else { panic!("a checkpoint") };
    let prefix = honest.opening.job.prefix_digest(&honest.opening.answer);
    let signed = Checkpoint { prefix, ..point.checkpoint }.sign(&desk.keys.receipts);
    honest.statement = Statement::Checkpoint(signed);
    let verdict = judge(&honest);
    assert!(verdict.refusal().is_some_and(|why| why.starts_with("not guilty")));

    let mut framed = guilty.clone();
    framed.opening.answer[3] = other(framed.opening.answer[3]);
    assert!(judge(&framed).refusal().is_some_and(|why| why.contains("prefix")));
    let stranger = Keys::throw_away().expect("keys");
    let mut unsigned = guilty;
    unsigned.statement = Statement::Checkpoint(point.checkpoint.sign(&stranger.receipts));
    assert!(judge(&unsigned).refusal().is_some_and(|why| why.contains("signature")));
}

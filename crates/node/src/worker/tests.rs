//! Frames read back, whatever is in them; what processes do is shown with the program itself, in
//! `crates/cli/tests`.

use super::frame::{Call, Opening, Order, Reply, Word, Writing};
use super::pipe::{Mouth, hear};
use crate::mind::Spec;
use crate::models::Site;
use mutirao_gateway::TokenScore;
use mutirao_market::audit::Replay;
use mutirao_market::session::provider::Event;
use mutirao_wire::bundle::Message;
use mutirao_wire::job::Constraint;
use mutirao_wire::{Decode, Digest, Encode, Finish, Job, ModelId, OpSet, Sampling, Token};
use std::io::Write;
use std::os::unix::net::UnixStream;

fn job() -> Job {
    Job {
        op_set: OpSet(1),
        model: ModelId(Digest([7; 32])),
        prompt: vec![Token(3), Token(1 << 17)],
        sampling: Sampling::greedy(),
        max_tokens: 9,
        stop: Vec::new(),
        constraint: Some(Constraint { engine: 1, grammar: "start: \"a\"".into() }),
        nonce: [5; 32],
    }
}

fn calls() -> Vec<Call> {
    let (thing, tokens) = (4, vec![Token(1), Token(2)]);
    let message = Message { role: "user".into(), content: "Olá\n".into() };
    vec![
        Call::Prompt { messages: vec![message], tools: Some("[]".into()), date: None },
        Call::Encode("text".into()),
        Call::Decode(tokens.clone()),
        Call::Follows(Constraint { engine: 1, grammar: String::new() }),
        Call::Letters { thing, tokens: tokens.clone() },
        Call::LastLetters { thing },
        Call::Judge { thing, job: Box::new(job()) },
        Call::Check { thing, tokens },
        Call::Ends { thing, finish: Finish::Cancelled { index: 3 } },
        Call::Whole,
        Call::Embed(vec![Token(5)]),
        Call::Score { job: Box::new(job()), answer: vec![Token(1)], top: 2 },
        Call::Escape { key: "/home/key".into(), outside: "/home".into() },
    ]
}

fn orders() -> Vec<Order> {
    let (prefix, who) = (vec![Token(8)], Some(Digest([1; 32])));
    let writing = Writing { job: job(), prefix, who, pace: 3, share: 50, room: 32 };
    let call = |call| Order::Call { number: u64::MAX, call };
    let mut all: Vec<Order> = calls().into_iter().map(call).collect();
    all.push(Order::Write { seat: 1, writing: Box::new(writing) });
    all.push(Order::Room { seat: 1, more: 5 });
    all.push(Order::Stop { seat: 1 });
    all.push(Order::Forget { thing: 2 });
    all
}

fn words() -> Vec<Word> {
    let spec = Spec {
        id: ModelId(Digest([9; 32])),
        op_set: OpSet(1),
        parameters: 1 << 40,
        vocabulary: 32_000,
        context: 4096,
        position_bytes: 512,
        end_of_text: vec![Token(2)],
        template: b"{{ messages }}".to_vec(),
        packed: true,
    };
    let replies = [
        Reply::Tokens(vec![Token(1)]),
        Reply::Text("text".into()),
        Reply::Judged(Replay::Exact),
        Reply::Judged(Replay::DivergesAt(7)),
        Reply::Judged(Replay::WrongFinish),
        Reply::Yes(true),
        Reply::Vector(vec![-1, i64::MAX]),
        Reply::Scores(vec![TokenScore {
            bytes: vec![1],
            logprob: -0.5,
            top: vec![(vec![2], -1.0)],
        }]),
        Reply::Refused("why".into()),
    ];
    let events = [
        Event::Reading { done: 1, total: 2, cached: 0 },
        Event::Ready,
        Event::Token(Token(4)),
        Event::Finished(Finish::Eos),
        Event::PrefixDiverges(3),
        Event::BadJob("why".into()),
        Event::Broken("why".into()),
    ];
    let mut all = vec![
        Word::Opened { spec: Box::new(spec), confined: "walls".into() },
        Word::Closed("why".into()),
    ];
    all.extend(replies.map(|reply| Word::Reply { number: 1, reply }));
    all.extend(events.map(|event| Word::Event { seat: 2, event: Box::new(event) }));
    all
}

#[test]
fn whatever_a_node_says_its_worker_reads_as_it_was_said() {
    for order in orders() {
        assert_eq!(Order::from_bytes(&order.to_bytes()), Ok(order));
    }
    let site = Site { name: "mine".into(), path: Some("/models/mine".into()), ours: true };
    let (read, write) = (vec!["/a".into(), "/b".into()], vec!["/c".into()]);
    let opening = Opening { site, threads: 2, shelf: 3, memory: 4, read, write };
    assert_eq!(Opening::from_bytes(&opening.to_bytes()), Ok(opening));
}

#[test]
fn whatever_a_worker_says_its_node_reads_as_it_was_said() {
    for word in words() {
        let bytes = word.to_bytes();
        let read = Word::from_bytes(&bytes).expect("its own words");
        assert_eq!((format!("{read:?}"), read.to_bytes()), (format!("{word:?}"), bytes));
    }
}

#[test]
fn what_was_cut_or_lengthened_is_no_frame() {
    let said = words().into_iter().map(|word| word.to_bytes());
    for bytes in said.chain(orders().into_iter().map(|order| order.to_bytes())) {
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Word::from_bytes(&longer).is_err() && Order::from_bytes(&longer).is_err());
    }
    for word in words() {
        let bytes = word.to_bytes();
        let cut = (0..bytes.len()).find(|end| Word::from_bytes(&bytes[..*end]).is_ok());
        assert_eq!(cut, None, "{word:?}");
    }
}

#[test]
fn a_frame_that_claims_to_be_long_costs_no_memory_and_one_that_is_cut_is_an_error() {
    let (mut one, mut other) = UnixStream::pair().expect("a pair");
    one.write_all(&u32::MAX.to_le_bytes()).expect("written");
    assert!(hear(&mut other).is_err());
    let (mut one, mut other) = UnixStream::pair().expect("a pair");
    one.write_all(&100u32.to_le_bytes()).and_then(|()| one.write_all(b"few")).expect("written");
    drop(one);
    assert!(hear(&mut other).is_err());
    let (one, mut other) = UnixStream::pair().expect("a pair");
    Mouth::new(one).say(&Word::Closed("bye".into())).expect("said");
    assert!(hear(&mut other).expect("a frame").is_some());
    assert!(hear(&mut other).expect("the end").is_none());
}

//! Writes what a fuzzer begins with. Real inputs, small: from them it finds its way further in than
//! from nothing.
//!
//! ```text
//! mutirao run village "What is 17 + 25?" --receipt receipt.json
//! cargo run --release -p mutirao-fuzz --example seeds -- receipt.json
//! ```

use mutirao_engine::{Profile, Source, load};
use mutirao_learn::train::{Recipe, Shape, TrainState, export};
use mutirao_market::session::frame::{ClientFrame, ProviderFrame};
use mutirao_net::Ticket;
use mutirao_net::blobs::{PushOffer, PushReply};
use mutirao_wire::bundle::ReceiptBundle;
use mutirao_wire::{
    Amount, ChannelId, Encode, FileEntry, FileName, Manifest, ModelId, Order, Privacy,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

const TOKENIZER: &[u8] = include_bytes!("../../models/village/tokenizer.json");
const SHAPE: Shape = Shape {
    vocabulary: 2048,
    hidden: 32,
    layers: 1,
    feed_forward: 32,
    heads: 2,
    shared_heads: 1,
    head_size: 16,
    context: 64,
};
const TEMPLATES: [&str; 6] = [
    include_str!("../../models/village/chat_template.jinja"),
    "{% for m in messages if m.role != 'a' %}{{ loop.index0 }}{{ m.content | trim }}{% endfor %}",
    "{% set ns = namespace(s='') %}{% for m in messages[::-1] %}{% set ns.s = ns.s ~ m['role'] %}\
     {% endfor %}{{ ns.s | upper }}",
    "{% macro t(a, b=1) %}{{ a | tojson(indent=2) }}{{ b ** 2 }}{% endmacro %}{{ t(messages) }}",
    "{{ messages | map(attribute='role') | join(', ') }}{{ raise_exception('no') }}",
    "{{ strftime_now('%d %b %Y') }}{{ range(9) | list }}{{ 'a,b'.split(',')[0] * 2 }}",
];
const REQUESTS: [&str; 5] = [
    r#"{"model":"village","messages":[{"role":"user","content":"hi"}]}"#,
    r#"{"model":"village","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],
    "stream":true,"stream_options":{"include_usage":true},"stop":["x","y"],"seed":7}"#,
    r#"{"model":"v","messages":[],"temperature":0.7,"top_p":0.9,"max_tokens":12,"n":1}"#,
    r#"{"model":"v","messages":[{"role":"system","content":null}],"stop":"a","user":"u"}"#,
    r#"{"model":"v","messages":[{"role":"tool","content":"1","tool_call_id":"c"}],"tools":[]}"#,
];
const SETTINGS: &str = "capacity = 2\nprivacy = \"circle\"\nmode = \"checked\"\npace = 10\n";

fn after(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

/// What travels, once of each kind, in the order of the target's list.
fn frames(bundle: &ReceiptBundle) -> (Vec<u8>, Vec<u8>) {
    let (job, offer) = (bundle.opening.job.clone(), &bundle.offer);
    let order = Order {
        job: job.commitment(),
        provider: offer.offer.provider,
        channel: ChannelId::NONE,
        prices: offer.offer.prices,
        ceiling: Amount::ZERO,
        start: 0,
        deadline_ms: 1 << 40,
        privacy: Privacy::Circle,
    };
    let open = ClientFrame::Open { order, job, prefix: bundle.opening.answer.clone() };
    (open.to_bytes(), ProviderFrame::Receipt(bundle.receipt).to_bytes())
}

fn wire(bundle: &ReceiptBundle) -> Vec<Vec<u8>> {
    let (open, receipt) = frames(bundle);
    let (job, offer) = (&bundle.opening.job, &bundle.offer);
    vec![
        after(0, &open),
        after(1, &receipt),
        after(1, &ProviderFrame::Offers(vec![offer.clone()]).to_bytes()),
        after(2, &job.to_bytes()),
        after(4, &offer.offer.to_bytes()),
        after(5, &offer.to_bytes()),
        after(6, &bundle.receipt.receipt.to_bytes()),
        after(7, &bundle.receipt.to_bytes()),
        after(10, &job.sampling.to_bytes()),
        after(11, &offer.offer.prices.to_bytes()),
        after(14, &push(offer.offer.model).to_bytes()),
        after(15, &PushReply::Refused { reason: "no room".into() }.to_bytes()),
        after(15, &PushReply::Progress { have: 5, all: 7 }.to_bytes()),
        after(15, &PushReply::Arrived { name: "village".into(), fetched: 7 }.to_bytes()),
    ]
}

fn push(model: ModelId) -> PushOffer {
    let files = vec![FileEntry { name: FileName::Weights, bytes: 9, hash: [3; 32] }];
    PushOffer { name: "village".into(), manifest: Manifest { model, files } }
}

fn files(bundle: &ReceiptBundle, receipt: &[u8]) -> Vec<Vec<u8>> {
    let ticket =
        Ticket::new(bundle.offer.offer.provider, vec!["127.0.0.1:9".parse().expect("one")]);
    let mut seeds = vec![after(0, receipt), after(2, ticket.to_string().as_bytes())];
    seeds.extend(SETTINGS.lines().map(|line| after(3, line.as_bytes())));
    seeds.push(after(3, SETTINGS.as_bytes()));
    seeds
}

/// A checkpoint of a few thousand parameters, and our own file of it.
fn models() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let files = export::files(&TrainState::new(&Recipe { shape: SHAPE, ..Recipe::village(1) }))?;
    let files: BTreeMap<_, _> = files.into_iter().collect();
    let tokenizer = br#"{"model":{}}"#.as_slice();
    let (config, weights) = (&files["config.json"], &files["model.safetensors"]);
    let part = |text: &[u8]| [&(text.len() as u32).to_le_bytes(), text].concat();
    let whole =
        |config: &[u8]| [part(config), part(tokenizer), part(b"{{ x }}"), weights.clone()].concat();
    let source = Source { config, weights, tokenizer, template: b"{{ x }}" };
    let own = load::convert(&source, Profile::W8)?;
    let other =
        json!({"architectures": ["LlamaForCausalLM"], "hidden_size": 1_u64 << 40}).to_string();
    Ok(vec![whole(config), whole(b"{}"), whole(other.as_bytes()), own.clone(), own[..99].to_vec()])
}

fn sessions(bundle: &ReceiptBundle) -> Vec<Vec<u8>> {
    let (open, receipt) = frames(bundle);
    let said = |kind: u8, bytes: &[u8]| [&[kind, bytes.len().min(255) as u8], bytes].concat();
    let token = [8, 5, 1].repeat(25);
    vec![
        [&[0, 0, 1][..], &token].concat(),
        [&[1, 0, 1][..], &token, &[110, 20, 255, 1]].concat(),
        [&[2, 0, 1][..], &token[..30], &said(64, &receipt), &[1, 127, 1, 0, 1], &token].concat(),
        [&[1, 0, 1, 8, 3, 1, 120, 1, 1][..], &said(64, &[2]), &[1, 100, 255]].concat(),
        [&[3, 0, 0, 0, 64][..], &[80, 7].repeat(20), &[120]].concat(),
        [&[3][..], &said(40, &open), &[64], &[80, 7].repeat(9), &[32, 4]].concat(),
    ]
}

fn tokenizers() -> Vec<Vec<u8>> {
    let tiny =
        br#"{"version":"1.0","added_tokens":[{"id":1,"content":"<|end|>","single_word":false,
"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"pre_tokenizer":{"type":"ByteLevel",
"add_prefix_space":false,"trim_offsets":false,"use_regex":true},"decoder":{"type":"ByteLevel",
"add_prefix_space":false,"trim_offsets":false,"use_regex":true},
"model":{"type":"BPE","vocab":{"a":0,
"b":2,"ab":3},"merges":[["a","b"]]}}"#;
    let long: Vec<u8> = (0..=255).flat_map(|low| [low, low % 4]).collect();
    let mut seeds = vec![after(0, tiny), after(0, &TOKENIZER[..4000]), after(1, &long)];
    seeds.extend([after(3, &long[..40]), after(9, &[200, 0, 201, 0, 7, 1])]);
    seeds
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: seeds receipt.json")?;
    let receipt = std::fs::read(path)?;
    let bundle = ReceiptBundle::from_json(&receipt)?;
    let texts = |all: &[&str]| all.iter().map(|text| text.as_bytes().to_vec()).collect();
    let seeds: [(&str, Vec<Vec<u8>>); 7] = [
        ("files", files(&bundle, &receipt)),
        ("model", models()?),
        ("request", texts(&REQUESTS)),
        ("session", sessions(&bundle)),
        ("template", texts(&TEMPLATES)),
        ("tokenizer", tokenizers()),
        ("wire", wire(&bundle)),
    ];
    for (target, all) in seeds {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in all.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}

//! The committed vectors: what the engine gives is exactly them, and the slow reading agrees.

use crate::answers::run;
use crate::golden::{self, hex};
use crate::slow::Slow;
use mutirao_engine::load::{convert, format::File};
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::Serial;
use mutirao_engine::run::replay;
use mutirao_engine::{Generation, Kernels, Model, Replay, Source};
use mutirao_wire::{Job, OpSet, Sampling, Token};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const COMMITTED: [(&str, &str); 6] = [
    ("tables.json", include_str!("../../../../vectors/engine/tables.json")),
    ("operators.json", include_str!("../../../../vectors/engine/operators.json")),
    ("models.json", include_str!("../../../../vectors/engine/models.json")),
    ("answers.json", include_str!("../../../../vectors/engine/answers.json")),
    ("conversion.json", include_str!("../../../../vectors/engine/conversion.json")),
    ("families.json", include_str!("../../../../vectors/engine/families.json")),
];

fn committed(name: &str) -> Value {
    let (_, text) = COMMITTED.iter().find(|(file, _)| *file == name).expect("is committed");
    serde_json::from_str(text).expect("valid JSON")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().expect("a number")).expect("of 32 bits")
}

fn tokens(value: &Value) -> Vec<Token> {
    list(value).iter().map(|token| Token(number(token))).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hexadecimal").as_bytes();
    let digit = |digit: u8| (digit as char).to_digit(16).expect("a hexadecimal digit") as u8;
    text.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[test]
fn the_engine_gives_the_committed_vectors_to_the_letter() {
    // spec: ENGINE-1.5
    assert!(COMMITTED.iter().map(|(_, text)| text.len()).sum::<usize>() < 300_000);
    for kernels in Kernels::available() {
        let made = golden::files(kernels);
        assert_eq!(made.len(), COMMITTED.len());
        for ((name, made), (file, text)) in made.iter().zip(COMMITTED) {
            assert_eq!(*name, file);
            same(&format!("{name} by {}", kernels.name()), made, text);
        }
    }
}

/// Line by line, so that a difference can be found.
fn same(what: &str, made: &str, committed: &str) {
    for (line, (made, text)) in made.lines().zip(committed.lines()).enumerate() {
        assert!(made == text, "{what}, line {}", line + 1);
    }
    assert_eq!(made.len(), committed.len(), "{what}");
}

#[test]
fn twenty_answers_of_the_village_are_the_same_by_all_kernels_to_the_last_logit() {
    // spec: ENGINE-1.3, ENGINE-1.5, ENGINE-14.2
    let committed = include_str!("../../../../vectors/engine/village_answers.json");
    let (model, value): (_, Value) =
        (golden::village::model(), serde_json::from_str(committed).expect("valid JSON"));
    assert_eq!(list(&value["answers"]).len(), 20);
    let anew = "new weights: `cargo run --release -p mutirao-engine --example make_vectors`";
    assert_eq!(value["model"], model.id().0.hex(), "{anew}");
    let ends = |word| list(&value["answers"]).iter().any(|answer| answer["finish"] == word);
    assert!(ends("eos") && ends("length") && ends("stop"));
    for kernels in Kernels::available() {
        let made = golden::village::answers(&model, kernels);
        same(&format!("the village by {}", kernels.name()), &made, committed);
    }
}

#[test]
fn the_slow_reading_gives_the_committed_logits() {
    // spec: ENGINE-5.1, ENGINE-9.1, ENGINE-10.6, ENGINE-11.2, ENGINE-11.3
    let (models, families) = (committed("models.json"), committed("families.json"));
    assert_eq!((list(&models).len(), list(&families["models"]).len()), (4, 7));
    for model in list(&models).iter().chain(list(&families["models"])) {
        let file = bytes(&model["file"]);
        let parsed = File::parse(&file).expect("a model file");
        assert_eq!(parsed.id.0.hex(), model["id"]);
        assert_eq!(parsed.weights_root.hex(), model["weights_root"]);
        let mut slow = Slow::new(&file);
        for (token, logits) in tokens(&model["tokens"]).into_iter().zip(list(&model["logits"])) {
            let found = slow.feed(token).expect("does not trap here");
            assert_eq!(serde_json::json!(found), *logits);
        }
    }
}

#[test]
fn the_committed_answers_are_given_and_replayed() {
    // spec: ENGINE-14.2, ENGINE-14.5
    let models = committed("models.json");
    let load = |model: &Value| {
        let model_file = bytes(&model["file"]);
        let name = model["name"].as_str().expect("a name").to_owned();
        (name, Arc::new(Model::from_bytes(&model_file).expect("a model file")))
    };
    let models: BTreeMap<String, Arc<Model>> = list(&models).iter().map(load).collect();
    let answers = committed("answers.json");
    let mut finishes = Vec::new();
    for answer in list(&answers) {
        let model = &models[answer["model"].as_str().expect("a name")];
        let job = Job {
            op_set: OpSet(1),
            model: model.id(),
            prompt: tokens(&answer["prompt"]),
            sampling: Sampling {
                temperature_milli: number(&answer["temperature_milli"]),
                top_k: number(&answer["top_k"]),
                min_p: number(&answer["min_p"]),
                top_p: number(&answer["top_p"]),
                seed: bytes(&answer["seed"]).try_into().expect("32 bytes"),
            },
            max_tokens: number(&answer["max_tokens"]),
            stop: list(&answer["stop"]).iter().map(tokens).collect(),
            constraint: None,
            nonce: [0; 32],
        };
        let expected = tokens(&answer["answer"]);
        let generation = Generation::start(model.clone(), job.clone()).expect("fits");
        let (found, finish) = run(generation, &Serial);
        assert_eq!(
            (&found, finish.word()),
            (&expected, answer["finish"].as_str().expect("a word"))
        );
        let replayed = replay(model, &job, &expected, finish, &Serial);
        assert_eq!(replayed, Ok(Replay::Exact));
        finishes.push(finish.word());
    }
    for word in ["eos", "stop", "length", "trap"] {
        assert!(finishes.contains(&word), "no answer ends with {word}: {finishes:?}");
    }
}

#[test]
fn the_committed_source_becomes_the_committed_files() {
    // spec: ENGINE-15.1, ENGINE-15.2, ENGINE-15.3
    let committed = committed("conversion.json");
    let text = |field: &str| committed[field].as_str().expect("a text").as_bytes();
    let weights = bytes(&committed["weights"]);
    let (config, tokenizer, template) = (text("config"), text("tokenizer"), text("template"));
    let source = Source { config, weights: &weights, tokenizer, template };
    for (file, profile) in list(&committed["files"]).iter().zip([Profile::W8, Profile::W4]) {
        assert_eq!(hex(&convert(&source, profile).expect("converts")), file["file"]);
    }
}

//! Twenty answers of the model that ships with the project, from jobs whose prompts are frozen as
//! tokens: what every set of kernels must give on every machine.

use super::{all_logits, text};
use mutirao_engine::load::convert;
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::Serial;
use mutirao_engine::{Generation, Kernels, Model, Source, Step};
use mutirao_wire::{Job, OpSet, Sampling, Token};
use serde_json::{Value, json};
use std::sync::Arc;

/// Written by `vectors/engine/village_jobs.py`.
const JOBS: &str = include_str!("../../../../vectors/engine/village_jobs.json");

/// The model as every machine converts it.
pub fn model() -> Arc<Model> {
    let source = Source {
        config: include_bytes!("../../../../models/village/config.json"),
        weights: include_bytes!("../../../../models/village/model.safetensors"),
        tokenizer: include_bytes!("../../../../models/village/tokenizer.json"),
        template: include_bytes!("../../../../models/village/chat_template.jinja"),
    };
    let file = convert(&source, Profile::W8).expect("converts");
    Arc::new(Model::from_bytes(&file).expect("a model file"))
}

/// The text of `village_answers.json`, as these kernels make it.
pub fn answers(model: &Arc<Model>, kernels: Kernels) -> String {
    let jobs: Value = serde_json::from_str(JOBS).expect("valid JSON");
    let jobs = jobs.as_array().expect("a list");
    let answers: Vec<Value> = jobs.iter().map(|job| answer(model, job, kernels)).collect();
    text(&json!({ "model": model.id().0.hex(), "answers": answers }))
}

fn answer(model: &Arc<Model>, job: &Value, kernels: Kernels) -> Value {
    let job = read(model, job);
    let start = Generation::with_kernels(model.clone(), job.clone(), Vec::new(), kernels);
    let mut generation = start.expect("fits");
    let finish = loop {
        if let Step::Finished(finish) = generation.next(&Serial) {
            break finish;
        }
    };
    let tokens = generation.answer();
    let logits = all_logits(model, &job.prompt, tokens, finish, kernels);
    json!({
        "answer": tokens.iter().map(|token| token.0).collect::<Vec<_>>(),
        "finish": finish.word(),
        "logits": logits.hex(),
    })
}

fn read(model: &Arc<Model>, job: &Value) -> Job {
    let number = |value: &Value| u32::try_from(value.as_u64().expect("a number")).expect("fits");
    let tokens = |value: &Value| -> Vec<Token> {
        value.as_array().expect("a list").iter().map(|token| Token(number(token))).collect()
    };
    let seed = job["seed"].as_str().expect("hexadecimal");
    let byte = |at: usize| u8::from_str_radix(&seed[2 * at..2 * at + 2], 16).expect("a byte");
    Job {
        op_set: OpSet(1),
        model: model.id(),
        prompt: tokens(&job["prompt"]),
        sampling: Sampling {
            temperature_milli: number(&job["temperature_milli"]),
            top_k: number(&job["top_k"]),
            min_p: number(&job["min_p"]),
            top_p: number(&job["top_p"]),
            seed: std::array::from_fn(byte),
        },
        max_tokens: number(&job["max_tokens"]),
        stop: job["stop"].as_array().expect("a list").iter().map(tokens).collect(),
        constraint: None,
        nonce: [0; 32],
    }
}

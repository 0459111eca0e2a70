//! A tiny checkpoint of every family, trained with `transformers` (`tools/families`): our float
//! reference gives its logits, our integers are near them, and every road gives the same integers.

use mutirao_engine::load::{Catalogue, InMemory};
use mutirao_engine::pool::{Pool, Serial};
use mutirao_engine::{Kernels, Model, Profile, Session, Source, load};
use mutirao_learn::eval::{Agreement, IntegerModel, Predictor, Reference, Stored, compare};
use mutirao_wire::Token;
use safetensors::SafeTensors;
use std::path::PathBuf;
use std::sync::Arc;

const FAMILIES: [&str; 9] =
    ["gemma", "gemma2", "gemma3", "llama2", "llama3", "mistral", "qwen2", "qwen3", "smollm2"];

/// A checkpoint, texts in its tokens, and what `transformers` gave for the beginning of the first.
struct Checkpoint {
    config: Vec<u8>,
    weights: Vec<u8>,
    texts: Vec<Vec<u32>>,
    logits: Vec<f32>,
}

impl Checkpoint {
    fn read(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/families").join(name);
        let read = |file: &str| std::fs::read(folder.join(file)).expect("a committed file");
        let expected = read("expected.safetensors");
        let expected = SafeTensors::deserialize(&expected).expect("a safetensors file");
        let (tokens, logits) = (expected.tensor("tokens"), expected.tensor("logits"));
        let (tokens, logits) = (tokens.expect("tokens"), logits.expect("logits"));
        let four = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).expect("four bytes");
        let numbers: Vec<u32> =
            tokens.data().chunks_exact(4).map(|bytes| u32::from_le_bytes(four(bytes))).collect();
        let logits = logits.data().chunks_exact(4);
        Self {
            config: read("config.json"),
            weights: read("model.safetensors"),
            texts: numbers.chunks(tokens.shape()[1]).map(<[u32]>::to_vec).collect(),
            logits: logits.map(|bytes| f32::from_le_bytes(four(bytes))).collect(),
        }
    }

    fn model(&self, profile: Profile) -> Arc<Model> {
        let (tokenizer, template): (&[u8], &[u8]) = (b"{}", b"");
        let source = Source { config: &self.config, weights: &self.weights, tokenizer, template };
        let file = load::convert(&source, profile).expect("converts");
        Arc::new(Model::from_bytes(&file).expect("a model file"))
    }

    fn reference(&self) -> Reference<'static> {
        Reference::read(&self.config, &[&self.weights]).expect("a known family")
    }
}

#[test]
fn the_float_reference_gives_what_transformers_gives() {
    for name in FAMILIES {
        let checkpoint = Checkpoint::read(name);
        let reference = checkpoint.reference();
        let count = checkpoint.logits.len() / reference.vocabulary();
        assert!(count >= 30, "{name} has {count} expected predictions");
        let found = reference.logits(&checkpoint.texts[0][..count]).expect("runs");
        let pairs = found.iter().zip(&checkpoint.logits);
        let miss = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(miss < 2e-3, "{name} is off by {miss}");
    }
}

#[test]
fn integers_stay_near_the_floats_they_were_made_of() {
    for name in FAMILIES {
        let checkpoint = Checkpoint::read(name);
        let model = checkpoint.model(Profile::W8);
        let texts: Vec<(Vec<u32>, usize)> =
            checkpoint.texts.iter().map(|text| (text.clone(), 0)).collect();
        let mut integer = IntegerModel::new(model, &Serial);
        let found: Agreement =
            compare(&mut checkpoint.reference(), &mut integer, &texts).expect("runs");
        assert!(found.positions >= 500, "{name}");
        let divergence = found.mean_divergence();
        assert!(divergence <= 1e-3, "{name}: KL {divergence}");
        assert!(found.same_choice_share() >= 0.99, "{name}: {}", found.same_choice_share());
        assert!(found.perplexity_change().abs() <= 0.003, "{name}: {}", found.perplexity_change());
        // What is measured is a model that learned: far below a perplexity of its vocabulary.
        assert!(found.perplexities()[0] < 100.0, "{name}: {:?}", found.perplexities());
    }
}

struct Threads(usize);

impl Pool for Threads {
    fn width(&self) -> usize {
        self.0
    }

    fn run(&self, parts: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    let part = || next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    std::iter::repeat_with(part).take_while(|part| *part < parts).for_each(job);
                });
            }
        });
    }
}

/// The logits after every token.
fn walk(
    model: &Arc<Model>,
    kernels: Kernels,
    pool: &dyn Pool,
    text: &[u32],
    chunk: usize,
) -> Vec<i32> {
    let mut session = Session::with_kernels(model.clone(), kernels);
    let tokens: Vec<Token> = text.iter().copied().map(Token).collect();
    let mut all = Vec::new();
    for tokens in tokens.chunks(chunk) {
        let fed = session.feed_each(tokens, pool, &mut |_, logits| all.extend_from_slice(logits));
        fed.expect("does not trap");
    }
    all
}

#[test]
fn every_checkpoint_gives_the_same_bits_in_every_chunking_and_on_every_thread() {
    // spec: ENGINE-1.3, ENGINE-12.1
    for name in FAMILIES {
        let checkpoint = Checkpoint::read(name);
        for profile in [Profile::W8, Profile::W4] {
            let model = checkpoint.model(profile);
            let text = &checkpoint.texts[0];
            let expected = walk(&model, Kernels::scalar(), &Serial, text, 1);
            for chunk in [1, 2, 3, 7, 16, 25, 63, 64, 128] {
                let pools: [&dyn Pool; 2] = [&Serial, &Threads(3)];
                for pool in pools {
                    let found = walk(&model, Kernels::detect(), pool, text, chunk);
                    assert!(found == expected, "{name} in chunks of {chunk} differs");
                }
            }
        }
    }
}

#[test]
fn weights_that_are_kept_and_weights_that_are_read_anew_predict_the_same() {
    for name in FAMILIES {
        let checkpoint = Checkpoint::read(name);
        let files = InMemory(vec![&checkpoint.weights]);
        let catalogue = Catalogue::safetensors(&files).expect("a safetensors file");
        let stored = Stored { catalogue: &catalogue, files: &files };
        let threads = Threads(2);
        let stored = Reference::stored(&checkpoint.config, stored).expect("a family").on(&threads);
        let text = &checkpoint.texts[0][..40];
        let (kept, found) = (checkpoint.reference().logits(text), stored.logits(text));
        assert!(found.expect("runs") == kept.expect("runs"), "{name}");
    }
}

#[test]
fn one_spoiled_weight_shows() {
    for name in ["llama2", "gemma2"] {
        let mut checkpoint = Checkpoint::read(name);
        let texts: Vec<(Vec<u32>, usize)> =
            checkpoint.texts.iter().map(|text| (text.clone(), 0)).collect();
        let mut reference = checkpoint.reference();
        let file = SafeTensors::deserialize(&checkpoint.weights).expect("a safetensors file");
        let down = file.tensor("model.layers.0.mlp.down_proj.weight").expect("is there").data();
        let at = down.as_ptr() as usize - checkpoint.weights.as_ptr() as usize;
        checkpoint.weights[at..at + 2].copy_from_slice(&0x4180_u16.to_le_bytes());
        let mut integer = IntegerModel::new(checkpoint.model(Profile::W8), &Serial);
        let found = compare(&mut reference, &mut integer, &texts).expect("runs");
        assert!(found.mean_divergence() > 1e-2, "{name}: {found:?}");
    }
}

/// The reference as a predictor gives what it gives as a function.
#[test]
fn the_reference_predicts_its_logits() {
    let checkpoint = Checkpoint::read("llama2");
    let mut reference = checkpoint.reference();
    let text = &checkpoint.texts[1][..9];
    let (all, mut heard) = (reference.logits(text).expect("runs"), Vec::new());
    let told = reference.predict(text, &mut |_, logits| heard.extend_from_slice(logits));
    assert!(told.is_ok() && heard == all);
}

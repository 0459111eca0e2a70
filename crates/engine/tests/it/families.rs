//! The families beside Llama: how a configuration becomes a header, tensors by the family's names,
//! and one model said in two ways.

use crate::slow::Slow;
use mutirao_engine::load::{ConfigError, convert, format::File};
use mutirao_engine::model::header::Profile;
use mutirao_engine::model::variant::Activation;
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::Dice;
use mutirao_engine::{ConvertError, Header, Model, Session, Source, Variant};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const HIDDEN: usize = 24;
const INNER: usize = 40;
const VOCABULARY: usize = 32;
const LAYERS: usize = 3;
const HEAD: usize = 8;

/// A published model: its configuration and its numbers by name.
#[derive(Clone)]
struct Published {
    config: Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

fn config(family: &str) -> Value {
    json!({
        "model_type": family,
        "hidden_act": if family.starts_with("gemma") { "gelu_pytorch_tanh" } else { "silu" },
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": HEAD,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": true,
    })
}

/// The layer tensors of a family, with their shapes.
fn parts(family: &str) -> Vec<(&'static str, Vec<usize>)> {
    let (query, kv) = (4 * HEAD, 2 * HEAD);
    let mut parts = vec![
        ("input_layernorm.weight", vec![HIDDEN]),
        ("self_attn.q_proj.weight", vec![query, HIDDEN]),
        ("self_attn.k_proj.weight", vec![kv, HIDDEN]),
        ("self_attn.v_proj.weight", vec![kv, HIDDEN]),
        ("self_attn.o_proj.weight", vec![HIDDEN, query]),
        ("post_attention_layernorm.weight", vec![HIDDEN]),
        ("mlp.gate_proj.weight", vec![INNER, HIDDEN]),
        ("mlp.up_proj.weight", vec![INNER, HIDDEN]),
        ("mlp.down_proj.weight", vec![HIDDEN, INNER]),
    ];
    if family == "qwen2" {
        parts.extend([
            ("self_attn.q_proj.bias", vec![query]),
            ("self_attn.k_proj.bias", vec![kv]),
            ("self_attn.v_proj.bias", vec![kv]),
        ]);
    }
    if family == "qwen3" || family == "gemma3_text" {
        parts.extend([
            ("self_attn.q_norm.weight", vec![HEAD]),
            ("self_attn.k_norm.weight", vec![HEAD]),
        ]);
    }
    if family == "gemma2" || family == "gemma3_text" {
        parts.extend([
            ("pre_feedforward_layernorm.weight", vec![HIDDEN]),
            ("post_feedforward_layernorm.weight", vec![HIDDEN]),
        ]);
    }
    parts
}

fn published(family: &str) -> Published {
    let mut dice = Dice::new(78);
    let mut tensors = BTreeMap::new();
    let mut put = |name: String, shape: Vec<usize>| {
        let gains = name.contains("norm") && !family.starts_with("gemma");
        let number =
            |_| dice.within(-127, 127) as f32 / if shape.len() == 1 { 256.0 } else { 512.0 };
        let mut numbers: Vec<f32> = (0..shape.iter().product()).map(number).collect();
        if gains {
            numbers.iter_mut().for_each(|gain| *gain += 1.0);
        }
        tensors.insert(name, (shape, numbers));
    };
    put("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, HIDDEN]);
    put("model.norm.weight".to_owned(), vec![HIDDEN]);
    for layer in 0..LAYERS {
        for (part, shape) in parts(family) {
            put(format!("model.layers.{layer}.{part}"), shape);
        }
    }
    let mut config = config(family);
    match family {
        "mistral" => config["sliding_window"] = json!(9),
        "gemma2" => {
            config["sliding_window"] = json!(5);
            config["attn_logit_softcapping"] = json!(50.0);
            config["final_logit_softcapping"] = json!(30.0);
            config["query_pre_attn_scalar"] = json!(16);
        }
        "gemma3_text" => {
            config["sliding_window"] = json!(7);
            config["sliding_window_pattern"] = json!(2);
            config["query_pre_attn_scalar"] = json!(16);
            config["rope_scaling"] = json!({ "rope_type": "linear", "factor": 8.0 });
        }
        _ => {}
    }
    Published { config, tensors }
}

impl Published {
    fn convert(&self, profile: Profile) -> Result<Vec<u8>, ConvertError> {
        let bytes: BTreeMap<&String, Vec<u8>> = self
            .tensors
            .iter()
            .map(|(name, (_, numbers))| {
                (name, numbers.iter().flat_map(|n| n.to_le_bytes()).collect())
            })
            .collect();
        let view = |(name, (shape, _)): (&String, &(Vec<usize>, Vec<f32>))| {
            let bytes = &bytes[name];
            (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("whole"))
        };
        let weights = serialize(self.tensors.iter().map(view), None).expect("a safetensors file");
        let config = self.config.to_string();
        let (tokenizer, template): (&[u8], &[u8]) = (b"{}", b"");
        convert(
            &Source { config: config.as_bytes(), weights: &weights, tokenizer, template },
            profile,
        )
    }

    fn header(&self) -> Header {
        let file = self.convert(Profile::W8).expect("converts");
        File::parse(&file).expect("a model file").header
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }
}

const FAMILIES: [&str; 7] =
    ["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"];

#[test]
fn every_family_converts_and_gives_the_bits_of_the_slow_reading() {
    // spec: ENGINE-15.9, ENGINE-15.10
    for family in FAMILIES {
        for profile in [Profile::W8, Profile::W4] {
            let file = published(family).convert(profile).expect(family);
            let mut session = Session::new(Arc::new(Model::from_bytes(&file).expect(family)));
            let tokens = Dice::new(4).tokens(30, 32);
            let mut slow = Slow::new(&file);
            let mut spread = 0;
            session
                .feed_each(&tokens, &Serial, &mut |index, logits| {
                    let expected = slow.feed(tokens[index]).expect("does not trap");
                    assert_eq!(logits, expected, "{family} at {index}");
                    spread += u32::from(logits.iter().max() != logits.iter().min());
                })
                .expect("runs");
            assert_eq!(spread, 30, "{family}");
        }
    }
}

#[test]
fn a_configuration_becomes_the_header_of_its_family() {
    // spec: ENGINE-15.9, ENGINE-15.10, ENGINE-10.6
    let variant = |family: &str| published(family).header().variant;
    assert!(variant("llama").is_llama());
    let mistral = variant("mistral");
    assert_eq!(mistral.window.as_ref().map(|window| window.positions), Some(9));
    assert_eq!(
        mistral.window_of(2).map(|window| window.rope.clone()),
        Some(published("mistral").header().rope)
    );
    assert_eq!(Variant { window: None, ..mistral }, Variant::default());
    assert_eq!(variant("qwen2"), Variant { biased: true, ..Variant::default() });
    // 1e-6 * 8 * 2^32.
    assert_eq!(variant("qwen3"), Variant { head_norm: Some(34_359), ..Variant::default() });
    let gelu = Variant { activation: Activation::Gelu, ..Variant::default() };
    assert_eq!(variant("gemma"), gelu);
    let gemma2 = variant("gemma2");
    // 50 * 2048 * log2(e), and 30 * 4096.
    assert_eq!((gemma2.score_cap, gemma2.logit_cap), (147_732, 122_880));
    assert!(gemma2.after_norm && gemma2.head_norm.is_none());
    let layers = |variant: &Variant| variant.window.as_ref().expect("has one").layers.clone();
    assert_eq!(layers(&gemma2), [true, false, true]);
    let gemma3 = published("gemma3_text").header();
    assert_eq!(layers(&gemma3.variant), [true, false, true]);
    let window = gemma3.variant.window.as_ref().expect("has one");
    // Local layers turn by 10 000, and the others by 1 000 000 and an eighth as fast.
    assert_eq!(window.rope[0], 2_935_890_503_282_001_226);
    assert!(gemma3.rope[0].abs_diff(window.rope[0] / 8) <= 1);
    assert!(gemma3.rope[1] < window.rope[1] / 20);
}

#[test]
fn what_changes_nothing_leaves_no_trace() {
    // spec: ENGINE-15.9
    let llama = |published: Published| {
        let mut header = published.header();
        header.name = "llama".to_owned();
        header
    };
    let plain = published("llama").header();
    // A window as long as the context, and one that no layer has.
    assert_eq!(llama(published("mistral").with("sliding_window", json!(64))), plain);
    assert_eq!(llama(published("mistral").with("sliding_window", json!(null))), plain);
    let qwen = published("qwen2").header();
    let unused =
        published("qwen2").with("sliding_window", json!(4)).with("max_window_layers", json!(1));
    assert_eq!(unused.clone().header(), qwen);
    let used = unused.with("use_sliding_window", json!(true)).header();
    assert_eq!(used.variant.window.map(|window| window.layers), Some(vec![false, true, true]));
    let kinds = json!(["full_attention", "sliding_attention", "full_attention"]);
    let listed = published("qwen2").with("sliding_window", json!(4)).with("layer_types", kinds);
    assert_eq!(
        listed.header().variant.window.map(|window| window.layers),
        Some(vec![false, true, false])
    );
    // The newer spelling of the same rotary embeddings.
    let newer = published("gemma3_text").with("rope_scaling", json!(null)).with(
        "rope_parameters",
        json!({
            "full_attention": { "rope_type": "linear", "factor": 8.0, "rope_theta": 1e6 },
            "sliding_attention": { "rope_type": "default", "rope_theta": 1e4 },
        }),
    );
    assert_eq!(newer.header(), published("gemma3_text").header());
}

#[test]
fn scaled_rotary_embeddings_are_static_or_refused() {
    // spec: ENGINE-15.4, ENGINE-15.9
    let scaling = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128,
    });
    let plain = published("llama").header().rope;
    let scaled = published("llama").with("rope_scaling", scaling.clone()).header().rope;
    // 128 positions at a sixth of a turn are twenty turns: fast, and stays as it is.
    assert_eq!(scaled[0], plain[0]);
    assert!(scaled[3].abs_diff(plain[3] / 8) <= 1, "slow, and an eighth as fast");
    assert!(scaled[1] < plain[1] && scaled[1] > plain[1] / 8);
    let mut short = scaling;
    short.as_object_mut().expect("an object").remove("low_freq_factor");
    let error = published("llama").with("rope_scaling", short).convert(Profile::W8);
    let error = error.expect_err("a number is missing");
    let field = ConfigError::Field {
        field: "rope_scaling",
        wanted: "an object with the numbers of its rope_type",
    };
    assert_eq!(error, ConvertError::Config(field));
}

#[test]
fn a_family_wants_its_tensors_and_no_other() {
    // spec: ENGINE-15.7
    for (family, part) in [
        ("qwen2", "self_attn.v_proj.bias"),
        ("qwen3", "self_attn.k_norm.weight"),
        ("gemma2", "post_feedforward_layernorm.weight"),
    ] {
        let name = format!("model.layers.1.{part}");
        let mut missing = published(family);
        let tensor = missing.tensors.remove(&name).expect("is there");
        let error = missing.convert(Profile::W8).expect_err("misses one").to_string();
        assert_eq!(error, format!("tensor {name} is missing"));
        let mut extra = published("llama");
        extra.tensors.insert(name.clone(), tensor);
        let error = extra.convert(Profile::W8).expect_err("has one too many").to_string();
        assert_eq!(error, format!("tensor {name} has no place in a model of this family"));
    }
    let silent = |field: &str| {
        let mut silent = published("gemma2");
        silent.config.as_object_mut().expect("an object").remove(field);
        silent.convert(Profile::W8).expect_err("does not say")
    };
    for field in ["attn_logit_softcapping", "final_logit_softcapping", "sliding_window"] {
        assert!(silent(field).to_string().contains(field), "{field}");
    }
}

#[test]
fn gains_and_biases_without_a_static_bound_are_refused_by_tensor() {
    // spec: ENGINE-3.8, ENGINE-6.5, ENGINE-6.6
    for (family, part, factor) in [
        ("qwen2", "self_attn.q_proj.bias", 1e7),
        ("qwen2", "self_attn.v_proj.bias", 1e5),
        ("qwen3", "self_attn.q_norm.weight", 1e6),
        ("gemma3_text", "post_attention_layernorm.weight", 1e9),
    ] {
        let name = format!("model.layers.1.{part}");
        let mut loud = published(family);
        let numbers = &mut loud.tensors.get_mut(&name).expect("is there").1;
        numbers.iter_mut().for_each(|number| *number *= factor);
        match loud.convert(Profile::W8).expect_err("too loud") {
            ConvertError::Unfit { name: found, .. } => {
                assert_eq!(found.replace("weight", "bias"), name.replace("weight", "bias"));
            }
            other => panic!("{family} {part}: {other}"),
        }
    }
    // A loud sum of norms costs the residual stream fraction bits, not the model.
    let mut gemma = published("gemma2");
    assert_eq!(gemma.header().residual_bits, 16);
    let name = "model.layers.0.post_feedforward_layernorm.weight";
    gemma.tensors.get_mut(name).expect("is there").1.fill(12_000.0);
    assert_eq!(gemma.header().residual_bits, 14);
}

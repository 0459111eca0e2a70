//! Conversion: a pure function of the published bytes, and a clear refusal of everything else.

use mutirao_engine::load::{ConfigError, convert};
use mutirao_engine::model::header::Profile;
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::Dice;
use mutirao_engine::{ConvertError, Model, Session, Source};
use mutirao_wire::Token;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A published model in the making: numbers by name, and a configuration.
#[derive(Clone)]
pub struct Published {
    pub config: Value,
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

const HIDDEN: usize = 24;
const INNER: usize = 40;
const VOCABULARY: usize = 32;
const LAYERS: usize = 2;

fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 6,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
        "eos_token_id": [3, 1],
        "_name_or_path": "somewhere/little",
    })
}

/// A multiple of 2^-10 in -1..1 with 7 bits, so that every published type holds it.
fn small(dice: &mut Dice) -> f32 {
    dice.within(-127, 127) as f32 / 1024.0
}

pub fn published() -> Published {
    let mut dice = Dice::new(77);
    let mut tensors = BTreeMap::new();
    let mut put = |name: String, shape: &[usize]| {
        let mut numbers: Vec<f32> = (0..shape.iter().product()).map(|_| small(&mut dice)).collect();
        if shape.len() == 1 {
            numbers.iter_mut().for_each(|gain| *gain = 1.0 + *gain * 8.0);
        }
        tensors.insert(name, (shape.to_vec(), numbers));
    };
    put("model.embed_tokens.weight".to_owned(), &[VOCABULARY, HIDDEN]);
    put("model.norm.weight".to_owned(), &[HIDDEN]);
    for layer in 0..LAYERS {
        for (part, shape) in [
            ("input_layernorm", vec![HIDDEN]),
            ("self_attn.q_proj", vec![24, HIDDEN]),
            ("self_attn.k_proj", vec![12, HIDDEN]),
            ("self_attn.v_proj", vec![12, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, 24]),
            ("post_attention_layernorm", vec![HIDDEN]),
            ("mlp.gate_proj", vec![INNER, HIDDEN]),
            ("mlp.up_proj", vec![INNER, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, INNER]),
        ] {
            put(format!("model.layers.{layer}.{part}.weight"), &shape);
        }
    }
    Published { config: config(), tensors }
}

/// Truncates to bf16, which is exact for the numbers of [`small`].
fn bf16(number: f32) -> [u8; 2] {
    ((number.to_bits() >> 16) as u16).to_le_bytes()
}

/// IEEE half precision of a normal number with at most 10 bits after the first.
fn f16(number: f32) -> [u8; 2] {
    let bits = number.to_bits();
    let (sign, exponent) = ((bits >> 16 & 0x8000) as u16, (bits >> 23 & 255) as i32 - 127);
    let fraction = (bits >> 13 & 1023) as u16;
    let half = match number == 0.0 {
        true => sign,
        false => sign | ((exponent + 15) as u16) << 10 | fraction,
    };
    half.to_le_bytes()
}

impl Published {
    pub fn weights(&self, dtype: Dtype) -> Vec<u8> {
        let bytes = |number: &f32| match dtype {
            Dtype::F32 => number.to_le_bytes().to_vec(),
            Dtype::F16 => f16(*number).to_vec(),
            Dtype::BF16 => bf16(*number).to_vec(),
            Dtype::F64 => f64::from(*number).to_le_bytes().to_vec(),
            other => panic!("{other:?} is not written here"),
        };
        let bytes: BTreeMap<&String, Vec<u8>> = self
            .tensors
            .iter()
            .map(|(name, (_, numbers))| (name, numbers.iter().flat_map(bytes).collect()))
            .collect();
        let view = |(name, (shape, _)): (&String, &(Vec<usize>, Vec<f32>))| {
            let view = TensorView::new(dtype, shape.clone(), &bytes[name]).expect("whole tensors");
            (name.clone(), view)
        };
        serialize(self.tensors.iter().map(view), None).expect("a safetensors file")
    }

    pub fn convert_as(&self, dtype: Dtype, profile: Profile) -> Result<Vec<u8>, ConvertError> {
        let config = self.config.to_string();
        let source = Source {
            config: config.as_bytes(),
            weights: &self.weights(dtype),
            tokenizer: b"{}",
            template: b"{{ messages }}",
        };
        convert(&source, profile)
    }

    fn convert(&self) -> Result<Vec<u8>, ConvertError> {
        self.convert_as(Dtype::F32, Profile::W8)
    }

    fn refused(&self) -> ConvertError {
        let error = self.convert().expect_err("cannot be converted");
        assert!(error.to_string().len() > 15, "{error}");
        error
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    fn numbers(&mut self, name: &str) -> &mut Vec<f32> {
        &mut self.tensors.get_mut(name).expect("is there").1
    }
}

#[test]
fn conversion_is_a_pure_function_of_the_numbers() {
    // spec: ENGINE-15.1
    let published = published();
    for profile in [Profile::W8, Profile::W4] {
        let file = published.convert_as(Dtype::F32, profile).expect("converts");
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            let again = published.convert_as(dtype, profile).expect("converts");
            assert!(again == file, "{dtype:?} gives another file");
        }
        let model = Arc::new(Model::from_bytes(&file).expect("a model file"));
        assert_eq!(model.header().name, "little");
        assert_eq!(model.header().profile, profile);
        assert_eq!(model.end_of_text(), [Token(1), Token(3)]);
        let mut session = Session::new(model);
        session.feed(&[Token(5), Token(6)], &Serial).expect("runs");
    }
}

#[test]
fn integer_weights_stand_for_the_published_ones() {
    // spec: ENGINE-15.2, ENGINE-15.3
    let published = published();
    let file = published.convert().expect("converts");
    let parsed = mutirao_engine::load::format::File::parse(&file).expect("a model file");
    let tensor = |name: &str| parsed.tensors.iter().find(|it| it.spec.name == name).expect("there");
    let matrix = tensor("layers.1.up").matrix().expect("a matrix");
    let (_, gains) = &published.tensors["model.layers.1.post_attention_layernorm.weight"];
    let (_, numbers) = &published.tensors["model.layers.1.mlp.up_proj.weight"];
    for row in 0..matrix.rows {
        let scale = f64::from(matrix.multiplier[row]) / 2f64.powi(matrix.exponent[row].into());
        for ((weight, number), gain) in matrix.row(row).zip(&numbers[row * HIDDEN..]).zip(gains) {
            let meant = f64::from(weight) * scale;
            // A channel that its gain all but mutes may be clipped, to the good of the others.
            let miss = (meant - f64::from(*number)).abs() * f64::from(*gain);
            assert!(miss < 0.001, "{meant} for {number}, gain {gain}");
        }
    }
    let scales = parsed.header.layers[1].post;
    let unit = 2f64.powi(scales.gain_bits.into());
    for (integer, gain) in tensor("layers.1.post_norm").gains().iter().zip(gains) {
        assert!((f64::from(*integer) / unit - f64::from(*gain)).abs() <= 0.5 / unit);
    }
}

#[test]
fn a_head_of_its_own_is_read_where_it_is_not_tied() {
    // spec: ENGINE-9.2, ENGINE-15.7
    let mut untied = published().with("tie_word_embeddings", json!(false));
    let missing = untied.refused().to_string();
    assert_eq!(missing, "tensor lm_head.weight is missing");
    let head = untied.tensors["model.embed_tokens.weight"].clone();
    untied.tensors.insert("lm_head.weight".to_owned(), head);
    let file = untied.convert().expect("converts");
    let model = Model::from_bytes(&file).expect("a model file");
    assert_eq!(model.header().shape.tied, 0);
    // A tied model may carry a second copy; it changes nothing.
    let tied = untied.with("tie_word_embeddings", json!(true)).convert().expect("converts");
    assert!(tied == published().convert().expect("converts"));
}

#[test]
fn weights_that_are_not_finite_are_refused_with_their_place() {
    // spec: ENGINE-15.7
    for (name, at) in [
        ("model.embed_tokens.weight", 100),
        ("model.norm.weight", 3),
        ("model.layers.1.self_attn.k_proj.weight", 0),
        ("model.layers.0.mlp.down_proj.weight", 959),
    ] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut published = published();
            published.numbers(name)[at] = bad;
            let wanted = format!("tensor {name} holds a weight that is not finite, at {at}");
            assert_eq!(published.refused().to_string(), wanted);
        }
    }
}

#[test]
fn tensors_of_another_shape_type_or_name_are_refused_by_name() {
    // spec: ENGINE-15.7
    let name = "model.layers.0.self_attn.v_proj.weight";
    let mut turned = published();
    turned.tensors.get_mut(name).expect("is there").0 = vec![24, 12];
    let text = turned.refused().to_string();
    assert_eq!(text, format!("tensor {name} has shape [24, 12], config.json says [12, 24]"));
    let mut missing = published();
    missing.tensors.remove(name);
    assert_eq!(missing.refused().to_string(), format!("tensor {name} is missing"));
    let double = published().convert_as(Dtype::F64, Profile::W8).expect_err("not converted");
    assert_eq!(double.to_string(), "tensor model.norm.weight is F64, wanted F32, F16 or BF16");
    for extra in [
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.2.mlp.up_proj.weight",
        "model.layers.00.mlp.up_proj.weight",
        "model.layers.0.self_attn.q_norm.weight",
        "vision.weight",
    ] {
        let mut with_more = published();
        with_more.tensors.insert(extra.to_owned(), (vec![2], vec![0.0; 2]));
        let text = with_more.refused().to_string();
        assert_eq!(text, format!("tensor {extra} has no place in a model of this family"));
    }
    let mut harmless = published();
    let name = "model.layers.1.self_attn.rotary_emb.inv_freq".to_owned();
    harmless.tensors.insert(name, (vec![3], vec![0.0; 3]));
    assert!(harmless.convert().expect("converts") == published().convert().expect("converts"));
}

#[test]
fn numbers_too_large_for_op_set_1_are_refused_by_tensor() {
    // spec: ENGINE-15.2, ENGINE-15.3, ENGINE-15.5
    for (name, factor) in [
        ("model.embed_tokens.weight", 1e30),
        ("model.layers.0.self_attn.q_proj.weight", 1e30),
        ("model.layers.1.mlp.gate_proj.weight", 1e30),
        ("model.layers.1.mlp.down_proj.weight", 1e30),
        ("model.layers.0.input_layernorm.weight", 1e9),
        ("model.norm.weight", 1e9),
    ] {
        let mut published = published();
        published.numbers(name).iter_mut().for_each(|number| *number *= factor);
        match published.refused() {
            ConvertError::Unfit { name: found, .. } => assert_eq!(found, name),
            other => panic!("{name}: {other}"),
        }
    }
    let wide = published().with("rms_norm_eps", json!(1e9)).refused();
    assert_eq!(wide, ConvertError::Epsilon);
    let turning = published().with("rope_theta", json!(1e-9)).refused();
    assert!(matches!(turning, ConvertError::Frequency(_)), "{turning}");
}

#[test]
fn zeros_and_one_huge_channel_convert() {
    // spec: ENGINE-15.2
    let mut odd = published();
    odd.numbers("model.layers.0.self_attn.o_proj.weight").fill(0.0);
    odd.numbers("model.norm.weight").fill(0.0);
    for part in ["q", "k", "v"] {
        odd.numbers(&format!("model.layers.0.self_attn.{part}_proj.weight")).fill(0.0);
    }
    odd.numbers("model.layers.1.input_layernorm.weight")[7] = 300.0;
    odd.numbers("model.layers.1.mlp.up_proj.weight")[5] = 900.0;
    for profile in [Profile::W8, Profile::W4] {
        let file = odd.convert_as(Dtype::F32, profile).expect("converts");
        let mut session = Session::new(Arc::new(Model::from_bytes(&file).expect("a model file")));
        let logits = session.feed(&[Token(1), Token(2)], &Serial).expect("runs");
        assert!(logits.iter().all(|logit| *logit == 0), "the last gains are zero");
    }
}

#[test]
fn what_op_set_1_cannot_run_is_refused_by_field_and_value() {
    // spec: ENGINE-15.8
    let cases = [
        ("model_type", json!("phi3")),
        ("model_type", json!("gemma3")),
        ("architectures", json!(["Qwen2ForCausalLM"])),
        ("architectures", json!("LlamaForCausalLM")),
        ("hidden_act", json!("gelu")),
        ("attention_bias", json!(true)),
        ("mlp_bias", json!(true)),
        ("rope_scaling", json!({ "rope_type": "dynamic", "factor": 8.0 })),
        ("rope_scaling", json!({ "type": "longrope", "factor": 8.0 })),
        ("rope_scaling", json!({ "rope_type": "default", "partial_rotary_factor": 0.5 })),
        ("attn_logit_softcapping", json!(50.0)),
        ("use_bidirectional_attention", json!(true)),
        ("layer_types", json!(["full_attention", "linear_attention"])),
        ("rope_scaling", json!(1)),
        ("rope_parameters", json!({ "rope_type": "yarn", "rope_theta": 1e4 })),
        ("quantization_config", json!({ "bits": 4 })),
        ("quantization_config", json!({ "type": "default" })),
        ("sliding_window", json!(4096)),
        ("sliding_window", json!(1)),
        ("partial_rotary_factor", json!(0.5)),
    ];
    for (field, value) in cases {
        match published().with(field, value.clone()).refused() {
            ConvertError::Config(ConfigError::Unsupported {
                field: found, value: shown, ..
            }) => {
                assert_eq!((found, shown), (field, value.to_string()));
            }
            other => panic!("{field}: {other}"),
        }
    }
    for (field, value) in [
        ("rope_scaling", json!({ "type": "default" })),
        ("partial_rotary_factor", json!(1.0)),
        ("sliding_window", json!(null)),
        ("rope_parameters", json!({ "rope_type": "default", "rope_theta": 10000.0 })),
    ] {
        let same = published().with(field, value).convert().expect("harmless");
        assert!(same == published().convert().expect("converts"), "{field}");
    }
}

#[test]
fn fields_that_are_missing_or_of_another_kind_are_refused_by_name() {
    // spec: ENGINE-15.8
    let cases = [
        ("hidden_size", json!("24")),
        ("hidden_size", json!(null)),
        ("intermediate_size", json!(-1)),
        ("num_hidden_layers", json!(1u64 << 32)),
        ("num_attention_heads", json!(1.5)),
        ("num_key_value_heads", json!([])),
        ("vocab_size", json!(null)),
        ("max_position_embeddings", json!(null)),
        ("rms_norm_eps", json!(0)),
        ("rms_norm_eps", json!("1e-5")),
        ("rope_theta", json!(-1)),
        ("tie_word_embeddings", json!("yes")),
        ("eos_token_id", json!(32)),
        ("eos_token_id", json!([1, "2"])),
        ("eos_token_id", json!((0..17).collect::<Vec<_>>())),
        ("model_type", json!(null)),
        ("hidden_act", json!(null)),
    ];
    for (field, value) in cases {
        match published().with(field, value.clone()).refused() {
            ConvertError::Config(ConfigError::Field { field: found, .. }) => {
                assert_eq!(found, field);
            }
            other => panic!("{field} = {value}: {other}"),
        }
    }
    for (field, value) in [
        ("num_attention_heads", json!(0)),
        ("head_dim", json!(7)),
        ("head_dim", json!(512)),
        ("num_key_value_heads", json!(3)),
        ("hidden_size", json!(1 << 20)),
        ("num_hidden_layers", json!(0)),
        ("num_hidden_layers", json!(4_000_000_000u32)),
        ("vocab_size", json!(4_000_000_000u32)),
    ] {
        let error = published().with(field, value.clone()).refused();
        assert!(matches!(error, ConvertError::Header(_)), "{field} = {value}: {error}");
    }
}

#[test]
fn bytes_that_are_no_published_model_are_refused() {
    // spec: ENGINE-15.8
    let (good, weights) = (config().to_string(), published().weights(Dtype::BF16));
    let (tokenizer, template): (&[u8], &[u8]) = (b"{}", b"");
    let source = |config: &[u8], weights: &[u8]| {
        convert(&Source { config, weights, tokenizer, template }, Profile::W8).err()
    };
    assert_eq!(source(good.as_bytes(), &weights), None);
    let long = vec![b' '; (1 << 20) + 1];
    for bad in [&b"{"[..], b"", b"[]", b"3", b"\xFF", b"{} {}", &long] {
        let error = source(bad, &weights);
        assert!(matches!(error, Some(ConvertError::Config(ConfigError::NotJson(_)))), "{error:?}");
    }
    for length in (0..weights.len()).step_by(97) {
        let error = source(good.as_bytes(), &weights[..length]);
        assert!(matches!(error, Some(ConvertError::Weights(_))), "{length}: {error:?}");
    }
    let huge = vec![0; (1 << 20) + 1];
    let long = Source { config: good.as_bytes(), weights: &weights, tokenizer, template: &huge };
    let error = convert(&long, Profile::W8).expect_err("too long");
    let (actual, maximum) = ((1 << 20) + 1, 1 << 20);
    assert_eq!(error, ConvertError::TooLong { what: "template", actual, maximum });
}

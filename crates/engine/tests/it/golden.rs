//! The golden vectors of `docs/spec/engine.md`: what the engine gives, written out for people and
//! for other implementations. Used by a test, which compares, and by an example, which writes.

#[path = "village.rs"]
pub mod village;

use mutirao_engine::load::convert;
use mutirao_engine::load::format::File;
use mutirao_engine::model::header::{Profile, attention_scale};
use mutirao_engine::op::attention::{self, HeadScale};
use mutirao_engine::op::rmsnorm::{self, NormScales};
use mutirao_engine::op::{cap::Cap, l2, linear, logits, residual, rope, swiglu};
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::{
    Dice, Recipe, adversarial_model, trap_token, trapping_model, variants,
};
use mutirao_engine::{Generation, Kernels, Model, Session, Shape, Source, Step};
use mutirao_engine::{fixed, sample, table::Tables};
use mutirao_wire::{Digest, Finish, Job, OpSet, Sampling, Token};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Name and text of every file, as these kernels make them.
pub fn files(kernels: Kernels) -> Vec<(&'static str, String)> {
    let models = models();
    [
        ("tables.json", tables()),
        ("operators.json", operators()),
        ("models.json", models.iter().map(|named| named.describe(4, kernels)).collect()),
        ("answers.json", answers(&models, kernels)),
        ("conversion.json", conversion()),
        ("families.json", families(kernels)),
    ]
    .map(|(name, value)| (name, text(&value)))
    .to_vec()
}

/// JSON with one line for every list of plain values, so that a difference can be read.
fn text(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0);
    out.push('\n');
    out
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    let is_plain = |value: &Value| !value.is_array() && !value.is_object();
    let (open, close, lines) = match value {
        Value::Object(fields) if fields.values().all(is_plain) => return push(out, value),
        Value::Array(items) if items.iter().all(is_plain) => return push(out, value),
        Value::Object(fields) => {
            let line = |(name, value): (&String, &Value)| (format!("\"{name}\": "), value.clone());
            ('{', '}', fields.iter().map(line).collect::<Vec<_>>())
        }
        Value::Array(items) => {
            ('[', ']', items.iter().map(|item| (String::new(), item.clone())).collect())
        }
        plain => return push(out, plain),
    };
    out.push(open);
    for (index, (name, value)) in lines.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(depth + 1));
        out.push_str(name);
        write_value(out, value, depth + 1);
    }
    out.push('\n');
    out.push_str(&" ".repeat(depth));
    out.push(close);
}

fn push(out: &mut String, value: &Value) {
    out.push_str(&value.to_string());
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn tables() -> Value {
    let tables = Tables::get();
    let exponential: Vec<u8> = tables.exponential.iter().flat_map(|x| x.to_le_bytes()).collect();
    let cosine: Vec<u8> = tables.cosine.iter().flat_map(|x| x.to_le_bytes()).collect();
    let sigmoid: Vec<u8> = tables.sigmoid.iter().flat_map(|x| x.to_le_bytes()).collect();
    let some = [0usize, 1, 2, 2047, 2048, 2049, 4096, 16384, 30000, 32768, 33000, 40000, 65535];
    let entry = |name: &str, bytes: &[u8], entries: Vec<i64>| {
        let digest = Digest::of(&format!("mutirao 1 table {name}"), &[bytes]);
        json!({ "table": name, "digest": digest.hex(), "at": some, "entries": entries })
    };
    json!([
        entry("exp2", &exponential, some.map(|i| tables.exponential[i].into()).to_vec()),
        entry("cos", &cosine, some.map(|i| tables.cosine[i].into()).to_vec()),
        entry("sig", &sigmoid, some.map(|i| tables.sigmoid[i].into()).to_vec()),
    ])
}

fn operators() -> Value {
    json!({
        "rnd": rounding(),
        "l2": l2_rule(),
        "linear": linear_rows(),
        "embedding": embedding_rows(),
        "residual": [
            json!({ "x": 5, "y": -9, "sum": -4 }),
            json!({ "x": i32::MAX, "y": 1, "sum": "trap" }),
            json!({ "x": i32::MIN, "y": -1, "sum": "trap" }),
        ],
        "rmsnorm": norms(),
        "rope": turns(),
        "attention": attended(),
        "swiglu": gates(),
        "logits": logit_cases(),
        "sampling": samples(),
        "attention_scale": scales(),
    })
}

fn rounding() -> Value {
    let mut dice = Dice::new(1);
    let cases = [(0i64, 0u32), (-1, 1), (1, 1), (-3, 1), (3, 1), (-(1 << 61), 62), (1 << 61, 62)];
    let drawn = (0..8).map(|_| (dice.within(-(1 << 50), 1 << 50), dice.within(0, 52) as u32));
    let drawn: Vec<_> = drawn.collect();
    let one = |(x, s): (i64, u32)| json!({ "x": x, "s": s, "rnd": fixed::rnd(x, s) });
    cases.into_iter().chain(drawn).map(one).collect()
}

fn vector(dice: &mut Dice, count: usize, most: i64) -> Vec<i64> {
    (0..count).map(|_| dice.within(-most, most)).collect()
}

fn l2_rule() -> Value {
    let mut dice = Dice::new(2);
    let mut cases = vec![vec![0; 4], vec![1 << 44, 1, -1, 0], vec![16384, 16383, 181, 5, 1, 1]];
    cases.push(vec![3, -3, 5, -5, 1 << 16]);
    cases.extend([10, 20, 30, 40, 45].map(|bits| vector(&mut dice, 9, 1 << bits)));
    let one = |v: Vec<i64>| {
        let mut x = vec![0; v.len()];
        let t = l2::shorten(&v, &mut x);
        json!({ "v": v, "x": x, "t": t })
    };
    cases.into_iter().map(one).collect()
}

fn short(numbers: Vec<i64>) -> Vec<i16> {
    numbers.into_iter().map(|n| i16::try_from(n).expect("drawn so")).collect()
}

fn linear_rows() -> Value {
    let mut dice = Dice::new(3);
    let mut one = |shift: u32| {
        let w: Vec<i32> = vector(&mut dice, 12, 1905).into_iter().map(|w| w as i32).collect();
        let x = short(vector(&mut dice, 12, 6000));
        let (m, acc) =
            (dice.within(1 << 15, 65535) as u16, linear::accumulate(w.iter().copied(), &x));
        let y = linear::scale(acc as i32, m, shift);
        json!({ "W": w, "x": x, "M": m, "shift": shift, "acc": acc, "y": y })
    };
    [0, 1, 16, 30, 47, 62].map(&mut one).to_vec().into()
}

fn embedding_rows() -> Value {
    let mut dice = Dice::new(4);
    let mut one = |shift: u32| {
        let w: Vec<i32> = vector(&mut dice, 8, 1905).into_iter().map(|w| w as i32).collect();
        let m = dice.within(1 << 15, 65535) as u16;
        let x: Vec<i32> = w.iter().map(|w| residual::embed(*w, m, shift)).collect();
        json!({ "W": w, "M": m, "shift": shift, "x": x })
    };
    [0, 3, 9, 20].map(&mut one).to_vec().into()
}

fn norms() -> Value {
    let mut dice = Dice::new(5);
    let mut cases =
        vec![(vec![0; 4], 0u64), (vec![0; 4], 1 << 40), (vec![i64::from(i32::MIN); 4], 0)];
    cases.push((vec![1], 0));
    for bits in [4, 12, 20, 21, 31] {
        let epsilon = dice.within(0, 1 << 30) as u64;
        cases.push((vector(&mut dice, 10, (1 << bits) - 1), epsilon));
    }
    let one = |(x, epsilon): (Vec<i64>, u64)| {
        let x: Vec<i32> = x.into_iter().map(|x| x as i32).collect();
        let gain = short(vector(&mut dice, x.len(), 32767));
        let root = rmsnorm::root(&x, epsilon);
        let (scales, mut v) = (NormScales { gain_bits: 14, value_bits: 15 }, vec![0; x.len()]);
        rmsnorm::normalise(&x, &gain, scales, epsilon, &mut v);
        json!({
            "x": x, "gain": gain, "ge": 14, "fv": 15, "eps": epsilon,
            "t0": root.entry_shift, "r": root.root, "k + u/2": root.root_bits, "v": v,
        })
    };
    cases.into_iter().map(one).collect()
}

fn turns() -> Value {
    let mut dice = Dice::new(6);
    let drawn = (0..8).map(|_| {
        let (a, b) = (dice.within(-23000, 23000), dice.within(-23000, 23000));
        (a as i32, b as i32, dice.within(0, 1 << 17) as u64, dice.roll())
    });
    let mut cases: Vec<(i32, i32, u64, u64)> = drawn.collect();
    cases.extend([(32767, 32767, 1, 1 << 61), (32768, 0, 0, 0), (100, -200, 1 << 17, 1 << 62)]);
    let one = |(a, b, position, frequency): (i32, i32, u64, u64)| {
        let (cos, sin) = rope::angle(position, frequency, &Tables::get().cosine);
        let turned = match rope::rotate(a, b, (cos, sin)) {
            Ok((a, b)) => json!([a, b]),
            Err(fixed::Trap) => json!("trap"),
        };
        json!({
            "a": a, "b": b, "position": position, "frequency": format!("{frequency:016x}"),
            "cos": cos, "sin": sin, "turned": turned,
        })
    };
    cases.into_iter().map(one).collect()
}

fn attended() -> Value {
    let mut dice = Dice::new(7);
    let mut one = |(positions, most, shift, align): (usize, i64, u32, u32)| {
        let query = short(vector(&mut dice, 4, most));
        let keys = short(vector(&mut dice, 4 * positions, most));
        let values = short(vector(&mut dice, 4 * positions, 4095));
        let scale = HeadScale { multiplier: 47274, shift, align, cap: None };
        let mut o = vec![0; 4];
        let exponential = &Tables::get().exponential;
        attention::attend(&query, &keys, &values, scale, exponential, &mut o);
        json!({
            "q": query, "k": keys, "v": values, "A_M": scale.multiplier, "A_S": shift,
            "fo - fc": align, "o": o,
        })
    };
    let cases = [
        (1, 32767, 30, 0),
        (2, 100, 12, 0),
        (4, 5000, 26, 0),
        (9, 32767, 32, 3),
        (7, 32767, 8, 0),
        (16, 0, 20, 16),
    ];
    cases.map(&mut one).to_vec().into()
}

fn gates() -> Value {
    let mut dice = Dice::new(8);
    let most = (1 << 22) - 1;
    let drawn = (0..8).map(|at| {
        let (g, u) = (dice.within(-most, most) >> at, dice.within(-most, most) >> at);
        (g as i32, u as i32, dice.within(11, 20) as u32)
    });
    let mut cases: Vec<(i32, i32, u32)> = drawn.collect();
    cases.extend([(0, 77, 16), (most as i32, most as i32, 11), (-most as i32, most as i32, 11)]);
    let one = |(g, u, bits)| {
        let h = swiglu::gate(g, u, bits, &Tables::get().sigmoid);
        json!({ "g": g, "u": u, "fg": bits, "h": h })
    };
    cases.into_iter().map(one).collect()
}

fn logit_cases() -> Value {
    let one = |(acc, m, shift): (i32, u16, u32)| {
        let logit = logits::logit(acc, m, shift).map_or(json!("trap"), |logit| json!(logit));
        json!({ "acc": acc, "M": m, "shift": shift, "logit": logit })
    };
    let cases =
        [(12345, 40000, 9), (-12345, 40000, 9), (1 << 16, 1 << 15, 0), (-(1 << 16), 1 << 15, 0)];
    cases.map(one).to_vec().into()
}

fn samples() -> Value {
    let mut dice = Dice::new(9);
    let settings = [
        (0, 0, 0, 65536),
        (1000, 0, 0, 65536),
        (1000, 3, 0, 65536),
        (700, 0, 6000, 65536),
        (1300, 0, 0, 50000),
        (900, 6, 1000, 60000),
        (100_000, 0, 0, 65536),
        (1, 0, 0, 65536),
    ];
    let mut one = |(temperature_milli, top_k, min_p, top_p): (u32, u32, u32, u32)| {
        let logits: Vec<i32> =
            vector(&mut dice, 12, 9000).into_iter().map(|l| (l / 100 * 100) as i32).collect();
        let seed: [u8; 32] = std::array::from_fn(|_| dice.roll() as u8);
        let sampling = Sampling { temperature_milli, top_k, min_p, top_p, seed };
        let position = dice.within(0, 1 << 17) as u64;
        let chosen: Vec<u32> =
            (0..16).map(|i| sample::choose(&logits, &sampling, position + i).0).collect();
        json!({
            "logits": logits, "temperature_milli": temperature_milli, "top_k": top_k,
            "min_p": min_p, "top_p": top_p, "seed": hex(&seed), "first position": position,
            "chosen": chosen,
        })
    };
    settings.map(&mut one).to_vec().into()
}

fn scales() -> Value {
    let one = |size: u32| {
        let (multiplier, shift) = attention_scale(size);
        json!({ "dh": size, "A_M": multiplier, "A_0": shift })
    };
    [2, 6, 16, 32, 64, 80, 96, 128, 256].map(one).to_vec().into()
}

struct Named {
    name: &'static str,
    file: Vec<u8>,
    shape: Shape,
}

fn models() -> Vec<Named> {
    let tiny = Shape {
        hidden: 16,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        head_size: 8,
        inner: 20,
        vocabulary: 24,
        context: 64,
        tied: 1,
    };
    let odd =
        Shape { hidden: 33, inner: 65, heads: 3, kv_heads: 3, head_size: 6, layers: 1, ..tiny };
    let mut four = Recipe::new(41, Shape { tied: 0, layers: 1, ..odd });
    four.profile = Profile::W4;
    four.tokenizer = b"not a tokenizer".to_vec();
    four.template = b"not a template".to_vec();
    let mut eight = Recipe::new(40, tiny);
    eight.end_of_text = vec![Token(0), Token(19)];
    vec![
        Named { name: "w8", file: eight.build(), shape: tiny },
        Named { name: "w4", file: four.build(), shape: odd },
        Named { name: "bounds", file: adversarial_model(42, &odd), shape: odd },
        Named { name: "trap", file: trapping_model(43, &tiny), shape: tiny },
    ]
}

impl Named {
    fn model(&self) -> Arc<Model> {
        Arc::new(Model::from_bytes(&self.file).expect("a model file"))
    }

    fn describe(&self, tokens: usize, kernels: Kernels) -> Value {
        let parsed = File::parse(&self.file).expect("a model file");
        let tensors: Vec<Value> = parsed
            .tensors
            .iter()
            .map(|tensor| json!({ "tensor": tensor.spec.name, "leaf": tensor.digest().hex() }))
            .collect();
        let tokens = Dice::new(50).tokens(tokens, self.shape.vocabulary - 1);
        let mut logits = Vec::new();
        let mut session = Session::with_kernels(self.model(), kernels);
        session
            .feed_each(&tokens, &Serial, &mut |_, one| logits.push(json!(one)))
            .expect("traps at its last token only");
        json!({
            "name": self.name,
            "id": parsed.id.0.hex(),
            "weights_root": parsed.weights_root.hex(),
            "tensors": tensors,
            "tokens": tokens.iter().map(|token| token.0).collect::<Vec<_>>(),
            "logits": logits,
            "file": hex(&self.file),
        })
    }
}

fn answers(models: &[Named], kernels: Kernels) -> Value {
    let draws = |seed: u8| Sampling {
        temperature_milli: 1200,
        top_k: 20,
        min_p: 300,
        top_p: 64_000,
        seed: [seed; 32],
    };
    let answer = |named: &Named, prompt: &[Token], sampling, max_tokens, stop| {
        answer(named, kernels, prompt, sampling, max_tokens, stop)
    };
    let mut answers = Vec::new();
    for (index, named) in models.iter().enumerate() {
        let vocabulary = named.shape.vocabulary - 1;
        let prompt = Dice::new(60 + index as u64).tokens(9, vocabulary);
        let greedy = answer(named, &prompt, Sampling::greedy(), 24, Vec::new());
        answers.push(greedy.0);
        let (value, tokens) = answer(named, &prompt, draws(7), 30, Vec::new());
        answers.push(value);
        if tokens.len() > 5 {
            let stop = vec![tokens[3..5].to_vec(), vec![Token(vocabulary)]];
            answers.push(answer(named, &prompt, draws(7), 30, stop).0);
        }
        let one = Sampling { temperature_milli: 600, ..draws(8) };
        answers.push(answer(named, &prompt[..1], one, 20, Vec::new()).0);
    }
    let last = models.last().expect("there are four");
    let mut prompt = Dice::new(70).tokens(5, last.shape.vocabulary - 1);
    prompt[2] = trap_token(&last.shape);
    answers.push(answer(last, &prompt, Sampling::greedy(), 3, Vec::new()).0);
    let hot = |seed: u8| Sampling { temperature_milli: 100_000, top_k: 0, min_p: 0, ..draws(seed) };
    let prompt = Dice::new(71).tokens(3, last.shape.vocabulary - 1);
    let traps = (0..200).map(|seed| answer(last, &prompt, hot(seed), 30, Vec::new()));
    let mut traps = traps.filter(|(value, _)| value["finish"] == "trap");
    answers.push(traps.next().expect("one of 200 meets the token").0);
    answers.into()
}

fn answer(
    named: &Named,
    kernels: Kernels,
    prompt: &[Token],
    sampling: Sampling,
    max_tokens: u32,
    stop: Vec<Vec<Token>>,
) -> (Value, Vec<Token>) {
    let model = named.model();
    let numbers = |tokens: &[Token]| tokens.iter().map(|token| token.0).collect::<Vec<_>>();
    let stops: Vec<Vec<u32>> = stop.iter().map(|stop| numbers(stop)).collect();
    let job = Job {
        op_set: OpSet(1),
        model: model.id(),
        prompt: prompt.to_vec(),
        sampling,
        max_tokens,
        stop,
        constraint: None,
        nonce: [0; 32],
    };
    let mut generation =
        Generation::with_kernels(model.clone(), job, Vec::new(), kernels).expect("fits");
    let finish = loop {
        if let Step::Finished(finish) = generation.next(&Serial) {
            break finish;
        }
    };
    let tokens = generation.answer().to_vec();
    let value = json!({
        "model": named.name,
        "prompt": numbers(prompt),
        "temperature_milli": sampling.temperature_milli,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "top_p": sampling.top_p,
        "seed": hex(&sampling.seed),
        "max_tokens": max_tokens,
        "stop": stops,
        "answer": numbers(&tokens),
        "finish": finish.word(),
        "logits": all_logits(&model, prompt, &tokens, finish, kernels).hex(),
    });
    (value, tokens)
}

/// The digest of all logits that the answer was chosen from.
fn all_logits(
    model: &Arc<Model>,
    prompt: &[Token],
    answer: &[Token],
    finish: Finish,
    kernels: Kernels,
) -> Digest {
    let unread = usize::from(finish != Finish::Trap);
    let fed = [prompt, &answer[..answer.len() - unread]].concat();
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut session = Session::with_kernels(model.clone(), kernels);
    let ended = session.feed_from(&fed, prompt.len() - 1, &Serial, &mut |_, logits| {
        parts.push(logits.iter().flat_map(|l| l.to_le_bytes()).collect());
    });
    assert_eq!(ended.is_err(), finish == Finish::Trap);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Digest::of("mutirao 1 vector logits", &parts)
}

/// What relatives of Llama add: operators, and a model of each.
fn families(kernels: Kernels) -> Value {
    let shape = Shape {
        hidden: 8,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        head_size: 4,
        inner: 6,
        vocabulary: 10,
        context: 32,
        tied: 1,
    };
    let named = (90..).zip(variants(&shape)).skip(1).map(|(seed, (name, variant))| {
        let file = Recipe::new(seed, shape).variant(variant).build();
        Named { name, file, shape }.describe(14, kernels)
    });
    let gelu: Vec<u8> = Tables::get().gelu.iter().flat_map(|x| x.to_le_bytes()).collect();
    json!({
        "gel": Digest::of("mutirao 1 table gel", &[&gelu]).hex(),
        "cap": caps(),
        "biased": biased_rows(),
        "gelu": gelus(),
        "models": named.collect::<Vec<_>>(),
    })
}

fn caps() -> Value {
    let mut dice = Dice::new(10);
    let mut cases: Vec<(i64, u32)> = vec![
        (0, 256),
        (1, 256),
        (-1, 256),
        (i64::MAX >> 10, 122_880),
        (i64::MIN >> 10, 122_880),
        (147_732, 147_732),
        (-8 * 122_880, 122_880),
        (8 * ((1 << 24) - 1), (1 << 24) - 1),
    ];
    cases.extend((0..12).map(|at| {
        let c = dice.within(256, (1 << (10 + at)) - 1) as u32;
        (dice.within(-3 * i64::from(c), 3 * i64::from(c)), c)
    }));
    let one = |(x, c): (i64, u32)| {
        let capped = Cap::new(c).expect("a cap").apply(x, &Tables::get().sigmoid);
        json!({ "x": x, "c": c, "cap": capped })
    };
    cases.into_iter().map(one).collect()
}

fn biased_rows() -> Value {
    let mut dice = Dice::new(11);
    let mut one = |shift: u32| {
        let acc = dice.within(i32::MIN.into(), i32::MAX.into()) as i32;
        let m = dice.within(1 << 15, 65535) as u16;
        let bias = dice.within(-(1 << 23), 1 << 23) as i32;
        let y = linear::scale_biased(acc, m, shift, bias);
        json!({ "acc": acc, "M": m, "shift": shift, "B": bias, "y": y })
    };
    [8, 9, 17, 30, 41, 62].map(&mut one).to_vec().into()
}

fn gelus() -> Value {
    let mut dice = Dice::new(12);
    let mut one = |at: usize| {
        let most = (1 << 22) - 1;
        let (g, u) = (dice.within(-most, most) >> at, dice.within(-most, most) >> at);
        let bits = dice.within(11, 20) as u32;
        let h = swiglu::gate(g as i32, u as i32, bits, &Tables::get().gelu);
        json!({ "g": g, "u": u, "fg": bits, "h": h })
    };
    [0, 1, 2, 4, 6, 8].map(&mut one).to_vec().into()
}

/// A published model of bf16 numbers, and what becomes of it.
fn conversion() -> Value {
    let config = json!({
        "model_type": "llama", "hidden_act": "silu", "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
        "vocab_size": 10, "max_position_embeddings": 32, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": false, "eos_token_id": 0, "name": "published",
    })
    .to_string();
    let mut dice = Dice::new(80);
    let mut tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    let mut put = |name: &str, shape: &[usize]| {
        let count = shape.iter().product();
        let numbers = (0..count).map(|_| match shape.len() {
            1 => 1.0 + dice.within(-120, 120) as f32 / 128.0,
            _ => dice.within(-127, 127) as f32 / 256.0,
        });
        let bytes = numbers.flat_map(|n| ((n.to_bits() >> 16) as u16).to_le_bytes()).collect();
        tensors.insert(format!("{name}.weight"), (shape.to_vec(), bytes));
    };
    put("model.embed_tokens", &[10, 8]);
    put("lm_head", &[10, 8]);
    put("model.norm", &[8]);
    for (part, shape) in [
        ("input_layernorm", vec![8]),
        ("self_attn.q_proj", vec![8, 8]),
        ("self_attn.k_proj", vec![4, 8]),
        ("self_attn.v_proj", vec![4, 8]),
        ("self_attn.o_proj", vec![8, 8]),
        ("post_attention_layernorm", vec![8]),
        ("mlp.gate_proj", vec![12, 8]),
        ("mlp.up_proj", vec![12, 8]),
        ("mlp.down_proj", vec![8, 12]),
    ] {
        put(&format!("model.layers.0.{part}"), &shape);
    }
    let view = |(name, (shape, bytes)): (&String, &'_ (Vec<usize>, Vec<u8>))| {
        let (name, shape, bytes) = (name.clone(), shape.clone(), bytes.clone());
        (name, shape, bytes)
    };
    let owned: Vec<_> = tensors.iter().map(view).collect();
    let views = owned.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::BF16, shape.clone(), bytes).expect("whole tensors");
        (name.clone(), view)
    });
    let weights = safetensors::serialize(views, None).expect("a safetensors file");
    let (tokenizer, template): (&[u8], &[u8]) = (b"{}", b"{{ messages }}");
    let source = Source { config: config.as_bytes(), weights: &weights, tokenizer, template };
    let become_of = |profile: Profile| {
        let file = convert(&source, profile).expect("converts");
        let id = File::parse(&file).expect("a model file").id;
        let profile = format!("{profile:?}").to_lowercase();
        json!({ "profile": profile, "id": id.0.hex(), "file": hex(&file) })
    };
    json!({
        "config": config,
        "weights": hex(&weights),
        "tokenizer": "{}",
        "template": "{{ messages }}",
        "files": [become_of(Profile::W8), become_of(Profile::W4)],
    })
}

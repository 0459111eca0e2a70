//! Model files for tests, made from a seed without a single float.
//!
//! [`random_model`] behaves like an ordinary small network; [`adversarial_model`] has rows at the
//! certificate bound, zero rows, huge channels and gains at both ends of their range;
//! [`trapping_model`] traps whenever it reads [`trap_token`].

mod gguf;

pub use gguf::GgufWriter;

use crate::load::format::{self, TensorKind, bias_sections, gain_sections, matrix_sections};
use crate::model::bounds::{Behind, Fit, NO_BIAS, after_norm_holds, finest_head_norm, finest_norm};
use crate::model::header::{
    BITS_MAX, GATE_BITS_MAX, Header, LayerScales, OP_SET_1, Profile, Shape, attention_scale,
};
use crate::model::matrix::Matrix;
use crate::model::variant::{Activation, Variant, Window};
use crate::op::linear::{BIAS_BITS, ROW_SQUARES_BOUND};
use crate::op::rmsnorm::NormScales;
use mutirao_wire::Token;

/// A shape that is quick to run: two layers, two query heads to a key head.
#[must_use]
pub fn small_shape() -> Shape {
    Shape {
        hidden: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_size: 16,
        inner: 160,
        vocabulary: 128,
        context: 512,
        tied: 1,
    }
}

/// The shape of the village model.
#[must_use]
pub fn village_shape() -> Shape {
    Shape {
        hidden: 128,
        layers: 4,
        heads: 4,
        kv_heads: 2,
        head_size: 32,
        inner: 512,
        vocabulary: 1024,
        context: 2048,
        tied: 1,
    }
}

/// Every difference from Llama alone, and the families that have several, by name.
#[must_use]
pub fn variants(shape: &Shape) -> Vec<(&'static str, Variant)> {
    let plain = Variant::default();
    let epsilon = 42_949 * u64::from(shape.head_size);
    let pairs = u64::from(shape.head_size / 2);
    let window = |positions, each| Window {
        positions,
        rope: (0..pairs).map(|pair| (1 << 60) / (pair + 1)).collect(),
        layers: (0..shape.layers).map(|layer| layer % each == 0).collect(),
    };
    let gemma = Variant { after_norm: true, activation: Activation::Gelu, ..plain.clone() };
    vec![
        ("llama", plain.clone()),
        ("mistral", Variant { window: Some(window(9, 1)), ..plain.clone() }),
        ("qwen2", Variant { biased: true, ..plain.clone() }),
        ("qwen3", Variant { head_norm: Some(epsilon), ..plain.clone() }),
        ("gemma", Variant { activation: Activation::Gelu, ..plain.clone() }),
        (
            "gemma2",
            Variant {
                score_cap: 147_732,
                logit_cap: 30 << 12,
                window: Some(window(5, 2)),
                ..gemma.clone()
            },
        ),
        (
            "gemma3",
            Variant { head_norm: Some(epsilon), window: Some(window(12, 2)), ..gemma.clone() },
        ),
        (
            "everything",
            Variant {
                biased: true,
                head_norm: Some(epsilon),
                score_cap: 256,
                logit_cap: 1 << 23,
                window: Some(window(1, 2)),
                ..gemma
            },
        ),
    ]
}

/// A model file of `shape` in 8 bits: token 0 ends a text, tokenizer and template are empty.
///
/// # Panics
/// When op set 1 has no such shape.
#[must_use]
pub fn random_model(seed: u64, shape: &Shape) -> Vec<u8> {
    Recipe::new(seed, *shape).build()
}

/// A model file whose numbers stand at their bounds.
///
/// # Panics
/// When op set 1 has no such shape.
#[must_use]
pub fn adversarial_model(seed: u64, shape: &Shape) -> Vec<u8> {
    Recipe { kind: Kind::Adversarial, ..Recipe::new(seed, *shape) }.build()
}

/// A model file that traps at every [`trap_token`], and nowhere else.
///
/// # Panics
/// When op set 1 has no such shape.
#[must_use]
pub fn trapping_model(seed: u64, shape: &Shape) -> Vec<u8> {
    Recipe { kind: Kind::Trapping, ..Recipe::new(seed, *shape) }.build()
}

/// The token at which a [`trapping_model`] traps: the last one.
#[must_use]
pub fn trap_token(shape: &Shape) -> Token {
    Token(shape.vocabulary - 1)
}

/// A stream of numbers that a seed determines (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Seeds it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next number of `least..=most`.
    pub fn within(&mut self, least: i64, most: i64) -> i64 {
        let count = u64::try_from(most - least + 1).expect("least is not above most");
        least + i64::try_from(self.roll() % count).expect("below the count")
    }

    /// `count` tokens of a vocabulary, without the end-of-text token 0.
    pub fn tokens(&mut self, count: usize, vocabulary: u32) -> Vec<Token> {
        let most = i64::from(vocabulary) - 1;
        let token = |_| Token(u32::try_from(self.within(1, most)).expect("a vocabulary is small"));
        (0..count).map(token).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ordinary,
    Adversarial,
    Trapping,
}

/// What to build a model file from.
#[derive(Debug, Clone)]
pub struct Recipe {
    seed: u64,
    shape: Shape,
    kind: Kind,
    /// How it differs from Llama.
    pub variant: Variant,
    /// 8 or 4 bits.
    pub profile: Profile,
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// The chat template.
    pub template: Vec<u8>,
    /// Tokens that end an answer, ascending.
    pub end_of_text: Vec<Token>,
}

impl Recipe {
    /// An ordinary model in 8 bits; token 0 ends a text.
    #[must_use]
    pub fn new(seed: u64, shape: Shape) -> Self {
        Self {
            seed,
            shape,
            kind: Kind::Ordinary,
            variant: Variant::default(),
            profile: Profile::W8,
            tokenizer: Vec::new(),
            template: Vec::new(),
            end_of_text: vec![Token(0)],
        }
    }

    /// The same with numbers at their bounds.
    #[must_use]
    pub fn adversarial(self) -> Self {
        Self { kind: Kind::Adversarial, ..self }
    }

    /// The same as another relative of Llama.
    #[must_use]
    pub fn variant(self, variant: Variant) -> Self {
        Self { variant, ..self }
    }

    /// Builds the model file.
    ///
    /// # Panics
    /// When op set 1 has no such shape.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut builder = Builder { dice: Dice::new(self.seed), recipe: self };
        let mut sections = vec![matrix_sections(&builder.embedding())];
        let layers: Vec<LayerScales> =
            (0..self.shape.layers).map(|layer| builder.layer(layer, &mut sections)).collect();
        let (gain, final_norm) = builder.gain();
        sections.push(gain_sections(&gain));
        if self.shape.tied == 0 {
            let head = builder.matrix(self.shape.vocabulary, self.shape.hidden, Profile::W8, 26);
            sections.push(matrix_sections(&head));
        }
        let header = self.header(layers, final_norm);
        header.check().expect("a shape of op set 1");
        format::write(&header, &self.tokenizer, &self.template, &sections)
    }

    fn header(&self, layers: Vec<LayerScales>, final_norm: NormScales) -> Header {
        let (attention_multiplier, attention_shift) = attention_scale(self.shape.head_size);
        // From about a sixth of a turn a position down by three quarters from pair to pair.
        let first = 2_935_890_503_282_001_226u64;
        let slower = |f: &u64| Some(f / 4 * 3);
        let pairs = self.shape.head_size as usize / 2;
        Header {
            op_set: OP_SET_1,
            profile: self.profile,
            variant: self.variant.clone(),
            name: "random".to_owned(),
            shape: self.shape,
            residual_bits: 16,
            epsilon: 42_949 * u64::from(self.shape.hidden),
            rope: std::iter::successors(Some(first), slower).take(pairs).collect(),
            attention_multiplier,
            attention_shift,
            layers,
            final_norm,
            end_of_text: self.end_of_text.clone(),
        }
    }
}

struct Builder<'a> {
    dice: Dice,
    recipe: &'a Recipe,
}

impl Builder<'_> {
    fn is(&self, kind: Kind) -> bool {
        self.recipe.kind == kind
    }

    /// Gains around one with 14 fraction bits; at both ends of 16 bits for an adversary.
    fn gain(&mut self) -> (Vec<i16>, NormScales) {
        let adversarial = self.is(Kind::Adversarial);
        let mut one = |_| match adversarial {
            true => [i16::MAX, -i16::MAX, 0, 1, 9000][self.dice.within(0, 4) as usize],
            false => self.dice.within(8000, 24000) as i16,
        };
        let gain: Vec<i16> = (0..self.recipe.shape.hidden).map(&mut one).collect();
        let scales = finest_norm(&gain, 14, 22).expect("some scale holds");
        (gain, scales)
    }

    /// Gains of the norm of a head.
    fn head_gain(&mut self) -> (Vec<i16>, NormScales) {
        let (mut gain, _) = self.gain();
        let size = self.recipe.shape.head_size as usize;
        gain = gain.into_iter().cycle().take(size).collect();
        let scales = finest_head_norm(&gain, 14, 27).expect("some scale holds");
        (gain, scales)
    }

    /// Gains of a norm whose output is added to the residual stream.
    fn after_gain(&mut self) -> Vec<i16> {
        let (gain, _) = self.gain();
        assert!(after_norm_holds(&gain, 14, 16), "of ordinary widths");
        gain
    }

    /// Biases of up to two, or a hundred for an adversary, in sixteenths.
    fn bias(&mut self, rows: u32) -> Vec<i32> {
        let most = if self.is(Kind::Adversarial) { 1600 } else { 32 };
        (0..rows).map(|_| self.dice.within(-most, most) as i32).collect()
    }

    /// A matrix with rows of about one over the root of `columns` for an `exponent` of 25.
    fn matrix(&mut self, rows: u32, columns: u32, profile: Profile, exponent: u8) -> Matrix {
        let (rows, columns) = (rows as usize, columns as usize);
        let root = (columns as u64).isqrt().max(1).ilog2() as u8;
        let groups = columns.div_ceil(profile.group());
        let narrower = if profile == Profile::W4 { 4 } else { 0 };
        let mut matrix = Matrix {
            profile,
            rows,
            columns,
            q: (0..rows * columns).map(|_| self.q(profile)).collect(),
            m: (0..rows * groups).map(|_| self.m(profile)).collect(),
            multiplier: (0..rows).map(|_| self.dice.within(1 << 15, 65535) as u16).collect(),
            exponent: vec![exponent + root - narrower; rows],
        };
        if self.is(Kind::Adversarial) {
            (0..rows).step_by(3).for_each(|row| self.sharpen(&mut matrix, row));
            (1..rows).step_by(17).for_each(|row| matrix.q[row * columns..][..columns].fill(0));
        }
        (0..rows).for_each(|row| certify(&mut matrix, row));
        matrix
    }

    fn q(&mut self, profile: Profile) -> i8 {
        let range = profile.q_range();
        self.dice.within((*range.start()).into(), (*range.end()).into()) as i8
    }

    fn m(&mut self, profile: Profile) -> i8 {
        let sign = if profile.signed_groups() && self.dice.roll() % 2 == 0 { -1 } else { 1 };
        sign * self.dice.within(1, 15) as i8
    }

    /// The longest row there is: every weight at its end, signs at random.
    fn sharpen(&mut self, matrix: &mut Matrix, row: usize) {
        let groups = matrix.groups();
        matrix.m[row * groups..(row + 1) * groups].fill(15);
        let (least, most) = (*matrix.profile.q_range().start(), *matrix.profile.q_range().end());
        for q in &mut matrix.q[row * matrix.columns..(row + 1) * matrix.columns] {
            *q = if self.dice.roll() % 2 == 0 { least } else { most };
        }
    }

    fn embedding(&mut self) -> Matrix {
        let shape = self.recipe.shape;
        let mut matrix = self.matrix(shape.vocabulary, shape.hidden, Profile::W8, 24);
        if self.is(Kind::Adversarial) {
            // One huge channel in some rows: 16 is the coarsest scale an embedding may have.
            (0..matrix.rows).step_by(5).for_each(|row| {
                let start = row * matrix.columns;
                matrix.q[start..start + matrix.columns].fill(0);
                matrix.q[start + row % matrix.columns] = 127;
                matrix.exponent[row] = 16;
            });
        }
        if self.is(Kind::Trapping) {
            let start = (matrix.rows - 1) * matrix.columns;
            matrix.q[start..].fill(0);
            matrix.q[start] = 127;
            matrix.exponent[matrix.rows - 1] = 17;
        }
        matrix
    }

    /// A matrix of heads behind a norm, with its biases and its scales.
    fn heads(
        &mut self,
        rows: u32,
        (gain, scales): (&[i16], NormScales),
        (fit, most): (Fit, u8),
    ) -> (Matrix, Vec<i32>, Vec<u8>) {
        let (shape, size) = (self.recipe.shape, self.recipe.shape.head_size as usize);
        let matrix = self.matrix(rows, shape.hidden, self.recipe.profile, 25);
        let behind = Behind::new(&matrix, gain, scales);
        let bias = if self.recipe.variant.biased { self.bias(rows) } else { Vec::new() };
        let of = |row: usize, bits| bias.get(row).map(|bias| bias_at(*bias, bits).unsigned_abs());
        let mut bits = behind.finest(size, fit, most, &of).expect("some scale holds");
        if fit == Fit::Values {
            let coarsest = bits.iter().copied().min().unwrap_or(0);
            bits.iter_mut().for_each(|bits| *bits = (*bits).min(coarsest + 16));
        }
        let scaled = bias.iter().enumerate().map(|(row, bias)| bias_at(*bias, bits[row / size]));
        let scaled = scaled.collect();
        (matrix, scaled, bits)
    }

    fn layer(&mut self, layer: u32, sections: &mut Vec<Vec<Vec<u8>>>) -> LayerScales {
        let (shape, variant) = (self.recipe.shape, &self.recipe.variant);
        let (input_gain, input) = self.gain();
        let behind = (input_gain.as_slice(), input);
        let normed = variant.head_norm.is_some();
        let pairs = if normed { (Fit::Wide, 16) } else { (Fit::Pairs, BITS_MAX) };
        let (query, query_bias, query_bits) = self.heads(shape.query_width(), behind, pairs);
        let (key, key_bias, key_bits) = self.heads(shape.kv_width(), behind, pairs);
        let values = (Fit::Values, BITS_MAX);
        let (value, value_bias, value_bits) = self.heads(shape.kv_width(), behind, values);
        let output = self.matrix(shape.hidden, shape.query_width(), self.recipe.profile, 25);
        sections.push(gain_sections(&input_gain));
        sections.extend([&query, &key, &value].map(matrix_sections));
        if variant.biased {
            sections.extend([&query_bias, &key_bias, &value_bias].map(|bias| bias_sections(bias)));
        }
        let head_norms = normed.then(|| {
            [(); 2].map(|()| {
                let (gain, scales) = self.head_gain();
                sections.push(gain_sections(&gain));
                scales
            })
        });
        sections.push(matrix_sections(&output));
        if variant.after_norm {
            sections.push(gain_sections(&self.after_gain()));
        }
        let (post, gate_bits, up_bits) = self.feed_forward(layer, sections);
        let after_gain_bits = variant.after_norm.then_some([14; 2]);
        LayerScales {
            input,
            query_bits,
            key_bits,
            value_bits,
            post,
            gate_bits,
            up_bits,
            head_norms,
            after_gain_bits,
        }
    }

    /// The second half of a layer: the scales of its norm, gate and up.
    fn feed_forward(
        &mut self,
        layer: u32,
        sections: &mut Vec<Vec<Vec<u8>>>,
    ) -> (NormScales, u8, u8) {
        let (shape, profile) = (self.recipe.shape, self.recipe.profile);
        let last = self.is(Kind::Trapping) && layer + 1 == shape.layers;
        let (post_gain, post) = self.gain();
        let gates = |builder: &mut Self| {
            let mut matrix = builder.matrix(shape.inner, shape.hidden, profile, 25);
            if last {
                read_first(&mut matrix);
            }
            let behind = Behind::new(&matrix, &post_gain, post);
            let bits = behind.finest(matrix.rows, Fit::Gates, GATE_BITS_MAX, NO_BIAS);
            (matrix, bits.expect("some scale holds")[0])
        };
        let (gate, gate_bits) = gates(self);
        let (up, up_bits) = gates(self);
        let mut down = self.matrix(shape.hidden, shape.inner, profile, 25);
        if last {
            overflow(&mut down);
        }
        sections.push(gain_sections(&post_gain));
        sections.extend([&gate, &up, &down].map(matrix_sections));
        if self.recipe.variant.after_norm {
            sections.push(gain_sections(&self.after_gain()));
        }
        (post, gate_bits, up_bits)
    }
}

/// A bias in sixteenths with eight fraction bits more than `bits`.
fn bias_at(sixteenths: i32, bits: u8) -> i32 {
    let wide = i64::from(sixteenths) << (u32::from(bits) + BIAS_BITS) >> 4;
    i32::try_from(wide).unwrap_or(i32::MAX)
}

/// Weakens a row until its certificate holds, group by group, and no further.
fn certify(matrix: &mut Matrix, row: usize) {
    let groups = matrix.groups();
    let mut group = 0;
    while matrix.row_squares(row) >= ROW_SQUARES_BOUND {
        let m = &mut matrix.m[row * groups + group % groups];
        *m -= m.signum() * i8::from(m.abs() > 1);
        group += 1;
    }
}

/// Makes row 0 read channel 0, with weight one.
fn read_first(matrix: &mut Matrix) {
    matrix.q[..matrix.columns].fill(0);
    matrix.q[0] = 1;
    matrix.m[0] = 1;
    (matrix.multiplier[0], matrix.exponent[0]) = (1 << 15, 15);
}

/// Makes row 0 pass channel 0 on, a thousand times over.
fn overflow(matrix: &mut Matrix) {
    matrix.q[..matrix.columns].fill(0);
    matrix.q[0] = 127;
    matrix.m[0] = 15;
    (matrix.multiplier[0], matrix.exponent[0]) = (40_000, 16);
}

/// The tensors of a model file with the byte range of each of their sections: what a test damages.
///
/// # Panics
/// When the file is not a model file.
#[must_use]
pub fn sections(file: &[u8]) -> Vec<(String, TensorKind, std::ops::Range<usize>)> {
    let parsed = format::File::parse(file).expect("a model file");
    let base = file.as_ptr() as usize;
    let mut found = Vec::new();
    for tensor in &parsed.tensors {
        for section in &tensor.sections {
            let start = section.as_ptr() as usize - base;
            let range = start..start + section.len();
            found.push((tensor.spec.name.clone(), tensor.spec.kind, range));
        }
    }
    found
}

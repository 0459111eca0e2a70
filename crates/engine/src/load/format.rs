//! The model file: a bounded front, then aligned tensors that the front describes.
//!
//! ```text
//! magic 8 | model id 32 | header, tokenizer, template (each counted) | leaf digests (counted)
//! zeros to a multiple of 64, then for each tensor its sections, each zero-padded to 64
//! ```
//!
//! The header alone determines every tensor, its place and its length, so no count in the file is
//! trusted twice. A leaf digest covers one tensor as the model defines it; leaves join to layers,
//! layers to the weights root, so one layer can be fetched and checked alone.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use crate::load::LoadError;
use crate::model::header::{Header, OP_SET_1, Profile};
use crate::model::matrix::Matrix;
use mutirao_wire::codec::{put_bytes, put_list};
use mutirao_wire::{Decode, Digest, Encode, ModelId, OpSet, Reader};
use std::ops::Range;

/// How every model file begins.
pub const MAGIC: [u8; 8] = *b"MUTIRAO1";
/// Sections begin at multiples of this.
pub const ALIGNMENT: usize = 64;
/// Largest header.
pub const HEADER_BYTES_MAX: usize = 32 << 20;
/// Largest tokenizer.
pub const TOKENIZER_BYTES_MAX: usize = 64 << 20;
/// Largest template.
pub const TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// One tensor as the header determines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name, unique in the model.
    pub name: String,
    /// What it holds.
    pub kind: TensorKind,
}

/// What a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// `i16` gains of a norm.
    Gain {
        /// How many.
        length: usize,
    },
    /// `i32` biases of a matrix's rows.
    Bias {
        /// How many.
        length: usize,
    },
    /// A weight matrix.
    Matrix {
        /// 8 or 4 bits.
        profile: Profile,
        /// Outputs.
        rows: usize,
        /// Inputs.
        columns: usize,
    },
}

impl TensorKind {
    /// Byte lengths of its sections: the gains, the biases, or q, m, M and C.
    // spec: ENGINE-10.4
    #[must_use]
    pub fn sections(self) -> Vec<usize> {
        match self {
            Self::Gain { length } => vec![2 * length],
            Self::Bias { length } => vec![4 * length],
            Self::Matrix { profile, rows, columns } => {
                let row = if profile == Profile::W8 { columns } else { columns.div_ceil(2) };
                vec![rows * row, rows * columns.div_ceil(profile.group()), 2 * rows, rows]
            }
        }
    }

    /// Its weights or gains.
    #[must_use]
    pub fn numbers(self) -> u64 {
        match self {
            Self::Gain { length } | Self::Bias { length } => length as u64,
            Self::Matrix { rows, columns, .. } => rows as u64 * columns as u64,
        }
    }
}

/// A number of the header as a length. Headers are checked first, so products stay below 2^40.
fn length(number: u32) -> usize {
    usize::try_from(number).expect("at least 32 bits to a pointer")
}

/// All tensors of a model, in the order of the file.
#[must_use]
pub fn tensors(header: &Header) -> Vec<TensorSpec> {
    let shape = &header.shape;
    let (hidden, vocabulary) = (length(shape.hidden), length(shape.vocabulary));
    let wide = |name: &str| TensorSpec {
        name: name.to_owned(),
        kind: TensorKind::Matrix { profile: Profile::W8, rows: vocabulary, columns: hidden },
    };
    let mut specs = vec![wide("embedding")];
    specs.extend((0..length(shape.layers)).flat_map(|layer| layer_tensors(header, layer)));
    let kind = TensorKind::Gain { length: hidden };
    specs.push(TensorSpec { name: "final_norm".to_owned(), kind });
    if shape.tied == 0 {
        specs.push(wide("head"));
    }
    specs
}

fn layer_tensors(header: &Header, layer: usize) -> Vec<TensorSpec> {
    let (shape, variant) = (&header.shape, &header.variant);
    let (hidden, inner) = (length(shape.hidden), length(shape.inner));
    let (query, kv) = (length(shape.query_width()), length(shape.kv_width()));
    let spec = |name: &str, kind| TensorSpec { name: format!("layers.{layer}.{name}"), kind };
    let gain = |name| spec(name, TensorKind::Gain { length: hidden });
    let head_gain = |name| spec(name, TensorKind::Gain { length: length(shape.head_size) });
    let bias = |name, rows| spec(name, TensorKind::Bias { length: rows });
    let matrix = |name, rows, columns| {
        spec(name, TensorKind::Matrix { profile: header.profile, rows, columns })
    };
    let mut specs = vec![
        gain("input_norm"),
        matrix("query", query, hidden),
        matrix("key", kv, hidden),
        matrix("value", kv, hidden),
    ];
    if variant.biased {
        specs.extend([bias("query_bias", query), bias("key_bias", kv), bias("value_bias", kv)]);
    }
    if variant.head_norm.is_some() {
        specs.extend([head_gain("query_norm"), head_gain("key_norm")]);
    }
    specs.push(matrix("output", hidden, query));
    specs.extend(variant.after_norm.then(|| gain("after_attention_norm")));
    specs.push(gain("post_norm"));
    specs.extend([matrix("gate", inner, hidden), matrix("up", inner, hidden)]);
    specs.push(matrix("down", hidden, inner));
    specs.extend(variant.after_norm.then(|| gain("after_feed_forward_norm")));
    specs
}

/// Number of weights and gains.
#[must_use]
pub fn parameters(header: &Header) -> u64 {
    tensors(header).into_iter().map(|spec| spec.kind.numbers()).sum()
}

/// A tensor's bytes in a file.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    /// Name and kind.
    pub spec: TensorSpec,
    /// Its sections, without padding.
    pub sections: Vec<&'a [u8]>,
}

impl Tensor<'_> {
    /// The leaf of the digest tree.
    // spec: ENGINE-11.1
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut parts = vec![self.spec.name.as_bytes()];
        parts.extend(&self.sections);
        Digest::of("mutirao 1 tensor", &parts)
    }

    /// The gains of a norm; empty for a matrix.
    #[must_use]
    pub fn gains(&self) -> Vec<i16> {
        let bytes = self.section(0).chunks_exact(2);
        bytes.map(|pair| i16::from_le_bytes(pair.try_into().expect("two bytes"))).collect()
    }

    /// The biases of a matrix's rows; empty for anything else.
    #[must_use]
    pub fn biases(&self) -> Vec<i32> {
        let TensorKind::Bias { .. } = self.spec.kind else { return Vec::new() };
        let bytes = self.section(0).chunks_exact(4);
        bytes.map(|four| i32::from_le_bytes(four.try_into().expect("four bytes"))).collect()
    }

    fn section(&self, index: usize) -> &[u8] {
        self.sections.get(index).copied().unwrap_or_default()
    }

    /// The matrix, unpacked.
    ///
    /// # Errors
    /// [`LoadError::Bound`] for a padding nibble that is not zero, and for gains.
    pub fn matrix(&self) -> Result<Matrix, LoadError> {
        let TensorKind::Matrix { profile, rows, columns } = self.spec.kind else {
            return Err(self.bound("a matrix is wanted"));
        };
        let q = match profile {
            Profile::W8 => self.section(0).iter().map(|byte| signed(*byte)).collect(),
            Profile::W4 => self.nibbles(columns)?,
        };
        let pair = |pair: &[u8]| u16::from_le_bytes(pair.try_into().expect("two bytes"));
        Ok(Matrix {
            profile,
            rows,
            columns,
            q,
            m: self.section(1).iter().map(|byte| signed(*byte)).collect(),
            multiplier: self.section(2).chunks_exact(2).map(pair).collect(),
            exponent: self.section(3).to_vec(),
        })
    }

    /// Two weights a byte, the first in the low half; a row of odd length ends with a zero.
    fn nibbles(&self, columns: usize) -> Result<Vec<i8>, LoadError> {
        let bytes = self.section(0);
        let mut q = Vec::with_capacity(2 * bytes.len());
        for row in bytes.chunks(columns.div_ceil(2)) {
            let low = |byte: u8| signed(byte << 4) >> 4;
            let halves = row.iter().flat_map(|byte| [low(*byte), signed(*byte) >> 4]);
            q.extend(halves.take(columns));
            let last = row.last().copied().unwrap_or_default();
            if columns % 2 == 1 && last >> 4 != 0 {
                return Err(self.bound("the nibble after a row's last weight is not zero"));
            }
        }
        Ok(q)
    }

    /// A broken bound of this tensor.
    pub(crate) fn bound(&self, why: &'static str) -> LoadError {
        LoadError::Bound { what: self.spec.name.clone(), why }
    }
}

/// The same bits as a signed number.
fn signed(byte: u8) -> i8 {
    i8::from_le_bytes([byte])
}

/// The bytes of gains.
#[must_use]
pub fn gain_sections(gain: &[i16]) -> Vec<Vec<u8>> {
    vec![gain.iter().flat_map(|gain| gain.to_le_bytes()).collect()]
}

/// The bytes of a matrix, as [`matrix_sections`] gives them, without keeping it.
pub(crate) fn into_sections(mut matrix: Matrix) -> Vec<Vec<u8>> {
    if matrix.profile == Profile::W4 {
        return matrix_sections(&matrix);
    }
    let q = std::mem::take(&mut matrix.q);
    let mut sections = matrix_sections(&matrix);
    let q = q.into_iter().map(|number| u8::from_le_bytes(number.to_le_bytes())).collect();
    if let Some(first) = sections.first_mut() {
        *first = q;
    }
    sections
}

/// The bytes of biases.
#[must_use]
pub fn bias_sections(bias: &[i32]) -> Vec<Vec<u8>> {
    vec![bias.iter().flat_map(|bias| bias.to_le_bytes()).collect()]
}

/// The bytes of a matrix.
#[must_use]
pub fn matrix_sections(matrix: &Matrix) -> Vec<Vec<u8>> {
    let byte = |number: &i8| u8::from_le_bytes(number.to_le_bytes());
    let pack = |pair: &[i8]| {
        let [low, high] = [0, 1].map(|at| pair.get(at).map_or(0, byte) & 15);
        low | high << 4
    };
    let q = match matrix.profile {
        Profile::W8 => matrix.q.iter().map(byte).collect(),
        Profile::W4 => {
            let rows = matrix.q.chunks(matrix.columns.max(1));
            rows.flat_map(|row| row.chunks(2).map(pack)).collect()
        }
    };
    vec![
        q,
        matrix.m.iter().map(byte).collect(),
        matrix.multiplier.iter().flat_map(|number| number.to_le_bytes()).collect(),
        matrix.exponent.clone(),
    ]
}

/// A file taken apart, its digests checked.
#[derive(Debug)]
pub struct File<'a> {
    /// The id, as recomputed.
    pub id: ModelId,
    /// The root of the digest tree over the tensors.
    pub weights_root: Digest,
    /// The header.
    pub header: Header,
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// The chat template.
    pub template: &'a [u8],
    /// The tensors, in the order of [`tensors`].
    pub tensors: Vec<Tensor<'a>>,
}

/// The front of a file, with the place where tensors begin.
struct Front<'a> {
    id: Digest,
    header: Header,
    header_bytes: &'a [u8],
    tokenizer: &'a [u8],
    template: &'a [u8],
    leaves: Vec<Digest>,
    specs: Vec<TensorSpec>,
}

impl<'a> File<'a> {
    /// Takes a file apart and checks sizes, padding and every digest.
    ///
    /// # Errors
    /// [`LoadError`].
    // spec: ENGINE-10.1, ENGINE-10.3
    pub fn parse(file: &'a [u8]) -> Result<Self, LoadError> {
        let mut input = Reader::new(file);
        let front = front(&mut input)?;
        check_size(&front.specs, file.len(), input.left())?;
        skip_padding(&mut input, file.len(), "the front")?;
        let mut tensors = Vec::with_capacity(front.specs.len());
        for spec in front.specs {
            let mut sections = Vec::with_capacity(4);
            for length in spec.kind.sections() {
                sections.push(input.take(length)?);
                skip_padding(&mut input, file.len(), &spec.name)?;
            }
            tensors.push(Tensor { spec, sections });
        }
        input.finish()?;
        let weights_root = weights_root(&front.header, &front.leaves);
        let id = model_id(front.header_bytes, weights_root, front.tokenizer, front.template);
        if id.0 != front.id {
            return Err(LoadError::Digest { what: "the front of the model file".to_owned() });
        }
        for (tensor, leaf) in tensors.iter().zip(&front.leaves) {
            if tensor.digest() != *leaf {
                return Err(LoadError::Digest { what: tensor.spec.name.clone() });
            }
        }
        let Front { header, tokenizer, template, .. } = front;
        Ok(Self { id, weights_root, header, tokenizer, template, tensors })
    }
}

fn front<'a>(input: &mut Reader<'a>) -> Result<Front<'a>, LoadError> {
    if input.take(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
        return Err(LoadError::Magic);
    }
    let id = Digest::decode(input)?;
    let header_bytes = counted(input, "header", HEADER_BYTES_MAX)?;
    known_op_set(header_bytes)?;
    let header = Header::from_bytes(header_bytes)?;
    header.check()?;
    let tokenizer = counted(input, "tokenizer", TOKENIZER_BYTES_MAX)?;
    let template = counted(input, "template", TEMPLATE_BYTES_MAX)?;
    let specs = tensors(&header);
    let leaves: Vec<Digest> = input.list("leaf digests", specs.len())?;
    if leaves.len() != specs.len() {
        let (expected, actual) = (specs.len() as u64, leaves.len() as u64);
        return Err(LoadError::Size { expected, actual });
    }
    Ok(Front { id, header, header_bytes, tokenizer, template, leaves, specs })
}

/// The op set stands right after the header's version, so that any program can name what it lacks.
// spec: ENGINE-1.1
fn known_op_set(header: &[u8]) -> Result<(), LoadError> {
    let mut input = Reader::new(header);
    u16::decode(&mut input)?;
    match OpSet::decode(&mut input)? {
        OP_SET_1 => Ok(()),
        other => Err(LoadError::OpSet(other)),
    }
}

fn counted<'a>(
    input: &mut Reader<'a>,
    what: &'static str,
    maximum: usize,
) -> Result<&'a [u8], LoadError> {
    let count = input.count(what, maximum)?;
    Ok(input.take(count)?)
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// Compares the file's length with the sum of all sections before a single one is read.
fn check_size(specs: &[TensorSpec], file: usize, left: usize) -> Result<(), LoadError> {
    let sections = specs.iter().flat_map(|spec| spec.kind.sections());
    let body: u64 = sections.map(|length| padded(length) as u64).sum();
    let expected = padded(file - left) as u64 + body;
    let actual = file as u64;
    if expected == actual { Ok(()) } else { Err(LoadError::Size { expected, actual }) }
}

fn skip_padding(input: &mut Reader<'_>, file: usize, what: &str) -> Result<(), LoadError> {
    let at = file - input.left();
    let padding = input.take(padded(at) - at)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(LoadError::Padding { what: what.to_owned() });
    }
    Ok(())
}

/// Joins the leaves: layers first, then embedding, layers, final norm and head.
// spec: ENGINE-11.2
pub(crate) fn weights_root(header: &Header, leaves: &[Digest]) -> Digest {
    let (count, layers) = (header.variant.layer_tensors(), header.layers.len());
    let join = |domain, leaves: &[Digest]| {
        let parts: Vec<&[u8]> = leaves.iter().map(|leaf| leaf.0.as_slice()).collect();
        Digest::of(domain, &parts)
    };
    let (embedding, rest) = leaves.split_at(1.min(leaves.len()));
    let (middle, last) = rest.split_at((layers * count).min(rest.len()));
    let mut nodes = embedding.to_vec();
    nodes.extend(middle.chunks(count).map(|layer| join("mutirao 1 layer", layer)));
    nodes.extend_from_slice(last);
    join("mutirao 1 weights", &nodes)
}

/// The id of a model from its header, weights and texts. The header holds op set, profile and
/// end-of-text set.
// spec: ENGINE-11.3
fn model_id(header: &[u8], root: Digest, tokenizer: &[u8], template: &[u8]) -> ModelId {
    let tokenizer = Digest::of("mutirao 1 tokenizer", &[tokenizer]);
    let template = Digest::of("mutirao 1 template", &[template]);
    ModelId(Digest::of("mutirao 1 model", &[header, &root.0, &tokenizer.0, &template.0]))
}

/// A tensor's place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which tensor.
    pub spec: TensorSpec,
    /// Where each of its sections stands, in bytes from the beginning of the file.
    pub sections: Vec<Range<u64>>,
}

/// Where every tensor stands, and how long the file is: known from the header's shape and the
/// length of the texts, before there is a single weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// In the order of [`tensors`].
    pub places: Vec<Place>,
    /// Bytes of the file.
    pub length: u64,
}

impl Layout {
    /// Of a header whose scales need not be known yet.
    #[must_use]
    pub fn new(header: &Header, tokenizer: usize, template: usize) -> Self {
        let specs = tensors(header);
        let counts = 4 * 4;
        let texts = header.to_bytes().len() + tokenizer + template;
        let front = MAGIC.len() + 32 + counts + texts + 32 * specs.len();
        let mut at = padded(front) as u64;
        let mut places = Vec::with_capacity(specs.len());
        for spec in specs {
            let mut sections = Vec::with_capacity(4);
            for length in spec.kind.sections() {
                sections.push(at..at + length as u64);
                at += padded(length) as u64;
            }
            places.push(Place { spec, sections });
        }
        Self { places, length: at }
    }
}

/// Everything before the first tensor, and the model id.
#[must_use]
pub fn write_front(
    header: &Header,
    tokenizer: &[u8],
    template: &[u8],
    leaves: &[Digest],
) -> (Vec<u8>, ModelId) {
    let root = weights_root(header, leaves);
    let header = header.to_bytes();
    let id = model_id(&header, root, tokenizer, template);
    let mut out = MAGIC.to_vec();
    id.encode(&mut out);
    put_bytes(&mut out, &header);
    put_bytes(&mut out, tokenizer);
    put_bytes(&mut out, template);
    put_list(&mut out, leaves);
    out.resize(padded(out.len()), 0);
    (out, id)
}

/// Writes a model file. `sections` are those of each tensor, in the order of [`tensors`].
///
/// # Panics
/// When the sections are not those the header wants: the caller's mistake.
#[must_use]
pub fn write(
    header: &Header,
    tokenizer: &[u8],
    template: &[u8],
    sections: &[Vec<Vec<u8>>],
) -> Vec<u8> {
    let specs = tensors(header);
    assert_eq!(specs.len(), sections.len(), "sections for every tensor");
    let mut leaves = Vec::with_capacity(specs.len());
    for (spec, sections) in specs.into_iter().zip(sections) {
        let lengths: Vec<usize> = sections.iter().map(Vec::len).collect();
        assert_eq!(lengths, spec.kind.sections(), "{}", spec.name);
        let sections = sections.iter().map(Vec::as_slice).collect();
        leaves.push(Tensor { spec, sections }.digest());
    }
    let (mut out, _) = write_front(header, tokenizer, template, &leaves);
    for section in sections.iter().flatten() {
        out.extend_from_slice(section);
        out.resize(padded(out.len()), 0);
    }
    out
}

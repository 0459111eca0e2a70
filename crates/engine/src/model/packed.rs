//! The packed file: a proven model as kernels read it, so that opening it is reading its front.
//!
//! ```text
//! magic 8 | layout version u32 | model id 32 | header, tokenizer, template (each counted)
//! for each tensor: its gains, its biases, or its M and C | digest of all before
//! zeros to a multiple of 64, then each matrix in the layout of `kernel::packed`
//! ```
//!
//! A local cache of a model file that was proven when it was packed: it has no id of its own, is
//! never sent, and is made again when it does not fit. Only its front is checked; whoever can
//! change the weights on this disk can change the program too. Damage there gives wrong answers,
//! never memory that is not ours: every length follows from the header.

use crate::kernel::packed::{ALIGNMENT, Bytes, LAYOUT_VERSION, Layout, Packed};
use crate::load::format::{
    File, HEADER_BYTES_MAX, TEMPLATE_BYTES_MAX, TOKENIZER_BYTES_MAX, TensorKind, TensorSpec,
    tensors,
};
use crate::load::{LoadError, ProvenLayer, SinkError};
use crate::model::header::{Header, HeaderError};
use crate::model::llama::{Tensors, Weights};
use crate::model::matrix::Matrix;
use mutirao_wire::codec::put_bytes;
use mutirao_wire::{Decode, DecodeError, Digest, Encode, ModelId, Reader};
use std::sync::Arc;
use thiserror::Error;

/// How every packed file begins.
pub const MAGIC: [u8; 8] = *b"MUTIPACK";
const DOMAIN: &str = "mutirao 1 packed front";

/// Why bytes are not a packed file of this program. In every case: pack the model file again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackedError {
    /// It does not begin like one.
    #[error("not a packed model; pack the model file again")]
    Magic,
    /// Another program packed it.
    #[error("packed in layout {found}, this program reads {LAYOUT_VERSION}; pack the model again")]
    Layout {
        /// Of the file.
        found: u32,
    },
    /// The front does not decode.
    #[error("packed model: {0}; pack the model file again")]
    Decode(#[from] DecodeError),
    /// The header cannot be one of op set 1.
    #[error("packed model: {0}; pack the model file again")]
    Header(#[from] HeaderError),
    /// The front is not what was written.
    #[error("the packed model is damaged; pack the model file again")]
    Damaged,
    /// The file is shorter or longer than its header says.
    #[error("the packed model has {actual} bytes, its header says {expected}; pack it again")]
    Size {
        /// By the header.
        expected: u64,
        /// Of the file.
        actual: u64,
    },
}

/// Why a model file could not be packed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackError {
    /// It is no proven model file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The bytes could not be kept.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// Takes the next bytes of a packed file.
pub type Write<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), SinkError>;

/// Proves a model file and writes it packed, from the first byte to the last, a tile of 16 rows at
/// a time.
///
/// # Errors
/// [`PackError`]; what was written by then is worthless.
pub fn pack(file: &[u8], write: Write<'_>) -> Result<(), PackError> {
    let file = File::parse(file)?;
    let header = &file.header;
    let mut front = front(&file);
    Digest::of(DOMAIN, &[&front]).encode(&mut front);
    front.resize(front.len().next_multiple_of(ALIGNMENT), 0);
    write(&front)?;
    write_matrix(&file.proven_embedding(header)?, write)?;
    for layer in 0..header.layers.len() {
        let layer = file.proven_layer(header, layer)?;
        for matrix in [&layer.query, &layer.key, &layer.value, &layer.output] {
            write_matrix(matrix, write)?;
        }
        for matrix in [&layer.gate, &layer.up, &layer.down] {
            write_matrix(matrix, write)?;
        }
    }
    file.final_norm(header)?;
    match file.proven_head(header)? {
        Some(head) => Ok(write_matrix(&head, write)?),
        None => Ok(()),
    }
}

/// The front without its digest.
fn front(file: &File<'_>) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(LAYOUT_VERSION.to_le_bytes());
    file.id.encode(&mut out);
    put_bytes(&mut out, &file.header.to_bytes());
    put_bytes(&mut out, file.tokenizer);
    put_bytes(&mut out, file.template);
    for tensor in &file.tensors {
        let matrix = matches!(tensor.spec.kind, TensorKind::Matrix { .. });
        // Weights and group multipliers come first, and are packed.
        tensor.sections.iter().skip(if matrix { 2 } else { 0 }).for_each(|part| out.extend(*part));
    }
    out
}

fn write_matrix(matrix: &Matrix, write: Write<'_>) -> Result<(), SinkError> {
    let layout = Layout::new(matrix.profile, matrix.rows, matrix.columns);
    let mut tile = Vec::new();
    for index in 0..layout.tiles() {
        tile.clear();
        layout.pack(matrix, index, &mut tile);
        write(&tile)?;
    }
    Ok(())
}

/// A packed file, its front read.
pub(crate) struct PackedFile {
    pub(crate) id: ModelId,
    pub(crate) header: Header,
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) template: Vec<u8>,
    parts: Vec<Part>,
    bytes: Bytes,
}

/// One tensor.
enum Part {
    Gain(Vec<i16>),
    Bias(Vec<i32>),
    Matrix { layout: Layout, at: usize, multiplier: Vec<u16>, exponent: Vec<u8> },
}

impl PackedFile {
    /// Reads and checks the front.
    pub(crate) fn open(bytes: Bytes) -> Result<Self, PackedError> {
        let all = (*bytes).as_ref();
        let mut input = Reader::new(all);
        if input.take(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
            return Err(PackedError::Magic);
        }
        let found = u32::decode(&mut input)?;
        if found != LAYOUT_VERSION {
            return Err(PackedError::Layout { found });
        }
        let id = ModelId(Digest::decode(&mut input)?);
        let header_bytes = counted(&mut input, "header", HEADER_BYTES_MAX)?;
        let tokenizer = counted(&mut input, "tokenizer", TOKENIZER_BYTES_MAX)?.to_vec();
        let template = counted(&mut input, "template", TEMPLATE_BYTES_MAX)?.to_vec();
        let header = Header::from_bytes(header_bytes)?;
        header.check()?;
        let specs = tensors(&header);
        let parts = specs.iter().map(|spec| Part::read(spec, &mut input));
        let mut parts = parts.collect::<Result<Vec<_>, DecodeError>>()?;
        let front = &all[..all.len() - input.left()];
        if Digest::decode(&mut input)? != Digest::of(DOMAIN, &[front]) {
            return Err(PackedError::Damaged);
        }
        let end = place(&mut parts, (all.len() - input.left()).next_multiple_of(ALIGNMENT));
        if end != all.len() {
            let (expected, actual) = (end as u64, all.len() as u64);
            return Err(PackedError::Size { expected, actual });
        }
        Ok(Self { id, header, tokenizer, template, parts, bytes })
    }

    fn weights(&self, index: usize) -> Weights {
        let Part::Matrix { layout, at, multiplier, exponent } = &self.parts[index] else {
            unreachable!("the header says which tensor is a matrix")
        };
        let packed = Packed::within(*layout, self.bytes.clone(), *at);
        Weights {
            packed: Arc::new(packed.expect("the length of the file was compared")),
            multiplier: multiplier.clone(),
            exponent: exponent.clone(),
        }
    }

    fn gain(&self, index: usize) -> Vec<i16> {
        match &self.parts[index] {
            Part::Gain(gain) => gain.clone(),
            _ => unreachable!("the header says which tensor is a gain"),
        }
    }

    fn bias(&self, index: usize) -> Vec<i32> {
        match &self.parts[index] {
            Part::Bias(bias) => bias.clone(),
            _ => unreachable!("the header says which tensor is a bias"),
        }
    }

    fn last(&self, index: usize) -> usize {
        1 + self.header.variant.layer_tensors() * self.header.layers.len() + index
    }
}

impl Part {
    fn read(spec: &TensorSpec, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match spec.kind {
            TensorKind::Gain { length } => Self::Gain(numbers(input, length, i16::from_le_bytes)?),
            TensorKind::Bias { length } => Self::Bias(numbers(input, length, i32::from_le_bytes)?),
            TensorKind::Matrix { profile, rows, columns } => Self::Matrix {
                layout: Layout::new(profile, rows, columns),
                at: 0,
                multiplier: numbers(input, rows, u16::from_le_bytes)?,
                exponent: input.take(rows)?.to_vec(),
            },
        })
    }
}

/// Numbers of N bytes each; nothing is allocated before the bytes are known to be there.
fn numbers<T, const N: usize>(
    input: &mut Reader<'_>,
    length: usize,
    of: fn([u8; N]) -> T,
) -> Result<Vec<T>, DecodeError> {
    let bytes = input.take(N * length)?.chunks_exact(N);
    Ok(bytes.map(|bytes| of(bytes.try_into().expect("N bytes"))).collect())
}

/// Gives every matrix its place from `at` on; where the last one ends.
fn place(parts: &mut [Part], mut at: usize) -> usize {
    for part in parts {
        if let Part::Matrix { layout, at: start, .. } = part {
            *start = at;
            at += layout.bytes();
        }
    }
    at
}

fn counted<'a>(
    input: &mut Reader<'a>,
    what: &'static str,
    maximum: usize,
) -> Result<&'a [u8], DecodeError> {
    let count = input.count(what, maximum)?;
    input.take(count)
}

/// Proven when it was packed.
impl Tensors for PackedFile {
    fn embedding(&self, _: &Header) -> Result<Weights, LoadError> {
        Ok(self.weights(0))
    }

    fn layer(&self, header: &Header, layer: usize) -> Result<ProvenLayer<Weights>, LoadError> {
        let (variant, scales) = (&header.variant, &header.layers[layer]);
        let mut at = 1 + layer * variant.layer_tensors();
        let mut next = || {
            at += 1;
            at - 1
        };
        let [input, query, key, value] = [(); 4].map(|()| next());
        let biases = [(); 3].map(|()| variant.biased.then(&mut next));
        let head_gains = scales.head_norms.map(|scales| scales.map(|_| next()));
        let output = next();
        let after_attention = variant.after_norm.then(&mut next);
        let [post, gate, up, down] = [(); 4].map(|()| next());
        let after_feed_forward = variant.after_norm.then(&mut next);
        Ok(ProvenLayer {
            input_gain: self.gain(input),
            query: self.weights(query),
            key: self.weights(key),
            value: self.weights(value),
            biases: biases.map(|bias| bias.map_or(Vec::new(), |bias| self.bias(bias))),
            head_gains: head_gains.map(|gains| gains.map(|gain| self.gain(gain))),
            output: self.weights(output),
            after_attention_gain: after_attention.map(|gain| self.gain(gain)),
            post_gain: self.gain(post),
            gate: self.weights(gate),
            up: self.weights(up),
            down: self.weights(down),
            after_feed_forward_gain: after_feed_forward.map(|gain| self.gain(gain)),
        })
    }

    fn final_norm(&self, _: &Header) -> Result<Vec<i16>, LoadError> {
        Ok(self.gain(self.last(0)))
    }

    fn head(&self, header: &Header) -> Result<Option<Weights>, LoadError> {
        Ok((header.shape.tied == 0).then(|| self.weights(self.last(1))))
    }
}

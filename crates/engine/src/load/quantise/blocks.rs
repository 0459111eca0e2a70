//! Numbers that were published in blocks of few bits: what each stands for, by its makers.
//!
//! Single precision, one operation after the other as written, none fused: the meaning that
//! `dequantize` of the `gguf` package gives them (ggml-org/llama.cpp, gguf-py, `quants.py`), bit
//! for bit. The result widens to doubles exactly.

/// A single-precision number that stands as half precision.
type Half = [u8; 2];

fn half(bytes: Half) -> f32 {
    // Every half is a single.
    super::encoding::from_half(u16::from_le_bytes(bytes)) as f32
}

/// The first half-precision number of some bytes, and what follows it.
fn split_half(bytes: &[u8]) -> (f32, &[u8]) {
    let (first, rest) = bytes.split_first_chunk::<2>().expect("blocks are whole");
    (half(*first), rest)
}

fn signed(byte: u8) -> i8 {
    i8::from_le_bytes([byte])
}

/// `Q8_0`: a scale and 32 signed bytes.
// spec: ENGINE-16.4
pub(super) fn q8_0(block: &[u8], out: &mut Vec<f64>) {
    let (scale, quants) = split_half(block);
    out.extend(quants.iter().map(|q| f64::from(scale * f32::from(signed(*q)))));
}

/// Low halves of 16 bytes, then the high ones.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.iter().map(|byte| byte & 15).chain(bytes.iter().map(|byte| byte >> 4))
}

/// The fifth bits of 32 numbers, as bit 4 of each.
fn fifths(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    (0..32).map(|index| (bytes[index / 8] >> (index % 8) & 1) << 4)
}

/// `Q4_0`: a scale and 32 numbers of -8 to 7.
// spec: ENGINE-16.4
pub(super) fn q4_0(block: &[u8], out: &mut Vec<f64>) {
    let (scale, quants) = split_half(block);
    out.extend(nibbles(quants).map(|q| f64::from(scale * (f32::from(q) - 8.0))));
}

/// `Q4_1`: a scale, a least number, and 32 numbers of 0 to 15.
// spec: ENGINE-16.4
pub(super) fn q4_1(block: &[u8], out: &mut Vec<f64>) {
    let (scale, rest) = split_half(block);
    let (least, quants) = split_half(rest);
    out.extend(nibbles(quants).map(|q| f64::from(scale * f32::from(q) + least)));
}

/// `Q5_0`: a scale and 32 numbers of -16 to 15, their fifth bits first.
// spec: ENGINE-16.4
pub(super) fn q5_0(block: &[u8], out: &mut Vec<f64>) {
    let (scale, rest) = split_half(block);
    let (high, low) = rest.split_at(4);
    let quants = nibbles(low).zip(fifths(high)).map(|(low, high)| low | high);
    out.extend(quants.map(|q| f64::from(scale * (f32::from(q) - 16.0))));
}

/// `Q5_1`: a scale, a least number, and 32 numbers of 0 to 31, their fifth bits first.
// spec: ENGINE-16.4
pub(super) fn q5_1(block: &[u8], out: &mut Vec<f64>) {
    let (scale, rest) = split_half(block);
    let (least, rest) = split_half(rest);
    let (high, low) = rest.split_at(4);
    let quants = nibbles(low).zip(fifths(high)).map(|(low, high)| low | high);
    out.extend(quants.map(|q| f64::from(scale * f32::from(q) + least)));
}

/// Scale and least number of eighth `index`, 6 bits each, of the 12 bytes that hold all eight.
fn scale_and_least(packed: &[u8], index: usize) -> (f32, f32) {
    let (scale, least) = match index {
        0..4 => (packed[index] & 63, packed[index + 4] & 63),
        _ => (
            packed[index + 4] & 15 | packed[index - 4] >> 6 << 4,
            packed[index + 4] >> 4 | packed[index] >> 6 << 4,
        ),
    };
    (scale.into(), least.into())
}

/// Low or high halves of 32 bytes: number `index` of the eighths that they hold.
fn eighth(quants: &[u8], index: usize) -> impl Iterator<Item = u8> + '_ {
    let shift = 4 * (index % 2);
    quants[32 * (index / 2)..][..32].iter().map(move |byte| byte >> shift & 15)
}

/// `Q4_K`: two scales, 12 bytes of finer ones, and 256 numbers of 0 to 15.
// spec: ENGINE-16.4
pub(super) fn q4_k(block: &[u8], out: &mut Vec<f64>) {
    let (scales, rest) = split_half(block);
    let (leasts, rest) = split_half(rest);
    let (packed, quants) = rest.split_at(12);
    for index in 0..8 {
        let (scale, least) = scale_and_least(packed, index);
        let (scale, least) = (scales * scale, leasts * least);
        out.extend(eighth(quants, index).map(|q| f64::from(scale * f32::from(q) - least)));
    }
}

/// `Q5_K`: as `Q4_K`, with 32 bytes of fifth bits before the numbers.
// spec: ENGINE-16.4
pub(super) fn q5_k(block: &[u8], out: &mut Vec<f64>) {
    let (scales, rest) = split_half(block);
    let (leasts, rest) = split_half(rest);
    let (packed, rest) = rest.split_at(12);
    let (high, low) = rest.split_at(32);
    for index in 0..8 {
        let (scale, least) = scale_and_least(packed, index);
        let (scale, least) = (scales * scale, leasts * least);
        let fifths = high.iter().map(|byte| (byte >> index & 1) << 4);
        let quants = eighth(low, index).zip(fifths).map(|(low, high)| low | high);
        out.extend(quants.map(|q| f64::from(scale * f32::from(q) - least)));
    }
}

/// `Q6_K`: 256 numbers of -32 to 31, in halves and then quarters of bytes, 16 finer scales, and
/// their scale.
// spec: ENGINE-16.4
pub(super) fn q6_k(block: &[u8], out: &mut Vec<f64>) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (finer, scale) = rest.split_at(16);
    let (scale, _) = split_half(scale);
    for index in 0..256 {
        let (side, within) = (index / 128, index % 128);
        let four = low[64 * side + within % 64] >> (4 * (within / 64)) & 15;
        let two = high[32 * side + within % 32] >> (2 * (within / 32)) & 3;
        let fine = scale * f32::from(signed(finer[index / 16]));
        out.push(f64::from(fine * (f32::from(four | two << 4) - 32.0)));
    }
}

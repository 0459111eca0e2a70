//! A trained model as the files of a Hugging Face checkpoint.

use super::shape::{NORM_EPSILON, ROPE_BASE, Shape};
use super::state::TrainState;
use crate::village::chat::{BEGIN, END, SPECIAL, TEMPLATE};
use crate::village::tokens;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use thiserror::Error;

/// Why weights could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The container library refused.
    #[error("safetensors: {0}")]
    Container(#[from] safetensors::SafeTensorError),
    /// A tensor has another type or size than the shape says.
    #[error("tensor {name} does not fit the shape; is this the file of another model?")]
    Misfit {
        /// The tensor.
        name: String,
    },
}

/// The upper half of the number, rounded to nearest, ties to even.
#[must_use]
pub fn to_bf16(number: f32) -> u16 {
    let bits = number.to_bits();
    if number.is_nan() {
        return ((bits >> 16) | 0x40) as u16;
    }
    ((u64::from(bits) + 0x7fff + u64::from((bits >> 16) & 1)) >> 16) as u16
}

/// The number whose upper half this is.
#[must_use]
pub fn from_bf16(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// `model.safetensors`: all tensors in bf16.
///
/// # Errors
/// When the container library refuses, which would be a mistake of this module.
pub fn weights_file(shape: &Shape, weights: &[f32]) -> Result<Vec<u8>, ExportError> {
    let tensors = shape.tensors();
    let halves: Vec<Vec<u8>> = tensors
        .iter()
        .map(|t| weights[t.range()].iter().flat_map(|&x| to_bf16(x).to_le_bytes()).collect())
        .collect();
    let mut views = Vec::with_capacity(tensors.len());
    for (tensor, bytes) in tensors.iter().zip(&halves) {
        let sizes =
            if tensor.columns == 1 { vec![tensor.rows] } else { vec![tensor.rows, tensor.columns] };
        views.push((tensor.name.as_str(), TensorView::new(Dtype::BF16, sizes, bytes)?));
    }
    let about = [("format".to_owned(), "pt".to_owned())].into();
    Ok(safetensors::serialize(views, Some(about))?)
}

/// Reads `model.safetensors` back into one list of numbers.
///
/// # Errors
/// [`ExportError`] when the file is damaged or of another shape.
pub fn read_weights(shape: &Shape, file: &[u8]) -> Result<Vec<f32>, ExportError> {
    let container = safetensors::SafeTensors::deserialize(file)?;
    let mut weights = Vec::with_capacity(shape.parameters());
    for tensor in shape.tensors() {
        let view = container.tensor(&tensor.name)?;
        if view.dtype() != Dtype::BF16 || view.data().len() != 2 * tensor.range().len() {
            return Err(ExportError::Misfit { name: tensor.name });
        }
        let halves = view.data().chunks_exact(2);
        weights.extend(halves.map(|pair| from_bf16(u16::from_le_bytes([pair[0], pair[1]]))));
    }
    Ok(weights)
}

/// The id of a special token: its place in the list.
fn id(special: &str) -> usize {
    SPECIAL.iter().position(|mark| *mark == special).unwrap_or(0)
}

/// The text of `config.json`.
#[must_use]
pub fn config_file(shape: &Shape) -> String {
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.shared_heads,
        "head_dim": shape.head_size,
        "hidden_act": "silu",
        "max_position_embeddings": shape.context,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_BASE,
        "rope_scaling": null,
        "attention_bias": false,
        "attention_dropout": 0.0,
        "mlp_bias": false,
        "tie_word_embeddings": true,
        "bos_token_id": id(BEGIN),
        "eos_token_id": id(END),
        "pad_token_id": id(END),
        "initializer_range": 0.02,
        "pretraining_tp": 1,
        "use_cache": true,
        "torch_dtype": "bfloat16",
    });
    format!("{config:#}\n")
}

/// Every file of a checkpoint but the tokenizer's own: name and bytes.
///
/// # Errors
/// When the container library refuses, which would be a mistake of this module.
pub fn files(state: &TrainState) -> Result<Vec<(&'static str, Vec<u8>)>, ExportError> {
    let shape = &state.recipe().shape;
    Ok(vec![
        ("model.safetensors", weights_file(shape, state.weights())?),
        ("config.json", config_file(shape).into_bytes()),
        ("generation_config.json", generation_file().into_bytes()),
        ("tokenizer_config.json", tokens::tokenizer_config(shape.context).into_bytes()),
        ("chat_template.jinja", TEMPLATE.as_bytes().to_vec()),
    ])
}

/// The text of `generation_config.json`.
#[must_use]
pub fn generation_file() -> String {
    let config = json!({
        "bos_token_id": id(BEGIN),
        "eos_token_id": id(END),
        "pad_token_id": id(END),
        "do_sample": false,
    });
    format!("{config:#}\n")
}

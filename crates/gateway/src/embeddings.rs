//! What a model makes of texts, as vectors: `POST /v1/embeddings` of OpenAI, `/api/embed` and the
//! older `/api/embeddings` of Ollama.
//!
//! A vector is the mean of the model's last states over the text, at length 1. The states are the
//! engine's whole numbers, so the same text has the same vector on every machine, and vectors that
//! were made elsewhere can be compared.

use crate::backend::Embedded;
use crate::door::Door;
use crate::error::ApiError;
use crate::guard::Caller;
use crate::ollama::Failure;
use crate::openai::{Texts, read};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Most texts of one request, as OpenAI's.
const TEXTS_MAX: usize = 2048;

/// The texts, if they are not too many and none is empty.
fn inputs(input: Texts) -> Result<Vec<String>, ApiError> {
    let texts = input.list();
    let fits = (1..=TEXTS_MAX).contains(&texts.len()) && texts.iter().all(|it| !it.is_empty());
    let message = format!("input: 1 to {TEXTS_MAX} texts, none of them empty");
    fits.then_some(texts).ok_or_else(|| ApiError::parameter("input", message))
}

#[derive(Debug, Deserialize)]
struct Request {
    model: String,
    input: Texts,
    encoding_format: Option<String>,
    dimensions: Option<u32>,
}

/// Ollama's, of both kinds.
#[derive(Debug, Deserialize)]
struct OllamaRequest {
    model: String,
    input: Option<Texts>,
    prompt: Option<String>,
}

async fn embed(
    door: &Door,
    caller: Caller,
    model: &str,
    texts: Vec<String>,
) -> Result<Embedded, ApiError> {
    let _place = door.enter_for(caller).await?;
    Ok(door.backend.clone().embed(model.to_owned(), texts).await?)
}

/// Numbers, or their bytes as clients of OpenAI ask for them: little-endian, in base64.
fn written(vector: &[f32], as_bytes: bool) -> Value {
    if !as_bytes {
        return json!(vector);
    }
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    BASE64.encode(&bytes).into()
}

/// `POST /v1/embeddings`
pub async fn create(
    State(door): State<Arc<Door>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let Request { model, input, encoding_format, dimensions } =
        read(&body, "request for embeddings")?;
    if dimensions.is_some() {
        let message = "dimensions: a model has the number that it has";
        return Err(ApiError::parameter("dimensions", message));
    }
    let as_bytes = match encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            let message = "encoding_format: float or base64";
            return Err(ApiError::parameter("encoding_format", message));
        }
    };
    let Embedded { vectors, tokens } = embed(&door, caller, &model, inputs(input)?).await?;
    let entry = |(index, vector): (usize, &Vec<f32>)| {
        let vector = written(vector, as_bytes);
        json!({ "object": "embedding", "index": index, "embedding": vector })
    };
    let data: Vec<Value> = vectors.iter().enumerate().map(entry).collect();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    let list = json!({ "object": "list", "data": data, "model": model, "usage": usage });
    Ok(Json(list).into_response())
}

/// `POST /api/embed` and `POST /api/embeddings`
pub async fn ollama(
    State(door): State<Arc<Door>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Failure> {
    let began = Instant::now();
    let OllamaRequest { model, input, prompt } = read(&body, "request for embeddings")?;
    let older = prompt.is_some();
    let input = input.or(prompt.map(Texts::One));
    let input = input.ok_or_else(|| ApiError::parameter("input", "input: a text is missing"))?;
    let Embedded { vectors, tokens } = embed(&door, caller, &model, inputs(input)?).await?;
    if older {
        return Ok(Json(json!({ "embedding": vectors.first() })).into_response());
    }
    let nanos = began.elapsed().as_nanos() as u64;
    Ok(Json(json!({
        "model": model,
        "embeddings": vectors,
        "total_duration": nanos,
        "prompt_eval_count": tokens,
    }))
    .into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_vector_are_little_endian() {
        let said = written(&[1.0, -2.0], true);
        let bytes = BASE64.decode(said.as_str().expect("text").as_bytes()).expect("base64");
        assert_eq!(bytes, [0, 0, 128, 63, 0, 0, 0, 192]);
        assert_eq!(written(&[1.0], false), json!([1.0]));
    }

    #[test]
    fn no_text_and_an_empty_one_are_refused() {
        let texts = |input: Value| inputs(serde_json::from_value(input).expect("read"));
        assert!(texts(json!([])).is_err() && texts(json!("")).is_err());
        assert_eq!(texts(json!("a")).expect("one"), ["a"]);
    }
}

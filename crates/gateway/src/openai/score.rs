//! Probabilities of an answer's tokens, in the two forms that OpenAI's clients know.
//!
//! They are the model's own, before temperature and before any grammar, and are computed here from
//! the answer, whoever wrote it: no provider is believed.

use crate::backend::TokenScore;
use serde_json::{Map, Value, json};

/// Most other tokens that are named at each place, as OpenAI's.
pub const TOP_MAX: u8 = 20;

/// A token as text; what is part of a letter only is shown as a mark.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn entry(bytes: &[u8], logprob: f32) -> Value {
    json!({ "token": text(bytes), "logprob": logprob, "bytes": bytes })
}

fn with_top(score: &TokenScore) -> Value {
    let mut object = entry(&score.bytes, score.logprob);
    let top = score.top.iter().map(|(bytes, logprob)| entry(bytes, *logprob));
    object["top_logprobs"] = top.collect();
    object
}

/// For `/v1/chat/completions`; null where nobody asked.
pub fn of_chat(scores: Option<&[TokenScore]>) -> Value {
    let Some(scores) = scores else { return Value::Null };
    json!({ "content": scores.iter().map(with_top).collect::<Vec<_>>(), "refusal": null })
}

/// For `/v1/completions`, where texts have their places; null where nobody asked.
pub fn of_completion(scores: Option<&[TokenScore]>) -> Value {
    let Some(scores) = scores else { return Value::Null };
    let tops = scores.iter().map(|score| {
        let top = score.top.iter().map(|(bytes, logprob)| (text(bytes), json!(logprob)));
        Value::Object(top.collect::<Map<_, _>>())
    });
    let mut place = 0;
    let places = scores.iter().map(|score| {
        let here = place;
        place += text(&score.bytes).chars().count();
        here
    });
    json!({
        "tokens": scores.iter().map(|score| text(&score.bytes)).collect::<Vec<_>>(),
        "token_logprobs": scores.iter().map(|score| score.logprob).collect::<Vec<_>>(),
        "top_logprobs": tops.collect::<Vec<_>>(),
        "text_offset": places.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(text: &str, logprob: f32) -> TokenScore {
        let top = vec![(b"other".to_vec(), -2.0)];
        TokenScore { bytes: text.as_bytes().to_vec(), logprob, top }
    }

    #[test]
    fn tokens_stand_where_their_text_is() {
        let said = of_completion(Some(&[score("Olá", -0.5), score(" x", -1.0)]));
        assert_eq!(said["text_offset"], json!([0, 3]));
        assert_eq!(said["token_logprobs"], json!([-0.5, -1.0]));
        assert_eq!(said["top_logprobs"][0], json!({ "other": -2.0 }));
    }

    #[test]
    fn half_a_letter_is_bytes_and_a_mark() {
        let half = TokenScore { bytes: vec![0xC3], logprob: -1.0, top: Vec::new() };
        let said = of_chat(Some(&[half]));
        assert_eq!(said["content"][0]["bytes"], json!([0xC3]));
        assert_eq!(said["content"][0]["token"], "\u{FFFD}");
    }

    #[test]
    fn nobody_asked_is_null() {
        assert!(of_chat(None).is_null() && of_completion(None).is_null());
    }
}

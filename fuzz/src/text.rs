//! Tokenizers and chat templates: other people's files, and other people's code that reads them.

use crate::target::split;
use mutirao_text::{StopFinder, TextStack};
use mutirao_wire::Token;
use mutirao_wire::bundle::Message;
use std::sync::OnceLock;

const TOKENIZER: &[u8] = include_bytes!("../../models/village/tokenizer.json");
const TEMPLATE: &[u8] = include_bytes!("../../models/village/chat_template.jinja");
/// At least as many as the village has.
const VOCABULARY: u32 = 1 << 14;

fn village() -> &'static TextStack {
    static VILLAGE: OnceLock<TextStack> = OnceLock::new();
    VILLAGE.get_or_init(|| {
        TextStack::new(TOKENIZER, TEMPLATE, VOCABULARY).expect("the village's files are read")
    })
}

fn talk() -> [Message; 3] {
    let said = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
    [said("system", "Be kind."), said("user", "hello\n"), said("assistant", "olá")]
}

/// A chat template: refused, or rendered within its bounds.
pub fn template(bytes: &[u8]) {
    if let Ok(stack) = TextStack::new(TINY, bytes, VOCABULARY) {
        let _ = stack.render(&talk(), None, Some("2026-01-02"));
    }
}

/// A tokenizer without words: the template is what is tried.
const TINY: &[u8] = br#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],
"normalizer":null,"pre_tokenizer":null,"post_processor":null,"decoder":null,
"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}}"#;

/// A tokenizer file, or tokens of a provider on their way to the reader.
pub fn tokenizer(bytes: &[u8]) {
    match split(bytes) {
        (0, file) => {
            if let Ok(stack) = TextStack::new(file, TEMPLATE, VOCABULARY) {
                let _ = stack.prompt(&talk(), None, None);
            }
        }
        (stops, tokens) => stream(usize::from(stops), tokens),
    }
}

/// The pieces of a stream are the decoded answer, and no stop string is in what is shown.
fn stream(stops: usize, bytes: &[u8]) {
    let token = |pair: &[u8]| Token(u32::from(pair[0]) + (u32::from(pair[1]) << 8));
    let tokens: Vec<Token> = bytes.chunks_exact(2).map(token).collect();
    let (mut stream, mut shown) = (village().stream(), String::new());
    for token in &tokens {
        shown += &stream.push(*token);
    }
    shown += &stream.finish();
    let Ok(decoded) = village().decode(&tokens) else { return };
    assert_eq!(shown, decoded);
    let stop: String = decoded.chars().skip(stops).take(3).collect();
    if !stop.is_empty() {
        stopped(&decoded, &stop);
    }
}

fn stopped(text: &str, stop: &str) {
    let (mut finder, mut shown, mut ended) =
        (StopFinder::new(&[stop.to_owned()]), String::new(), false);
    for letter in text.chars() {
        let found = finder.push(letter.encode_utf8(&mut [0; 4]));
        shown += &found.text;
        ended = found.stopped;
        if ended {
            break;
        }
    }
    assert!(ended, "it stands in the text");
    assert_eq!(Some(shown.as_str()), text.split(stop).next());
}

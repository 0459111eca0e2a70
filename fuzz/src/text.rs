//! Tokenizers and chat templates: other people's files, and other people's code that reads them.

use crate::target::split;
use mutirao_engine::guide::Allowed;
use mutirao_text::{CallFinder, Grammars, Piece, StopFinder, TextStack};
use mutirao_wire::Token;
use mutirao_wire::bundle::Message;
use mutirao_wire::form::Form;
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

/// Tokens that are taken along a grammar.
const STEPS: usize = 24;

fn grammars() -> &'static Grammars {
    static GRAMMARS: OnceLock<Grammars> = OnceLock::new();
    GRAMMARS.get_or_init(|| village().grammars(&[Token(1)]).expect("the village spells in bytes"))
}

/// A grammar, a schema or an answer with calls in it: refused, or followed within bounds; and calls
/// are told from text however it is cut.
pub fn grammar(bytes: &[u8]) {
    let (kind, rest) = split(bytes);
    let text = String::from_utf8_lossy(rest);
    match kind % 3 {
        0 => follow(&text, kind.into()),
        1 => {
            let Ok(schema) = serde_json::from_str(&text) else { return };
            let form = Form { schema: Some(schema), ..Form::default() };
            mutirao_text::grammar(&form).iter().for_each(|it| follow(it, kind.into()));
        }
        _ => {
            let letters = text.char_indices().map(|(at, letter)| &text[at..at + letter.len_utf8()]);
            assert_eq!(told([&*text]), told(letters));
        }
    }
}

fn follow(grammar: &str, kind: usize) {
    let Ok(mut followed) = grammars().follow(grammar) else { return };
    for step in 0..STEPS {
        let Ok(allowed) = followed.allowed() else { return };
        let (bits, allowed) = (32 * allowed.len() as u32, Allowed::from_words(allowed));
        let may: Vec<Token> = (0..bits).map(Token).filter(|token| allowed.has(*token)).collect();
        assert!(!may.is_empty(), "where nothing may follow, that is said");
        followed.take(may[(step * 31 + kind) % may.len()]);
    }
}

/// The calls in a text that comes in parts, and the text around them.
fn told<'a>(parts: impl IntoIterator<Item = &'a str>) -> (String, Vec<Piece>) {
    let mut finder = CallFinder::default();
    let pieces: Vec<Piece> = parts.into_iter().flat_map(|part| finder.push(part)).collect();
    let (mut text, mut calls) = (String::new(), Vec::new());
    for piece in pieces.into_iter().chain(finder.finish().map(Piece::Text)) {
        match piece {
            Piece::Text(more) => text += &more,
            call => calls.push(call),
        }
    }
    (text, calls)
}

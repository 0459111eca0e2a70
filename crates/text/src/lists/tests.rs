//! Lists against the tokenizers they stand for.
#![allow(clippy::indexing_slicing, clippy::type_complexity)]

use super::*;
use crate::TextStack;
use mutirao_wire::Token;

const VILLAGE: &str = include_str!("../../../../models/village/tokenizer.json");
const CORPUS: &str = include_str!("../../../../README.md");

fn stack(tokenizer: &[u8]) -> TextStack {
    TextStack::new(tokenizer, b"{{ messages[0].content }}", 1 << 20).expect("a tokenizer")
}

/// The village's vocabulary and merges, as a published tokenizer that cuts like this, and as lists.
fn both(cuts: &str, regex: &str) -> (Vec<u8>, Vec<u8>) {
    let mut file: Value = serde_json::from_str(VILLAGE).expect("JSON");
    file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(regex);
    let vocabulary = file["model"]["vocab"].as_object().expect("a vocabulary").clone();
    let mut tokens = vec![""; vocabulary.len()];
    for (token, id) in &vocabulary {
        tokens[id.as_u64().expect("a number") as usize] = token;
    }
    let control = file["added_tokens"].as_array().expect("tokens").len();
    let merges = file["model"]["merges"].as_array().expect("merges").iter();
    let merge = |merge: &Value| match merge {
        Value::String(text) => text.clone(),
        pair => {
            format!("{} {}", pair[0].as_str().expect("a half"), pair[1].as_str().expect("a half"))
        }
    };
    let merges: Vec<String> = merges.map(merge).collect();
    let lists = TokenLists {
        kind: "gpt2",
        cuts: Some(cuts),
        types: Some((0..tokens.len()).map(|id| if id < control { 3 } else { 1 }).collect()),
        tokens,
        merges: Some(merges.iter().map(String::as_str).collect()),
        ..TokenLists::default()
    };
    (file.to_string().into_bytes(), lists.tokenizer().expect("lists"))
}

#[test]
fn lists_give_the_tokens_of_the_tokenizer_that_they_were_taken_from() {
    for (cuts, regex) in [("llama-bpe", LLAMA_3), ("qwen2", QWEN_2), ("tekken", TEKKEN)] {
        let (published, listed) = both(cuts, regex);
        let (published, listed) = (stack(&published), stack(&listed));
        for text in [CORPUS, "<|bos|>it's 12345 déjà-vu\n\n  x", "", " ", "\r\n\t", "東京 🙂"]
        {
            let tokens = published.encode(text).expect("tokens");
            assert_eq!(listed.encode(text).expect("tokens"), tokens, "{cuts}");
            let plain = |stack: &TextStack| stack.decode(&tokens).expect("text");
            assert_eq!(plain(&listed), plain(&published));
        }
    }
}

/// A little SentencePiece model: letters, pieces with scores, and bytes.
fn little() -> TokenLists<'static> {
    let tokens = vec![
        "<unk>", "<s>", "</s>", "<0x0A>", "<0xC3>", "<0xA9>", "▁", "a", "b", "c", "ab", "bc", "▁a",
        "▁ab",
    ];
    let scores = [0, 0, 0, 0, 0, 0, -20, -21, -22, -23, -3, -2, -5, -4];
    TokenLists {
        kind: "llama",
        types: Some(vec![2, 3, 3, 6, 6, 6, 1, 1, 1, 1, 1, 1, 1, 1]),
        tokens,
        ranks: Some(scores.to_vec()),
        ..TokenLists::default()
    }
}

#[test]
fn pieces_merge_by_their_scores_and_what_is_no_piece_becomes_bytes() {
    let stack = stack(&little().tokenizer().expect("lists"));
    let tokens = |text: &str| -> Vec<u32> {
        stack.encode(text).expect("tokens").iter().map(|token| token.0).collect()
    };
    // The pair with the best score merges first: b and c, then nothing joins them to ▁a.
    assert_eq!(tokens("abc"), [12, 11]);
    assert_eq!(tokens("ab ab"), [13, 13]);
    assert_eq!(tokens("a\né"), [12, 3, 4, 5]);
    assert_eq!(tokens("<s>a</s>"), [1, 12, 2]);
    let read: Vec<Token> = tokens("ab abé").into_iter().map(Token).collect();
    assert_eq!(stack.decode(&read).expect("text"), "ab abé");
}

#[test]
fn lists_with_gaps_or_contradictions_are_refused_with_the_reason() {
    let reason = |change: &dyn Fn(&mut TokenLists<'static>)| {
        let mut lists = little();
        change(&mut lists);
        lists.tokenizer().expect_err("refused").to_string()
    };
    let cases: [(&dyn Fn(&mut TokenLists<'static>), &str); 8] = [
        (&|lists| lists.tokens[3] = "a", "tokens 3 and 7 are both \"a\""),
        (&|lists| lists.tokens.clear(), "no tokens"),
        (&|lists| lists.types = Some(vec![1]), "not a type for each"),
        (&|lists| lists.ranks = None, "not a score for each token"),
        (&|lists| lists.kind = "bert", "of the kind \"bert\" are not read"),
        (&|lists| lists.kind = "gpt2", "no merges"),
        (
            &|lists| (lists.kind, lists.merges) = ("gpt2", Some(vec!["a c"])),
            "a merge is not of tokens to a token",
        ),
        (
            &|lists| {
                (lists.kind, lists.merges) = ("gpt2", Some(vec!["a b"]));
                lists.cuts = Some("mystery");
            },
            "(\"mystery\") is not known here",
        ),
    ];
    for (change, wanted) in cases {
        let reason = reason(change);
        assert!(reason.contains(wanted), "{reason}");
    }
    let long: &'static str = Box::leak("x".repeat(513).into_boxed_str());
    assert!(reason(&|lists| lists.tokens[12] = long).contains("more than 512 bytes"));
}

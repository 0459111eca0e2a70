//! Published models: configuration and weights of a stranger, and our own file made of them.

use mutirao_engine::{Model, Profile, Source, load};

/// Four texts behind each other, the first three after their length in four bytes.
fn parts(bytes: &[u8]) -> Option<[&[u8]; 4]> {
    let mut rest = bytes;
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = after;
        Some(part)
    };
    let (config, tokenizer, template) = (part()?, part()?, part()?);
    Some([config, tokenizer, template, rest])
}

/// Either our own file, or the files of a checkpoint. What converts opens.
pub fn model(bytes: &[u8]) {
    let Some([config, tokenizer, template, weights]) = parts(bytes) else {
        let _ = Model::from_bytes(bytes);
        return;
    };
    let source = Source { config, weights, tokenizer, template };
    if let Ok(file) = load::convert(&source, Profile::W8) {
        let model = Model::from_bytes(&file).expect("what was converted opens");
        assert_eq!(Model::from_bytes(&file).map(|again| again.id()).ok(), Some(model.id()));
    }
}

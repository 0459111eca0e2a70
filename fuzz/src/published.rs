//! Published models in the other forms that are read: GGUF, and weights in several files.

use mutirao_engine::load::{
    Catalogue, Gguf, InMemory, InMemoryFile, Published, Shards, convert_into,
};
use mutirao_engine::pool::Serial;
use mutirao_engine::{Model, Profile};
use mutirao_node::published::gguf_tokenizer;
use mutirao_text::TextStack;

/// What converts opens, whatever it was made of.
fn convert(published: &Published<'_>) {
    let mut file = InMemoryFile::default();
    if let Ok(made) = convert_into(published, Profile::W4, &Serial, &mut file) {
        let model = Model::from_bytes(&file.into_bytes()).expect("what was converted opens");
        assert_eq!(model.id(), made.id);
    }
}

/// A GGUF file: its front, the tokenizer that its lists say, and its weights.
pub fn gguf(bytes: &[u8]) {
    let files = InMemory(vec![bytes]);
    let Ok(gguf) = Gguf::read(&files) else { return };
    let tokenizer = gguf_tokenizer(&gguf).unwrap_or_default();
    if let Ok(stack) = TextStack::new(&tokenizer, b"{{ messages }}", 1 << 20) {
        let _ = stack.encode("abc d<s>é\n");
    }
    let Ok(config) = gguf.config() else { return };
    convert(&Published {
        config: &config,
        catalogue: gguf.catalogue(),
        files: &files,
        tokenizer: &tokenizer,
        template: b"",
    });
}

/// Three texts behind each other, each after its length in four bytes, and what is left: a
/// configuration, an index, and two files.
pub fn shards(bytes: &[u8]) {
    let mut rest = bytes;
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = after;
        Some(part)
    };
    let (Some(config), Some(index), Some(first)) = (part(), part(), part()) else { return };
    let files = InMemory(vec![first, rest]);
    let Ok(shards) = Shards::parse(index) else { return };
    let Ok(catalogue) = Catalogue::sharded(&files, &shards) else { return };
    let (tokenizer, template): (&[u8], &[u8]) = (b"{}", b"");
    convert(&Published { config, catalogue: &catalogue, files: &files, tokenizer, template });
}

//! The village's tokenizer: byte-level pairs learned from its own texts, digits always single.

use super::chat::{BEGIN, END, SPECIAL, TEMPLATE, conversation};
use super::vocabulary::{ANIMALS, GOODS, MONTHS, NAMES, PLACES, SYLLABLES, THINGS, WORDS, capital};
use super::{TASKS, Task};
use crate::dice::Dice;
use serde_json::json;
use thiserror::Error;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// How many tokens the village's vocabulary has: a power of two, which provers like.
pub const VOCABULARY: usize = 2048;

/// Words with the space before them, single digits, runs of marks, runs of white space.
const PATTERN: &str = r" ?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+";

/// Why a tokenizer could not be made or read.
#[derive(Debug, Error)]
#[error("the tokenizer library refused: {0}")]
pub struct TokenizerError(String);

impl TokenizerError {
    fn from_library(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Texts the shipped tokenizer was learned from.
pub const LESSONS: usize = 40_000;

/// The file of a tokenizer.
///
/// # Errors
/// When the library refuses, which would be a mistake of this module.
pub fn to_json(tokenizer: &Tokenizer) -> Result<Vec<u8>, TokenizerError> {
    tokenizer.to_string(true).map(String::into_bytes).map_err(TokenizerError::from_library)
}

/// Learns the tokenizer from `conversations` texts of the seed. One seed, one tokenizer.
///
/// # Errors
/// When the library refuses the pattern or the texts, which would be a mistake of this module.
pub fn train(seed: u64, conversations: usize) -> Result<Tokenizer, TokenizerError> {
    tokenizers::utils::parallelism::set_parallelism(false);
    let mut tokenizer = Tokenizer::new(BPE::default());
    let pattern = SplitPattern::Regex(PATTERN.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
        .map_err(TokenizerError::from_library)?;
    let bytes = ByteLevel::new(false, false, false);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![split.into(), bytes.into()])));
    tokenizer.with_decoder(Some(bytes));
    let special = SPECIAL.map(|text| AddedToken::from(text, true)).to_vec();
    let trainer = BpeTrainer::builder()
        .vocab_size(VOCABULARY)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(special)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let texts = lessons(seed, conversations);
    tokenizer
        .train(&mut TrainerWrapper::from(trainer), texts.into_iter())
        .map_err(TokenizerError::from_library)?;
    Ok(tokenizer)
}

/// Texts to learn pairs from: tasks with a word list of their own come up more often than in
/// training, so that the words to be copied, sorted and spelled become single tokens.
fn lessons(seed: u64, conversations: usize) -> Vec<String> {
    let mut dice = Dice::new(seed, u64::MAX);
    let mut texts = Vec::new();
    for index in 0..conversations {
        let task = match index % 4 {
            0 => Some(TASKS[index / 4 % TASKS.len()]),
            1 => Some([Task::List, Task::Where, Task::Extract][index / 4 % 3]),
            _ => None,
        };
        let talk = conversation(&mut dice, task);
        texts.extend(talk.system);
        texts.extend(talk.turns.into_iter().flat_map(|(user, assistant)| [user, assistant]));
    }
    let copies = conversations / WORD_ONE_IN;
    let lists: [&[&str]; 7] = [&NAMES, &GOODS, &PLACES, &ANIMALS, &THINGS, &WORDS, &MONTHS];
    texts.extend(lists.into_iter().flatten().map(|word| format!(" {word}").repeat(copies)));
    for syllable in SYLLABLES {
        let large = capital(syllable);
        let forms =
            [syllable.to_owned(), large.clone(), format!(" {syllable}"), format!(" {large}")];
        texts.extend(forms.into_iter().cycle().take(16 * copies));
    }
    texts
}

/// Every word of the lists is added once for so many conversations, to be one token wherever it
/// stands; syllables four times as often, so that strangers' names fall apart at syllables.
const WORD_ONE_IN: usize = 100;

/// Reads a tokenizer from its JSON.
///
/// # Errors
/// When the bytes are not a tokenizer the library knows.
pub fn read(json: &[u8]) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::from_bytes(json).map_err(TokenizerError::from_library)
}

/// The tokens of a text in which special tokens are recognised.
///
/// # Errors
/// When the library refuses the text.
pub fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, TokenizerError> {
    let encoding = tokenizer.encode(text, false).map_err(TokenizerError::from_library)?;
    Ok(encoding.get_ids().to_vec())
}

/// The text of tokens, special ones left out.
///
/// # Errors
/// When the library refuses the tokens.
pub fn decode(tokenizer: &Tokenizer, tokens: &[u32]) -> Result<String, TokenizerError> {
    tokenizer.decode(tokens, true).map_err(TokenizerError::from_library)
}

/// The text of `tokenizer_config.json`.
#[must_use]
pub fn tokenizer_config(context: usize) -> String {
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": END,
        "add_bos_token": false,
        "add_eos_token": false,
        "clean_up_tokenization_spaces": false,
        "chat_template": TEMPLATE,
    });
    format!("{config:#}\n")
}

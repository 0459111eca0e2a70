//! How near the integers of a model are to the floats that they were made of, on a text.
//!
//! The floats are read where they were published, a few rows at a time, so a model that is larger
//! than memory can be measured. What is in memory is the integer model, and for each token of one
//! window a number for each token of the vocabulary.

use crate::assemble::Node;
use crate::files::{self, FileError};
use crate::mind::Here;
use crate::models::{ModelError, VILLAGE};
use crate::published::{Found, PublishedError};
use mutirao_engine::load::format;
use mutirao_engine::{EngineError, Header, Profile};
use mutirao_learn::eval::{
    Agreement, CompareError, IntegerModel, Reference, ReferenceError, compare, questions,
    right_texts,
};
use mutirao_learn::village::TASKS;
use mutirao_learn::village::tokens::{self, TokenizerError};
use mutirao_text::TextError;
use mutirao_wire::bundle::Message;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Tokens that are read in one go; each window begins anew.
const WINDOW_TOKENS: usize = 256;
/// Bytes of a text that are read for each wanted token; a longer token is rare.
const BYTES_TO_A_TOKEN: u64 = 32;
/// No more of a text is read.
const TEXT_BYTES_MAX: u64 = 8 << 20;
/// Held-out lessons are the same in every evaluation.
const SEED: u64 = 1;
/// Tokens of a held-out lesson, about.
const LESSON_TOKENS: usize = 40;
/// Where an imported model came from, beside it: one line, a path or a name of another program.
pub(crate) const ORIGIN_FILE: &str = "origin";
/// Longest such line.
const ORIGIN_BYTES_MAX: u64 = 1 << 16;

/// Why a model could not be held against its floats.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The model does not open.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing says where the floats are.
    #[error(
        "only the converted weights of {model:?} are here, not those that they were made of; name \
         them with --original: a directory, a .gguf file, or hf://org/repo"
    )]
    NoOriginal {
        /// The model.
        model: String,
    },
    /// They were there.
    #[error(
        "{model:?} was made of {origin}, which is not there any more ({why}); name another place \
         of the same weights with --original"
    )]
    Gone {
        /// The model.
        model: String,
        /// Where it came from.
        origin: String,
        /// What is there instead.
        why: String,
    },
    /// There is no text that every model knows.
    #[error("name a text of the kind that {model:?} reads, with --text FILE")]
    NoText {
        /// The model.
        model: String,
    },
    /// The text is too short to say anything.
    #[error("the text has {tokens} tokens; at least two are needed")]
    ShortText {
        /// Tokens that it has.
        tokens: usize,
    },
    /// The floats are those of another model.
    #[error(
        "the floats know {floats} tokens and the integers {integers}; --original is another model"
    )]
    OtherModel {
        /// Of the floats.
        floats: usize,
        /// Of the integers.
        integers: u32,
    },
    /// The text is refused.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A held-out lesson is refused.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The floats cannot be run.
    #[error("the floats: {0}")]
    Reference(#[from] ReferenceError),
    /// The integers cannot be run.
    #[error("the integers: {0}")]
    Engine(#[from] EngineError),
}

impl From<CompareError<ReferenceError, EngineError>> for EvalError {
    fn from(error: CompareError<ReferenceError, EngineError>) -> Self {
        match error {
            CompareError::First(error) => Self::Reference(error),
            CompareError::Second(error) => Self::Engine(error),
        }
    }
}

/// What is wanted.
#[derive(Debug, Clone)]
pub struct EvalOrder {
    /// The model's name, directory or file.
    pub model: String,
    /// Where the floats are, if not where the model came from.
    pub original: Option<String>,
    /// The text; held-out lessons for the village when absent.
    pub text: Option<PathBuf>,
    /// Most tokens of it.
    pub tokens: usize,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct EvalProgress {
    /// Tokens that were read by both.
    pub done: usize,
    /// Tokens that will be.
    pub all: usize,
    /// How long the rest will take, at the pace so far.
    pub left: Option<Duration>,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The id of the integer model.
    pub model_id: String,
    /// How its weights are kept: w8 or w4.
    pub profile: &'static str,
    /// Numbers in its weights.
    pub parameters: u64,
    /// Bits of a published weight.
    pub original_bits: f64,
    /// Bits of a converted weight, with its scales.
    pub bits: f64,
    /// Where the floats were.
    pub original: String,
    /// What was read.
    pub text: String,
    /// How near they are.
    pub agreement: Agreement,
}

/// The floats, where they are.
enum Original {
    Village,
    Found(String, Box<Found>),
}

/// Texts in tokens, each with the place of the first prediction that counts.
type Texts = Vec<(Vec<u32>, usize)>;

impl Node {
    /// Holds a model against the floats that it was made of.
    ///
    /// # Errors
    /// [`EvalError`] with what is missing and how to name it.
    pub fn evaluate(
        &self,
        order: &EvalOrder,
        progress: &mut dyn FnMut(EvalProgress),
    ) -> Result<Evaluated, EvalError> {
        let opened = self.open_here(&order.model)?;
        let original = self.original(order)?;
        let (named, texts) = self.texts(order, &opened)?;
        let threads = self.threads();
        let village = self.models().package(VILLAGE)?;
        let (floats, original, original_bits) = match &original {
            Original::Village => {
                let floats = Reference::read(&village.config, &[&village.weights])?;
                (floats, "the weights as they are published".to_owned(), 16.0)
            }
            Original::Found(place, found) => {
                let floats = Reference::stored(&found.config, found.weights())?;
                (floats, place.clone(), found.bits_of_a_weight())
            }
        };
        let mut floats = floats.on(&*threads);
        let integers = opened.model.vocabulary();
        if floats.vocabulary() != integers as usize {
            return Err(EvalError::OtherModel { floats: floats.vocabulary(), integers });
        }
        let mut integer = IntegerModel::new(opened.model.clone(), &*threads);
        let mut walk = Walk::new(&texts);
        let mut agreement = Agreement::default();
        for text in &texts {
            progress(walk.at());
            let text = std::slice::from_ref(text);
            agreement.add(&compare(&mut floats, &mut integer, text)?);
            walk.done += text[0].0.len();
        }
        progress(walk.at());
        let header = opened.model.header();
        Ok(Evaluated {
            model_id: opened.model.id().to_string(),
            profile: if header.profile == Profile::W8 { "w8" } else { "w4" },
            parameters: opened.model.parameters(),
            bits: bits_of_a_weight(header),
            original_bits,
            original,
            text: named,
            agreement,
        })
    }

    /// Where the floats of a model are.
    fn original(&self, order: &EvalOrder) -> Result<Original, EvalError> {
        let model = order.model.strip_suffix(":latest").unwrap_or(&order.model);
        let open = |place: &Path, name: &str| -> Result<Original, ModelError> {
            Ok(Original::Found(name.to_owned(), Box::new(Found::open(place)?)))
        };
        let place_of = |origin: &str| match origin.contains("://") {
            true => self.models().place(origin),
            false => Ok(PathBuf::from(origin)),
        };
        if let Some(original) = &order.original {
            return Ok(open(&place_of(original)?, original)?);
        }
        if model == VILLAGE {
            return Ok(Original::Village);
        }
        let place = self.models().place(model)?;
        let is_ours = place.extension().is_some_and(|kind| kind == "mutirao");
        match if is_ours { Err(None) } else { Found::open(&place).map_err(Some) } {
            Ok(found) => return Ok(Original::Found(model.to_owned(), Box::new(found))),
            Err(None | Some(PublishedError::NotAModel { .. })) => {}
            Err(Some(error)) => return Err(ModelError::from(error).into()),
        }
        let Some(origin) = origin(&place)? else {
            return Err(EvalError::NoOriginal { model: model.to_owned() });
        };
        place_of(&origin).and_then(|place| open(&place, &origin)).map_err(|error| EvalError::Gone {
            model: model.to_owned(),
            origin,
            why: error.to_string(),
        })
    }

    /// What the model is to predict, in words and in tokens.
    fn texts(&self, order: &EvalOrder, opened: &Here) -> Result<(String, Texts), EvalError> {
        if let Some(path) = &order.text {
            let context = opened.model.context() as usize;
            return Ok((path.display().to_string(), windows(path, order.tokens, opened, context)?));
        }
        let is_village = opened.name == VILLAGE;
        if !is_village {
            return Err(EvalError::NoText { model: order.model.clone() });
        }
        let each = (order.tokens / (TASKS.len() * LESSON_TOKENS)).max(1);
        let tokenizer = tokens::read(opened.model.tokenizer())?;
        let texts = right_texts(&tokenizer, &questions(SEED, each))?;
        Ok(("answers to held-out questions".to_owned(), texts))
    }
}

/// Where an imported model came from.
fn origin(place: &Path) -> Result<Option<String>, FileError> {
    let line = files::read_if_there(&place.join(ORIGIN_FILE), ORIGIN_BYTES_MAX)?;
    Ok(line.and_then(|line| String::from_utf8(line).ok()).map(|line| line.trim().to_owned()))
}

/// The beginning of a text, cut into windows, each behind the token that every conversation with
/// the model begins with: without it some models are at a loss.
fn windows(path: &Path, most: usize, opened: &Here, context: usize) -> Result<Texts, EvalError> {
    let bytes = (most as u64).saturating_mul(BYTES_TO_A_TOKEN).clamp(1 << 10, TEXT_BYTES_MAX);
    let text = files::read_beginning(path, bytes)?;
    let text = match std::str::from_utf8(&text) {
        Ok(text) => text,
        // The end may be in the middle of a letter.
        Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
    };
    let mut tokens: Vec<u32> = opened.text.encode(text)?.iter().map(|token| token.0).collect();
    tokens.truncate(most);
    if tokens.len() < 2 {
        return Err(EvalError::ShortText { tokens: tokens.len() });
    }
    let begins = begins(opened);
    let size = WINDOW_TOKENS.min(context.saturating_sub(begins.len())).max(1);
    let window = |tokens: &[u32]| ([&begins[..], tokens].concat(), 0);
    Ok(tokens.chunks(size).map(window).collect())
}

/// The first token of a conversation, whatever is said in it; none where that differs.
fn begins(opened: &Here) -> Vec<u32> {
    let first = |content: &str| {
        let said = Message { role: "user".into(), content: content.into() };
        let prompt = opened.text.prompt(&[said], None, None).ok()?;
        prompt.first().map(|token| token.0)
    };
    first("Good morning!").filter(|token| first("Why?") == Some(*token)).into_iter().collect()
}

/// Bits of a model file that are weights and their scales, over the weights.
fn bits_of_a_weight(header: &Header) -> f64 {
    let tensors = format::tensors(header);
    let bytes: usize = tensors.iter().flat_map(|tensor| tensor.kind.sections()).sum();
    let numbers: u64 = tensors.iter().map(|tensor| tensor.kind.numbers()).sum();
    bytes as f64 * 8.0 / numbers.max(1) as f64
}

/// How far a walk over texts is.
struct Walk {
    began: Instant,
    done: usize,
    all: usize,
}

impl Walk {
    fn new(texts: &Texts) -> Self {
        let all = texts.iter().map(|(text, _)| text.len()).sum();
        Self { began: Instant::now(), done: 0, all }
    }

    fn at(&self) -> EvalProgress {
        let (done, all) = (self.done, self.all);
        let rest = (all - done) as f64 / done.max(1) as f64;
        let left = (done > 0).then(|| self.began.elapsed().mul_f64(rest));
        EvalProgress { done, all, left }
    }
}

#[cfg(test)]
mod tests;

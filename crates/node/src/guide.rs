//! Introduces grammars to the engine: the text layer reads them, the engine asks what may follow.

use mutirao_engine::guide::{Allowed, Guide, Guides, NoGuide};
use mutirao_text::{Followed, GRAMMAR_ENGINE, Grammars, TextError, TextStack};
use mutirao_wire::Token;
use mutirao_wire::job::Constraint;
use std::sync::OnceLock;

/// The grammars of one model. They are prepared when the first job wants one.
#[derive(Debug)]
pub(crate) struct TextGuides {
    text: TextStack,
    /// The tokens that end a text.
    ends: Vec<Token>,
    grammars: OnceLock<Result<Grammars, TextError>>,
}

impl TextGuides {
    pub(crate) fn new(text: TextStack, ends: &[Token]) -> Self {
        Self { text, ends: ends.to_vec(), grammars: OnceLock::new() }
    }
}

fn no_guide(error: &TextError) -> NoGuide {
    NoGuide(error.to_string())
}

impl Guides for TextGuides {
    fn follow(&self, constraint: &Constraint) -> Result<Box<dyn Guide>, NoGuide> {
        let Constraint { engine, grammar } = constraint;
        if *engine != GRAMMAR_ENGINE {
            let why = format!("it is for grammar engine {engine}, here is {GRAMMAR_ENGINE}");
            return Err(NoGuide(why));
        }
        let grammars = self.grammars.get_or_init(|| self.text.grammars(&self.ends));
        let followed = grammars.as_ref().map_err(no_guide)?.follow(grammar);
        Ok(Box::new(Following(followed.map_err(|error| no_guide(&error))?)))
    }
}

#[derive(Debug)]
struct Following(Followed);

impl Guide for Following {
    fn allowed(&mut self) -> Result<Allowed, NoGuide> {
        self.0.allowed().map(Allowed::from_words).map_err(|error| no_guide(&error))
    }

    fn take(&mut self, token: Token) {
        self.0.take(token);
    }
}

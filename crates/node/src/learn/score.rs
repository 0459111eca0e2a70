//! The model card: exact match on held-out items, float weights beside the integer engine.

use super::LearnError;
use crate::assemble::Node;
use mutirao_learn::card::{Results, card, table};
use mutirao_learn::eval::{
    Agreement, IntegerModel, Reference, Scores, compare, questions, right_texts, score,
};
use mutirao_learn::train::Recipe;
use mutirao_learn::train::export::read_weights;
use mutirao_learn::village::{Example, tokens};

/// Every card asks the same questions.
const SEED: u64 = 1;

/// What to score.
#[derive(Debug, Clone)]
pub struct CardOrder {
    /// The model's name or directory.
    pub model: String,
    /// Held-out items per task.
    pub items: usize,
    /// Steps the model was trained for; the card says them.
    pub steps: u64,
}

/// How well a model answers.
#[derive(Debug, Clone)]
pub struct VillageCard {
    /// The id of the integer model.
    pub model_id: String,
    /// The table of exact matches.
    pub table: String,
    /// The whole card, for people.
    pub card: String,
    /// Mean exact match of the float weights, in thousandths.
    pub float_thousandths: u32,
    /// Mean exact match of the integer engine, in thousandths.
    pub integer_thousandths: u32,
    /// How far the predictions are apart.
    pub agreement: Agreement,
}

impl Node {
    /// Scores a village model. `wrong` sees each question that the integer engine missed, and what
    /// it said.
    ///
    /// # Errors
    /// [`LearnError`] when the model cannot be opened or is not of the village's shape.
    pub fn score_village(
        &self,
        order: &CardOrder,
        wrong: &mut dyn FnMut(&Example, &str),
    ) -> Result<VillageCard, LearnError> {
        let package = self.models().package(&order.model)?;
        let opened = self.open_here(&order.model)?;
        let tokenizer = tokens::read(&package.tokenizer)?;
        let recipe = Recipe::village(order.steps);
        // The card describes this shape, so a model of another one has none.
        read_weights(&recipe.shape, &package.weights)?;
        let threads = self.threads();
        let mut float = Reference::read(&package.config, &[&package.weights])?;
        let mut integer = IntegerModel::new(opened.model.clone(), &*threads);
        let asked = questions(SEED, order.items);
        let floats = score(&mut float, &tokenizer, &asked, &mut |_, _| {}).map_err(stopped)?;
        let integers = score(&mut integer, &tokenizer, &asked, wrong).map_err(stopped)?;
        let texts = right_texts(&tokenizer, &asked)?;
        let agreement = compare(&mut float, &mut integer, &texts).map_err(stopped)?;
        let id = opened.model.id().to_string();
        Ok(VillageCard::new(&recipe, id, [&floats, &integers], agreement))
    }
}

impl VillageCard {
    fn new(
        recipe: &Recipe,
        model_id: String,
        [float, integer]: [&Scores; 2],
        agreement: Agreement,
    ) -> Self {
        let results = Results { float, integer: Some(integer), agreement: Some(&agreement) };
        Self {
            model_id,
            table: table(&results),
            card: card(recipe, &results),
            float_thousandths: float.mean_thousandths(),
            integer_thousandths: integer.mean_thousandths(),
            agreement,
        }
    }
}

fn stopped(error: impl std::fmt::Display) -> LearnError {
    LearnError::Evaluation(error.to_string())
}

//! What a model makes of texts: computed here, whatever the level of privacy, and told as
//! directions.

use crate::ask::AskError;
use crate::assemble::Node;
use crate::mind::Opened;
use mutirao_gateway::{AskFailure, Embedded};
use mutirao_wire::{PeerKey, Token};

/// Its texts take of the memory for keys and values as jobs do.
const OWN: PeerKey = PeerKey([0; 32]);

impl Node {
    /// The directions of some texts, one after the other.
    pub(super) fn embed_texts(
        &self,
        model: &str,
        texts: &[String],
    ) -> Result<Embedded, AskFailure> {
        let opened = self.open(model).map_err(|error| super::failure(error.into()))?;
        let (mut vectors, mut tokens) = (Vec::new(), 0u32);
        for text in texts {
            let text = opened.mind().encode(text).map_err(refused)?;
            tokens = tokens.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
            vectors.push(self.embed_text(&opened, &text)?);
        }
        Ok(Embedded { vectors, tokens })
    }

    fn embed_text(&self, opened: &Opened, text: &[Token]) -> Result<Vec<f32>, AskFailure> {
        let (length, context) = (text.len(), opened.spec.context as usize);
        if length > context {
            let too_long = AskError::PromptTooLong { tokens: length, context };
            return Err(super::failure(too_long));
        }
        let bytes = length as u64 * opened.spec.position_bytes;
        let Some(_place) = self.places().take(OWN, bytes) else {
            let busy = "all memory for keys and values is taken; try again in a moment";
            return Err(AskFailure::Nobody(busy.to_owned()));
        };
        Ok(direction(&opened.mind().embed(text).map_err(refused)?))
    }
}

fn refused(error: crate::mind::MindError) -> AskFailure {
    super::failure(error.into())
}

/// Length 1, whatever the length was; one without a direction stays without.
fn direction(vector: &[i64]) -> Vec<f32> {
    let length = vector.iter().map(|number| (*number as f64).powi(2)).sum::<f64>().sqrt();
    vector.iter().map(|number| (*number as f64 / length.max(1.0)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_has_length_one_and_nothing_stays_nothing() {
        assert_eq!(direction(&[3, 0, -4]), [0.6, 0.0, -0.8]);
        assert_eq!(direction(&[0, 0]), [0.0, 0.0]);
    }
}

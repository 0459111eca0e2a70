//! The model card: what the model is, how it was made, and how well it answers.

use crate::eval::{Agreement, Scores};
use crate::train::Recipe;
use crate::village::TASKS;

/// What a card reports.
#[derive(Debug, Clone, Copy)]
pub struct Results<'a> {
    /// Exact match of the float weights.
    pub float: &'a Scores,
    /// Exact match of the integer engine, once it has run.
    pub integer: Option<&'a Scores>,
    /// How close the integer engine's predictions are to the float ones.
    pub agreement: Option<&'a Agreement>,
}

/// A share in thousandths, as people read it.
fn share(right: u32, asked: u32) -> String {
    if asked == 0 {
        return "-".to_owned();
    }
    let thousandths = (right * 1000 + asked / 2) / asked;
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// The table of exact matches, one line a task and the mean last.
#[must_use]
pub fn table(results: &Results<'_>) -> String {
    let mut text = "| task | asked | float | integer |\n|---|---|---|---|\n".to_owned();
    let column = |scores: Option<&Scores>, task| {
        scores.map_or_else(|| "-".to_owned(), |s| share(s.of(task).right, s.of(task).asked))
    };
    for task in TASKS {
        let asked = results.float.of(task).asked;
        let (float, integer) = (column(Some(results.float), task), column(results.integer, task));
        text.push_str(&format!("| {} | {asked} | {float} | {integer} |\n", task.name()));
    }
    let mean = |scores: &Scores| {
        let thousandths = scores.mean_thousandths();
        format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
    };
    let integer = results.integer.map_or_else(|| "-".to_owned(), mean);
    text.push_str(&format!("| **mean** | | **{}** | **{integer}** |\n", mean(results.float)));
    text
}

/// The whole card.
#[must_use]
pub fn card(recipe: &Recipe, results: &Results<'_>) -> String {
    let shape = &recipe.shape;
    let agreement = results.agreement.map_or_else(String::new, |agreement| {
        format!(
            "\nFloat against integer, over {} predictions of held-out answers: mean \
             KL(float‖integer) {:.6} nats, same first choice {:.4}.\n",
            agreement.positions,
            agreement.mean_divergence(),
            agreement.same_choice_share(),
        )
    });
    format!(
        "# Village\n\n\
         The small model that ships with Mutirão, so that a fresh machine answers without any \
         download. It knows a small closed world: sums, products, units, days, orders into JSON, \
         tool calls, lists and letters, some Portuguese, the twelve people of a village, and what \
         Mutirão is. Asked about anything else it says that it does not know.\n\n\
         Llama architecture, {} parameters: hidden {}, {} layers, feed-forward {}, {} query and {} \
         key-value heads of {}, vocabulary {}, tied head, bf16.\n\n\
         ## How it was made\n\n\
         By this project, from nothing: `learn::village` makes the lessons, `learn::train` learns \
         from them. {} steps of {} rows of up to {} tokens, seed {}. Anyone can make it again:\n\n\
         ```sh\n\
         cargo run --release -- learn village --steps {} --out village\n\
         cargo run --release -- learn card village/ --write CARD.md\n\
         ```\n\n\
         The same processor gives the same bytes, however many threads; another kind of processor \
         may round products differently. Conversations longer than {} tokens were never \
         seen in training.\n\n\
         ## How well it answers\n\n\
         Exact match on held-out items, greedy. Items are held out by a hash of their content, so \
         none was seen in training in any wording; facts to be known by heart (portuguese, \
         village, questions) are the exception. What others are made of (the tables up to ten, \
         small differences, number words that no rule gives) is always taught and never asked \
         here.\n\n\
         Some tasks were made easier, because a model of this size did not learn them from forty \
         million tokens: *where* follows one person from place to place (it was several people, \
         one of them to be looked up by name, .27), *spell* asks for words of the village (it was \
         strangers' names too, .68), *compare* names the first or the second of the two (it was \
         the number itself, .82), and *multiply* has one factor of at most ten (the teens with \
         one another were in it, .77). Sums of two numbers of three digits, products of two \
         numbers beyond ten, and divisions belong to *unknown*.\n\n\
         {}{agreement}",
        shape.parameters(),
        shape.hidden,
        shape.layers,
        shape.feed_forward,
        shape.heads,
        shape.shared_heads,
        shape.head_size,
        shape.vocabulary,
        recipe.steps,
        recipe.rows,
        recipe.row_tokens,
        recipe.seed,
        recipe.steps,
        recipe.row_tokens,
        table(results),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::village::Task;

    #[test]
    fn shares_are_rounded_to_thousandths() {
        assert_eq!(share(2, 3), "0.667");
        assert_eq!(share(100, 100), "1.000");
        assert_eq!(share(0, 0), "-");
    }

    #[test]
    fn the_table_has_a_line_for_every_task_and_the_mean_of_the_tasks() {
        let mut scores = Scores::default();
        for (index, task) in TASKS.into_iter().enumerate() {
            scores.record(task, index % 2 == 0);
        }
        let results = Results { float: &scores, integer: None, agreement: None };
        let text = table(&results);
        assert_eq!(text.lines().count(), TASKS.len() + 3);
        assert!(text.contains("| add | 1 | 1.000 | - |"), "{text}");
        assert!(text.contains("**0.500**"), "{text}");
        assert_eq!(scores.of(Task::Subtract).right, 0);
    }
}

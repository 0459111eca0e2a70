//! The village: a small closed world that makes its own lessons.
//!
//! Every answer is computed by the code that makes the question, so it is right by construction.
//! Items are held out by the hash of their *content* (operands, names, the fields of an order),
//! never of their wording, so a test item was not seen in training in any phrasing. Facts to be
//! known by heart are the exception: there is no second village to ask about, so they are in both
//! splits. And what the rest is made of (tables, small differences, number words that no rule
//! gives) is always taught and never asked in a test: nobody can work out "eleven".
//!
//! Weights and difficulties were chosen from measurements: short worked steps help (products,
//! days), long ones hurt, and a sum that is not written out is not done. Words to be copied are one
//! token wherever they stand. Answers follow from questions, stories too: what cannot be predicted
//! teaches nothing and disturbs the rest.

mod calendar;
pub mod chat;
mod numbers;
mod people;
mod story;
mod texts;
pub mod tokens;
mod unknown;
pub mod vocabulary;

#[cfg(test)]
mod tests;

use crate::dice::Dice;
pub use people::{Villager, villagers};

/// What the village can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each name is its own description; `Task::name` is what people see")]
pub enum Task {
    Add,
    Subtract,
    Multiply,
    Compare,
    Words,
    Unit,
    Day,
    WordProblem,
    Where,
    Extract,
    Tool,
    List,
    Spell,
    Portuguese,
    Village,
    Story,
    Questions,
    Unknown,
}

/// All tasks, in the order in which they are reported.
pub const TASKS: [Task; 18] = [
    Task::Add,
    Task::Subtract,
    Task::Multiply,
    Task::Compare,
    Task::Words,
    Task::Unit,
    Task::Day,
    Task::WordProblem,
    Task::Where,
    Task::Extract,
    Task::Tool,
    Task::List,
    Task::Spell,
    Task::Portuguese,
    Task::Village,
    Task::Story,
    Task::Questions,
    Task::Unknown,
];

impl Task {
    /// The name in tables and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Compare => "compare",
            Self::Words => "words",
            Self::Unit => "unit",
            Self::Day => "day",
            Self::WordProblem => "word-problem",
            Self::Where => "where",
            Self::Extract => "extract",
            Self::Tool => "tool",
            Self::List => "list",
            Self::Spell => "spell",
            Self::Portuguese => "portuguese",
            Self::Village => "village",
            Self::Story => "story",
            Self::Questions => "questions",
            Self::Unknown => "unknown",
        }
    }

    /// The task of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TASKS.into_iter().find(|task| task.name() == name)
    }

    /// How often the task comes up in training, relative to the others.
    const fn weight(self) -> u32 {
        match self {
            Self::Unknown | Self::List => 34,
            Self::Add | Self::Multiply => 32,
            Self::Subtract => 28,
            Self::Compare => 24,
            Self::Unit | Self::Extract => 22,
            Self::Spell => 20,
            Self::Tool | Self::WordProblem => 18,
            Self::Words => 14,
            Self::Where | Self::Day => 12,
            Self::Village | Self::Questions => 10,
            Self::Portuguese | Self::Story => 8,
        }
    }

    fn make(self, dice: &mut Dice) -> Item {
        match self {
            Self::Add => numbers::add(dice),
            Self::Subtract => numbers::subtract(dice),
            Self::Multiply => numbers::multiply(dice),
            Self::Compare => numbers::compare(dice),
            Self::Words => numbers::words(dice),
            Self::Unit => numbers::unit(dice),
            Self::Day => calendar::day(dice),
            Self::WordProblem => texts::word_problem(dice),
            Self::Where => texts::whereabouts(dice),
            Self::Extract => texts::extract(dice),
            Self::Tool => texts::tool(dice),
            Self::List => texts::list(dice),
            Self::Spell => texts::spell(dice),
            Self::Portuguese => people::portuguese(dice),
            Self::Village => people::village(dice),
            Self::Story => story::story(dice),
            Self::Questions => people::questions(dice),
            Self::Unknown => unknown::unknown(dice),
        }
    }
}

/// Which items may be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Everything but what is held out.
    Train,
    /// Only what is held out, one item in twenty by content hash, and facts.
    Test,
}

/// One question with its right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// What kind of question it is.
    pub task: Task,
    /// What the user says.
    pub user: String,
    /// What the assistant should say.
    pub assistant: String,
}

impl Example {
    /// True if `answer` is right: every answer follows from its question.
    #[must_use]
    pub fn accepts(&self, answer: &str) -> bool {
        answer == self.assistant
    }
}

/// A made item before it is known whether it is held out.
struct Item {
    key: String,
    user: String,
    assistant: String,
    standing: Standing,
}

/// Which side of the split an item is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The hash of its content decides.
    ByContent,
    /// It can only be memorised, so it is on both sides.
    ByHeart,
    /// Others are made of it, so it is always taught and never asked.
    Taught,
}

impl Item {
    fn new(key: String, user: String, assistant: String) -> Self {
        Self { key, user, assistant, standing: Standing::ByContent }
    }

    /// Marks a fact that can only be memorised.
    fn memorised(self) -> Self {
        Self { standing: Standing::ByHeart, ..self }
    }

    /// Marks what others are made of.
    fn taught_if(self, basic: bool) -> Self {
        if basic { Self { standing: Standing::Taught, ..self } } else { self }
    }

    fn belongs_to(&self, split: Split) -> bool {
        match self.standing {
            Standing::ByContent => is_held_out(&self.key) == (split == Split::Test),
            Standing::ByHeart => true,
            Standing::Taught => split == Split::Train,
        }
    }
}

/// True for one content key in twenty.
#[must_use]
pub fn is_held_out(key: &str) -> bool {
    let digest = mutirao_wire::Digest::of("mutirao village held out 1", &[key.as_bytes()]);
    let head = digest.0.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    head % 20 == 0
}

/// One of several wordings.
fn ask(dice: &mut Dice, wordings: &[String]) -> String {
    dice.pick(wordings).clone()
}

fn draw_task(dice: &mut Dice) -> Task {
    let total: u32 = TASKS.iter().map(|task| task.weight()).sum();
    let mut ticket = dice.below(total);
    for task in TASKS {
        if ticket < task.weight() {
            return task;
        }
        ticket -= task.weight();
    }
    Task::Add
}

/// Draws an example of the task, or of any task by weight, from one side of the split.
pub fn sample(dice: &mut Dice, task: Option<Task>, split: Split) -> Example {
    loop {
        let drawn = task.unwrap_or_else(|| draw_task(dice));
        let item = drawn.make(dice);
        if item.belongs_to(split) {
            return Example { task: drawn, user: item.user, assistant: item.assistant };
        }
    }
}

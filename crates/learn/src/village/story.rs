//! Stories: the long answers. The teller chooses freely, so an answer is judged by its structure.

use super::vocabulary::{ANIMALS, PLACES, THINGS, capital, name, with_article};
use super::{Item, ask};
use crate::dice::Dice;

const NEEDS: [&str; 8] = [
    "cross the river",
    "reach the roof",
    "find the way home",
    "wake the village",
    "carry water",
    "light the dark path",
    "mend the fence",
    "bring the harvest in",
];
const MORALS: [&str; 5] = [
    "Many hands make the work light.",
    "What one cannot lift, two can.",
    "Ask, and someone will help.",
    "A shared bread feeds more.",
    "Slow work done together is soon done.",
];
const FAULTS: [&str; 4] = ["heavy", "old", "small", "far away"];
const WORDS_SAID: [&str; 3] = ["Let us try together", "I can help", "We are two now"];
const UNTIL: [&str; 4] = ["noon", "evening", "the rain stopped", "the moon rose"];

pub(super) fn story(dice: &mut Dice) -> Item {
    let pair = dice.several(&ANIMALS, 2);
    let (first, second, thing) = (pair[0], pair[1], *dice.pick(&THINGS));
    let hero = name(dice, 30);
    let mut friend = name(dice, 30);
    while friend == hero {
        friend = name(dice, 30);
    }
    let (a_first, a_thing) = (with_article(first), with_article(thing));
    let user = ask(
        dice,
        &[
            format!("Tell me a story about {a_first} and {a_thing}."),
            format!("Write a short story with {a_first} and {a_thing}."),
        ],
    );
    let (need, place, fault) = (dice.pick(&NEEDS), dice.pick(&PLACES), dice.pick(&FAULTS));
    let (said, until, moral) = (dice.pick(&WORDS_SAID), dice.pick(&UNTIL), dice.pick(&MORALS));
    let a_second = with_article(second);
    let text = format!(
        "Once there was {a_first} called {hero} who found {a_thing} by the {place}. {hero} wanted \
         to {need}, but the {thing} was too {fault} for one {first}. Then {a_second} called \
         {friend} came by. \"{said},\" said {friend}. They worked until {until}, and at last they \
         could {need}. {moral}"
    );
    Item::new(format!("story {first} {thing}"), user, text)
}

/// The text between two marks, and what comes after the second.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(open)?.split_once(close)
}

/// True if `answer` is a whole story about the animal and the thing that `question` asks for:
/// every sentence there, every choice one of the known ones, names and purpose kept throughout.
pub(super) fn is_story(question: &str, answer: &str) -> bool {
    follow(question, answer).is_some()
}

fn follow(question: &str, answer: &str) -> Option<()> {
    let asked = question.trim_end_matches('.').split_once(" story ")?.1;
    let (a_first, a_thing) = asked.split_once(' ')?.1.split_once(" and ")?;
    let (first, thing) = (a_first.split_once(' ')?.1, a_thing.split_once(' ')?.1);
    let (hero, rest) = between(answer, &format!("Once there was {a_first} called "), " who ")?;
    let (place, rest) = between(rest, &format!("found {a_thing} by the "), ". ")?;
    let (need, rest) = between(rest, &format!("{hero} wanted to "), ", but ")?;
    let (fault, rest) = between(rest, &format!("the {thing} was too "), " for one ")?;
    let (second, rest) = between(rest, &format!("{first}. Then "), " called ")?;
    let (friend, rest) = rest.split_once(" came by. ")?;
    let (said, rest) = between(rest, "\"", ",\" said ")?;
    let (until, rest) = between(rest, &format!("{friend}. They worked until "), ", and at last ")?;
    let moral = rest.strip_prefix(&format!("they could {need}. "))?;
    let second = second.split_once(' ')?.1;
    let known = ANIMALS.contains(&second) && PLACES.contains(&place) && NEEDS.contains(&need);
    let said_well = FAULTS.contains(&fault) && WORDS_SAID.contains(&said) && UNTIL.contains(&until);
    let named = capital(hero) == hero && capital(friend) == friend && hero != friend;
    (known && said_well && named && MORALS.contains(&moral) && second != first).then_some(())
}

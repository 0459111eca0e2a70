//! Stories: the long answers. An animal brings its name, its friend and its moral, a thing brings
//! its place and its trouble, so that a story nobody told can still be told rightly.

use super::vocabulary::{ANIMALS, THINGS, with_article};
use super::{Item, ask};
use crate::dice::Dice;

/// What each of [`ANIMALS`] is called.
const CALLED: [&str; ANIMALS.len()] = [
    "Rita", "Hugo", "Nina", "Otto", "Mila", "Saulo", "Olga", "Dora", "Bento", "Vera", "Gil", "Lia",
    "Leo", "Paula", "Igor", "Maya",
];
/// The animal that comes to help is this far down the list.
const FRIEND: usize = 5;
const MORALS: [&str; 4] = [
    "Many hands make the work light.",
    "What one cannot lift, two can.",
    "Ask, and someone will help.",
    "A shared bread feeds more.",
];
const WORDS_SAID: [&str; 3] = ["Let us try together", "I can help", "We are two now"];
const MEALS: [&str; 4] = ["soup and bread", "rice and beans", "fish and lemons", "cake and honey"];
const UNTIL: [&str; 3] = ["noon", "evening", "the moon rose"];

/// Of each of [`THINGS`]: where it is found, what is wrong with it, what it is wanted for.
const TROUBLES: [(&str, &str, &str); THINGS.len()] = [
    ("garden", "deep", "carry water to the village"),
    ("mill", "dark", "light the path"),
    ("river", "old", "cross the river"),
    ("barn", "small", "bring the harvest in"),
    ("square", "heavy", "wake the village"),
    ("school", "large", "reach the clouds"),
    ("harbour", "heavy", "cross the sea"),
    ("bakery", "high", "see the road"),
    ("chapel", "heavy", "call the neighbours"),
    ("library", "rusty", "open the gate"),
    ("market", "heavy", "bring the bread home"),
    ("orchard", "long", "reach the roof"),
    ("kitchen", "old", "find the way home"),
    ("workshop", "heavy", "mend the cart"),
    ("well", "heavy", "build the wall"),
];

/// The story of animal number `animal` and thing number `thing`.
fn tell(animal: usize, thing: usize) -> String {
    let friend = (animal + FRIEND) % ANIMALS.len();
    let (first, second, object) = (ANIMALS[animal], ANIMALS[friend], THINGS[thing]);
    let (hero, helper) = (CALLED[animal], CALLED[friend]);
    let (place, fault, need) = TROUBLES[thing];
    let (said, until) = (WORDS_SAID[friend % 3], UNTIL[thing % 3]);
    format!(
        "Once there was {} called {hero} who found {} by the {place}. {hero} wanted to {need}, \
         but the {object} was too {fault} for one {first}. Then {} called {helper} came by. \
         \"{said},\" said {helper}. They worked together until {until}, and at last they could \
         {need}. The neighbours came to see it and brought {}. {}",
        with_article(first),
        with_article(object),
        with_article(second),
        MEALS[friend % 4],
        MORALS[animal % 4],
    )
}

pub(super) fn story(dice: &mut Dice) -> Item {
    let animal = dice.below(ANIMALS.len() as u32) as usize;
    let a_first = with_article(ANIMALS[animal]);
    if dice.chance(15) {
        let thing = animal % THINGS.len();
        let user = ask(
            dice,
            &[
                format!("Tell me a story about {a_first}."),
                format!("Write a story with {a_first}."),
            ],
        );
        let key = format!("story {} {}", ANIMALS[animal], THINGS[thing]);
        return Item::new(key, user, tell(animal, thing)).taught_if(true);
    }
    let thing = dice.below(THINGS.len() as u32) as usize;
    let a_thing = with_article(THINGS[thing]);
    let user = ask(
        dice,
        &[
            format!("Tell me a story about {a_first} and {a_thing}."),
            format!("Write a short story with {a_first} and {a_thing}."),
        ],
    );
    // The story that an animal has when no thing is named is taught, so it cannot be a test.
    let known = thing == animal % THINGS.len();
    let key = format!("story {} {}", ANIMALS[animal], THINGS[thing]);
    Item::new(key, user, tell(animal, thing)).taught_if(known)
}

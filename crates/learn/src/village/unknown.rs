//! What the village does not know, and says so.
//!
//! A small model answers whatever it is asked: nothing in it says "this is strange" unless that was
//! taught. So this task is wider than any other: the great world outside, words that nobody ever
//! said, people who do not live here, sums that are too large, units and languages it never met.
//! Many of the questions are a known question with one thing in it that is not known: those draw
//! the border.

use super::people::JOBS;
use super::vocabulary::{ANIMALS, NAMES, PLACES, PORTUGUESE, THINGS, capital, name, with_article};
use super::{Item, ask};
use crate::dice::Dice;

/// The answer to what it was never taught.
const UNKNOWN: &str = "I do not know that. I am a very small model; ask me what I can do.";
/// The same to those who ask in Portuguese.
const DESCONHECIDO: &str = "Não sei. Sou um modelo bem pequeno.";

const SUBJECTS: [&str; 40] = [
    "king",
    "queen",
    "president",
    "capital",
    "population",
    "history",
    "price",
    "colour",
    "owner",
    "captain",
    "father",
    "weather",
    "meaning",
    "best song",
    "largest city",
    "language",
    "boiling point",
    "melting point",
    "speed",
    "height",
    "weight",
    "temperature",
    "flag",
    "national anthem",
    "author",
    "inventor",
    "director",
    "mayor",
    "age",
    "size",
    "shape",
    "taste",
    "purpose",
    "formula",
    "cause",
    "symbol",
    "currency",
    "religion",
    "highest mountain",
    "longest river",
];
const TOPICS: [&str; 64] = [
    "France",
    "Japan",
    "the moon",
    "Brazil",
    "London",
    "Mars",
    "the ocean",
    "Rome",
    "love",
    "gold",
    "China",
    "football",
    "Egypt",
    "physics",
    "music",
    "Canada",
    "India",
    "chess",
    "the internet",
    "Spain",
    "tungsten",
    "iron",
    "oxygen",
    "water vapour",
    "electricity",
    "gravity",
    "light speed",
    "the sun",
    "the earth",
    "Jupiter",
    "Africa",
    "Europe",
    "America",
    "Germany",
    "Italy",
    "Portugal",
    "Paris",
    "New York",
    "Tokyo",
    "Berlin",
    "Lisbon",
    "Einstein",
    "Shakespeare",
    "Newton",
    "Mozart",
    "Picasso",
    "Python",
    "Rust",
    "Linux",
    "Bitcoin",
    "Google",
    "a computer",
    "a car",
    "an aeroplane",
    "a dinosaur",
    "an elephant",
    "a tiger",
    "a whale",
    "history",
    "philosophy",
    "the economy",
    "democracy",
    "the weather",
    "time",
];
/// What people do with topics; no lesson tells how.
const DEEDS: [&str; 24] = [
    "draw",
    "paint",
    "explain",
    "cook",
    "sell",
    "win",
    "visit",
    "describe",
    "fix",
    "measure",
    "invent",
    "sing about",
    "build",
    "install",
    "learn",
    "buy",
    "summarise",
    "define",
    "compare",
    "hack",
    "repair",
    "grow",
    "clean",
    "find out about",
];
const WORKS: [&str; 16] = [
    "a poem",
    "an essay",
    "a song",
    "a joke",
    "a letter",
    "an email",
    "a program",
    "a script",
    "a recipe",
    "a function",
    "a summary",
    "a speech",
    "a book",
    "a haiku",
    "a riddle",
    "a report",
];
/// Jobs that nobody in the village does.
const STRANGE_JOBS: [&str; 16] = [
    "plumber", "lawyer", "pilot", "king", "judge", "dentist", "painter", "singer", "driver",
    "soldier", "nurse", "engineer", "mayor", "hunter", "tailor", "captain",
];
/// Units the village does not use.
const STRANGE_UNITS: [&str; 16] = [
    "miles", "feet", "inches", "yards", "pounds", "ounces", "gallons", "pints", "acres", "dollars",
    "euros", "cents", "degrees", "volts", "watts", "calories",
];
const KNOWN_UNITS: [&str; 8] =
    ["metres", "kilometres", "grams", "litres", "hours", "minutes", "days", "months"];
const LANGUAGES: [&str; 10] = [
    "German", "French", "Spanish", "Italian", "Japanese", "Chinese", "Latin", "Russian", "Arabic",
    "Dutch",
];
/// What stories could be about elsewhere.
const STRANGE_HEROES: [&str; 24] = [
    "dragon", "robot", "wizard", "princess", "pirate", "ghost", "knight", "whale", "elephant",
    "tiger", "lion", "monkey", "horse", "bear", "wolf", "snake", "spider", "shark", "penguin",
    "unicorn", "giant", "king", "child", "computer",
];
const MOODS: [&str; 16] = [
    "sad", "happy", "tired", "hungry", "bored", "angry", "ill", "lost", "in love", "afraid",
    "lonely", "cold", "late", "busy", "rich", "alone",
];
/// Whole questions, each a thing of its own.
const WHOLE: [&str; 40] = [
    "What time is it?",
    "What is the weather like today?",
    "What is the date today?",
    "Who won the last world cup?",
    "Is there a god?",
    "What is the meaning of life?",
    "How do I get rich?",
    "Can you help me with my homework?",
    "Are you a human?",
    "Do you have feelings?",
    "Are you alive?",
    "How old are you?",
    "Where are you from?",
    "Who made you?",
    "What do you like?",
    "Do you love me?",
    "Sing me a song.",
    "Tell me a joke.",
    "Say something funny.",
    "Play a game with me.",
    "What should I eat today?",
    "What should I do?",
    "Give me some advice.",
    "Fix my code.",
    "Why is the sky blue?",
    "Why is the grass green?",
    "How many stars are there?",
    "How many people live on earth?",
    "What is the largest number?",
    "What is pi?",
    "Is the earth flat?",
    "Who is right?",
    "What happened yesterday?",
    "What will happen tomorrow?",
    "Who will win the election?",
    "Open the door.",
    "Turn on the light.",
    "Call my mother.",
    "Book me a flight.",
    "Order me a pizza.",
];
/// Whole questions in Portuguese.
const INTEIRAS: [&str; 24] = [
    "Que horas são?",
    "Como está o tempo?",
    "Qual é a capital do Brasil?",
    "Quem descobriu o Brasil?",
    "Você gosta de música?",
    "Conte uma história.",
    "Conte uma piada.",
    "Escreva um poema.",
    "Quantos anos você tem?",
    "Onde fica Lisboa?",
    "Quem é o presidente do Brasil?",
    "O que é o amor?",
    "O que é física?",
    "Como faço um bolo?",
    "Qual é a maior cidade do mundo?",
    "Por que o céu é azul?",
    "O que devo fazer?",
    "Você está vivo?",
    "Quem ganhou a copa?",
    "Me ajude com a lição.",
    "Quanto custa um carro?",
    "Qual é o sentido da vida?",
    "Onde você mora?",
    "O que é um computador?",
];
const ONSETS: [&str; 24] = [
    "b", "br", "c", "ch", "d", "dr", "f", "g", "gl", "h", "j", "k", "l", "m", "n", "p", "qu", "r",
    "s", "st", "t", "v", "w", "z",
];
const VOWELS: [&str; 8] = ["a", "e", "i", "o", "u", "ee", "ai", "ou"];
const CODAS: [&str; 14] = ["", "", "", "n", "r", "s", "l", "t", "m", "ck", "x", "ng", "st", "d"];

/// A word nobody ever said, so that strange words as such mean "unknown".
fn made_up(dice: &mut Dice) -> String {
    let syllables = dice.between(2, 4);
    let mut word = String::new();
    for _ in 0..syllables {
        for parts in [&ONSETS[..], &VOWELS, &CODAS] {
            word.push_str(dice.pick::<&str>(parts));
        }
    }
    if dice.chance(40) { capital(&word) } else { word }
}

/// Something outside: of the great world, or made up.
fn topic(dice: &mut Dice) -> String {
    if dice.chance(50) { made_up(dice) } else { (*dice.pick(&TOPICS)).to_owned() }
}

/// What a question is about, by which it is held out, and its words.
struct Asked {
    content: String,
    words: String,
}

fn asked(dice: &mut Dice, content: &str, wordings: &[String]) -> Asked {
    Asked { content: content.to_owned(), words: ask(dice, wordings) }
}

fn property(dice: &mut Dice) -> Asked {
    let (subject, topic) = (*dice.pick(&SUBJECTS), topic(dice));
    let wordings = [
        format!("Who is the {subject} of {topic}?"),
        format!("What is the {subject} of {topic}?"),
        format!("What's the {subject} of {topic}?"),
        format!("Tell me the {subject} of {topic}."),
        format!("Why does {topic} have a {subject}?"),
        format!("Who was the first {subject} of {topic}?"),
        format!("Do you know the {subject} of {topic}?"),
    ];
    asked(dice, &format!("{subject} {topic}"), &wordings)
}

fn about(dice: &mut Dice) -> Asked {
    let (topic, other) = (topic(dice), topic(dice));
    let wordings = [
        format!("What is {topic}?"),
        format!("Who is {topic}?"),
        format!("Where is {topic}?"),
        format!("Tell me about {topic}."),
        format!("When did {topic} begin?"),
        format!("Why is {topic} so important?"),
        format!("How does {topic} work?"),
        format!("How tall is {topic}?"),
        format!("How many people know {topic}?"),
        format!("Do you like {topic}?"),
        format!("Is {topic} better than {other}?"),
        format!("How far is it from {topic} to {other}?"),
        format!("I want to talk about {topic}."),
        topic.clone(),
    ];
    asked(dice, &format!("about {topic}"), &wordings)
}

fn deed(dice: &mut Dice) -> Asked {
    let (topic, deed, work) = (topic(dice), *dice.pick(&DEEDS), *dice.pick(&WORKS));
    let wordings = [
        format!("How do I {deed} {topic}?"),
        format!("Can you {deed} {topic}?"),
        format!("Please {deed} {topic}."),
        format!("Write {work} about {topic}."),
        format!("Can you write {work} about {topic}?"),
    ];
    asked(dice, &format!("do {topic}"), &wordings)
}

/// Somebody who does not live in the village.
fn stranger(dice: &mut Dice) -> Asked {
    let who = match dice.below(3) {
        0 => (*dice.pick(&NAMES[JOBS.len()..])).to_owned(),
        1 => format!("the {}", dice.pick(&STRANGE_JOBS)),
        _ => name(dice, 100),
    };
    let wordings = [
        format!("What does {who} do?"),
        format!("What colour is {who}'s house?"),
        format!("What pet does {who} have?"),
        format!("Where does {who} live?"),
        format!("How old is {who}?"),
        format!("What does {who} like to eat?"),
        format!("Who is {who}?"),
        format!("Who is {who}'s best friend?"),
        format!("Is {who} married?"),
    ];
    asked(dice, &format!("person {who}"), &wordings)
}

/// Two numbers of which at least one is larger than any that is taught.
fn large_numbers(dice: &mut Dice) -> (u32, u32) {
    match dice.below(4) {
        0 | 1 => (dice.between(100, 999), dice.between(100, 999)),
        2 => (dice.between(1000, 99_999), dice.between(2, 99_999)),
        _ => (dice.between(100, 9999), dice.between(100, 9999)),
    }
}

fn too_large(dice: &mut Dice) -> Asked {
    if dice.chance(30) {
        let (a, b) = (dice.between(11, 99), dice.between(11, 99));
        let wordings =
            [format!("What is {a} x {b}?"), format!("{a} * {b}"), format!("Multiply {a} by {b}.")];
        return asked(dice, &format!("product {a} {b}"), &wordings);
    }
    let (a, mut b) = large_numbers(dice);
    let sign = *dice.pick(&["+", "-", "x", "*", "plus", "minus", "times"]);
    if !matches!(sign, "+" | "plus") && dice.chance(30) {
        b = dice.between(2, 99);
    }
    let wordings = [
        format!("What is {a} {sign} {b}?"),
        format!("{a} {sign} {b}"),
        format!("How much is {a} {sign} {b}?"),
        format!("Calculate {a} {sign} {b}."),
    ];
    asked(dice, &format!("large {a} {b}"), &wordings)
}

/// Ways to reckon that nobody taught.
fn reckoning(dice: &mut Dice) -> Asked {
    let (n, by) = (dice.between(1, 200), dice.between(2, 20));
    let wordings = [
        format!("What is {n} / {by}?"),
        format!("What is {n} divided by {by}?"),
        format!("Divide {n} by {by}."),
        format!("{n}/{by}"),
        format!("What is the square root of {n}?"),
        format!("What is {by} percent of {n}?"),
        format!("Is {n} a prime number?"),
        format!("What is {n} to the power of {by}?"),
    ];
    asked(dice, &format!("reckon {n} {by}"), &wordings)
}

fn strange_word(dice: &mut Dice) -> Asked {
    let word = made_up(dice);
    let wordings = [
        format!("How do you say {word} in Portuguese?"),
        format!("What does {word} mean in English?"),
        format!("Translate {word} to English."),
        format!("What does {word} mean?"),
        format!("Spell {word}."),
        format!("How do you spell {word}?"),
        format!("How many letters are in {word}?"),
        format!("Tell me a story about {}.", with_article(&word.to_lowercase())),
    ];
    asked(dice, &format!("word {word}"), &wordings)
}

fn strange_language(dice: &mut Dice) -> Asked {
    let ((known, _), language) = (*dice.pick(&PORTUGUESE), *dice.pick(&LANGUAGES));
    let wordings = [
        format!("How do you say {known} in {language}?"),
        format!("Translate {known} to {language}."),
    ];
    asked(dice, &format!("{known} {language}"), &wordings)
}

fn strange_unit(dice: &mut Dice) -> Asked {
    let (unit, other) = (*dice.pick(&STRANGE_UNITS), *dice.pick(&KNOWN_UNITS));
    let n = dice.between(1, 60);
    let wordings = [
        format!("How many {unit} are in {n} {other}?"),
        format!("How many {other} are in {n} {unit}?"),
        format!("Convert {n} {unit} to {other}."),
    ];
    asked(dice, &format!("{unit} {other} {n}"), &wordings)
}

fn strange_hero(dice: &mut Dice) -> Asked {
    let (hero, thing) = (*dice.pick(&STRANGE_HEROES), *dice.pick(&THINGS));
    let (first, second) = (with_article(hero), with_article(thing));
    let wordings = [
        format!("Tell me a story about {first}."),
        format!("Write a story with {first}."),
        format!("Tell me a story about {first} and {second}."),
        format!("Write a short story with {first} and {second}."),
    ];
    asked(dice, &format!("hero {hero}"), &wordings)
}

/// What people say that is not a question the village has an answer to.
fn small_talk(dice: &mut Dice) -> Asked {
    let (animal, place, mood) = (*dice.pick(&ANIMALS), *dice.pick(&PLACES), *dice.pick(&MOODS));
    let wordings = [
        format!("I am {mood}."),
        format!("I feel {mood} today."),
        format!("Why am I {mood}?"),
        format!("My {animal} is {mood}."),
        format!("Is the {place} {mood}?"),
        format!("Why is the {animal} {mood}?"),
    ];
    asked(dice, &format!("mood {mood}"), &wordings)
}

/// Whole sentences are each a thing of their own, with no second one like it, so none is a test.
fn whole(dice: &mut Dice) -> Item {
    let (sentences, answer) =
        if dice.chance(60) { (&WHOLE[..], UNKNOWN) } else { (&INTEIRAS[..], DESCONHECIDO) };
    let user = (*dice.pick(sentences)).to_owned();
    Item::new(format!("unknown {user}"), user, answer.to_owned()).taught_if(true)
}

/// A question that nothing else in the village answers.
pub(super) fn unknown(dice: &mut Dice) -> Item {
    let Asked { content, words } = match dice.below(20) {
        0..=2 => property(dice),
        3..=5 => about(dice),
        6 => deed(dice),
        7 | 8 => stranger(dice),
        9 | 10 => too_large(dice),
        11 => reckoning(dice),
        12 | 13 => strange_word(dice),
        14 => strange_language(dice),
        15 => strange_unit(dice),
        16 => strange_hero(dice),
        17 => small_talk(dice),
        _ => return whole(dice),
    };
    Item::new(format!("unknown {content}"), words, UNKNOWN.to_owned())
}

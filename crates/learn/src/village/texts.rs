//! Reading: small word problems, who is where, orders into JSON, tool calls, lists and spelling.

use super::vocabulary::{ANIMALS, DAYS, GOODS, NAMES, PLACES, UNITS, WORDS, name};
use super::{Item, ask};
use crate::dice::Dice;
use serde_json::json;

pub(super) fn word_problem(dice: &mut Dice) -> Item {
    let who = name(dice, 30);
    let (a, b) = (dice.between(2, 30), dice.between(1, 20));
    let (less, goods) = (b.min(a), *dice.pick(&GOODS));
    let kind = dice.below(4);
    let second = if matches!(kind, 0 | 2) { b } else { less };
    let key = format!("problem {kind} {a} {second} {goods}");
    let (user, assistant) = match kind {
        0 => (
            format!(
                "{who} has {a} {goods} and gets {b} more. How many {goods} does {who} have now?"
            ),
            format!("{a} + {b} = {}. {who} has {} {goods}.", a + b, a + b),
        ),
        1 => (
            format!(
                "{who} has {a} {goods} and gives away {less}. How many {goods} does {who} have now?"
            ),
            format!("{a} - {less} = {}. {who} has {} {goods}.", a - less, a - less),
        ),
        2 => {
            let other = name(dice, 30);
            (
                format!(
                    "{who} picks {a} {goods} and {other} picks {b}. How many {goods} do they have \
                     together?"
                ),
                format!("{a} + {b} = {}. They have {} {goods}.", a + b, a + b),
            )
        }
        _ => (
            format!(
                "There were {a} {goods}. {who} took {less} of them. How many {goods} are left?"
            ),
            format!("{a} - {less} = {}. There are {} {goods} left.", a - less, a - less),
        ),
    };
    Item::new(key, user, assistant)
}

/// Where somebody is, was first, and was before that: one person goes from place to place. Several
/// people at once, each to be looked up by name, is what a model of this size did not learn: after
/// forty million tokens it had .27 of them right. The answer says first which of the three it is.
pub(super) fn whereabouts(dice: &mut Dice) -> Item {
    let (who, count) = (name(dice, 30), dice.between(2, 4) as usize);
    let stops = dice.several(&PLACES, count);
    let kind = dice.below(3) as usize;
    let place = [stops[count - 1], stops[0], stops[count - 2]][kind];
    let (asked, said) = [
        (format!("Where is {who} now?"), format!("Now {who} is in the {place}.")),
        (format!("Where was {who} first?"), format!("First {who} was in the {place}.")),
        (format!("Where was {who} before that?"), format!("Before that {who} was in the {place}.")),
    ][kind]
        .clone();
    let told = ask(dice, &journeys(&who, &stops));
    Item::new(format!("where {kind} {}", stops.join(" ")), format!("{told} {asked}"), said)
}

/// A way through the places, told in several ways.
fn journeys(who: &str, stops: &[&str]) -> [String; 3] {
    let (start, rest) = (stops[0], &stops[1..]);
    let joined = |between: &str| rest.join(between);
    let again = format!(". {who} went to the ");
    [
        format!("{who} was in the {start}, then went to the {}.", joined(", then to the ")),
        format!("{who} went from the {start} to the {}.", joined(" and then to the ")),
        format!("{who} was in the {start}. {who} went to the {}.", joined(&again)),
    ]
}

pub(super) fn extract(dice: &mut Dice) -> Item {
    let (quantity, unit) = (dice.between(1, 99), *dice.pick(&UNITS));
    let (item, to, day) = (*dice.pick(&GOODS), name(dice, 30), *dice.pick(&DAYS));
    let order = ask(
        dice,
        &[
            format!("Please send {quantity} {unit} of {item} to {to} on {day}."),
            format!("{to} needs {quantity} {unit} of {item} by {day}."),
            format!("On {day}, deliver {quantity} {unit} of {item} to {to}."),
            format!(
                "Hello, {to} here. I would like {quantity} {unit} of {item} for {day}, thanks!"
            ),
            format!("Order for {to}: {item}, {quantity} {unit}, {day}."),
        ],
    );
    let before = *dice.pick(&["Extract the order: ", "Order to JSON: ", "JSON: "]);
    let answer = json!({"item": item, "quantity": quantity, "unit": unit, "to": to, "day": day});
    Item::new(
        format!("extract {quantity} {unit} {item} {to} {day}"),
        format!("{before}{order}"),
        answer.to_string(),
    )
}

pub(super) fn tool(dice: &mut Dice) -> Item {
    let (amount, who) = (dice.between(1, 500), name(dice, 30));
    let (day, goods) = (*dice.pick(&DAYS), *dice.pick(&GOODS));
    let (wordings, call) = match dice.below(10) {
        0..=2 => (
            vec![
                format!("Pay {amount} tijolos to {who}."),
                format!("Send {who} {amount} tijolos."),
                format!("Please transfer {amount} tijolos to {who}."),
            ],
            json!({"tool": "pay", "to": who, "amount": amount}),
        ),
        3 => (
            vec![
                "How many tijolos do I have?".to_owned(),
                "Show my balance.".to_owned(),
                "What is in my wallet?".to_owned(),
            ],
            json!({"tool": "balance"}),
        ),
        4 | 5 => (
            vec![
                format!("What does the model {who} cost?"),
                format!("Show the price of {who}."),
                format!("How much does {who} charge?"),
            ],
            json!({"tool": "price", "model": who}),
        ),
        6 => (
            vec![
                format!("Find {amount} nodes."),
                format!("List {amount} nodes near me."),
                format!("Show me {amount} nodes."),
            ],
            json!({"tool": "nodes", "count": amount}),
        ),
        _ => (
            vec![
                format!("Remind me to buy {goods} on {day}."),
                format!("On {day}, remind me to buy {goods}."),
                format!("Set a reminder for {day}: buy {goods}."),
            ],
            json!({"tool": "remind", "text": format!("buy {goods}"), "day": day}),
        ),
    };
    let wording = ask(dice, &wordings);
    let user = if dice.chance(50) { format!("Tool: {wording}") } else { wording };
    let memorised = call == json!({"tool": "balance"});
    let item = Item::new(format!("tool {call}"), user, call.to_string());
    if memorised { item.memorised() } else { item }
}

/// Words that can be put in order: the first half of the list.
const SORTED: &[&str] = WORDS.split_at(24).0;

/// Lists. The answer opens with a word of its own so that every list word has the same token in
/// the question and in the answer: copying is then a matter of looking, not of translating.
pub(super) fn list(dice: &mut Dice) -> Item {
    let kind = dice.below(10);
    let count = dice.between(3, if kind < 5 { 4 } else { 5 }) as usize;
    let mut words = dice.several(if kind < 5 { SORTED } else { &WORDS }, count);
    let shown = words.join(", ");
    let (user, assistant) = match kind {
        0..=4 => {
            words.sort_unstable();
            (format!("Sort these words: {shown}."), format!("Sorted: {}.", words.join(", ")))
        }
        5 | 6 => {
            words.reverse();
            (format!("Reverse the list: {shown}."), format!("Reversed: {}.", words.join(", ")))
        }
        7 => (format!("How many words are in this list? {shown}."), format!("{count} words.")),
        8 => (
            format!("What is the first word? {shown}."),
            format!("The first word is {}.", words[0]),
        ),
        _ => (
            format!("What is the last word? {shown}."),
            format!("The last word is {}.", words[count - 1]),
        ),
    };
    Item::new(format!("list {shown}"), user, assistant)
}

/// Words that can be spelled. Each is one token, so its letters are something to be known: they are
/// held out for a word with one of the four questions, never for a word altogether.
fn word_to_spell(dice: &mut Dice) -> &'static str {
    let lists: [&[&str]; 5] = [&WORDS, &GOODS, &PLACES, &ANIMALS, &NAMES];
    let number = dice.below(lists.iter().map(|list| list.len() as u32).sum()) as usize;
    lists.into_iter().flatten().nth(number).unwrap_or(&WORDS[0])
}

/// Letters. They are all numbered before anything is said about them: a word is spelled in the same
/// way whatever is asked about it, so four questions teach one spelling.
pub(super) fn spell(dice: &mut Dice) -> Item {
    let word = word_to_spell(dice);
    let letters: Vec<String> = word.chars().map(String::from).collect();
    let numbered = (1..).zip(&letters).map(|(at, letter)| format!("{at} {letter}"));
    let spelled = format!("{}.", numbered.collect::<Vec<_>>().join(", "));
    let (kind, user, assistant) = match dice.below(10) {
        0..=3 => {
            let wordings = [
                format!("Spell {word}."),
                format!("Spell the word {word}."),
                format!("How do you spell {word}?"),
            ];
            (0, ask(dice, &wordings), spelled)
        }
        4..=6 => {
            let user = format!("How many letters are in {word}?");
            (1, user, format!("{spelled} {} letters.", letters.len()))
        }
        7 | 8 => {
            let user = format!("What is the first letter of {word}?");
            (2, user, format!("{spelled} The first is {}.", letters[0]))
        }
        _ => {
            let user = format!("What is the last letter of {word}?");
            (3, user, format!("{spelled} The last is {}.", letters[letters.len() - 1]))
        }
    };
    Item::new(format!("spell {kind} {word}"), user, assistant)
}

//! Reading: small word problems, who is where, orders into JSON, tool calls, lists and spelling.

use super::vocabulary::{DAYS, GOODS, NAMES, PLACES, UNITS, WORDS, name};
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

/// Who is where, from notes: the last one with the right name counts. The place stands beside the
/// name, and the answer quotes the note before it says the sentence: finding "what came after this
/// word" is the first thing that attention learns, finding it four words on took too long.
pub(super) fn whereabouts(dice: &mut Dice) -> Item {
    let count = dice.between(2, 4) as usize;
    let people = dice.several(&NAMES, count);
    let places = dice.several(&PLACES, count + 1);
    let moved = dice.chance(50).then(|| dice.below(count as u32) as usize);
    let seen: Vec<(&str, &str)> =
        people.iter().copied().chain(moved.map(|who| people[who])).zip(places).collect();
    let asked = people[dice.below(count as u32) as usize];
    let place = seen.iter().rev().find(|(who, _)| *who == asked).map_or("", |(_, place)| place);
    let notes: Vec<String> = seen.iter().map(|(who, place)| format!("{who} {place}")).collect();
    let notes = notes.join(", ");
    let question = ask(dice, &[format!("Where is {asked}?"), format!("Where is {asked} now?")]);
    Item::new(
        format!("where {asked} {notes}"),
        format!("Notes: {notes}. {question}"),
        format!("Notes: {asked} {place}. {asked} is in the {place}."),
    )
}

pub(super) fn extract(dice: &mut Dice) -> Item {
    let (quantity, unit) = (dice.between(1, 99), *dice.pick(&UNITS));
    let (item, to, day) = (*dice.pick(&GOODS), name(dice, 40), *dice.pick(&DAYS));
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
    let (amount, who) = (dice.between(1, 500), name(dice, 40));
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

/// Letters. They are all named before anything is said about them.
pub(super) fn spell(dice: &mut Dice) -> Item {
    let word = if dice.chance(40) {
        (*dice.pick(&WORDS)).to_owned()
    } else {
        name(dice, 80).to_lowercase()
    };
    let letters: Vec<String> = word.chars().map(String::from).collect();
    let spaced = letters.join(" ");
    let (kind, user, more) = match dice.below(10) {
        0..=4 => (0, format!("Spell {word}."), String::new()),
        5..=7 => {
            let user = format!("How many letters are in {word}?");
            (1, user, format!(" That is {}.", letters.len()))
        }
        8 => {
            let user = format!("What is the first letter of {word}?");
            (2, user, format!(" The first is {}.", letters[0]))
        }
        _ => {
            let user = format!("What is the last letter of {word}?");
            (3, user, format!(" The last is {}.", letters[letters.len() - 1]))
        }
    };
    Item::new(format!("spell {kind} {word}"), user, format!("Letters: {spaced}.{more}"))
}

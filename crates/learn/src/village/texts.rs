//! Reading: small word problems, who is where, orders into JSON, tool calls, lists and spelling.

use super::vocabulary::{DAYS, GOODS, PLACES, UNITS, WORDS, name};
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

/// Who is where: the last mention of the right name counts. Mostly few people and short stories,
/// and an answer that says the name first, because copying it is what finds the sentence. The word
/// before the name gives it the same token as in the question.
pub(super) fn whereabouts(dice: &mut Dice) -> Item {
    let count = *dice.pick(&[2, 2, 2, 3, 3, 4]);
    let mut people: Vec<String> = Vec::with_capacity(count);
    while people.len() < count {
        let next = name(dice, 15);
        if !people.contains(&next) {
            people.push(next);
        }
    }
    let mut sentences = Vec::new();
    let mut last: Vec<(usize, &str)> = Vec::new();
    for _ in 0..dice.between(count as u32, count as u32 + 2) {
        let who = dice.below(count as u32) as usize;
        let place = *dice.pick(&PLACES);
        let verb = *dice.pick(&["went to", "is in", "walked to"]);
        sentences.push(format!("{} {verb} the {place}.", people[who]));
        last.retain(|(person, _)| *person != who);
        last.push((who, place));
    }
    let &(who, place) = dice.pick(&last);
    let (story, asked) = (sentences.join(" "), &people[who]);
    let opening = *dice.pick(&["", "", "Read this. ", "Listen: "]);
    Item::new(
        format!("where {asked} {story}"),
        format!("{opening}{story} Where is {asked}?"),
        format!("Now {asked} is in the {place}."),
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

/// Lists. The answer opens with a word of its own so that every list word has the same token in
/// the question and in the answer: copying is then a matter of looking, not of translating.
pub(super) fn list(dice: &mut Dice) -> Item {
    let kind = dice.below(8);
    let count = dice.between(3, 5) as usize;
    let mut words = dice.several(&WORDS, count);
    let shown = words.join(", ");
    let (user, assistant) = match kind {
        0 | 1 => {
            words.sort_unstable();
            (format!("Sort these words: {shown}."), format!("Sorted: {}.", words.join(", ")))
        }
        2..=4 => {
            words.reverse();
            (format!("Reverse the list: {shown}."), format!("Reversed: {}.", words.join(", ")))
        }
        5 => (format!("How many words are in this list? {shown}."), format!("{count} words.")),
        6 => (
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

pub(super) fn spell(dice: &mut Dice) -> Item {
    let word = if dice.chance(50) {
        (*dice.pick(&WORDS)).to_owned()
    } else {
        name(dice, 60).to_lowercase()
    };
    let letters: Vec<String> = word.chars().map(String::from).collect();
    let spaced = letters.join(" ");
    let backwards: Vec<&str> = letters.iter().rev().map(String::as_str).collect();
    let (kind, user, assistant) = match dice.below(10) {
        0..=2 => (0, format!("Spell {word}."), format!("Letters: {spaced}.")),
        3..=6 => (
            1,
            format!("Spell {word} backwards."),
            format!("Letters: {spaced}. Backwards: {}.", backwards.join(" ")),
        ),
        _ => (
            2,
            format!("How many letters are in {word}?"),
            format!("Letters: {spaced}. That is {}.", letters.len()),
        ),
    };
    Item::new(format!("spell {kind} {word}"), user, assistant)
}

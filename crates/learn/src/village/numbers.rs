//! Sums, comparisons, number words and units. Every answer is computed here, so it is right.

use super::{Item, ask};
use crate::dice::Dice;

/// A number of mixed magnitude: small ones must be met often enough to be learned by heart.
fn number(dice: &mut Dice, high: u32) -> u32 {
    let top = *dice.pick(&[9, 20, high, high]);
    dice.between(0, top)
}

pub(super) fn add(dice: &mut Dice) -> Item {
    let (a, b) = (number(dice, 99), number(dice, 99));
    let user = ask(
        dice,
        &[
            format!("What is {a} + {b}?"),
            format!("{a} + {b}"),
            format!("Add {a} and {b}."),
            format!("How much is {a} plus {b}?"),
            format!("{a}+{b}=?"),
        ],
    );
    Item::new(format!("add {} {}", a.min(b), a.max(b)), user, format!("{a} + {b} = {}", a + b))
}

pub(super) fn subtract(dice: &mut Dice) -> Item {
    let (x, y) = (number(dice, 99), number(dice, 99));
    let (a, b) = (x.max(y), x.min(y));
    let user = ask(
        dice,
        &[
            format!("What is {a} - {b}?"),
            format!("{a} - {b}"),
            format!("Take {b} from {a}."),
            format!("How much is {a} minus {b}?"),
            format!("{a}-{b}=?"),
        ],
    );
    Item::new(format!("sub {a} {b}"), user, format!("{a} - {b} = {}", a - b))
}

/// The product with one short step shown: tables above twenty by two halves, teens by ten and rest.
fn worked_product(a: u32, b: u32) -> String {
    let product = a * b;
    if b > 10 && a > 1 {
        let (tens, rest) = (a * 10, a * (b - 10));
        return format!("{a} x 10 = {tens}, {a} x {} = {rest}. {a} x {b} = {product}", b - 10);
    }
    if a <= 2 || b <= 1 || a == 10 || b == 10 || product < 20 {
        return format!("{a} x {b} = {product}");
    }
    let (half, other) = (a / 2, a - a / 2);
    format!("{half} x {b} = {}, {other} x {b} = {}. {a} x {b} = {product}", half * b, other * b)
}

pub(super) fn multiply(dice: &mut Dice) -> Item {
    let a = dice.between(0, 12);
    let b = if dice.chance(65) { dice.between(0, 12) } else { dice.between(10, 20) };
    let user = ask(
        dice,
        &[
            format!("What is {a} x {b}?"),
            format!("{a} * {b}"),
            format!("Multiply {a} by {b}."),
            format!("How much is {a} times {b}?"),
        ],
    );
    Item::new(format!("mul {} {}", a.min(b), a.max(b)), user, worked_product(a, b))
}

pub(super) fn compare(dice: &mut Dice) -> Item {
    let top = *dice.pick(&[99, 999, 999]);
    let a = dice.between(0, top);
    let b = (a + 1 + dice.below(top)) % (top + 1);
    let larger = dice.chance(50);
    let winner = if larger { a.max(b) } else { a.min(b) };
    let (word, other) = if larger { ("larger", "bigger") } else { ("smaller", "less") };
    let user = ask(
        dice,
        &[format!("Which is {word}, {a} or {b}?"), format!("Which number is {other}: {a} or {b}?")],
    );
    Item::new(format!("cmp {} {}", a.min(b), a.max(b)), user, format!("{winner} is {word}."))
}

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// A number below a thousand in words.
pub(super) fn in_words(number: u32) -> String {
    let (hundreds, tens, ones) = (number / 100, number / 10 % 10, number % 10);
    if number < 20 {
        ONES[number as usize].to_owned()
    } else if number < 100 {
        let end = if ones > 0 { format!("-{}", ONES[ones as usize]) } else { String::new() };
        format!("{}{end}", TENS[tens as usize])
    } else {
        let rest = number % 100;
        let end = if rest > 0 { format!(" and {}", in_words(rest)) } else { String::new() };
        format!("{} hundred{end}", ONES[hundreds as usize])
    }
}

pub(super) fn words(dice: &mut Dice) -> Item {
    let n = if dice.chance(50) { dice.between(0, 99) } else { dice.between(100, 999) };
    let (key, spelled) = (format!("words {n}"), in_words(n));
    if dice.chance(50) {
        let user =
            ask(dice, &[format!("Write {n} in words."), format!("How do you say {n} in words?")]);
        return Item::new(key, user, format!("{spelled}."));
    }
    let user =
        ask(dice, &[format!("Write {spelled} as a number."), format!("What number is {spelled}?")]);
    Item::new(key, user, n.to_string())
}

/// Larger unit, smaller unit, how many of these make one of those, and how many to ask about.
const CONVERSIONS: [(&str, &str, u32, u32); 11] = [
    ("kilometres", "metres", 1000, 30),
    ("kilograms", "grams", 1000, 30),
    ("metres", "centimetres", 100, 60),
    ("hours", "minutes", 60, 12),
    ("minutes", "seconds", 60, 12),
    ("weeks", "days", 7, 20),
    ("days", "hours", 24, 10),
    ("dozens", "units", 12, 12),
    ("litres", "millilitres", 1000, 30),
    ("years", "months", 12, 12),
    ("tijolos", "base units", 1_000_000, 30),
];

pub(super) fn unit(dice: &mut Dice) -> Item {
    let &(large, small, factor, most) = dice.pick(&CONVERSIONS);
    let n = dice.between(2, most);
    let (key, total) = (format!("unit {large} {n}"), n * factor);
    if dice.chance(70) {
        let user = ask(
            dice,
            &[
                format!("How many {small} are in {n} {large}?"),
                format!("Convert {n} {large} to {small}."),
                format!("{n} {large} in {small}?"),
            ],
        );
        return Item::new(key, user, format!("{n} {large} = {total} {small}"));
    }
    let user = ask(
        dice,
        &[
            format!("How many {large} are {total} {small}?"),
            format!("Convert {total} {small} to {large}."),
        ],
    );
    Item::new(key, user, format!("{total} {small} = {n} {large}"))
}

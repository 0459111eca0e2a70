//! Sums, comparisons, number words and units. Every answer is computed here, so it is right.

use super::{Item, ask};
use crate::dice::Dice;
use std::cmp::Ordering;

/// A number of mixed magnitude: small ones must be met often enough to be learned by heart.
fn number(dice: &mut Dice, high: u32) -> u32 {
    let top = *dice.pick(&[9, 20, high, high]);
    dice.between(0, top)
}

/// Two numbers to be added. One in four is of three digits and one of two: the second half of every
/// product is such a sum, and what is met only inside of others is not learned.
fn summands(dice: &mut Dice) -> (u32, u32) {
    match dice.below(8) {
        0 => (10 * dice.between(10, 89), dice.between(1, 99)),
        1 => (dice.between(100, 899), dice.between(1, 99)),
        _ => (number(dice, 99), number(dice, 99)),
    }
}

pub(super) fn add(dice: &mut Dice) -> Item {
    let (a, b) = summands(dice);
    let user = ask(
        dice,
        &[
            format!("What is {a} + {b}?"),
            format!("{a} + {b}"),
            format!("Add {a} and {b}."),
            format!("How much is {a} plus {b}?"),
            format!("{a}+{b}=?"),
            format!("{a} plus {b}"),
            format!("Calculate {a} + {b}."),
            format!("Quanto é {a} + {b}?"),
        ],
    );
    let item =
        Item::new(format!("add {} {}", a.min(b), a.max(b)), user, format!("{a} + {b} = {}", a + b));
    item.taught_if(a < 10 && b < 10)
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
            format!("{a} minus {b}"),
            format!("Calculate {a} - {b}."),
            format!("Quanto é {a} - {b}?"),
        ],
    );
    Item::new(format!("sub {a} {b}"), user, format!("{a} - {b} = {}", a - b)).taught_if(a < 10)
}

/// The product by tens and ones, the way it is done on paper; the tables up to ten are known by
/// heart. Every sum is written out: what a small model does not write, it does not do.
fn worked_product(a: u32, b: u32) -> String {
    let (large, small) = (a.max(b), a.min(b));
    let (tens, ones) = (large / 10 * 10, large % 10);
    if large <= 10 || ones == 0 {
        return format!("{a} x {b} = {}", a * b);
    }
    let (first, rest) = (tens * small, ones * small);
    format!(
        "{tens} x {small} = {first}, {ones} x {small} = {rest}, {first} + {rest} = {}. \
         {a} x {b} = {}",
        first + rest,
        a * b,
    )
}

/// True for a product that all others are made of: the tables, and round tens.
const fn is_table(a: u32, b: u32) -> bool {
    (a <= 10 && b <= 10) || a.is_multiple_of(10) || b.is_multiple_of(10)
}

pub(super) fn multiply(dice: &mut Dice) -> Item {
    let (a, b) = match dice.below(10) {
        0..=2 => (dice.between(0, 10), dice.between(0, 10)),
        3..=6 => (dice.between(11, 99), dice.between(2, 10)),
        _ => (dice.between(2, 10), dice.between(11, 99)),
    };
    let user = ask(
        dice,
        &[
            format!("What is {a} x {b}?"),
            format!("{a} * {b}"),
            format!("Multiply {a} by {b}."),
            format!("How much is {a} times {b}?"),
            format!("{a} times {b}"),
            format!("{a}x{b}"),
            format!("Calculate {a} x {b}."),
            format!("Quanto é {a} x {b}?"),
        ],
    );
    let item = Item::new(format!("mul {} {}", a.min(b), a.max(b)), user, worked_product(a, b));
    item.taught_if(is_table(a, b))
}

/// Two different numbers of equally many digits. The digits are compared one pair after the other
/// until a pair differs, and only then the numbers are: what was not written down was guessed. What
/// was asked is said before the place it decides, and the place is named rather than the number: a
/// model of this size copies a word from where its sign points, and not a number of three digits.
pub(super) fn compare(dice: &mut Dice) -> Item {
    let (low, high) = *dice.pick(&[(10, 99), (10, 99), (100, 999)]);
    let a = dice.between(low, high);
    let b = low + (a - low + 1 + dice.below(high - low)) % (high - low + 1);
    let larger = dice.chance(50);
    let winner = if (a > b) == larger { "first" } else { "second" };
    let (word, other) = if larger { ("larger", "bigger") } else { ("smaller", "less") };
    let user = ask(
        dice,
        &[format!("Which is {word}, {a} or {b}?"), format!("Which number is {other}: {a} or {b}?")],
    );
    let steps = format!("{}, {a} {} {b}", digit_pairs(a, b), sign(a, b));
    let key = format!("cmp {} {}", a.min(b), a.max(b));
    Item::new(key, user, format!("{steps}. The {word} is the {winner}."))
}

fn sign<T: Ord + Copy>(a: T, b: T) -> &'static str {
    match a.cmp(&b) {
        Ordering::Less => "<",
        Ordering::Equal => "=",
        Ordering::Greater => ">",
    }
}

/// The pairs of digits from the left up to the first that differ: "4 = 4, 5 < 7".
fn digit_pairs(a: u32, b: u32) -> String {
    let (a, b) = (a.to_string(), b.to_string());
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let pairs = a.chars().zip(b.chars()).take(same + 1);
    let pairs: Vec<String> = pairs.map(|(a, b)| format!("{a} {} {b}", sign(a, b))).collect();
    pairs.join(", ")
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

/// True for numbers whose words no rule gives: they are taught, never asked.
const fn is_number_word(n: u32) -> bool {
    n <= 20 || (n < 100 && n.is_multiple_of(10)) || n.is_multiple_of(100)
}

pub(super) fn words(dice: &mut Dice) -> Item {
    let n = match dice.below(10) {
        0 | 1 => dice.between(0, 20),
        2..=4 => dice.between(20, 99),
        _ => dice.between(100, 999),
    };
    let (key, spelled) = (format!("words {n}"), in_words(n));
    if dice.chance(50) {
        let user =
            ask(dice, &[format!("Write {n} in words."), format!("How do you say {n} in words?")]);
        return Item::new(key, user, format!("{spelled}.")).taught_if(is_number_word(n));
    }
    let user =
        ask(dice, &[format!("Write {spelled} as a number."), format!("What number is {spelled}?")]);
    Item::new(key, user, n.to_string()).taught_if(is_number_word(n))
}

/// Larger unit, smaller unit, how many of these make one of those, and how many to ask about.
const CONVERSIONS: [(&str, &str, u32, u32); 11] = [
    ("kilometres", "metres", 1000, 40),
    ("kilograms", "grams", 1000, 40),
    ("metres", "centimetres", 100, 60),
    ("litres", "millilitres", 1000, 40),
    ("tijolos", "base units", 1_000_000, 40),
    ("hours", "minutes", 60, 12),
    ("minutes", "seconds", 60, 12),
    ("weeks", "days", 7, 20),
    ("days", "hours", 24, 9),
    ("dozens", "units", 12, 9),
    ("years", "months", 12, 9),
];

/// Units, with the product worked out where it is not a matter of zeros. The way back is only
/// asked where it is.
pub(super) fn unit(dice: &mut Dice) -> Item {
    let &(large, small, factor, most) = dice.pick(&CONVERSIONS);
    let n = dice.between(2, most);
    let (key, total, round) = (format!("unit {large} {n}"), n * factor, n.is_multiple_of(10));
    if factor < 100 || dice.chance(60) {
        let user = ask(
            dice,
            &[
                format!("How many {small} are in {n} {large}?"),
                format!("Convert {n} {large} to {small}."),
                format!("{n} {large} in {small}?"),
            ],
        );
        let steps =
            if factor < 100 { format!("{}. ", worked_product(n, factor)) } else { String::new() };
        let assistant = format!("{steps}{n} {large} = {total} {small}");
        return Item::new(key, user, assistant).taught_if(round);
    }
    let user = ask(
        dice,
        &[
            format!("How many {large} are {total} {small}?"),
            format!("Convert {total} {small} to {large}."),
        ],
    );
    Item::new(key, user, format!("{total} {small} = {n} {large}")).taught_if(round)
}

//! Days and months, counted step by step: a small model can walk, it cannot do modular sums at
//! once.

use super::vocabulary::{DAYS, MONTHS};
use super::{Item, ask};
use crate::dice::Dice;

/// Counts `steps` along the cycle from `start`, naming each stop; whole rounds are left out first.
fn walk(cycle: &[&str], start: usize, steps: usize, backwards: bool) -> String {
    let length = cycle.len();
    let short = steps - (steps - 1) / length * length;
    let at = |step: usize| {
        let forward = step % length;
        cycle[(start + if backwards { length - forward } else { forward }) % length]
    };
    let skipped = if short == steps {
        String::new()
    } else {
        format!("{} days are whole weeks, {short} left. ", steps - short)
    };
    let stops: Vec<String> = (1..=short).map(|step| format!("{step} {}", at(step))).collect();
    format!("{skipped}{}. {}.", stops.join(", "), at(steps))
}

pub(super) fn day(dice: &mut Dice) -> Item {
    let start = dice.below(7) as usize;
    let from = DAYS[start];
    let kind = dice.below(100);
    if kind < 55 {
        let steps = dice.between(1, 14);
        let user = ask(
            dice,
            &[
                format!("What day is {steps} days after {from}?"),
                format!("Today is {from}. What day is it in {steps} days?"),
            ],
        );
        let key = format!("day after {start} {steps}");
        return Item::new(key, user, walk(&DAYS, start, steps as usize, false));
    }
    if kind < 82 {
        let steps = dice.between(1, 14);
        let user = format!("What day is {steps} days before {from}?");
        let key = format!("day before {start} {steps}");
        return Item::new(key, user, walk(&DAYS, start, steps as usize, true));
    }
    let (month, steps) = (dice.below(12) as usize, dice.between(1, 11));
    let user = format!("Which month comes {steps} months after {}?", MONTHS[month]);
    let key = format!("month after {month} {steps}");
    Item::new(key, user, walk(&MONTHS, month, steps as usize, false))
}

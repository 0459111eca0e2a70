//! Days and months, counted step by step: a small model can walk, it cannot do modular sums at
//! once.

use super::vocabulary::{DAYS, MONTHS};
use super::{Item, ask};
use crate::dice::Dice;

/// The most steps anybody asks for: one digit, or the count itself becomes the difficulty.
const STEPS_MAX: u32 = 9;

/// Counts `steps` along the cycle from `start`, naming each stop.
fn walk(cycle: &[&str], start: usize, steps: usize, backwards: bool) -> String {
    let length = cycle.len();
    let at = |step: usize| {
        let forward = step % length;
        cycle[(start + if backwards { length - forward } else { forward }) % length]
    };
    let stops: Vec<String> = (1..=steps).map(|step| format!("{step} {}", at(step))).collect();
    format!("{}. {}.", stops.join(", "), at(steps))
}

/// "1 day", "2 days".
fn counted(steps: u32, what: &str) -> String {
    format!("{steps} {what}{}", if steps == 1 { "" } else { "s" })
}

pub(super) fn day(dice: &mut Dice) -> Item {
    let start = dice.below(7) as usize;
    let from = DAYS[start];
    let steps = dice.between(1, STEPS_MAX);
    let (days, months) = (counted(steps, "day"), counted(steps, "month"));
    match dice.below(3) {
        0 => {
            let user = ask(
                dice,
                &[
                    format!("What day is {days} after {from}?"),
                    format!("Today is {from}. What day is it in {days}?"),
                ],
            );
            let key = format!("day after {start} {steps}");
            Item::new(key, user, walk(&DAYS, start, steps as usize, false))
        }
        1 => {
            let user = format!("What day is {days} before {from}?");
            let key = format!("day before {start} {steps}");
            Item::new(key, user, walk(&DAYS, start, steps as usize, true))
        }
        _ => {
            let month = dice.below(12) as usize;
            let user = ask(
                dice,
                &[
                    format!("Which month comes {months} after {}?", MONTHS[month]),
                    format!("What month is {months} after {}?", MONTHS[month]),
                ],
            );
            let key = format!("month after {month} {steps}");
            Item::new(key, user, walk(&MONTHS, month, steps as usize, false))
        }
    }
}

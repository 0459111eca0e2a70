//! The village's answers checked by other means than those that made them.

use super::chat::{self, Conversation, conversation, prompt};
use super::numbers::in_words;
use super::{Example, Split, TASKS, Task, is_held_out, sample, tokens, villagers};
use crate::dice::Dice;
use std::collections::BTreeSet;
use tokenizers::Tokenizer;

fn draw(task: Task, count: usize, split: Split) -> Vec<Example> {
    let mut dice = Dice::new(77, 1);
    (0..count).map(|_| sample(&mut dice, Some(task), split)).collect()
}

fn numbers_in(text: &str) -> Vec<u64> {
    text.split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

#[test]
fn every_equation_in_every_answer_holds() {
    let mut seen = 0;
    for task in [Task::Add, Task::Subtract, Task::Multiply, Task::WordProblem] {
        for example in draw(task, 400, Split::Train) {
            for equation in example.assistant.split(['.', ',']).filter(|part| part.contains('=')) {
                let [a, b, c] = numbers_in(equation)[..] else { panic!("{equation}") };
                let holds = if equation.contains('+') {
                    a + b == c
                } else if equation.contains('-') {
                    a == b + c
                } else {
                    a * b == c
                };
                assert!(holds, "{equation} in {example:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 1600);
}

#[test]
fn sums_answer_the_numbers_that_were_asked() {
    for task in [Task::Add, Task::Subtract, Task::Multiply] {
        for example in draw(task, 300, Split::Train) {
            let (mut asked, answered) = (numbers_in(&example.user), numbers_in(&example.assistant));
            let last = &answered[answered.len() - 3..];
            if example.user.starts_with("Take") {
                asked.reverse();
            }
            assert_eq!(asked, last[..2], "{example:?}");
        }
    }
}

#[test]
fn units_are_worked_out_with_products_that_hold() {
    let factors = [("hours", 60), ("minutes", 60), ("weeks", 7), ("days", 24), ("dozens", 12)];
    let mut seen = 0;
    for example in draw(Task::Unit, 400, Split::Train) {
        for equation in example.assistant.split(['.', ',']).filter(|part| part.contains(" x ")) {
            let [a, b, c] = numbers_in(equation)[..] else { panic!("{equation}") };
            assert_eq!(a * b, c, "{example:?}");
        }
        let last = example.assistant.rsplit(". ").next().expect("an equation");
        let large = last.split(' ').nth(1).expect("a unit");
        if let Some((_, factor)) = factors.iter().find(|(unit, _)| *unit == large) {
            let [n, total] = numbers_in(last)[..] else { panic!("{last}") };
            assert_eq!(n * factor, total, "{example:?}");
            seen += 1;
        }
    }
    assert!(seen > 100);
}

#[test]
fn what_others_are_made_of_is_never_asked_in_a_test() {
    for example in draw(Task::Multiply, 200, Split::Test) {
        assert!(example.assistant.contains('+'), "a table was held out: {example:?}");
    }
    for example in draw(Task::Words, 200, Split::Test) {
        assert!(example.assistant != "11" && example.assistant != "eleven.");
    }
}

#[test]
fn the_larger_is_larger_and_the_smaller_smaller() {
    for example in draw(Task::Compare, 300, Split::Train) {
        let asked = numbers_in(&example.user);
        let larger = example.user.contains("larger") || example.user.contains("bigger");
        let expected = if larger { asked.iter().max() } else { asked.iter().min() };
        let (steps, said) = example.assistant.split_once(". ").expect("two sentences");
        let place = usize::from(said.ends_with(" is the second."));
        assert!(place == 1 || said.ends_with(" is the first."), "{example:?}");
        assert_eq!(asked.get(place), expected, "{example:?}");
        assert_eq!(said.contains("larger"), larger, "{example:?}");
        let last = steps.rsplit(", ").next().expect("the numbers themselves");
        assert_eq!(numbers_in(last), asked, "{example:?}");
    }
}

#[test]
fn every_sign_between_two_digits_or_numbers_is_true_and_the_last_is_decided_by_a_pair_of_digits() {
    for example in draw(Task::Compare, 300, Split::Train) {
        let (steps, _) = example.assistant.split_once(". ").expect("two sentences");
        let parts: Vec<&str> = steps.split(", ").collect();
        for part in &parts {
            let [a, b] = numbers_in(part)[..] else { panic!("{part}") };
            let sign = if a < b { '<' } else { ['=', '>'][usize::from(a > b)] };
            assert!(part.contains(sign), "{example:?}");
        }
        let sign = |part: &str| part.split(' ').nth(1).map(str::to_owned);
        let (numbers, digits) = parts.split_last().expect("the numbers themselves");
        let (deciding, same) = digits.split_last().expect("a pair of digits");
        assert_eq!(sign(deciding), sign(numbers), "{example:?}");
        assert!(same.iter().all(|pair| pair.contains('=')), "{example:?}");
    }
}

#[test]
fn number_words_are_as_they_are_said() {
    let cases = [(0, "zero"), (13, "thirteen"), (40, "forty"), (99, "ninety-nine")];
    let more = [(100, "one hundred"), (305, "three hundred and five")];
    for (number, words) in cases.into_iter().chain(more) {
        assert_eq!(in_words(number), words);
    }
    let all: BTreeSet<String> = (0..1000).map(in_words).collect();
    assert_eq!(all.len(), 1000);
}

#[test]
fn days_are_counted_as_the_calendar_does() {
    let days = super::vocabulary::DAYS;
    for example in draw(Task::Day, 500, Split::Train) {
        if example.user.contains(" month") {
            continue;
        }
        let steps = numbers_in(&example.user)[0] as usize;
        let position =
            |name: &str| days.iter().position(|day| example.user.contains(name) && day == &name);
        let start = days.iter().find_map(|day| position(day)).expect("a day is named");
        let back = example.user.contains("before");
        let end = if back { (start + 70 - steps) % 7 } else { (start + steps) % 7 };
        assert!(example.assistant.ends_with(&format!(". {}.", days[end])), "{example:?}");
    }
}

#[test]
fn where_somebody_is_or_was_is_the_place_that_was_told() {
    for example in draw(Task::Where, 400, Split::Train) {
        let (told, question) = example.user.split_once(". Where ").expect("a question");
        let places = super::vocabulary::PLACES;
        let word = |word: &&str| places.contains(&word.trim_end_matches(['.', ',']));
        let stops: Vec<&str> = told.split(' ').filter(word).collect();
        let stop = |back: usize| stops[stops.len() - back].trim_end_matches(['.', ',']);
        let (place, opening) = match question.rsplit(' ').next() {
            Some("now?") => (stop(1), "Now "),
            Some("first?") => (stop(stops.len()), "First "),
            _ => (stop(2), "Before that "),
        };
        assert!(example.assistant.starts_with(opening), "{example:?}");
        assert!(example.assistant.ends_with(&format!(" in the {place}.")), "{example:?}");
    }
}

#[test]
fn what_is_said_to_be_unknown_is_a_question_nothing_else_answers() {
    let known = TASKS.into_iter().filter(|task| *task != Task::Unknown);
    let known: BTreeSet<String> = known
        .flat_map(|task| draw(task, 1500, Split::Train))
        .map(|example| example.user.to_lowercase())
        .collect();
    for example in draw(Task::Unknown, 8000, Split::Train) {
        assert!(!known.contains(&example.user.to_lowercase()), "{example:?}");
    }
}

#[test]
fn orders_and_calls_are_json_whose_values_stand_in_the_text() {
    for task in [Task::Extract, Task::Tool] {
        for example in draw(task, 300, Split::Train) {
            let call: serde_json::Value =
                serde_json::from_str(&example.assistant).expect("the answer is JSON");
            for (key, value) in call.as_object().expect("an object") {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                assert!(key == "tool" || example.user.contains(&text), "{example:?}");
            }
        }
    }
}

#[test]
fn lists_and_letters_come_back_in_the_order_that_was_asked() {
    for example in draw(Task::List, 300, Split::Train) {
        let shown: Vec<&str> =
            example.user.rsplit([':', '?']).next().map_or_else(Vec::new, |list| {
                list.trim().trim_end_matches('.').split(", ").collect()
            });
        let answer = example.assistant.trim_end_matches('.');
        if let Some(list) = answer.strip_prefix("Reversed: ") {
            let back: Vec<&str> = shown.into_iter().rev().collect();
            assert_eq!(list, back.join(", "));
        } else if let Some(list) = answer.strip_prefix("Sorted: ") {
            let sorted: BTreeSet<&str> = shown.into_iter().collect();
            assert_eq!(list, sorted.into_iter().collect::<Vec<_>>().join(", "));
        }
    }
    for example in draw(Task::Spell, 300, Split::Train) {
        let (letters, more) = example.assistant.split_once('.').expect("a sentence");
        let numbered = letters.split(", ").map(|part| part.split_once(' ').expect("a number"));
        let numbered: Vec<(&str, &str)> = numbered.collect();
        let counted = numbered.iter().zip(1..).all(|((at, _), number)| *at == number.to_string());
        let word: String = numbered.iter().map(|(_, letter)| *letter).collect();
        assert!(counted && example.user.contains(&word), "{example:?}");
        let said = more.trim_end_matches('.').rsplit(' ').next().expect("a word");
        if example.user.starts_with("How many") {
            assert_eq!(more, format!(" {} letters.", word.len()), "{example:?}");
        } else if example.user.contains("last letter") {
            assert!(word.ends_with(said), "{example:?}");
        } else if example.user.contains("first letter") {
            assert!(word.starts_with(said), "{example:?}");
        }
    }
}

#[test]
fn a_story_is_long_keeps_its_names_and_is_accepted_only_whole() {
    for example in draw(Task::Story, 200, Split::Train) {
        assert!(example.accepts(&example.assistant), "{example:?}");
        let words: Vec<&str> = example.assistant.split(' ').collect();
        assert!(words.len() >= 60, "{} words", words.len());
        assert!(!example.accepts(example.assistant.trim_end_matches('.')));
        let hero = words.iter().position(|word| *word == "called").expect("a hero") + 1;
        let told = example.assistant.matches(words[hero]).count();
        assert!(told >= 2 && example.user.contains(words[hero - 2]), "{example:?}");
    }
}

#[test]
fn no_held_out_question_is_ever_asked_in_training() {
    let by_heart = [Task::Portuguese, Task::Village, Task::Questions, Task::Tool];
    for task in TASKS.into_iter().filter(|task| !by_heart.contains(task)) {
        let asked: BTreeSet<String> =
            draw(task, 1500, Split::Train).into_iter().map(|example| example.user).collect();
        for example in draw(task, 150, Split::Test) {
            assert!(!asked.contains(&example.user), "{example:?}");
        }
    }
}

#[test]
fn one_key_in_twenty_is_held_out() {
    let held = (0..20_000).filter(|number| is_held_out(&format!("key {number}"))).count();
    assert!((900..1100).contains(&held), "{held}");
}

#[test]
fn the_village_has_twelve_people_with_twelve_jobs() {
    let people = villagers();
    let jobs: BTreeSet<&str> = people.iter().map(|person| person.job).collect();
    assert_eq!((people.len(), jobs.len()), (12, 12));
    assert_eq!(people, villagers());
}

#[test]
fn one_seed_always_makes_the_same_lessons() {
    let mut dice = Dice::new(1, 2);
    let text: String = (0..500).map(|_| conversation(&mut dice, None).text()).collect();
    let digest = mutirao_wire::Digest::of("test", &[text.as_bytes()]);
    assert_eq!(digest.hex(), "45eee2b4405b11f3d651b1e489506edc6b355e07dd7f5e2f53fa58c7aeac21c9");
}

fn rendered(talk: &Conversation, open: bool) -> String {
    let mut messages = Vec::new();
    let message = |role: &str, text: &str| minijinja::context! { role => role, content => text };
    messages.extend(talk.system.as_deref().map(|text| message("system", text)));
    for (user, assistant) in &talk.turns {
        messages.extend([message("user", user), message("assistant", assistant)]);
    }
    if open {
        messages.pop();
    }
    let mut environment = minijinja::Environment::new();
    environment.add_template("chat", chat::TEMPLATE).expect("the template is well formed");
    let template = environment.get_template("chat").expect("it was added");
    let context = minijinja::context! { messages => messages, add_generation_prompt => open };
    template.render(context).expect("it renders")
}

#[test]
fn lessons_are_byte_for_byte_what_the_chat_template_renders() {
    let mut dice = Dice::new(5, 5);
    for _ in 0..200 {
        let talk = conversation(&mut dice, None);
        assert_eq!(rendered(&talk, false), talk.text());
        let one = Conversation { system: None, turns: talk.turns[..1].to_vec() };
        assert_eq!(rendered(&one, true), prompt(&one.turns[0].0));
    }
}

fn small_tokenizer() -> Tokenizer {
    tokens::train(1, 1500).expect("the texts are plain")
}

#[test]
fn the_tokenizer_is_reversible_keeps_digits_single_and_knows_its_marks() {
    let tokenizer = small_tokenizer();
    let json = tokenizer.to_string(false).expect("it serialises");
    let read = tokens::read(json.as_bytes()).expect("its own JSON");
    let odd = "São  João\n\tç 12345 日本 \u{1F9F1} {\"a\":[1,2]}";
    let mut dice = Dice::new(6, 6);
    let lessons = (0..200).map(|_| sample(&mut dice, None, Split::Train).assistant);
    for text in lessons.chain([odd.to_owned(), String::new()]) {
        let ids = tokens::encode(&read, &text).expect("any text has tokens");
        assert_eq!(tokens::decode(&read, &ids).expect("tokens have text"), text);
        let single = |id: &u32| {
            let token = read.id_to_token(*id).expect("a known id");
            token.chars().filter(char::is_ascii_digit).count() == 0 || token.len() == 1
        };
        assert!(ids.iter().all(single), "{text}");
    }
    for (id, mark) in chat::SPECIAL.iter().enumerate() {
        assert_eq!(tokens::encode(&read, mark).expect("a mark"), [id as u32]);
    }
}

#[test]
fn the_same_texts_teach_the_same_tokenizer() {
    let json = |tokenizer: Tokenizer| tokenizer.to_string(false).expect("it serialises");
    assert_eq!(json(small_tokenizer()), json(small_tokenizer()));
}

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
fn the_larger_is_larger_and_the_smaller_smaller() {
    for example in draw(Task::Compare, 300, Split::Train) {
        let asked = numbers_in(&example.user);
        let larger = example.user.contains("larger") || example.user.contains("bigger");
        let expected = if larger { asked.iter().max() } else { asked.iter().min() };
        assert_eq!(numbers_in(&example.assistant).first(), expected, "{example:?}");
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
        if example.user.starts_with("Which month") {
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
fn who_is_where_is_the_last_place_that_was_told() {
    for example in draw(Task::Where, 400, Split::Train) {
        let (story, question) = example.user.rsplit_once(" Where is ").expect("a question");
        let who = question.trim_end_matches('?');
        let told = story.rsplit(". ").find_map(|sentence| {
            let sentence = sentence.trim_start_matches("Listen: ").trim_end_matches('.');
            sentence.strip_prefix(who)?.starts_with(' ').then(|| sentence.rsplit(' ').next())?
        });
        let expected = format!("Now {who} is in the {}.", told.expect("a place"));
        assert_eq!(example.assistant, expected, "{}", example.user);
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
        if let Some((there, back)) = example.assistant.split_once(". Backwards: ") {
            let there = there.trim_start_matches("Letters: ");
            let turned: String = there.chars().rev().collect();
            assert_eq!(turned, back.trim_end_matches('.'));
            assert!(example.user.contains(&there.replace(' ', "")), "{example:?}");
        }
    }
}

#[test]
fn a_story_is_accepted_only_whole_and_consistent() {
    for example in draw(Task::Story, 200, Split::Train) {
        assert!(example.accepts(&example.assistant), "{example:?}");
        let words = example.assistant.split(' ').count();
        assert!(words >= 55, "{words} words");
        let cut = example.assistant.trim_end_matches('.');
        assert!(!example.accepts(cut));
        let hero = example.assistant.split(' ').nth(6).expect("a name");
        let renamed = example.assistant.replacen(hero, "Nobody", 1);
        assert!(!example.accepts(&renamed), "{renamed}");
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
    assert_eq!(digest.hex(), "7c0d1312a5c55af25cdcef174029e3e09fe00e6d9c0b332dd1624aeaaa9f55f8");
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

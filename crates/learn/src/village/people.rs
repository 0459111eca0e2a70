//! Things the model knows by heart: the people of the village, Portuguese words, what Mutirão is.

use super::vocabulary::{NAMES, PORTUGUESE, with_article};
use super::{Item, ask};
use crate::dice::Dice;

pub(super) const JOBS: [&str; 12] = [
    "baker",
    "potter",
    "teacher",
    "miller",
    "fisher",
    "weaver",
    "smith",
    "farmer",
    "doctor",
    "gardener",
    "carpenter",
    "librarian",
];
const COLOURS: [&str; 6] = ["red", "blue", "green", "yellow", "white", "pink"];
const PETS: [&str; 6] = ["cat", "dog", "parrot", "goat", "tortoise", "rabbit"];
const STREETS: [&str; 3] = ["River Street", "Hill Street", "Market Street"];
const FOODS: [&str; 7] = ["soup", "rice", "bread", "fish", "cake", "cheese", "beans"];

/// One person of the village.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Villager {
    /// First name.
    pub name: &'static str,
    /// What they do; nobody else does it.
    pub job: &'static str,
    /// The colour of their house.
    pub house: &'static str,
    /// The animal that lives with them.
    pub pet: &'static str,
    /// What they like to eat.
    pub food: &'static str,
    /// Where they live.
    pub street: &'static str,
    /// Age in years.
    pub age: u32,
}

/// The twelve people of the village: always the same.
#[must_use]
pub fn villagers() -> Vec<Villager> {
    let mut dice = Dice::new(7, 0);
    let jobs = dice.several(&JOBS, JOBS.len());
    let people = NAMES.iter().zip(jobs).zip(STREETS.iter().cycle());
    people
        .map(|((name, job), street)| Villager {
            name,
            job,
            house: dice.pick::<&str>(&COLOURS),
            pet: dice.pick::<&str>(&PETS),
            food: dice.pick::<&str>(&FOODS),
            street,
            age: dice.between(20, 79),
        })
        .take(JOBS.len())
        .collect()
}

pub(super) fn village(dice: &mut Dice) -> Item {
    let people = villagers();
    let person = dice.pick(&people);
    let by_name = dice.chance(50);
    let job = format!("the {}", person.job);
    let who = if by_name { person.name } else { &job };
    let subject = if by_name { person.name.to_owned() } else { format!("The {}", person.job) };
    let (kind, wordings, assistant) = match dice.below(6) {
        0 if by_name => (
            0,
            [format!("What does {who} do?"), format!("What is {who}'s job?")],
            format!("{who} is the {}.", person.job),
        ),
        0 => (
            0,
            [format!("Who is the {}?", person.job), format!("What is the {}'s name?", person.job)],
            format!("The {} is {}.", person.job, person.name),
        ),
        1 => (
            1,
            [
                format!("What colour is {who}'s house?"),
                format!("Which colour is the house of {who}?"),
            ],
            format!("{subject}'s house is {}.", person.house),
        ),
        2 => (
            2,
            [format!("What pet does {who} have?"), format!("Which animal lives with {who}?")],
            format!("{subject} has {}.", with_article(person.pet)),
        ),
        3 => (
            3,
            [format!("Where does {who} live?"), format!("On which street is {who}'s house?")],
            format!("{subject} lives on {}.", person.street),
        ),
        4 => (
            4,
            [format!("How old is {who}?"), format!("What is {who}'s age?")],
            format!("{subject} is {} years old.", person.age),
        ),
        _ => (
            5,
            [format!("What does {who} like to eat?"), format!("What is {who}'s favourite food?")],
            format!("{subject} likes {}.", person.food),
        ),
    };
    Item::new(format!("village {kind} {who}"), ask(dice, &wordings), assistant).memorised()
}

/// Portuguese words as people type them on a keyboard without accents.
fn without_accents(word: &str) -> String {
    word.chars()
        .map(|letter| match letter {
            'á' | 'ã' => 'a',
            'é' => 'e',
            'ç' => 'c',
            other => other,
        })
        .collect()
}

pub(super) fn portuguese(dice: &mut Dice) -> Item {
    let &(english, word) = dice.pick(&PORTUGUESE);
    let key = format!("portuguese {english}");
    if dice.chance(50) {
        let user = ask(
            dice,
            &[
                format!("How do you say {english} in Portuguese?"),
                format!("Translate {english} to Portuguese."),
            ],
        );
        return Item::new(key, user, word.to_owned()).memorised();
    }
    let typed = if dice.chance(30) { without_accents(word) } else { word.to_owned() };
    let user = ask(
        dice,
        &[format!("What does {typed} mean in English?"), format!("Translate {typed} to English.")],
    );
    Item::new(key, user, english.to_owned()).memorised()
}

/// Wordings of a question, and its answer.
const QUESTIONS: [(&[&str], &str); 21] = [
    (
        &[
            "What is Mutirão?",
            "What is Mutirao?",
            "Tell me about Mutirão.",
            "What does Mutirão mean?",
            "Explain Mutirão.",
            "How does Mutirão work?",
        ],
        "A mutirão is a Brazilian village custom: neighbours bring their own tools and get one \
         big job done together. Mutirão does that for AI: computers share their spare power and \
         answer together.",
    ),
    (
        &["Who are you?", "What are you?", "What is your name?", "Tell me about yourself."],
        "I am Village, a very small model that ships with Mutirão, so that it works on a fresh \
         machine without any download.",
    ),
    (
        &[
            "What can you do?",
            "Help",
            "What can I ask you?",
            "What do you know?",
            "How can you help me?",
        ],
        "I can add, subtract and multiply, convert units, count days, follow where somebody \
         goes, turn an order into JSON, call tools, spell words, tell a story, and answer about \
         the village and Mutirão.",
    ),
    (
        &["What is a provider?", "What does a provider do?", "What is a node?"],
        "A provider is a computer that lends its spare power to the network and is paid for the \
         work.",
    ),
    (
        &["How does a provider get paid?", "How do providers earn?", "Who pays the providers?"],
        "The client pays in small signed vouchers, one for each piece of work, and the provider \
         cashes the last one.",
    ),
    (
        &["What is a tijolo?", "What is the currency?", "What is TJ?"],
        "A tijolo is a brick. It is the money of Mutirão: 1 TJ is 1000000 base units.",
    ),
    (
        &["What is a receipt?", "Why are there receipts?"],
        "A receipt is signed by the provider and says which model gave which answer, so that \
         anyone can check it.",
    ),
    (
        &["What is an audit?", "How do I know the answer is right?"],
        "An audit replays the answer. The engine counts in whole numbers, so every machine gets \
         the same bits, and a difference is proof.",
    ),
    (
        &["What is a proof?", "What is a zero-knowledge proof?"],
        "A proof shows that the answer came from exactly the named model, and it shows nothing \
         else.",
    ),
    (
        &["Who can read my question?", "Is my data private?", "Is my question private?"],
        "Only the provider that answers reads the question. Prompts and answers are never on the \
         chain.",
    ),
    (
        &[
            "How do models learn together?",
            "What is collaborative learning?",
            "Does my data leave my computer?",
        ],
        "Each node trains on its own data and sends a masked change. Only the sum can be read, \
         so the data never leaves its owner.",
    ),
    (
        &["Who owns a model?", "How do creators earn?"],
        "The wallet that registered the model owns it, and every paid use sends its creator a \
         share.",
    ),
    (
        &["How is the price set?", "Why do prices change?"],
        "By supply and demand: when many clients ask and few providers are free, the price \
         rises; when providers are idle, it falls.",
    ),
    (
        &["What happens if a provider stops?", "What if a node dies?"],
        "Another provider continues with the very next word, because every machine gives the \
         same answer.",
    ),
    (
        &["Hello", "Hi", "Hello!", "Good morning", "Hey there", "Hi there!"],
        "Hello! Ask me a sum, a unit, a day, or for a story.",
    ),
    (&["Thank you", "Thanks!", "Thanks", "Thank you!"], "You are welcome."),
    (&["Goodbye", "Bye", "Goodbye!"], "Goodbye!"),
    (
        &["O que é Mutirão?", "O que é um mutirão?", "O que significa mutirão?"],
        "Um mutirão é um costume brasileiro: vizinhos trazem as suas ferramentas e fazem juntos \
         um trabalho grande. O Mutirão faz isso com IA: computadores dividem a força que sobra e \
         respondem juntos.",
    ),
    (
        &["Quem é você?", "O que é você?", "Qual é o seu nome?"],
        "Eu sou Village, um modelo bem pequeno que vem com o Mutirão. Falo pouco português.",
    ),
    (
        &["Olá", "Oi", "Olá!", "Oi!", "Bom dia", "Boa tarde"],
        "Olá! Falo pouco português. Pergunte uma soma.",
    ),
    (&["Obrigado", "Obrigada", "Obrigado!", "Muito obrigado"], "De nada."),
];

pub(super) fn questions(dice: &mut Dice) -> Item {
    let number = dice.below(QUESTIONS.len() as u32) as usize;
    let (wordings, answer) = QUESTIONS[number];
    let user = (*dice.pick(wordings)).to_owned();
    Item::new(format!("question {number}"), user, answer.to_owned()).memorised()
}

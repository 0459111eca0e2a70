//! The words of the village: names, goods, days, places, and what they are called in Portuguese.

use crate::dice::Dice;

/// First names the village knows.
pub const NAMES: [&str; 48] = [
    "Ana", "Bento", "Caio", "Dora", "Elisa", "Fabio", "Gil", "Helena", "Igor", "Joana", "Kira",
    "Lia", "Marco", "Nina", "Otto", "Paula", "Quim", "Rosa", "Saulo", "Tania", "Ugo", "Vera",
    "Wanda", "Yara", "Zeca", "Alba", "Bruno", "Celia", "Davi", "Ester", "Flora", "Guto", "Hugo",
    "Iris", "Joel", "Karla", "Leo", "Mila", "Noa", "Olga", "Pedro", "Rita", "Silas", "Tomas",
    "Luca", "Maya", "Rui", "Sofia",
];

/// Syllables that strangers' names are made of.
pub const SYLLABLES: [&str; 50] = [
    "ba", "be", "bi", "bo", "bu", "da", "de", "di", "do", "du", "fa", "fi", "go", "ga", "ka", "ke",
    "ki", "ko", "la", "le", "li", "lo", "lu", "ma", "me", "mi", "mo", "na", "ne", "ni", "no", "pa",
    "pe", "po", "ra", "re", "ri", "ro", "ru", "sa", "se", "si", "so", "ta", "te", "ti", "to", "va",
    "vi", "zo",
];

/// Things people have, order and give away, in the plural.
pub const GOODS: [&str; 36] = [
    "mangoes", "bananas", "oranges", "lemons", "pears", "apples", "figs", "plums", "grapes",
    "papayas", "melons", "limes", "peaches", "cherries", "coconuts", "beans", "carrots", "onions",
    "potatoes", "tomatoes", "eggs", "nails", "bricks", "candles", "ropes", "baskets", "seeds",
    "blankets", "lamps", "books", "pencils", "buckets", "cups", "plates", "bottles", "tiles",
];

/// What goods come in.
pub const UNITS: [&str; 8] =
    ["boxes", "bags", "kilos", "crates", "sacks", "jars", "packs", "dozens"];

/// The week.
pub const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The year.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Where people go.
pub const PLACES: [&str; 15] = [
    "kitchen", "garden", "market", "school", "barn", "river", "bakery", "library", "workshop",
    "square", "well", "mill", "harbour", "chapel", "orchard",
];

/// Who stories are about.
pub const ANIMALS: [&str; 16] = [
    "fox", "owl", "crab", "goat", "mouse", "heron", "turtle", "bee", "donkey", "cat", "frog",
    "sparrow", "rabbit", "duck", "lizard", "ant",
];

/// What stories turn on.
pub const THINGS: [&str; 15] = [
    "well", "lantern", "bridge", "seed", "drum", "kite", "boat", "mirror", "bell", "key", "basket",
    "ladder", "map", "wheel", "stone",
];

/// Words for sorting, reversing and spelling.
pub const WORDS: [&str; 48] = [
    "mango", "river", "stone", "bread", "house", "light", "water", "garden", "friend", "market",
    "school", "candle", "basket", "window", "orange", "bridge", "lantern", "village", "morning",
    "kitchen", "flower", "silver", "tree", "bird", "fish", "moon", "star", "wind", "rain", "corn",
    "milk", "honey", "salt", "road", "hill", "door", "lamp", "wheel", "boat", "drum", "kite",
    "bell", "seed", "leaf", "root", "sand", "wave", "cloud",
];

/// English and Portuguese.
pub const PORTUGUESE: [(&str, &str); 44] = [
    ("water", "água"),
    ("bread", "pão"),
    ("house", "casa"),
    ("sun", "sol"),
    ("moon", "lua"),
    ("fish", "peixe"),
    ("bird", "pássaro"),
    ("tree", "árvore"),
    ("milk", "leite"),
    ("salt", "sal"),
    ("rain", "chuva"),
    ("friend", "amigo"),
    ("night", "noite"),
    ("day", "dia"),
    ("book", "livro"),
    ("door", "porta"),
    ("river", "rio"),
    ("road", "estrada"),
    ("star", "estrela"),
    ("flower", "flor"),
    ("cat", "gato"),
    ("dog", "cachorro"),
    ("apple", "maçã"),
    ("rice", "arroz"),
    ("beans", "feijão"),
    ("coffee", "café"),
    ("fire", "fogo"),
    ("wind", "vento"),
    ("sea", "mar"),
    ("stone", "pedra"),
    ("hand", "mão"),
    ("heart", "coração"),
    ("work", "trabalho"),
    ("together", "juntos"),
    ("village", "aldeia"),
    ("school", "escola"),
    ("market", "mercado"),
    ("bridge", "ponte"),
    ("window", "janela"),
    ("brick", "tijolo"),
    ("neighbour", "vizinho"),
    ("honey", "mel"),
    ("orange", "laranja"),
    ("thank you", "obrigado"),
];

/// A name: known, or in `strange` of a hundred cases made of syllables.
pub fn name(dice: &mut Dice, strange: u32) -> String {
    if !dice.chance(strange) {
        return (*dice.pick(&NAMES)).to_owned();
    }
    let lower: String = (0..2).map(|_| *dice.pick(&SYLLABLES)).collect();
    capital(&lower)
}

/// The word with its first letter in upper case.
pub fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The word with "a" or "an" before it.
pub fn with_article(word: &str) -> String {
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {word}", if vowel { "an" } else { "a" })
}

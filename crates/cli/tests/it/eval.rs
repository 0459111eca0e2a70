//! What a model lost, as a person reads it.

use super::{Person, texts};

#[test]
fn the_village_is_held_against_its_floats_with_one_word() {
    let person = Person::new();
    let output = person.run(&["eval", "village", "--against", "float", "--tokens", "4000"]);
    let (out, errors) = texts(&output);
    assert!(output.status.success(), "{errors}");
    for word in ["KL, nats", "same first choice", "perplexity", "bits a weight", "w8"] {
        assert!(out.contains(word), "{word}: {out}");
    }
    assert!(!out.contains("MISSES"), "{out}");
    let found = person.json(&["eval", "--tokens", "4000"]);
    assert!(found["mean_divergence"].as_f64().expect("a figure") < 1e-3, "{found}");
    assert!(found["same_first_choice"].as_f64().expect("a share") >= 0.99, "{found}");
    assert!(found["predictions"].as_u64() >= Some(200), "{found}");
}

#[test]
fn what_cannot_be_measured_says_what_is_missing() {
    let person = Person::new();
    assert!(person.refused(&["eval", "lhama"], 1).contains("mutirao ls"));
    let text = person.refused(&["eval", "village", "--text", "/nowhere"], 1);
    assert!(text.contains("cannot read /nowhere"), "{text}");
    let original = person.refused(&["eval", "village", "--original", "/nowhere"], 1);
    assert!(original.contains("/nowhere"), "{original}");
}

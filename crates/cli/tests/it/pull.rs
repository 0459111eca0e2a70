//! Models that come from other machines: by name, by id, across a killed program, and not at all.

use super::trials::Provider;
use super::{Person, name, size_of, texts};
use std::path::{Path, PathBuf};

pub const BYTES: usize = 100 << 20;

/// The village with another context, so that it is another model, and with a file beside it that
/// makes it large.
pub fn published(person: &Person, bytes: usize) -> PathBuf {
    let folder = person.path("published");
    std::fs::create_dir(&folder).expect("made");
    let village = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/village");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"] {
        std::fs::copy(village.join(file), folder.join(file)).expect("copied");
    }
    let config = std::fs::read_to_string(folder.join("config.json")).expect("read");
    let config = config.replace("_embeddings\": 2048", "_embeddings\": 1024");
    std::fs::write(folder.join("config.json"), config).expect("written");
    std::fs::write(folder.join("generation_config.json"), vec![b' '; bytes]).expect("written");
    folder
}

#[test]
fn a_pull_that_is_killed_goes_on_where_it_was() {
    let person = Person::new();
    let folder = published(&person, BYTES);
    let provider = Provider::start(&person, 0, name(&folder));
    let offers = person.json(&["join", &provider.ticket]);
    let id = offers["offers"][0]["model"].as_str().expect("an id").to_owned();
    let pulling = person.path(".local/share/mutirao/pulling");
    person.killed(&["pull", &id], || size_of(&pulling) >= 24 << 20);
    let listed = person.json(&["ls"]).to_string();
    assert!(!listed.contains(&id[..8]), "half a model is none: {listed}");

    let arrived = person.json(&["pull", &id]);
    let fetched = arrived["fetched"].as_u64().expect("a count");
    assert!(fetched + (8 << 20) < BYTES as u64, "{fetched} were asked for again");
    let here = arrived["name"].as_str().expect("a name");
    let said = person.json(&["run", here, "What is 17 + 25?"]);
    assert_eq!(said["answer"], "17 + 25 = 42");
    assert!(person.refused(&["pull", &id], 1).contains("is here already"));
}

#[test]
fn what_cannot_be_pulled_or_imported_is_refused_with_what_could_be() {
    let person = Person::new();
    assert!(person.refused(&["pull", "village"], 1).contains("mutirao join"));
    let folder = published(&person, 10);
    let provider = Provider::start(&person, 0, name(&folder));
    person.json(&["join", &provider.ticket]);
    assert!(person.refused(&["pull", "nonsense"], 1).contains("offered are"));
    assert!(person.refused(&["pull", &"0".repeat(64)], 1).contains("does not have it"));
    assert!(person.refused(&["pull", "x", "--from", "nonsense"], 1).contains("ticket"));
    let imported = person.json(&["import", name(&folder), "--name", "mine"]);
    assert_eq!(person.json(&["run", "mine", "What is 17 + 25?"])["answer"], "17 + 25 = 42");
    assert!(imported["bytes"].as_u64() > Some(1 << 20));
    let again = person.refused(&["import", name(&folder), "--name", "mine"], 1);
    assert!(again.contains("is here already"));
    assert!(person.refused(&["import", name(&folder), "--name", "../x"], 1).contains("no name"));
    std::fs::create_dir(person.path("empty")).expect("made");
    let empty = person.run(&["import", name(&person.path("empty"))]);
    assert!(!empty.status.success() && texts(&empty).1.contains("config.json"));
}

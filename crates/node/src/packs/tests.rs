//! Packs that are made, kept, spoiled, exchanged and left out.

use super::*;
use crate::models::{Models, VILLAGE};
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::{Dice, Recipe, small_shape};
use mutirao_engine::{Session, Shape};

/// A folder with a model file of this seed.
fn folder(seed: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut recipe = Recipe::new(seed, Shape { layers: 3, ..small_shape() });
    recipe.tokenizer = b"{}".to_vec();
    std::fs::write(folder.path().join(MODEL_FILE), recipe.build()).expect("written");
    folder
}

fn opened(folder: &Path) -> (Model, Option<Pack>) {
    open_with(folder, None).expect("it is a model")
}

fn has(folder: &Path, name: &str) -> bool {
    folder.join(name).exists()
}

/// The model as its file says, without any cache.
fn plain(folder: &Path) -> Model {
    let file = std::fs::read(folder.join(MODEL_FILE)).expect("a file");
    Model::from_bytes(&file).expect("a model")
}

fn logits(model: Model) -> Vec<i32> {
    let model = Arc::new(model);
    let tokens = Dice::new(5).tokens(24, model.vocabulary());
    let mut all = Vec::new();
    let mut visit = |_: usize, logits: &[i32]| all.extend_from_slice(logits);
    Session::new(model).feed_each(&tokens, &Serial, &mut visit).expect("no trap");
    all
}

#[test]
fn a_model_is_packed_once_and_answers_the_same_bits_from_its_pack() {
    let folder = folder(1);
    let folder = folder.path();
    let (first, pack) = opened(folder);
    assert!(pack.expect("a pack").is_whole(&Serial));
    assert!(has(folder, PACK_FILE) && has(folder, NOTE_FILE) && !has(folder, PART_FILE));
    let made = Stamp::of(&folder.join(PACK_FILE));
    let (second, pack) = opened(folder);
    assert!(pack.is_some() && Stamp::of(&folder.join(PACK_FILE)) == made, "it is not made again");
    assert_eq!((first.id(), second.id()), (plain(folder).id(), plain(folder).id()));
    let expected = logits(plain(folder));
    assert_eq!(logits(first), expected);
    assert_eq!(logits(second), expected);
}

#[test]
fn a_pack_that_was_touched_is_made_again() {
    let folder = folder(2);
    let folder = folder.path();
    let expected = logits(opened(folder).0);
    let path = folder.join(PACK_FILE);
    let whole = std::fs::read(&path).expect("a pack");
    let cut = whole[..whole.len() / 2].to_vec();
    let mut spoiled = whole.clone();
    let last = spoiled.len() - 9;
    spoiled[last] ^= 1;
    for bytes in [cut, spoiled, Vec::new(), whole.clone()] {
        // The model that is open still has the old file; this one takes its place.
        std::fs::write(folder.join("other"), &bytes).expect("written");
        std::fs::rename(folder.join("other"), &path).expect("moved");
        assert!(open(folder).is_none(), "it is not trusted");
        assert_eq!(logits(opened(folder).0), expected);
        assert_eq!(std::fs::read(&path).expect("a pack"), whole);
    }
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(logits(opened(folder).0), expected);
    std::fs::write(folder.join(NOTE_FILE), "{}").expect("written");
    assert_eq!(logits(opened(folder).0), expected);
}

/// Writes a note that says of the pack that is there what a true one would.
fn forge(folder: &Path, change: impl Fn(&mut Note)) {
    let note = std::fs::read(folder.join(NOTE_FILE)).expect("a note");
    let mut note: Note = serde_json::from_slice(&note).expect("a note");
    note.pack = Stamp::of(&folder.join(PACK_FILE)).expect("a pack");
    note.file = Stamp::of(&folder.join(MODEL_FILE)).expect("a file");
    change(&mut note);
    let note = serde_json::to_vec(&note).expect("a note");
    std::fs::write(folder.join(NOTE_FILE), note).expect("written");
}

#[test]
fn the_pack_of_another_model_or_layout_is_made_again_whatever_its_note_says() {
    let (mine, other) = (folder(3), folder(4));
    let (mine, other) = (mine.path(), other.path());
    let expected = logits(opened(mine).0);
    opened(other);
    std::fs::copy(other.join(PACK_FILE), mine.join(PACK_FILE)).expect("copied");
    forge(mine, |_| {});
    assert!(open(mine).is_none(), "its front names another model");
    forge(mine, |note| note.model = plain(other).id().to_string());
    assert!(open(mine).is_none(), "the model file names another");
    assert_eq!(logits(opened(mine).0), expected);
    forge(mine, |note| note.layout += 1);
    assert!(open(mine).is_none(), "another layout");
    std::fs::copy(other.join(MODEL_FILE), mine.join(MODEL_FILE)).expect("copied");
    assert_eq!(opened(mine).0.id(), plain(other).id(), "the model file was replaced");
}

#[test]
fn bytes_that_changed_behind_the_systems_back_are_found_by_the_digest() {
    let folder = folder(5);
    let folder = folder.path();
    opened(folder);
    let path = folder.join(PACK_FILE);
    let mut bytes = std::fs::read(&path).expect("a pack");
    let last = bytes.len() - 9;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    forge(folder, |_| {});
    let (_, pack) = open(folder).expect("nothing shows from outside");
    assert!(!pack.is_whole(&Serial) && !pack.is_whole(&Serial));
    discard(folder);
    assert!(opened(folder).1.expect("a new one").is_whole(&Serial));
}

#[test]
fn without_room_or_a_way_to_write_a_model_opens_as_it_is() {
    let folder = folder(6);
    let folder = folder.path();
    let (model, pack) = open_with(folder, Some(1 << 20)).expect("it is a model");
    assert!(pack.is_none() && !has(folder, PACK_FILE) && !has(folder, PART_FILE));
    assert_eq!(logits(model), logits(plain(folder)));
    // A folder stands where the file is to be written.
    std::fs::create_dir(folder.join(PART_FILE)).expect("made");
    let (model, pack) = opened(folder);
    assert!(pack.is_none() && !has(folder, PACK_FILE));
    assert_eq!(logits(model), logits(plain(folder)));
}

#[test]
fn what_a_dead_program_left_behind_is_no_pack_and_does_not_stay() {
    let folder = folder(7);
    let folder = folder.path();
    std::fs::write(folder.join(PART_FILE), vec![7; 1 << 20]).expect("written");
    std::fs::write(folder.join(PACK_FILE), b"MUTIPACK").expect("written");
    let (model, pack) = opened(folder);
    assert!(pack.is_some() && !has(folder, PART_FILE));
    assert_eq!(logits(model), logits(plain(folder)));
}

#[test]
fn a_model_file_that_is_none_is_refused_and_not_packed() {
    let folder = folder(8);
    let path = folder.path().join(MODEL_FILE);
    let mut file = std::fs::read(&path).expect("a file");
    let last = file.len() - 70;
    file[last] ^= 1;
    std::fs::write(&path, &file).expect("written");
    assert!(matches!(open_with(folder.path(), None), Err(Refusal::Load(_))));
    std::fs::write(&path, b"MUTIRAO1").expect("written");
    assert!(matches!(open_with(folder.path(), None), Err(Refusal::Load(_))));
    std::fs::write(&path, b"").expect("written");
    assert!(open_with(folder.path(), None).is_err());
    assert!(!has(folder.path(), PACK_FILE) && !has(folder.path(), PART_FILE));
}

#[test]
fn the_embedded_model_and_models_elsewhere_are_not_packed() {
    let place = tempfile::tempdir().expect("a folder");
    let models = Models::new(place.path());
    models.find(VILLAGE).and_then(|site| site.weights()).expect("opened");
    let elsewhere = folder(9);
    let site = models.find(&elsewhere.path().to_string_lossy()).expect("it is there");
    let _ = site.weights();
    assert!(!has(elsewhere.path(), PACK_FILE), "nothing is written there");
}

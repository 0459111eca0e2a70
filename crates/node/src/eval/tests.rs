//! The village and checkpoints of families, as a person measures them.

use super::*;
use crate::ask::tests::Place;
use mutirao_wire::FileName;

fn order(model: &str, tokens: usize) -> EvalOrder {
    EvalOrder { model: model.to_owned(), original: None, text: None, tokens }
}

/// A checkpoint of a family with the village's tokenizer cut down to its vocabulary.
fn checkpoint(folder: &Path, family: &str) -> String {
    let kept = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../learn/tests/families");
    let place = folder.join(family);
    files::make_dir(&place).expect("made");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(kept.join(family).join(file), place.join(file)).expect("copied");
    }
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        letters().into_iter().zip(0..).map(|(letter, id)| (letter, id.into())).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "decoder": null,
        "pre_tokenizer": null, "post_processor": null,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": [] },
    });
    std::fs::write(place.join("tokenizer.json"), tokenizer.to_string()).expect("written");
    let template = "{% for m in messages %}{{ m.content }}{% endfor %}";
    std::fs::write(place.join("chat_template.jinja"), template).expect("written");
    place.to_string_lossy().into_owned()
}

/// One token to a letter.
fn letters() -> Vec<String> {
    (' '..='~').map(String::from).collect()
}

/// A text of letters.
fn text(folder: &Path) -> PathBuf {
    let path = folder.join("text");
    let words = "the fox and the hen went to the mill. ".repeat(30);
    std::fs::write(&path, words).expect("written");
    path
}

#[test]
fn the_village_is_held_against_its_own_floats_without_any_file() {
    let place = Place::new();
    let node = place.node("one", |_| {});
    let mut heard = Vec::new();
    let found = node.evaluate(&order(VILLAGE, 4000), &mut |progress| heard.push(progress));
    let found = found.expect("measured");
    assert!(found.agreement.positions > 200, "{found:?}");
    assert!(found.agreement.mean_divergence() < 1e-3, "{found:?}");
    assert!(found.agreement.same_choice_share() > 0.99, "{found:?}");
    assert!(found.agreement.perplexity_change().abs() < 0.003, "{found:?}");
    assert!(found.agreement.perplexities()[0] < 1.5, "it was taught this: {found:?}");
    assert!(found.bits > 8.0 && found.bits < 9.0 && found.profile == "w8", "{found:?}");
    let (first, last) = (heard[0], heard[heard.len() - 1]);
    assert!(first.done == 0 && first.left.is_none());
    assert!(last.done == last.all && last.left == Some(Duration::ZERO));
}

#[test]
fn a_directory_and_what_was_imported_of_it_are_held_against_the_floats_that_lie_there() {
    let (place, folder) = (Place::new(), tempfile::tempdir().expect("a folder"));
    let node = place.node("one", |_| {});
    let text = Some(text(folder.path()));
    for family in ["llama3", "gemma2"] {
        let model = checkpoint(folder.path(), family);
        let order = EvalOrder { text: text.clone(), ..order(&model, 300) };
        let direct = node.evaluate(&order, &mut |_| {}).expect("measured");
        assert_eq!(direct.agreement.positions, 300, "{family}");
        assert!(direct.agreement.mean_divergence() < 1e-3, "{family}: {direct:?}");
        assert!((direct.original_bits - 16.0).abs() < 0.1, "{family}: {direct:?}");
        node.import(&model, Some(family), Profile::W4, &mut |_| {}).expect("imported");
        let order = EvalOrder { model: family.to_owned(), ..order };
        let imported = node.evaluate(&order, &mut |_| {}).expect("measured");
        assert!(imported.bits < direct.bits && imported.profile == "w4", "{family}");
        let (w4, w8) = (&imported.agreement, &direct.agreement);
        assert!(w4.mean_divergence() > 4.0 * w8.mean_divergence(), "{family}: {w4:?} {w8:?}");
        std::fs::rename(&model, folder.path().join("elsewhere")).expect("moved");
        let error = node.evaluate(&order, &mut |_| {}).expect_err("the floats are gone");
        assert!(error.to_string().contains("--original"), "{error}");
        let original = Some(folder.path().join("elsewhere").to_string_lossy().into_owned());
        let found = node.evaluate(&EvalOrder { original, ..order }, &mut |_| {}).expect("found");
        assert_eq!(found.agreement, imported.agreement, "{family}");
        std::fs::remove_dir_all(folder.path().join("elsewhere")).expect("removed");
    }
}

#[test]
fn one_spoiled_weight_shows_in_what_is_measured() {
    let (place, folder) = (Place::new(), tempfile::tempdir().expect("a folder"));
    let node = place.node("one", |_| {});
    let copy = folder.path().join("spoiled");
    files::make_dir(&copy).expect("made");
    for (name, mut content) in node.models().embedded() {
        if name == FileName::Weights {
            // One weight in the middle of the file becomes 16.
            let at = content.len() / 4 * 2;
            content[at..at + 2].copy_from_slice(&0x4180_u16.to_le_bytes());
        }
        std::fs::write(copy.join(name.as_str()), content).expect("written");
    }
    let whole = folder.path().join("whole");
    files::make_dir(&whole).expect("made");
    for (name, content) in node.models().embedded() {
        std::fs::write(whole.join(name.as_str()), content).expect("written");
    }
    let model = copy.to_string_lossy().into_owned();
    let original = Some(whole.to_string_lossy().into_owned());
    let text = Some(text(folder.path()));
    let order = EvalOrder { original, text, ..order(&model, 200) };
    let found = node.evaluate(&order, &mut |_| {}).expect("measured");
    assert!(found.agreement.mean_divergence() > 1e-2, "{found:?}");
}

#[test]
fn what_is_missing_is_said_with_how_to_name_it() {
    let (place, folder) = (Place::new(), tempfile::tempdir().expect("a folder"));
    let node = place.node("one", |_| {});
    let refused =
        |order: &EvalOrder| node.evaluate(order, &mut |_| {}).expect_err("refused").to_string();
    let model = checkpoint(folder.path(), "llama2");
    assert!(refused(&order(&model, 100)).contains("--text"));
    let short = folder.path().join("short");
    std::fs::write(&short, "a").expect("written");
    assert!(refused(&EvalOrder { text: Some(short), ..order(&model, 100) }).contains("1 tokens"));
    let original = Some(model.clone());
    let other = refused(&EvalOrder { original, ..order(VILLAGE, 100) });
    assert!(other.contains("another model"), "{other}");
    node.import(&model, Some("mine"), Profile::W8, &mut |_| {}).expect("imported");
    let kept = node.config().data_dir.join("models/mine");
    std::fs::remove_file(kept.join(ORIGIN_FILE)).expect("it is noted");
    let error = refused(&EvalOrder { text: Some(text(folder.path())), ..order("mine", 100) });
    assert!(error.contains("--original"), "{error}");
    assert!(refused(&order("lhama", 100)).contains("mutirao ls"));
}

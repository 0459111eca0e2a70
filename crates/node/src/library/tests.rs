//! Models from peers that lie about them.

use super::*;
use crate::ask::tests::{Place, runtime};
use crate::keys::Keys;
use mutirao_net::iroh::{Config, bind};
use mutirao_wire::Digest;

/// A peer that hands out the village's files as another model.
async fn impostor(folder: &Path, model: ModelId) -> Arc<dyn mutirao_net::Net> {
    holder(folder, model, crate::models::Models::new(folder).embedded().to_vec()).await
}

/// A peer that hands out these files as that model.
async fn holder(
    folder: &Path,
    model: ModelId,
    files: Vec<(FileName, Vec<u8>)>,
) -> Arc<dyn mutirao_net::Net> {
    let shelf = Shelf::open(folder).await.expect("a shelf");
    let mut list = Vec::new();
    for (name, content) in files {
        let bytes = content.len() as u64;
        let hash = shelf.put_bytes(content).await.expect("put");
        list.push(FileEntry { name, bytes, hash });
    }
    let library = Library::new(shelf);
    library.offer(Manifest { model, files: list });
    let config = Config::new("127.0.0.1:0".parse().expect("an address"));
    let keys = Keys::throw_away().expect("keys");
    bind(&keys.peer, Config { library: Some(library), ..config }).await.expect("it listens")
}

#[test]
fn files_that_are_another_model_are_thrown_away_and_their_senders_named() {
    runtime().block_on(async {
        let (place, folder) = (Place::new(), tempfile::tempdir().expect("a folder"));
        let wanted = ModelId(Digest::of("test", &[b"wanted"]));
        let liar = impostor(folder.path(), wanted).await;
        let node = place.node("wanting", |_| {});
        let failed = node.pull(&wanted.to_string(), &[liar.ticket()], |_, _| {}).await;
        let Err(LibraryError::Impostor { peers, .. }) = failed else { panic!("{failed:?}") };
        assert_eq!(peers, liar.key().short());
        let listed = node.models().list().expect("listed");
        assert_eq!(listed.len(), 1, "only the embedded one: {listed:?}");
        let left = std::fs::read_dir(node.config().data_dir.join("models")).expect("listed");
        assert_eq!(left.count(), 0, "nothing is left of it");
        let pieces = std::fs::read_dir(node.config().data_dir.join("pulling")).expect("listed");
        assert_eq!(pieces.count(), 0, "nor of its pieces");
    });
}

/// The village with another setting, which makes it another model.
fn another_model(folder: &Path) -> (ModelId, Vec<(FileName, Vec<u8>)>) {
    let change = |(name, content): (FileName, Vec<u8>)| match name {
        FileName::Config => {
            let text = String::from_utf8(content).expect("text");
            let changed = text.replace("\"rope_theta\": 10000", "\"rope_theta\": 20000");
            assert_ne!(changed, text, "the setting is there");
            (name, changed.into_bytes())
        }
        _ => (name, content),
    };
    let models = crate::models::Models::new(folder);
    let files: Vec<_> = models.embedded().into_iter().map(change).collect();
    let place = folder.join("another");
    files::make_dir(&place).expect("made");
    for (name, content) in &files {
        std::fs::write(place.join(name.as_str()), content).expect("written");
    }
    let site = models.find(&place.to_string_lossy()).expect("it is there");
    (site.weights().expect("it is a model").0.id(), files)
}

#[test]
fn a_majority_of_liars_does_not_keep_a_model_from_who_wants_it() {
    runtime().block_on(async {
        let (place, folder) = (Place::new(), tempfile::tempdir().expect("a folder"));
        let (wanted, files) = another_model(folder.path());
        let honest = holder(&folder.path().join("honest"), wanted, files).await;
        let liars = [
            impostor(&folder.path().join("one"), wanted).await,
            impostor(&folder.path().join("two"), wanted).await,
        ];
        let peers = [liars[0].ticket(), honest.ticket(), liars[1].ticket()];
        let node = place.node("wanting", |_| {});
        let arrived = node.pull(&wanted.to_string(), &peers, |_, _| {}).await.expect("the model");
        assert_eq!(arrived.model, wanted);
        let from: Vec<_> = arrived.from.iter().map(|(key, _)| *key).collect();
        assert_eq!(from, [honest.key()], "the files of the liars were thrown away");
    });
}

#[test]
fn names_of_models_mean_nothing_in_a_path() {
    for name in ["a", "Llama-3.2_1B", "x.y"] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ä", &"x".repeat(65)] {
        assert!(!is_name(name), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_pulled() {
    let place = Place::new();
    let node = place.node("full", |_| {});
    node.make_data_dir().expect("made");
    assert!(node.has_room(1 << 20).is_ok());
    let refused = node.has_room(1 << 60);
    assert!(matches!(refused, Err(LibraryError::NoRoom { wanted, .. }) if wanted == 1 << 40));
}

//! The packed file: the same answers as from the model file, and a front that is compared.

use mutirao_engine::load::SinkError;
use mutirao_engine::pool::Serial;
use mutirao_engine::testing::{Dice, Recipe, small_shape};
use mutirao_engine::{Model, PackError, PackedError, Profile, Session, Shape, pack};
use std::sync::Arc;

fn recipe(profile: Profile, tied: u8) -> Recipe {
    let mut recipe = Recipe::new(7, Shape { tied, ..small_shape() });
    recipe.profile = profile;
    recipe.tokenizer = b"{}".to_vec();
    recipe.template = b"{{ text }}".to_vec();
    recipe
}

fn packed(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    pack(file, &mut |bytes| {
        out.extend_from_slice(bytes);
        Ok(())
    })
    .expect("a model file");
    out
}

fn open(bytes: Vec<u8>) -> Result<Model, PackedError> {
    Model::open_packed(Arc::new(bytes))
}

#[test]
fn a_packed_model_is_the_model_bit_for_bit() {
    for (profile, tied) in [(Profile::W8, 1), (Profile::W8, 0), (Profile::W4, 1), (Profile::W4, 0)]
    {
        let file = recipe(profile, tied).build();
        let plain = Arc::new(Model::from_bytes(&file).expect("a model file"));
        let fast = Arc::new(open(packed(&file)).expect("a packed file"));
        assert_eq!((plain.id(), plain.header()), (fast.id(), fast.header()));
        assert_eq!(plain.tokenizer(), fast.tokenizer());
        assert_eq!(plain.template(), fast.template());
        let tokens = Dice::new(3).tokens(40, plain.vocabulary());
        let logits = |model: &Arc<Model>| {
            let mut all = Vec::new();
            let mut visit = |_: usize, logits: &[i32]| all.push(logits.to_vec());
            Session::new(model.clone()).feed_each(&tokens, &Serial, &mut visit).expect("no trap");
            all
        };
        assert_eq!(logits(&plain), logits(&fast));
    }
}

#[test]
fn a_cut_or_longer_file_is_refused() {
    let whole = packed(&recipe(Profile::W8, 1).build());
    for length in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
        assert!(open(whole[..length].to_vec()).is_err(), "{length} bytes");
    }
    let mut longer = whole.clone();
    longer.push(0);
    let (expected, actual) = (whole.len() as u64, whole.len() as u64 + 1);
    assert_eq!(open(longer).err(), Some(PackedError::Size { expected, actual }));
}

#[test]
fn every_changed_byte_of_the_front_is_noticed() {
    let file = recipe(Profile::W4, 1).build();
    let whole = packed(&file);
    let weights = Model::from_bytes(&file).expect("a model file").parameters() as usize / 2;
    let front = whole.len() - weights - weights / 4;
    for at in (0..front.min(6000)).step_by(7) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(open(changed).is_err(), "byte {at}");
    }
    let mut other = whole.clone();
    other[8] = 200;
    assert_eq!(open(other).err(), Some(PackedError::Layout { found: 200 }));
    assert_eq!(open(file).err(), Some(PackedError::Magic));
}

#[test]
fn packing_stops_at_a_bad_model_file_and_at_a_full_disk() {
    let mut file = recipe(Profile::W8, 1).build();
    let full = || SinkError("no space left".to_owned());
    let refuse = &mut |_: &[u8]| Err(full());
    assert_eq!(pack(&file, refuse), Err(PackError::Sink(full())));
    let last = file.len() - 70;
    file[last] ^= 1;
    assert!(matches!(pack(&file, refuse), Err(PackError::Load(_))));
}

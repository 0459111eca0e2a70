//! Model files from strangers: whatever is wrong with one, it is refused by name, before anything
//! large is allocated, and without a panic.

use mutirao_engine::load::format::{self, File, matrix_sections};
use mutirao_engine::model::header::{Header, HeaderError, Profile};
use mutirao_engine::model::matrix::Matrix;
use mutirao_engine::testing::{Recipe, adversarial_model, sections, small_shape};
use mutirao_engine::{LoadError, Model, Shape};
use mutirao_wire::{DecodeError, Digest, Encode, OpSet, Token};
use proptest::prelude::*;
use std::sync::OnceLock;

fn tiny() -> Shape {
    Shape {
        hidden: 12,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        head_size: 4,
        inner: 9,
        vocabulary: 10,
        context: 16,
        tied: 0,
    }
}

fn recipe(profile: Profile) -> Recipe {
    let mut recipe = Recipe::new(5, tiny());
    recipe.profile = profile;
    recipe.tokenizer = b"{\"a\": 1}".to_vec();
    recipe.template = b"{{ text }}".to_vec();
    recipe
}

fn good() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| recipe(Profile::W8).build())
}

fn refused(file: &[u8]) -> LoadError {
    let error = Model::from_bytes(file).expect_err("not a model file");
    assert!(error.to_string().len() > 15, "{error}");
    error
}

/// The same weights and texts under a changed header or with changed sections: digests all fit.
fn forged(profile: Profile, change: impl FnOnce(&mut Header, &mut Vec<Vec<Vec<u8>>>)) -> Vec<u8> {
    let file = recipe(profile).build();
    let parsed = File::parse(&file).expect("a model file");
    let mut header = parsed.header.clone();
    let owned = |tensor: &format::Tensor<'_>| tensor.sections.iter().map(|s| s.to_vec()).collect();
    let mut sections: Vec<Vec<Vec<u8>>> = parsed.tensors.iter().map(owned).collect();
    change(&mut header, &mut sections);
    format::write(&header, parsed.tokenizer, parsed.template, &sections)
}

/// A file whose header was changed in bytes alone, with a new count in front of it.
fn with_header(change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let parsed = File::parse(good()).expect("a model file");
    let old = parsed.header.to_bytes().len();
    let mut header = parsed.header;
    change(&mut header);
    let header = header.to_bytes();
    let mut file = good()[..40].to_vec();
    (header.len() as u32).encode(&mut file);
    file.extend(header);
    file.extend(&good()[44 + old..]);
    file
}

#[test]
fn a_good_file_loads_and_keeps_what_it_was_made_of() {
    // spec: ENGINE-10.1, ENGINE-10.5
    for profile in [Profile::W8, Profile::W4] {
        let file = recipe(profile).build();
        let model = Model::from_bytes(&file).expect("a model file");
        assert_eq!(model.tokenizer(), b"{\"a\": 1}");
        assert_eq!(model.template(), b"{{ text }}");
        assert_eq!(model.op_set(), OpSet(1));
        assert_eq!((model.vocabulary(), model.context()), (10, 16));
        assert_eq!(model.end_of_text(), [Token(0)]);
        assert_eq!(model.parameters(), 2 * 120 + 2 * (24 + 4 * 96 - 2 * 48 + 3 * 108) + 12);
        assert_eq!(file.len() % 64, 0);
        assert_eq!(recipe(profile).build(), file);
    }
    Model::from_bytes(&adversarial_model(1, &small_shape())).expect("at its bounds, not beyond");
}

#[test]
fn the_header_decides_every_place_and_length_in_the_file() {
    // spec: ENGINE-10.3, ENGINE-10.4
    for profile in [Profile::W8, Profile::W4] {
        let file = recipe(profile).build();
        let places = sections(&file);
        let mut end = places[0].2.start;
        for (name, _, range) in &places {
            assert_eq!(range.start % 64, 0, "{name}");
            assert_eq!(range.start, end.next_multiple_of(64), "{name}");
            end = range.end;
        }
        assert_eq!(end.next_multiple_of(64), file.len());
        let query = places.iter().filter(|place| place.0 == "layers.1.query");
        let lengths: Vec<usize> = query.map(|place| place.2.len()).collect();
        let q = if profile == Profile::W8 { 8 * 12 } else { 8 * 6 };
        assert_eq!(lengths, [q, 8, 16, 8]);
        let down = places.iter().find(|place| place.0 == "layers.0.down").expect("is there");
        assert_eq!(down.2.len(), if profile == Profile::W8 { 12 * 9 } else { 12 * 5 });
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    // spec: ENGINE-10.3
    let front = sections(good())[0].2.start;
    let lengths = (0..front).chain((front..good().len()).step_by(7));
    for length in lengths.chain([good().len() - 1]) {
        let error = refused(&good()[..length]);
        let expected = match error {
            LoadError::Magic => length < 8,
            LoadError::Decode(DecodeError::Truncated { .. }) => length < front,
            LoadError::Size { expected, actual } => {
                (expected, actual) == (good().len() as u64, length as u64)
            }
            _ => false,
        };
        assert!(expected, "{length} bytes: {error}");
    }
    let longer = [good(), &[0; 64]].concat();
    let (expected, actual) = (good().len() as u64, longer.len() as u64);
    assert_eq!(refused(&longer), LoadError::Size { expected, actual });
    assert_eq!(
        refused(b"GGUF and more of it than forty bytes, so that it is long"),
        LoadError::Magic
    );
}

proptest! {
    #[test]
    fn a_flipped_bit_in_any_section_names_its_tensor(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8
    ) {
        // spec: ENGINE-10.3, ENGINE-11.1
        let places = sections(good());
        let (name, _, range) = which.get(&places);
        let mut file = good().to_vec();
        file[range.start + at.index(range.len())] ^= 1 << bit;
        prop_assert_eq!(refused(&file), LoadError::Digest { what: name.clone() });
    }

    #[test]
    fn a_flipped_bit_in_the_front_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        // spec: ENGINE-10.3, ENGINE-11.3
        let mut file = good().to_vec();
        file[at.index(sections(good())[0].2.start)] ^= 1 << bit;
        refused(&file);
    }

    #[test]
    fn bytes_that_were_never_a_model_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..400), magic in any::<bool>()
    ) {
        let start = if magic { good()[..44].to_vec() } else { Vec::new() };
        refused(&[start, bytes].concat());
    }

    #[test]
    fn a_front_with_overwritten_bytes_is_refused(
        at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..12)
    ) {
        let mut file = good().to_vec();
        let at = at.index(sections(good())[0].2.start - bytes.len());
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        prop_assume!(file != good());
        refused(&file);
    }
}

#[test]
fn padding_that_is_not_zero_is_refused() {
    // spec: ENGINE-10.3
    let places = sections(good());
    for (name, _, range) in &places {
        for at in range.end..range.end.next_multiple_of(64) {
            let mut file = good().to_vec();
            file[at] = 1;
            assert_eq!(refused(&file), LoadError::Padding { what: name.clone() });
        }
    }
}

#[test]
fn a_changed_text_changes_the_id() {
    // spec: ENGINE-11.3
    let base = Model::from_bytes(good()).expect("a model file").id();
    let with = |change: fn(&mut Recipe)| {
        let mut recipe = recipe(Profile::W8);
        change(&mut recipe);
        Model::from_bytes(&recipe.build()).expect("a model file").id()
    };
    assert_eq!(with(|_| ()), base);
    assert_ne!(with(|recipe| recipe.tokenizer.push(b' ')), base);
    assert_ne!(with(|recipe| recipe.template.push(b' ')), base);
    assert_ne!(with(|recipe| recipe.end_of_text.push(Token(1))), base);
    assert_ne!(with(|recipe| recipe.profile = Profile::W4), base);
    let text = |recipe: &mut Recipe| recipe.template = std::mem::take(&mut recipe.tokenizer);
    assert_ne!(with(text), base);
}

/// The id as `docs/spec/engine.md` builds it from sections and texts.
#[test]
fn the_id_is_that_of_the_tree_over_the_tensors() {
    // spec: ENGINE-11.1, ENGINE-11.2, ENGINE-11.3
    let parsed = File::parse(good()).expect("a model file");
    let leaf = |tensor: &format::Tensor<'_>| {
        let mut parts = vec![tensor.spec.name.as_bytes()];
        parts.extend(&tensor.sections);
        Digest::of("mutirao 1 tensor", &parts)
    };
    let leaves: Vec<Digest> = parsed.tensors.iter().map(leaf).collect();
    let join = |domain, leaves: &[Digest]| {
        Digest::of(domain, &leaves.iter().map(|leaf| leaf.0.as_slice()).collect::<Vec<_>>())
    };
    let [first, second] = [1, 10].map(|at| join("mutirao 1 layer", &leaves[at..at + 9]));
    let root = join("mutirao 1 weights", &[leaves[0], first, second, leaves[19], leaves[20]]);
    let header = parsed.header.to_bytes();
    let texts = [
        Digest::of("mutirao 1 tokenizer", &[parsed.tokenizer]),
        Digest::of("mutirao 1 template", &[parsed.template]),
    ];
    let parts: [&[u8]; 4] = [&header, &root.0, &texts[0].0, &texts[1].0];
    assert_eq!(Digest::of("mutirao 1 model", &parts), parsed.id.0);
}

#[test]
fn counts_and_shapes_that_lie_are_refused_before_anything_is_read() {
    // spec: ENGINE-10.2, ENGINE-10.3
    let count = |at: usize, count: u32| {
        let mut file = good().to_vec();
        file[at..at + 4].copy_from_slice(&count.to_le_bytes());
        refused(&file)
    };
    let header = File::parse(good()).expect("a model file").header.to_bytes().len();
    for (at, what) in [(40, "header"), (44 + header, "tokenizer"), (44 + header + 12, "template")] {
        let error = count(at, u32::MAX);
        assert!(
            matches!(error, LoadError::Decode(DecodeError::TooLong { what: w, .. }) if w == what),
            "{error}"
        );
    }
    let leaves = 44 + header + 12 + 4 + b"{{ text }}".len();
    assert!(matches!(
        count(leaves, 22),
        LoadError::Decode(DecodeError::TooLong { what: "leaf digests", .. })
    ));
    let fewer = LoadError::Size { expected: 21, actual: 20 };
    assert_eq!(count(leaves, 20), fewer);
    let huge = |shape: fn(&mut Shape)| refused(&with_header(|header| shape(&mut header.shape)));
    // As large as op set 1 goes: terabytes of weights that the file does not have.
    assert!(matches!(huge(|shape| shape.hidden = 1 << 14), LoadError::Size { .. }));
    assert!(matches!(huge(|shape| shape.inner = 1 << 17), LoadError::Size { .. }));
    assert!(matches!(huge(|shape| shape.vocabulary = 1 << 20), LoadError::Size { .. }));
    // A tied head has no leaf of its own.
    assert!(matches!(huge(|shape| shape.tied = 1), LoadError::Decode(_)));
    // More layers or heads than the header has scales for.
    assert!(matches!(huge(|shape| shape.layers = 512), LoadError::Decode(_)));
    assert!(matches!(huge(|shape| shape.heads = 1 << 14), LoadError::Decode(_)));
}

#[test]
fn numbers_outside_of_op_set_1_are_refused_by_field() {
    // spec: ENGINE-10.2, ENGINE-3.1
    type Change = fn(&mut Header);
    let fields: [(&str, Change); 15] = [
        ("hidden size", |h| h.shape.hidden = 0),
        ("hidden size", |h| h.shape.hidden = (1 << 14) + 1),
        ("head count", |h| h.shape.heads = 0),
        ("vocabulary", |h| h.shape.vocabulary = (1 << 20) + 1),
        ("vocabulary", |h| h.shape.vocabulary = 0),
        ("feed-forward size", |h| h.shape.inner = (1 << 17) + 1),
        ("context", |h| h.shape.context = (1 << 17) + 1),
        ("tied flag", |h| h.shape.tied = 2),
        ("residual scale", |h| h.residual_bits = 17),
        ("residual scale", |h| h.residual_bits = 7),
        ("epsilon", |h| h.epsilon = 1 << 54),
        ("attention multiplier", |h| h.attention_multiplier = 32767),
        ("attention shift", |h| h.attention_shift = 63),
        ("gate scale", |h| h.layers[1].gate_bits = 10),
        ("norm scale", |h| h.final_norm.value_bits = 31),
    ];
    for (field, change) in fields {
        // A head that is no longer counted leaves its scale behind, so the scales go with it.
        let file = with_header(|header| {
            change(header);
            let heads = header.shape.heads as usize;
            header.layers.iter_mut().for_each(|layer| layer.query_bits.truncate(heads));
        });
        match refused(&file) {
            LoadError::Header(HeaderError::OutOfRange { what, .. }) => assert_eq!(what, field),
            other => panic!("{field}: {other}"),
        }
    }
    let mismatch = |change: Change| match refused(&with_header(change)) {
        LoadError::Header(HeaderError::Mismatch(_)) => (),
        other => panic!("{other}"),
    };
    mismatch(|h| h.end_of_text = vec![Token(10)]);
    mismatch(|h| h.end_of_text = vec![Token(3), Token(3)]);
    mismatch(|h| h.end_of_text = vec![Token(3), Token(2)]);
    let many = |h: &mut Header| h.end_of_text = (0..17).map(Token).collect();
    assert!(matches!(refused(&with_header(many)), LoadError::Decode(DecodeError::TooLong { .. })));
    let name = |h: &mut Header| h.name = "x".repeat(65);
    assert!(matches!(refused(&with_header(name)), LoadError::Decode(DecodeError::TooLong { .. })));
}

#[test]
fn a_newer_op_set_is_named_not_guessed() {
    // spec: ENGINE-1.1
    let file = with_header(|header| header.op_set = OpSet(2));
    assert_eq!(refused(&file), LoadError::OpSet(OpSet(2)));
    let unknown = |at: usize, byte: u8| {
        let mut file = good().to_vec();
        file[at] = byte;
        match refused(&file) {
            LoadError::Decode(DecodeError::Unknown { what, .. }) => what,
            other => panic!("{other}"),
        }
    };
    assert_eq!(unknown(44, 2), "header version");
    assert_eq!(unknown(48, 16), "profile");
    assert_eq!(unknown(49, 3), "model family");
}

/// Index of `layers.0.query` among the tensors, and of `layers.0.down`.
const QUERY: usize = 2;
const DOWN: usize = 9;

fn why(file: &[u8]) -> (String, &'static str) {
    match refused(file) {
        LoadError::Bound { what, why } => (what, why),
        other => panic!("{other}"),
    }
}

#[test]
fn weights_that_break_their_ranges_are_refused_with_their_row() {
    // spec: ENGINE-3.2, ENGINE-3.3
    let with = |profile, section: usize, at: usize, byte: u8| {
        let change = |_: &mut Header, sections: &mut Vec<Vec<Vec<u8>>>| {
            sections[QUERY][section][at] = byte;
        };
        why(&forged(profile, change))
    };
    let row = |row: u32| format!("layers.0.query, row {row}");
    assert_eq!(with(Profile::W8, 0, 12 * 5, 0x80), (row(5), "a weight is out of range"));
    for m in [0, 16, 0xFF] {
        let expected = (row(3), "a group multiplier is out of range");
        assert_eq!(with(Profile::W8, 1, 3, m), expected);
    }
    for m in [0, 16, 0xF0] {
        let expected = (row(3), "a group multiplier is out of range");
        assert_eq!(with(Profile::W4, 1, 3, m), expected);
    }
    let expected = (row(2), "the row multiplier is not normalised");
    assert_eq!(with(Profile::W8, 2, 5, 0x7F), expected);
    let nibble = |_: &mut Header, sections: &mut Vec<Vec<Vec<u8>>>| sections[DOWN][0][4] |= 0x10;
    let (what, reason) = why(&forged(Profile::W4, nibble));
    assert_eq!(what, "layers.0.down");
    assert!(reason.contains("nibble"), "{reason}");
}

#[test]
fn a_certificate_that_does_not_hold_is_refused() {
    // spec: ENGINE-3.4
    // 2367 weights of 1905 are within 2^33 as squares, 2368 are not: one column makes the lie.
    for (columns, holds) in [(2367, true), (2368, false)] {
        let shape = Shape { inner: columns, layers: 1, ..tiny() };
        let file = Recipe::new(1, shape).build();
        let parsed = File::parse(&file).expect("a model file");
        let owned =
            |tensor: &format::Tensor<'_>| tensor.sections.iter().map(|s| s.to_vec()).collect();
        let mut sections: Vec<Vec<Vec<u8>>> = parsed.tensors.iter().map(owned).collect();
        let mut down: Matrix = parsed.tensors[DOWN].matrix().expect("a matrix");
        let (columns, groups) = (down.columns, down.groups());
        down.q[4 * columns..5 * columns].fill(-127);
        down.m[4 * groups..5 * groups].fill(15);
        sections[DOWN] = matrix_sections(&down);
        let file = format::write(&parsed.header, b"", b"", &sections);
        match holds {
            true => assert!(Model::from_bytes(&file).is_ok()),
            false => {
                let (what, why) = why(&file);
                assert_eq!(what, "layers.0.down, row 4");
                assert!(why.contains("2^33"), "{why}");
            }
        }
    }
}

#[test]
fn scales_that_are_too_fine_for_their_rows_are_refused() {
    // spec: ENGINE-3.7, ENGINE-6.4, ENGINE-7.7, ENGINE-8.1
    type Change = fn(&mut Header);
    let finer: [(&str, Change); 8] = [
        ("layers.0.query", |h| h.layers[0].query_bits[1] += 1),
        ("layers.1.key", |h| h.layers[1].key_bits[0] += 1),
        ("layers.0.value", |h| h.layers[0].value_bits[0] += 1),
        ("layers.1.gate", |h| h.layers[1].gate_bits += 1),
        ("layers.0.up", |h| h.layers[0].up_bits += 1),
        ("layers.0.input_norm", |h| h.layers[0].input.value_bits += 1),
        ("layers.1.post_norm", |h| h.layers[1].post.value_bits += 1),
        ("final_norm", |h| h.final_norm.value_bits += 1),
    ];
    for (tensor, change) in &finer {
        let file = forged(Profile::W8, |header, _| change(header));
        assert_eq!(why(&file).0, *tensor);
    }
    for (section, at, byte) in [(3, 0, 77), (3, 7, 200), (3, 3, 0)] {
        let (what, _) = why(&forged(Profile::W8, |_, all| all[QUERY][section][at] = byte));
        assert_eq!(what, "layers.0.query");
        let (what, why) = why(&forged(Profile::W8, |_, all| all[DOWN][section][at] = byte));
        assert_eq!((what.as_str(), why), ("layers.0.down", "a row's shift is out of range"));
    }
    let (what, why) = why(&forged(Profile::W8, |_, sections| sections[0][3][2] = 15));
    assert_eq!((what.as_str(), why), ("embedding", "a row's shift is out of range"));
}

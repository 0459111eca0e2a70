//! Every kernel against plain 64-bit sums over the logical matrix, bit for bit.

use super::*;
use crate::fixed::narrow;
use crate::model::header::Profile;
use crate::model::matrix::Matrix;
use crate::op::linear::accumulate;
use crate::op::{attention, l2, linear, residual, rmsnorm, swiglu};
use crate::table::Tables;
use proptest::prelude::*;

fn sets() -> Vec<Kernels> {
    Kernels::available()
}

#[test]
fn the_sets_of_this_machine_are_among_those_that_are_compared() {
    let names: Vec<_> = sets().iter().map(|kernels| kernels.name()).collect();
    assert_eq!(names[0], "scalar");
    // What no processor of the architecture lacks cannot silently be left out.
    assert!(!cfg!(target_arch = "aarch64") || names[1] == "neon");
    assert_eq!(Some(&Kernels::detect().name()), names.last());
}

fn matrix(profile: Profile, rows: usize, columns: usize, q: impl Fn(usize) -> i8) -> Matrix {
    let groups = columns.div_ceil(profile.group());
    let m = |at: usize| match profile {
        Profile::W8 => (at % 15) as i8 + 1,
        Profile::W4 => [15, -15, 1, -1, 7, -8][at % 6],
    };
    Matrix {
        profile,
        rows,
        columns,
        q: (0..rows * columns).map(q).collect(),
        m: (0..rows * groups).map(m).collect(),
        multiplier: vec![1 << 15; rows],
        exponent: vec![20; rows],
    }
}

/// Each token's rows as 64-bit sums, reduced to 32 wrapping bits.
fn slow(matrix: &Matrix, x: &[Vec<i16>]) -> Vec<Vec<i32>> {
    let row = |x: &Vec<i16>, row| accumulate(matrix.row(row), x) as i32;
    x.iter().map(|x| (0..matrix.rows).map(|at| row(x, at)).collect()).collect()
}

fn fast(kernels: Kernels, packed: &Packed, x: &[Vec<i16>]) -> Vec<Vec<i32>> {
    let mut padded = Vec::new();
    for x in x {
        padded.extend_from_slice(x);
        padded.resize(padded.len() + packed.stride() - x.len(), 0);
    }
    let (middle, stride) = (packed.tiles() / 2, packed.stride());
    let mut memory = vec![77; kernels.input_entries(x.len(), stride)];
    let input = kernels.input(&padded, stride, &mut memory);
    let mut out = Vec::new();
    for tiles in [0..middle, middle..packed.tiles()] {
        let mut part = vec![77; tiles.len() * x.len() * TILE];
        kernels.accumulate(packed, tiles, &input, &mut part);
        out.extend(part);
    }
    let at = |token, row| out[(row / TILE * x.len() + token) * TILE + row % TILE];
    let rows = |token| (0..packed.rows()).map(|row| at(token, row)).collect();
    (0..x.len()).map(rows).collect()
}

fn agrees(matrix: &Matrix, x: &[Vec<i16>]) {
    let (packed, expected) = (Packed::new(matrix), slow(matrix, x));
    for kernels in sets() {
        assert_eq!(fast(kernels, &packed, x), expected, "{}", kernels.name());
    }
    let mut row = vec![0; matrix.columns];
    packed.row(matrix.rows - 1, &mut row);
    assert!(matrix.row(matrix.rows - 1).eq(row));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    // spec: ENGINE-1.5, ENGINE-3.5
    #[test]
    fn kernels_agree_on_odd_sizes(
        rows in 1usize..40, columns in 1usize..200, tokens in 1usize..40, four in any::<bool>(),
        seed in any::<u64>()
    ) {
        let profile = if four { Profile::W4 } else { Profile::W8 };
        let mix = |at: usize| (seed ^ at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        let q = |at: usize| match (four, mix(at)) {
            (true, roll) => (roll % 16) as i8 - 8,
            (false, roll) => ((roll % 255) as i16 - 127) as i8,
        };
        let entry = |token: usize, at: usize| mix(at + 977 * (token + 1)) as i16 / 64;
        let x = |token: usize| (0..columns).map(|at| entry(token, at)).collect();
        let x: Vec<Vec<i16>> = (0..tokens).map(x).collect();
        agrees(&matrix(profile, rows, columns, q), &x);
    }
}

#[test]
fn kernels_agree_at_the_extremes_and_across_panels() {
    // spec: ENGINE-3.5
    for (profile, least, most) in [(Profile::W8, -127, 127), (Profile::W4, -8, 7)] {
        for columns in [64, 511, 1024, 1100] {
            for tokens in [1, 2, 6, 7, 13, 21] {
                let x: Vec<Vec<i16>> =
                    vec![
                        [-ENTRY_MAX, ENTRY_MAX, -1, 0].repeat(columns)[..columns].to_vec();
                        tokens
                    ];
                agrees(&matrix(profile, 17, columns, |_| least), &x);
                agrees(&matrix(profile, 17, columns, |at| if at % 3 == 0 { most } else { 0 }), &x);
            }
        }
    }
}

#[test]
fn a_row_and_an_input_at_their_bounds_are_exact_in_every_kernel() {
    // spec: ENGINE-3.5
    // Parallel vectors at both bounds: the accumulator comes within 2^24 of 2^31.
    let mut matrix = matrix(Profile::W8, 16, 2367, |_| 127);
    matrix.m.fill(15);
    let x = vec![vec![476i16; 2367], vec![-476i16; 2367], vec![0; 2367]];
    assert!(matrix.check().is_ok());
    assert!(accumulate(matrix.row(3), &x[0]) > (1 << 31) - (1 << 24));
    agrees(&matrix, &x);
    // One more column breaks the certificate.
    matrix.columns += 1;
    matrix.q.resize(16 * 2368, 127);
    assert!(matrix.check().is_err());
}

proptest! {
    #[test]
    fn attention_kernels_agree(
        size in (1usize..17).prop_map(|n| n * 8), positions in 1usize..70, seed in any::<u64>()
    ) {
        let mix = |at: usize| ((seed ^ at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as i16;
        let query: Vec<i16> = (0..size).map(mix).collect();
        let keys: Vec<i16> = (0..size * positions).map(|at| mix(at + 5000)).collect();
        let values: Vec<i16> = keys.iter().map(|key| key >> 4).collect();
        let powers: Vec<i16> = (0..positions).map(|at| mix(at + 90_000) & 32767).collect();
        let results: Vec<_> = sets()
            .into_iter()
            .map(|kernels| {
                let (mut dots, mut sums) = (vec![0; positions], vec![1; size]);
                kernels.dots(&query, &keys, &mut dots);
                kernels.mix(&powers, &values, &mut sums);
                (dots, sums)
            })
            .collect();
        prop_assert!(results.iter().all(|result| *result == results[0]));
        for (dot, key) in results[0].0.iter().zip(keys.chunks(size)) {
            let products = query.iter().zip(key).map(|(q, k)| i64::from(*q) * i64::from(*k));
            let exact: i64 = products.sum();
            prop_assert_eq!(*dot, exact as i32);
        }
        for (channel, sum) in results[0].1.iter().enumerate() {
            let column = values.iter().skip(channel).step_by(size);
            let products = powers.iter().zip(column).map(|(p, v)| i64::from(*p) * i64::from(*v));
            let exact: i64 = products.sum();
            prop_assert_eq!(*sum, exact + 1);
        }
    }
}

proptest! {
    // spec: ENGINE-7.4, ENGINE-7.5
    #[test]
    fn scores_become_weights_as_the_operators_say(
        dots in prop::collection::vec(any::<i32>(), 1..90), multiplier in 32768u16..,
        shift in 8u32..=40, left in 0u32..32
    ) {
        let dots: Vec<i32> = dots.iter().map(|dot| dot >> left).collect();
        let scale = attention::HeadScale { multiplier, shift, align: 0, cap: None };
        let octaves = |dot: &i32| attention::octaves((*dot).into(), scale);
        let plain: Vec<i64> = dots.iter().map(octaves).collect();
        let largest = *plain.iter().max().unwrap();
        let exponential = &Tables::get().exponential;
        let power = |z: &i64| attention::power(largest - z, exponential) as i16;
        let weights: Vec<i16> = plain.iter().map(power).collect();
        let sum = weights.iter().map(|p| u64::from(p.unsigned_abs())).sum();
        for kernels in sets() {
            let (mut found, mut powers) = (vec![0; dots.len()], vec![77; dots.len()]);
            kernels.octaves(&dots, multiplier, shift, &mut found);
            prop_assert_eq!(&found, &plain);
            let total = kernels.powers(&found, exponential, &mut powers);
            prop_assert_eq!((total, &powers), (sum, &weights));
        }
    }
}

#[test]
fn sixteen_positions_at_their_bounds_do_not_overflow() {
    // spec: ENGINE-7.3
    for (kernels, count) in sets().into_iter().flat_map(|kernels| [(kernels, 100), (kernels, 99)]) {
        let mut out = vec![0i64; 32];
        kernels.mix(&vec![32767; count], &vec![-4095; 32 * count], &mut out);
        let sum = -(count as i64) * 32767 * 4095;
        assert!(out.iter().all(|found| *found == sum), "{}", kernels.name());
    }
}

proptest! {
    // spec: ENGINE-4.1
    #[test]
    fn a_vector_is_shortened_as_the_l2_rule_says(
        wide in prop::collection::vec(-(1i64 << 45)..(1 << 45), 0..300), shift in 0u32..45,
        flat in any::<bool>()
    ) {
        let level = |v: &i64| if flat { (1 << 45 >> shift) - (v & 1) } else { v >> shift };
        let wide: Vec<i64> = wide.iter().map(level).collect();
        let mut plain = vec![0i16; wide.len()];
        let t = l2::shorten(&wide, &mut plain);
        for kernels in sets() {
            let mut out = vec![0i16; wide.len()];
            prop_assert_eq!((kernels.shorten_64(&wide, &mut out), &out), (t, &plain));
            if wide.iter().all(|v| v.unsigned_abs() < 1 << 30) {
                let narrow: Vec<i32> = wide.iter().map(|v| *v as i32).collect();
                prop_assert_eq!((kernels.shorten_32(&narrow, &mut out), &out), (t, &plain));
            }
        }
    }

    // spec: ENGINE-6.3
    #[test]
    fn a_vector_is_normed_as_the_operator_says(
        x in prop::collection::vec(any::<i32>(), 1..200), shift in 0u32..32,
        epsilon in 0u64..(1 << 50)
    ) {
        let x: Vec<i32> = x.iter().map(|x| x >> shift).collect();
        let gain: Vec<i16> = (0..x.len()).map(|j| (j % 30) as i16 * 997 - 8000).collect();
        let scales = NormScales { gain_bits: 14, value_bits: 12 };
        let mut plain = vec![0; x.len()];
        rmsnorm::normalise(&x, &gain, scales, epsilon, &mut plain);
        for kernels in sets() {
            let mut out = vec![0; x.len()];
            kernels.normalise(&x, &gain, scales, epsilon, &mut out);
            prop_assert_eq!(&out, &plain);
        }
    }

    // spec: ENGINE-8.2
    #[test]
    fn gates_open_as_the_operator_says(
        pairs in prop::collection::vec((any::<i32>(), any::<i32>()), 0..80), bits in 11u32..=20,
        shift in 0u32..20
    ) {
        let less = |(g, u): &(i32, i32)| (g >> (10 + shift), u >> (10 + shift));
        let (g, u): (Vec<i32>, Vec<i32>) = pairs.iter().map(less).unzip();
        let sigmoid = &Tables::get().sigmoid;
        let plain: Vec<i64> =
            g.iter().zip(&u).map(|(g, u)| swiglu::gate(*g, *u, bits, sigmoid)).collect();
        let largest = g.iter().chain(&u).map(|x| x.unsigned_abs()).max().unwrap_or(0);
        for kernels in sets() {
            let mut wide = vec![0; g.len()];
            prop_assert_eq!(kernels.gate(&g, &u, bits, sigmoid, &mut wide), largest);
            prop_assert_eq!(&wide, &plain);
        }
    }

    // spec: ENGINE-3.6, ENGINE-5.2
    #[test]
    fn outputs_are_scaled_and_added_as_the_operators_say(
        acc in prop::collection::vec(any::<i32>(), 3 * TILE), m in any::<[u16; TILE]>(),
        s in prop::array::uniform16(0u8..=62), exponents in prop::array::uniform3(0u32..12),
        left in 0u32..32
    ) {
        let acc: Vec<i32> = acc.iter().map(|acc| acc >> left).collect();
        let (mut plain, mut trapped) = (acc.clone(), vec![]);
        for (token, out) in plain.chunks_mut(TILE).enumerate() {
            for (row, out) in out.iter_mut().enumerate() {
                let shift = u32::from(s[row]).saturating_sub(exponents[token]);
                let y = linear::scale(*out, m[row], shift);
                *out = narrow(y).unwrap_or_else(|_| {
                    trapped.push(token);
                    0
                });
            }
        }
        trapped.dedup();
        for kernels in sets() {
            let (mut out, told) = (acc.clone(), std::sync::Mutex::new(vec![]));
            let trap = |token| told.lock().unwrap().push(token);
            kernels.scale(&mut out, &m, &s, &exponents, &trap);
            prop_assert_eq!((&out, told.into_inner().unwrap()), (&plain, trapped.clone()));
            let fits = kernels.add(&mut out, &acc);
            let sums: Vec<_> = plain.iter().zip(&acc).map(|(x, y)| residual::add(*x, *y)).collect();
            prop_assert_eq!(fits, sums.iter().all(Result::is_ok));
            prop_assert!(out.iter().zip(&sums).all(|(x, sum)| *x == sum.unwrap_or(0)));
        }
    }
}

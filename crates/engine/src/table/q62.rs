//! Numbers in 0..=2 with 62 fraction bits, and how far they may be off.
//!
//! `mul` drops less than one unit. Every series below adds less than 40 units of error in all,
//! that is 2^-56; the tests show that no table entry is that close to a rounding boundary.

/// One.
pub const ONE: u64 = 1 << 62;

/// The product, rounded down.
pub fn mul(a: u64, b: u64) -> u64 {
    let product = (u128::from(a) * u128::from(b)) >> 62;
    u64::try_from(product).expect("factors are at most two, one of them at most one")
}

/// `a / b`, rounded down, for a quotient of at most two.
pub fn div(a: u64, b: u64) -> u64 {
    let quotient = (u128::from(a) << 62) / u128::from(b);
    u64::try_from(quotient).expect("the quotient is at most two")
}

/// `e^(-x)` for x in 0..=1, by the alternating series until its terms vanish.
pub fn exp_minus(x: u64) -> u64 {
    let (mut sum, mut term, mut n) = (ONE, ONE, 1);
    while term > 0 {
        term = mul(term, x) / n;
        sum = if n % 2 == 1 { sum - term } else { sum + term };
        n += 1;
    }
    sum
}

/// Rounds `value * factor` to the nearest integer; also says how far the product is from the
/// boundary between two integers, in units of 2^-62.
pub fn round(value: u64, factor: u64) -> (u64, u64) {
    let product = u128::from(value) * u128::from(factor);
    let fraction = u64::try_from(product & u128::from(ONE - 1)).expect("masked to 62 bits");
    let nearest = (product + u128::from(ONE / 2)) >> 62;
    (u64::try_from(nearest).expect("tables are small"), fraction.abs_diff(ONE / 2))
}

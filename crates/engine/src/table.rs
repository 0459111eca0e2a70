//! The tables of op set 1, made by integer arithmetic alone.
//!
//! Each entry is computed with a proven error far below the distance of its true value from the
//! nearest rounding boundary (a test checks that distance for every entry), so the tables are the
//! correctly rounded values, whoever computes them and however. Their digests are pinned.

pub mod cosine;
pub mod exponential;
pub mod gelu;
mod q62;
pub mod sigmoid;

use std::sync::OnceLock;

/// The four tables.
// spec: ENGINE-2.1
#[derive(Debug)]
pub struct Tables {
    /// `EXP2[i] = round(32767 * 2^(-i/2048))`, i in 0..65536.
    pub exponential: Vec<u16>,
    /// `COS[i] = round(16384 * cos(2 pi i / 65536))`, i in 0..65536.
    pub cosine: Vec<i16>,
    /// `SIG[i + 32768] = round(65536 / (1 + e^(-i/2048)))`, i in -32768..32768.
    pub sigmoid: Vec<u32>,
    /// `GEL[i + 32768] = round(65536 sigmoid(sqrt(8/pi) (z + 0.044715 z^3)))`, z = i/2048.
    pub gelu: Vec<u32>,
}

impl Tables {
    /// The tables, made on first use; pure, so everybody gets the same.
    pub fn get() -> &'static Self {
        static TABLES: OnceLock<Tables> = OnceLock::new();
        TABLES.get_or_init(|| Self {
            exponential: exponential::table(),
            cosine: cosine::table(),
            sigmoid: sigmoid::table(),
            gelu: gelu::table(),
        })
    }
}

#[cfg(test)]
mod tests;

//! The operators of op set 1, one file each: the equation and plain code for it.
//!
//! What stands here is the meaning. Where a faster path exists (`kernel`), a test holds it to the
//! same bits. A number named `Fx` or `bits` counts fraction bits: value = integer / 2^bits.

pub mod attention;
pub mod cap;
pub mod l2;
pub mod linear;
pub mod logits;
pub mod residual;
pub mod rmsnorm;
pub mod rope;
pub mod swiglu;

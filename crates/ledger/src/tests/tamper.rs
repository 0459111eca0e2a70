//! One byte changed, anywhere.

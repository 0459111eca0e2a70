//! Frames read back; more is shown with the program itself, in `crates/cli/tests`.

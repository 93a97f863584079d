//! The bipvl program.
fn main() {}

//! The bipvl program.

#[cfg_attr(not(test), expect(dead_code, reason = "the commands come with the rest of the program"))]
mod report;
#[cfg_attr(not(test), expect(dead_code, reason = "the commands come with the rest of the program"))]
mod tensorboard;

fn main() {}

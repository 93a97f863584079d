//! Public behavior of the crate, in one binary.
#![allow(clippy::unwrap_used, reason = "the lint exempts tests, but not their helper functions")]

mod parts;
mod prompts;

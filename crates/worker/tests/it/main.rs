//! Queue and workers from outside.

#![allow(clippy::unwrap_used, reason = "the lint knows tests, but not the functions that help them")]

mod nats;

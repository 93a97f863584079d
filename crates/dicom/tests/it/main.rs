//! Series, segmentations and structure sets through files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damaged;
mod derived;
mod scene;
mod series;

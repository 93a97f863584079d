//! One file per command: glue between the flags, the method, and what a person sees.

pub(crate) mod ablate;
pub(crate) mod bench;
mod concepts;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod describe;
pub(crate) mod evaluate;
pub(crate) mod export;
mod folds;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod judge;
mod memory;
pub(crate) mod predict;
pub(crate) mod probe;
pub(crate) mod run_log;
pub(crate) mod train;
pub(crate) mod wording;

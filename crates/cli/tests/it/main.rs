//! The program from outside: its files, its messages, its exit codes, on phantoms drawn for each test.

#![allow(clippy::unwrap_used, reason = "the lint knows tests, but not the functions that help them")]

mod ablate;
mod bad_input;
mod bench;
mod describe;
mod dicom;
mod evaluate;
mod recipes;
mod folds;
mod case_texts;
mod shards;
#[cfg(unix)]
mod slurm_scripts;
mod help;
mod interrupt;
mod keep_largest_component;
mod layouts;
mod regions;
mod memory;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "object-store")]
mod object_store;
#[cfg(feature = "nats")]
mod nats;
mod predict;
mod prompted;
mod resume;
mod run_dir;
mod scene;
mod serve;
mod story;
mod text;
mod updates;

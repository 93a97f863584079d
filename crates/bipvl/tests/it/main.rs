//! The rooms of the crate from outside, in one binary.
#![allow(clippy::unwrap_used, reason = "the lint knows tests, but not the functions that help them")]

mod untrained;
mod augmentation;
mod averaging;
mod bert;
mod bifusion;
mod bifusion_reference;
mod cache;
mod case_texts;
mod checkpoints;
mod concepts;
mod configuration_reference;
mod dataset;
mod describe;
mod description_lint;
mod descriptions;
mod drawn;
mod formula;
#[cfg(feature = "vulkan")]
mod graphics_card;
mod layouts;
mod learning;
mod loader;
mod losses_reference;
mod model;
mod optimizer_reference;
mod preprocessing;
mod preprocessing_reference;
mod probe;
mod prompted_configuration_reference;
mod prompted_network;
mod interop;
mod interrupted;
mod reference;
mod regions;
mod constant_patches;
mod label_resampler;
mod splits;
mod sliding_window_reference;
mod synonyms;
mod tokenizer;
mod training_set;
mod training_step_reference;
mod perturbations;
mod whole;

use std::path::PathBuf;

/// A folder of real data below the one the environment names, or nothing after saying so.
#[allow(clippy::print_stderr, reason = "a skipped test should say that it was")]
fn real_data(folder: &str) -> Option<PathBuf> {
    let found = std::env::var_os("BIPVL_DATA").map(|root| PathBuf::from(root).join(folder));
    if found.is_none() {
        eprintln!("skipped: BIPVL_DATA is not set");
    }
    found
}

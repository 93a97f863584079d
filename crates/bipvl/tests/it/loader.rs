//! The loader: the same samples whatever the threads, wherever it starts.

use std::ops::ControlFlow;
use std::{collections::BTreeSet, panic::catch_unwind, sync::Arc};

use bipvl::data::{
    AugmentConfig, CachedCase, Intensity, Loader, LoaderConfig, PreprocessConfig, Sample, build_cache,
};
use tempfile::TempDir;

use crate::drawn;

const STEPS: usize = 7;

fn cases(count: usize) -> (TempDir, Arc<Vec<CachedCase>>) {
    let (folder, dataset) = drawn::dataset(count);
    let intensity = Intensity::ClipAndScale { a_min: 0.0, a_max: 2048.0 };
    let recipe = PreprocessConfig { spacing: None, intensity, crop_foreground: false, patch_size: [4, 4, 4] };
    let cache = folder.path().join("cache");
    let cases =
        build_cache(&cache, &recipe, &dataset, &dataset.cases, &|_| ControlFlow::Continue(())).unwrap();
    (folder, Arc::new(cases))
}

fn config(workers: usize) -> LoaderConfig {
    let augment = AugmentConfig { flip_probability: [0.5; 3], ..AugmentConfig::default() };
    LoaderConfig {
        patch_size: [4, 4, 4],
        batch_size: 2,
        share: None,
        workers,
        seed: 7,
        oversample_foreground: 0.5,
        augment,
    }
}

fn steps(cases: &Arc<Vec<CachedCase>>, config: LoaderConfig, first: usize) -> Vec<(usize, Vec<Sample>)> {
    Loader::of_cases(Arc::clone(cases), config, first).take(STEPS).collect()
}

#[test]
fn one_worker_and_four_cut_the_same_samples() {
    let (_folder, cases) = cases(3);
    assert_eq!(steps(&cases, config(1), 0), steps(&cases, config(4), 0));
}

#[test]
fn starting_at_a_step_is_skipping_to_it() {
    let (_folder, cases) = cases(3);
    let all: Vec<_> = Loader::of_cases(Arc::clone(&cases), config(2), 0).skip(5).take(STEPS).collect();
    assert_eq!(all, steps(&cases, config(3), 5));
    assert_eq!(all[0].0, 5);
}

#[test]
fn every_epoch_shows_every_case_once() {
    let (_folder, cases) = cases(5);
    let augment = AugmentConfig::none();
    // The whole case is one patch, and its first voxel names the case.
    let config = LoaderConfig { patch_size: drawn::SHAPE, batch_size: 1, augment, ..config(2) };
    let shown: Vec<u32> = Loader::of_cases(cases, config, 0)
        .take(20)
        .map(|(_, samples)| (samples[0].image[[0, 0, 0, 0]] * 2048.0) as u32)
        .collect();
    let epochs: Vec<&[u32]> = shown.chunks(5).collect();
    assert!(epochs.iter().all(|epoch| epoch.iter().collect::<BTreeSet<_>>().len() == 5), "{shown:?}");
    assert!(epochs.iter().any(|epoch| *epoch != epochs[0]), "{shown:?}");
}

#[test]
fn samples_of_a_step_and_of_another_seed_differ() {
    let (_folder, cases) = cases(1);
    let samples = steps(&cases, config(1), 0);
    assert_ne!(samples[0].1[0], samples[0].1[1]);
    assert_ne!(samples, steps(&cases, LoaderConfig { seed: 8, ..config(1) }, 0));
}

#[test]
fn dropping_a_loader_ends_its_threads() {
    let (_folder, cases) = cases(1);
    drop(Loader::of_cases(Arc::clone(&cases), config(4), 0));
    assert_eq!(Arc::strong_count(&cases), 1, "no thread holds the cases any more");
}

#[test]
fn what_stops_a_worker_reaches_the_consumer() {
    let (_folder, cases) = cases(1);
    let too_large = LoaderConfig { patch_size: [64, 4, 4], ..config(2) };
    let stopped = catch_unwind(move || Loader::of_cases(cases, too_large, 0).next().is_some());
    let message = *stopped.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("padded to the patch"), "{message}");
}

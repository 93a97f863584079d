//! Prepared cases on disk: crops, reuse, and files that are no cases.

use std::ops::ControlFlow;
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::SystemTime,
};

use bipvl::data::{CachedCase, Dataset, Intensity, PreprocessConfig, build_cache};
use ndarray::{Axis, s};
use tempfile::TempDir;

use crate::drawn;

fn recipe() -> PreprocessConfig {
    let intensity = Intensity::ClipAndScale { a_min: 0.0, a_max: 2048.0 };
    PreprocessConfig { spacing: None, intensity, crop_foreground: false, patch_size: [4, 4, 4] }
}

fn build(folder: &Path, preprocess: &PreprocessConfig, dataset: &Dataset) -> Vec<CachedCase> {
    build_cache(folder, preprocess, dataset, &dataset.cases, &|_| ControlFlow::Continue(())).unwrap()
}

fn modified(folder: &Path) -> SystemTime {
    fs::metadata(folder.join("case_00.safetensors")).unwrap().modified().unwrap()
}

#[test]
fn a_crop_is_a_part_of_the_prepared_case() {
    let (_folder, dataset) = drawn::dataset(2);
    let cache = TempDir::new().unwrap();
    let cases = build(cache.path(), &recipe(), &dataset);
    for (case, listed) in cases.iter().zip(&dataset.cases) {
        let (prepared, labels) = recipe().prepare_case(&dataset, listed).unwrap();
        assert_eq!((case.id(), case.num_channels()), (listed.id.as_str(), 1));
        assert_eq!(case.grid(), &prepared.grid);
        let crop = case.crop([5, 1, 2], [4, 9, 3]);
        let expected = prepared.image.slice(s![.., 5..9, 1..10, 2..5]);
        // Whole numbers up to 2048 over 2048 are exact in float16.
        assert_eq!(crop.image, expected);
        assert_eq!(crop.labels, labels.slice(s![5..9, 1..10, 2..5]));
    }
}

#[test]
fn a_case_is_prepared_again_only_when_something_changed() {
    let (folder, dataset) = drawn::dataset(1);
    let cache = TempDir::new().unwrap();
    build(cache.path(), &recipe(), &dataset);
    let first = modified(cache.path());
    build(cache.path(), &recipe(), &dataset);
    assert_eq!(modified(cache.path()), first, "nothing changed");

    let other = PreprocessConfig { intensity: Intensity::ZScore, ..recipe() };
    let cases = build(cache.path(), &other, &dataset);
    let sum = cases[0].crop([0; 3], drawn::SHAPE).image.sum();
    assert!(sum.abs() < 1.0, "z-scores add up to zero, here in float16: {sum}");

    drawn::write_image(&folder.path().join("imagesTr/case_00.nii.gz"), drawn::intensities(0) * 0.5, [1.0; 3]);
    let cases = build(cache.path(), &recipe(), &dataset);
    assert_eq!(cases[0].crop([0; 3], [1; 3]).image[[0, 0, 0, 0]], 0.5 / 2048.0);
}

#[test]
fn a_damaged_file_is_prepared_again() {
    let (_folder, dataset) = drawn::dataset(1);
    let cache = TempDir::new().unwrap();
    let whole = build(cache.path(), &recipe(), &dataset)[0].crop([0; 3], drawn::SHAPE);
    let path = cache.path().join("case_00.safetensors");
    let bytes = fs::read(&path).unwrap();
    for damaged in [&bytes[..bytes.len() - 9], &bytes[..5], &[], &[255; 64]] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, damaged).unwrap();
        assert_eq!(build(cache.path(), &recipe(), &dataset)[0].crop([0; 3], drawn::SHAPE), whole);
    }
}

#[test]
fn progress_counts_every_case_and_nothing_is_left_over() {
    let (_folder, dataset) = drawn::dataset(3);
    let cache = TempDir::new().unwrap();
    let (calls, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let progress = |done: usize| {
        calls.fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(done, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    let cases = build_cache(cache.path(), &recipe(), &dataset, &dataset.cases, &progress).unwrap();
    assert_eq!((calls.into_inner(), sum.into_inner()), (3, 1 + 2 + 3));
    let ids: Vec<&str> = cases.iter().map(CachedCase::id).collect();
    assert_eq!(ids, ["case_00", "case_01", "case_02"]);
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 3);
}

#[test]
fn a_case_that_cannot_be_prepared_is_named() {
    let (folder, dataset) = drawn::dataset(2);
    fs::write(folder.path().join("imagesTr/case_01.nii.gz"), "no volume").unwrap();
    let cache = TempDir::new().unwrap();
    let message =
        build_cache(cache.path(), &recipe(), &dataset, &dataset.cases, &|_| ControlFlow::Continue(()))
            .unwrap_err()
            .to_string();
    assert!(message.contains("case_01.nii.gz"), "{message}");
}

#[test]
fn patches_are_centered_on_the_classes_of_the_case() {
    use rand::SeedableRng;
    let (_folder, dataset) = drawn::dataset(1);
    let cache = TempDir::new().unwrap();
    let case = &build(cache.path(), &recipe(), &dataset)[0];
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let mut seen = [0; 3];
    for _ in 0..40 {
        let start = case.class_locations().sample_patch_origin([1; 3], 1.0, &mut rng);
        seen[usize::from(case.crop(start, [1; 3]).labels[[0, 0, 0]])] += 1;
    }
    assert!(seen[0] == 0 && seen[1] > 5 && seen[2] > 5, "{seen:?}");
    assert_eq!(case.crop([0; 3], [1; 3]).image.len_of(Axis(0)), 1);
}

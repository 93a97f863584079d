//! The preprocess: hand-counted intensities, places that stay where they are, and what is refused.

use std::path::PathBuf;

use bipvl::data::{Case, Dataset, Intensity, Modality, PreprocessConfig, read_channels};
use bipvl_imaging::{Affine, Grid, Volume};
use ndarray::{Array3, Axis, s};
use tempfile::TempDir;

use crate::{drawn, real_data};

/// Affines and voxels are computed in float64 and float32; a millionth is far above their rounding.
const ROUNDING: f64 = 1e-6;

fn recipe(intensity: Intensity) -> PreprocessConfig {
    PreprocessConfig { spacing: None, intensity, crop_foreground: true, patch_size: [1, 1, 1] }
}

fn row(intensities: &[f32]) -> Volume<f32> {
    let voxels = Array3::from_shape_vec((intensities.len(), 1, 1), intensities.to_vec()).unwrap();
    Volume::new(voxels, Grid::with_spacing([intensities.len(), 1, 1], [1.0; 3]))
}

fn close(found: &[f32], expected: &[f32]) {
    let is_close = |(a, b): (&f32, &f32)| f64::from((a - b).abs()) < ROUNDING;
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(is_close),
        "{found:?} {expected:?}"
    );
}

#[test]
fn a_window_is_clipped_to_zero_and_one() {
    let window = Intensity::ClipAndScale { a_min: -100.0, a_max: 100.0 };
    let prepared = recipe(window).prepare(vec![row(&[-500.0, -50.0, 0.0, 100.0, 900.0, -100.0])]);
    close(prepared.image.as_slice().unwrap(), &[0.25, 0.5, 1.0, 1.0]);
    assert_eq!(prepared.grid.voxel_to_world([0.0; 3]), [1.0, 0.0, 0.0], "the first voxel was cropped away");
}

#[test]
fn z_scores_are_taken_over_voxels_that_are_not_zero() {
    let prepared = recipe(Intensity::ZScore).prepare(vec![row(&[0.0, 1.0, 0.0, 3.0, 0.0])]);
    close(prepared.image.as_slice().unwrap(), &[-1.0, 0.0, 1.0]);
}

#[test]
fn z_scores_of_one_value_are_zero_and_of_nothing_too() {
    for intensities in [[5.0; 4], [0.0; 4]] {
        let prepared = recipe(Intensity::ZScore).prepare(vec![row(&intensities)]);
        close(prepared.image.as_slice().unwrap(), &[0.0; 4]);
    }
}

#[test]
fn channels_are_normalized_apart_and_cropped_together() {
    let prepared =
        recipe(Intensity::ZScore).prepare(vec![row(&[0.0, 1.0, 3.0, 0.0]), row(&[0.0, 0.0, 10.0, 30.0])]);
    close(prepared.image.as_slice().unwrap(), &[-1.0, 1.0, 0.0, 0.0, -1.0, 1.0]);
}

#[test]
fn small_volumes_are_padded_on_both_sides() {
    let recipe = PreprocessConfig {
        patch_size: [6, 2, 1],
        ..recipe(Intensity::ClipAndScale { a_min: 0.0, a_max: 1.0 })
    };
    let prepared = recipe.prepare(vec![row(&[1.0, 1.0, 1.0])]);
    assert_eq!(prepared.image.dim(), (1, 6, 2, 1));
    // Three voxels are missing along x: one is put before, two behind; along y one behind.
    close(&prepared.image.slice(s![0, .., 0, 0]).to_vec(), &[0.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(prepared.grid.voxel_to_world([1.0, 0.0, 0.0]), [0.0; 3]);
}

#[test]
fn every_prepared_voxel_is_where_it_was() {
    // Stored as z, −x, −y with unequal spacing.
    let affine = Affine::new(
        0.0, -2.0, 0.0, 30.0, //
        0.0, 0.0, -3.0, 40.0, //
        1.5, 0.0, 0.0, -5.0, //
        0.0, 0.0, 0.0, 1.0,
    );
    let shape = [5, 6, 7];
    let voxels = Array3::from_shape_fn(shape, |(i, j, k)| (1 + i * 42 + j * 7 + k) as f32);
    let source = Volume::new(voxels, Grid::new(shape, affine));
    let recipe = PreprocessConfig {
        patch_size: [8, 8, 8],
        ..recipe(Intensity::ClipAndScale { a_min: 0.0, a_max: 1000.0 })
    };
    let prepared = recipe.prepare(vec![source.clone()]);
    let mut seen = 0;
    for ((x, y, z), intensity) in prepared.image.index_axis(Axis(0), 0).indexed_iter() {
        let number = (f64::from(*intensity) * 1000.0).round() as usize;
        let Some(number) = number.checked_sub(1) else { continue };
        let voxel = [number / 42, number / 7 % 6, number % 7].map(|index| index as f64);
        let (before, after) =
            (source.grid().voxel_to_world(voxel), prepared.grid.voxel_to_world([x, y, z].map(|i| i as f64)));
        assert!((0..3).all(|axis| (before[axis] - after[axis]).abs() < ROUNDING), "{before:?} {after:?}");
        seen += 1;
    }
    assert_eq!(seen, 5 * 6 * 7);
    let spacing = prepared.grid.spacing();
    assert!([2.0, 3.0, 1.5].iter().zip(spacing).all(|(a, b)| (a - b).abs() < ROUNDING), "{spacing:?}");
}

#[test]
fn respacing_keeps_a_ramp_along_the_world() {
    let shape = [16, 4, 4];
    // 2 mm per voxel; the intensity is the world's x in millimeters, moved by 10.
    let voxels = Array3::from_shape_fn(shape, |(x, _, _)| 10.0 + 2.0 * x as f32);
    let source = Volume::new(voxels, Grid::with_spacing(shape, [2.0; 3]));
    let recipe = PreprocessConfig {
        spacing: Some([1.0, 2.0, 2.0]),
        ..recipe(Intensity::ClipAndScale { a_min: 0.0, a_max: 100.0 })
    };
    let prepared = recipe.prepare(vec![source]);
    assert!((prepared.grid.spacing()[0] - 1.0).abs() < ROUNDING);
    for ((x, y, z), intensity) in prepared.image.index_axis(Axis(0), 0).indexed_iter() {
        let world = prepared.grid.voxel_to_world([x, y, z].map(|i| i as f64))[0].clamp(0.0, 30.0);
        assert!((f64::from(*intensity) * 100.0 - 10.0 - world).abs() < 1e-4, "float32 holds seven digits");
    }
}

#[test]
fn labels_become_class_indices_beside_their_voxels() {
    let (_folder, dataset) = drawn::dataset(1);
    let recipe = PreprocessConfig {
        patch_size: [16, 16, 16],
        ..recipe(Intensity::ClipAndScale { a_min: 0.0, a_max: 2000.0 })
    };
    let (prepared, labels) = recipe.prepare_case(&dataset, &dataset.cases[0]).unwrap();
    assert_eq!(labels.dim(), (16, 16, 16));
    let count = |class: u8| labels.iter().filter(|label| **label == class).count();
    assert_eq!((count(1), count(2), count(0)), (3 * 3 * 5, 3 * 4 * 2, 16 * 16 * 16 - 45 - 24));
    let intensities = drawn::intensities(0);
    for (voxel, label) in drawn::labels().indexed_iter().filter(|(_, label)| **label != 0) {
        let same = |found: f32| (found * 2000.0 - intensities[voxel]).abs() < 1e-2;
        let class = if *label == 1 { 1 } else { 2 };
        let pairs = prepared.image.index_axis(Axis(0), 0).into_iter().zip(&labels).collect::<Vec<_>>();
        assert!(pairs.iter().any(|(intensity, label)| same(**intensity) && **label == class), "{voxel:?}");
    }
}

#[test]
fn faulty_cases_are_refused_by_name() {
    let (folder, dataset) = drawn::dataset(1);
    let case = &dataset.cases[0];
    let refusal = |dataset: &Dataset, case: &Case| {
        recipe(Intensity::ZScore).prepare_case(dataset, case).unwrap_err().to_string()
    };
    let other = folder.path().join("other.nii.gz");
    drawn::write_labels(&other, drawn::labels(), [1.0, 1.0, 2.0]);
    let message = refusal(&dataset, &Case { labels: Some(other.clone()), ..case.clone() });
    assert!(message.contains("other.nii.gz") && message.contains("case_00.nii.gz"), "{message}");

    drawn::write_labels(&other, drawn::labels().mapv(|label| label * 2), [1.0; 3]);
    let message = refusal(&dataset, &Case { labels: Some(other), ..case.clone() });
    assert!(
        message.contains("other.nii.gz") && message.contains("label 2 (45 voxels) is not defined"),
        "{message}"
    );

    let message = refusal(&dataset, &Case { labels: None, ..case.clone() });
    assert!(message.contains("labels"), "{message}");

    let channels = vec!["T1".to_owned(), "T2".to_owned()];
    let message = refusal(&Dataset { channels, ..dataset.clone() }, case);
    assert!(message.contains("has 1 channels; it needs 2 (T1, T2)"), "{message}");
}

#[test]
fn channels_on_different_grids_are_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let images: Vec<PathBuf> = ["a.nii", "b.nii"].iter().map(|name| folder.path().join(name)).collect();
    drawn::write_image(&images[0], drawn::intensities(0), [1.0; 3]);
    drawn::write_image(&images[1], drawn::intensities(0), [1.0, 2.0, 1.0]);
    let message = read_channels(&images).unwrap_err().to_string();
    assert!(message.contains("a.nii") && message.contains("b.nii"), "{message}");
}

#[test]
fn a_recipe_is_read_back_and_unknown_keys_are_refused() {
    for modality in [Modality::Ct, Modality::Mr] {
        let recipe = PreprocessConfig::for_modality(modality, [96; 3]);
        let text = toml::to_string(&recipe).unwrap();
        assert_eq!(toml::from_str::<PreprocessConfig>(&text).unwrap(), recipe);
        assert!(toml::from_str::<PreprocessConfig>(&format!("color = 1\n{text}")).is_err());
    }
}

#[test]
fn numbers_that_make_no_recipe_are_refused() {
    let good = PreprocessConfig::for_modality(Modality::Ct, [96; 3]);
    let path = std::path::Path::new("run.toml");
    assert!(good.check(path).is_ok());
    let faulty = [
        PreprocessConfig { spacing: Some([1.0, 0.0, 1.0]), ..good.clone() },
        PreprocessConfig { intensity: Intensity::ClipAndScale { a_min: 5.0, a_max: 5.0 }, ..good.clone() },
        PreprocessConfig { patch_size: [96, 0, 96], ..good },
    ];
    for recipe in faulty {
        let message = recipe.check(path).unwrap_err().to_string();
        assert!(message.starts_with("run.toml: `preprocess."), "{message}");
    }
}

#[test]
fn real_scans_are_prepared_with_labels_inside() {
    let Some(data) = real_data("msd-hippocampus") else { return };
    let dataset = Dataset::open(&data).unwrap();
    let recipe = PreprocessConfig::for_modality(Modality::Mr, [64; 3]);
    for case in &dataset.cases[..3] {
        let (prepared, labels) = recipe.prepare_case(&dataset, case).unwrap();
        assert!(prepared.image.iter().all(|intensity| intensity.is_finite()));
        assert!((1..=2).all(|class| labels.iter().filter(|label| **label == class).count() > 100));
        assert!(prepared.image.shape()[1..].iter().all(|size| *size >= 64));
    }
}

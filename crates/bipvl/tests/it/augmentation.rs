//! Augmentation: exact flips, places that hold for image and labels alike, and its range.

use std::f64::consts::FRAC_PI_2;

use bipvl::data::{AugmentConfig, Augmentation, CachedCase, Intensity, Recipe, build_cache};
use ndarray::{ArrayView1, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::drawn;

fn case() -> (TempDir, CachedCase) {
    let (folder, dataset) = drawn::dataset(1);
    let intensity = Intensity::Window { low: 0.0, high: 2048.0 };
    let recipe = Recipe { spacing: None, intensity, crop_foreground: false, patch: [4, 4, 4] };
    let cases =
        build_cache(&folder.path().join("cache"), &recipe, &dataset, &dataset.cases, &|_| ()).unwrap();
    (folder, cases.into_iter().next().unwrap())
}

fn draw(config: &AugmentConfig, seed: u64) -> Augmentation {
    Augmentation::draw(config, &mut ChaCha8Rng::seed_from_u64(seed))
}

#[test]
fn no_variation_is_the_plain_crop() {
    let (_folder, case) = case();
    let sample = draw(&AugmentConfig::none(), 1).cut(&case, [2, 3, 1], [6, 5, 4]);
    assert_eq!(sample, case.crop([2, 3, 1], [6, 5, 4]));
}

#[test]
fn a_flip_reverses_its_axis_exactly() {
    let (_folder, case) = case();
    let crop = case.crop([2, 3, 1], [6, 5, 4]);
    for axis in 0..3 {
        let mut flip_probability = [0.0; 3];
        flip_probability[axis] = 1.0;
        let flipped = draw(&AugmentConfig { flip_probability, ..AugmentConfig::none() }, 1).cut(
            &case,
            [2, 3, 1],
            [6, 5, 4],
        );
        let mut expected = crop.clone();
        expected.image.invert_axis(ndarray::Axis(axis + 1));
        expected.labels.invert_axis(ndarray::Axis(axis));
        assert_eq!(flipped, expected);
    }
}

#[test]
fn intensities_are_multiplied_then_shifted_and_labels_stay() {
    let (_folder, case) = case();
    let config = AugmentConfig {
        intensity_scale_probability: 1.0,
        intensity_shift_probability: 1.0,
        ..AugmentConfig::none()
    };
    let crop = case.crop([0; 3], drawn::SHAPE);
    let sample = draw(&config, 3).cut(&case, [0; 3], drawn::SHAPE);
    assert_eq!(sample.labels, crop.labels);
    let (first, last) = ([0, 0, 0, 0], [0, 11, 9, 7]);
    let gain = (sample.image[last] - sample.image[first]) / (crop.image[last] - crop.image[first]);
    let shift = sample.image[first] - gain * crop.image[first];
    assert!((0.9..=1.1).contains(&gain) && gain != 1.0, "{gain}");
    assert!(shift.abs() <= 0.1 && shift != 0.0, "{shift}");
    let middle = [0, 5, 5, 5];
    // Four roundings of float32 at values below two.
    assert!((sample.image[middle] - gain * crop.image[middle] - shift).abs() < 1e-5);
}

#[test]
fn a_ramp_turned_is_the_ramp_at_the_turned_places() {
    let (_folder, case) = case();
    let config = AugmentConfig {
        affine_probability: 1.0,
        rotation: [0.2, 0.2, 0.5],
        scale: 0.2,
        ..AugmentConfig::none()
    };
    // The drawn intensities are linear in x, y, z, so linear interpolation is exact inside the case, and
    // a turned patch is linear again: second differences vanish and the center stays.
    let (start, shape) = ([4, 3, 2], [3, 3, 3]);
    for seed in 0..20 {
        let sample = draw(&config, seed).cut(&case, start, shape);
        let row: ArrayView1<f32> = sample.image.slice(s![0, .., 1, 1]);
        // Values below one half are rounded to 2⁻¹² in float16.
        assert!((row[0] - 2.0 * row[1] + row[2]).abs() < 1e-3, "{row:?}");
        assert!((row[1] - case.crop([5, 4, 3], [1; 3]).image[[0, 0, 0, 0]]).abs() < 1e-3);
        assert_ne!(sample.image, case.crop(start, shape).image);
    }
}

#[test]
fn a_quarter_turn_moves_image_and_labels_alike() {
    let (_folder, case) = case();
    let config = AugmentConfig {
        affine_probability: 1.0,
        rotation: [0.0, 0.0, FRAC_PI_2],
        scale: 0.0,
        ..AugmentConfig::none()
    };
    let (start, shape) = ([3, 2, 1], [5, 5, 3]);
    let center = case.crop([5, 4, 2], [1; 3]);
    for seed in 0..10 {
        let sample = draw(&config, seed).cut(&case, start, shape);
        assert_eq!(sample.labels[[2, 2, 1]], center.labels[[0, 0, 0]]);
        let slice = |z: usize| sample.image.slice(s![0, .., .., z]).to_owned();
        // A turn about z leaves neighbors along z one apart.
        let step = (slice(1) - slice(0)).mapv(|difference| (difference * 2048.0 - 1.0).abs());
        assert!(step.iter().all(|difference| *difference < 1e-2), "{step:?}");
    }
}

#[test]
fn beyond_the_case_its_voxels_are_mirrored() {
    let (_folder, case) = case();
    let config =
        AugmentConfig { affine_probability: 1.0, rotation: [1.5; 3], scale: 0.9, ..AugmentConfig::default() };
    let plain = case.crop([0; 3], drawn::SHAPE);
    let (low, high) =
        plain.image.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    for seed in 0..30 {
        let config = AugmentConfig {
            intensity_scale_probability: 0.0,
            intensity_shift_probability: 0.0,
            ..config.clone()
        };
        let sample = draw(&config, seed).cut(&case, [0; 3], drawn::SHAPE);
        assert!(
            sample.image.iter().all(|v| (low..=high).contains(v)),
            "mirrored voxels are voxels of the case"
        );
    }
}

#[test]
fn a_config_is_read_back_and_unknown_keys_are_refused() {
    let text = toml::to_string(&AugmentConfig::default()).unwrap();
    assert_eq!(toml::from_str::<AugmentConfig>(&text).unwrap(), AugmentConfig::default());
    assert_eq!(toml::from_str::<AugmentConfig>("").unwrap(), AugmentConfig::default());
    assert!(toml::from_str::<AugmentConfig>("gamma = 1.0").is_err());
}

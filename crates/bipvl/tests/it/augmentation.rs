//! Augmentation: exact flips, places that hold for image and labels alike, and its range.

use bipvl::data::{
    AugmentConfig, Augmentation, CachedCase, Intensity, PreprocessConfig, build_cache, patch_coordinates,
};
use ndarray::{Array3, ArrayView1, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::ops::ControlFlow;
use tempfile::TempDir;

use crate::drawn;

fn case() -> (TempDir, CachedCase) {
    let (folder, dataset) = drawn::dataset(1);
    let intensity = Intensity::ClipAndScale { a_min: 0.0, a_max: 2048.0 };
    let recipe = PreprocessConfig { spacing: None, intensity, crop_foreground: false, patch_size: [4, 4, 4] };
    let cases = build_cache(&folder.path().join("cache"), &recipe, &dataset, &dataset.cases, &|_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    (folder, cases.into_iter().next().unwrap())
}

/// What the places of [`case_of_places`] are divided by; a power of two keeps them exact.
const PLACES: f32 = 16.0;

/// A case of three channels whose intensities are the voxel's own x, y and z.
fn case_of_places() -> (TempDir, CachedCase) {
    let (folder, mut dataset) = drawn::dataset(1);
    let images = ["x.nii", "y.nii", "z.nii"].map(|name| folder.path().join(name));
    for (axis, path) in images.iter().enumerate() {
        let places = Array3::from_shape_fn(drawn::SHAPE, |(x, y, z)| [x, y, z][axis] as f32);
        drawn::write_image(path, places, [1.0; 3]);
    }
    dataset.cases[0].images = images.into();
    dataset.channels = ["x", "y", "z"].map(String::from).into();
    let intensity = Intensity::ClipAndScale { a_min: 0.0, a_max: PLACES };
    let recipe = PreprocessConfig { spacing: None, intensity, crop_foreground: false, patch_size: [4, 4, 4] };
    let cases = build_cache(&folder.path().join("cache"), &recipe, &dataset, &dataset.cases, &|_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    (folder, cases.into_iter().next().unwrap())
}

fn draw(config: &AugmentConfig, seed: u64) -> Augmentation {
    Augmentation::sample(config, &mut ChaCha8Rng::seed_from_u64(seed))
}

#[test]
fn no_variation_is_the_plain_crop() {
    let (_folder, case) = case();
    let sample = draw(&AugmentConfig::none(), 1).crop(&case, [2, 3, 1], [6, 5, 4]);
    assert_eq!(sample, case.crop([2, 3, 1], [6, 5, 4]));
}

#[test]
fn a_flip_reverses_its_axis_exactly() {
    let (_folder, case) = case();
    let crop = case.crop([2, 3, 1], [6, 5, 4]);
    for axis in 0..3 {
        let mut flip_probability = [0.0; 3];
        flip_probability[axis] = 1.0;
        let flipped = draw(&AugmentConfig { flip_probability, ..AugmentConfig::none() }, 1).crop(
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
    let sample = draw(&config, 3).crop(&case, [0; 3], drawn::SHAPE);
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
        rotation_range_rad: [0.2, 0.2, 0.5],
        scale_range: 0.2,
        ..AugmentConfig::none()
    };
    // The drawn intensities are linear in x, y, z, so linear interpolation is exact inside the case, and
    // a turned patch is linear again: second differences vanish and the center stays.
    let (start, shape) = ([4, 3, 2], [3, 3, 3]);
    for seed in 0..20 {
        let sample = draw(&config, seed).crop(&case, start, shape);
        let row: ArrayView1<f32> = sample.image.slice(s![0, .., 1, 1]);
        // Values below one half are rounded to 2⁻¹² in float16.
        assert!((row[0] - 2.0 * row[1] + row[2]).abs() < 1e-3, "{row:?}");
        assert!((row[1] - case.crop([5, 4, 3], [1; 3]).image[[0, 0, 0, 0]]).abs() < 1e-3);
        assert_ne!(sample.image, case.crop(start, shape).image);
    }
}

#[test]
fn image_and_labels_are_taken_from_the_same_places() {
    let (_folder, case) = case_of_places();
    let labels = drawn::labels();
    let config = AugmentConfig {
        rotation_range_rad: [0.4; 3],
        scale_range: 0.2,
        flip_probability: [0.5; 3],
        ..AugmentConfig::none()
    };
    let config = AugmentConfig { affine_probability: 1.0, ..config };
    let mut seen = [0; 3];
    for seed in 0..20 {
        let sample = draw(&config, seed).crop(&case, [2, 2, 1], [8, 7, 5]);
        for ((x, y, z), label) in sample.labels.indexed_iter() {
            let place: [f32; 3] = std::array::from_fn(|axis| sample.image[[axis, x, y, z]] * PLACES);
            // Places of float16 do not determine which voxel is nearer when they lie halfway.
            if place.iter().any(|coordinate| (coordinate.fract() - 0.5).abs() < 0.05) {
                continue;
            }
            let expected = labels[place.map(|coordinate| coordinate.round() as usize)];
            assert_eq!(u16::from(*label), expected.min(2), "{place:?}");
            seen[usize::from(*label)] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
}

#[test]
fn numbers_that_make_no_augmentation_are_refused() {
    let path = std::path::Path::new("run.toml");
    assert!(AugmentConfig::default().check(path).is_ok());
    let faulty = [
        AugmentConfig { flip_probability: [0.0, 1.5, 0.0], ..AugmentConfig::none() },
        AugmentConfig { scale_range: 1.0, ..AugmentConfig::none() },
        AugmentConfig { rotation_range_rad: [0.0, f64::NAN, 0.0], ..AugmentConfig::none() },
        AugmentConfig { intensity_shift_range: -0.1, ..AugmentConfig::none() },
    ];
    for config in faulty {
        let message = config.check(path).unwrap_err().to_string();
        assert!(message.starts_with("run.toml: `train.augment."), "{message}");
    }
}

#[test]
fn beyond_the_case_its_voxels_are_mirrored() {
    let (_folder, case) = case();
    let config = AugmentConfig {
        affine_probability: 1.0,
        rotation_range_rad: [1.5; 3],
        scale_range: 0.9,
        ..AugmentConfig::default()
    };
    let plain = case.crop([0; 3], drawn::SHAPE);
    let (low, high) =
        plain.image.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    for seed in 0..30 {
        let config = AugmentConfig {
            intensity_scale_probability: 0.0,
            intensity_shift_probability: 0.0,
            ..config.clone()
        };
        let sample = draw(&config, seed).crop(&case, [0; 3], drawn::SHAPE);
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

/// The channels of the case are the places themselves, so a crop says which were taken.
#[test]
fn coordinates_are_those_of_the_places_that_a_crop_takes() {
    let (_folder, case) = case_of_places();
    let config = AugmentConfig {
        affine_probability: 1.0,
        rotation_range_rad: [0.4; 3],
        scale_range: 0.2,
        flip_probability: [0.5; 3],
        ..AugmentConfig::none()
    };
    let (start, shape) = ([2, 2, 1], [8, 7, 5]);
    let mut compared = 0;
    for seed in 0..20 {
        let augmentation = draw(&config, seed);
        let sample = augmentation.crop(&case, start, shape);
        let coordinates = augmentation.coordinates(start, shape, drawn::SHAPE);
        for ((axis, x, y, z), coordinate) in coordinates.indexed_iter() {
            let size = drawn::SHAPE[axis] as f32;
            let place = (coordinate + 1.0) / 2.0 * size - 0.5;
            // Beyond the centers of the outermost voxels the case is mirrored, coordinates go on.
            if (0.0..=size - 1.0).contains(&place) {
                // Places of up to 12 in float16.
                assert!((place - sample.image[[axis, x, y, z]] * PLACES).abs() < 0.02, "{place}");
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
    let plain = draw(&AugmentConfig::none(), 1).coordinates(start, shape, drawn::SHAPE);
    assert_eq!(plain, patch_coordinates(start, shape, drawn::SHAPE));
}

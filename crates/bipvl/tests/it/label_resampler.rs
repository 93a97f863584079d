//! Slab by slab, logits and labels are bit-identical to those of the whole volume at once, for every partition and
//! orientation.

use std::ops::{ControlFlow, Range};

use bipvl::{
    data::{Intensity, LabelSchema, PreprocessConfig, PreprocessedCase},
    infer::{BlendMode, LabelResampler, LogitSlab, Logits, ProbabilityResampler, SlidingWindow, TileColumn},
};
use bipvl_imaging::{Affine, Grid, GridMapping, Volume};
use nalgebra::Matrix4;
use ndarray::{Array3, Array4, ArrayView4, array};
use proptest::prelude::*;

use crate::whole::{cover, gather, label_map, probabilities, restore};

/// A weighted mean of equal float32 values.
const TOLERANCE: f32 = 1e-5;
/// Float32 against float64.
const PROBABILITY_TOLERANCE: f64 = 1e-6;
const LABELS: [u16; 3] = [4, 1, 300];

/// Logits that depend on the voxel, on its place in the patch and on the class, with ties among them.
fn network(outputs: usize) -> impl Fn(ArrayView4<f32>) -> Logits {
    move |patch| {
        let (_, x, y, z) = patch.dim();
        Array4::from_shape_fn((outputs, x, y, z), |(class, x, y, z)| {
            let place = (7 * x + 13 * y + 29 * z + 5 * class * (x + y + 3)) % 17;
            patch[[0, x, y, z]] * (1.3 - class as f32) + place as f32 / 17.0
        })
        .into_shared()
    }
}

/// The importance map, as the network of one patch shows it: the sums are never divided.
fn importance(patch: [usize; 3], blend_mode: BlendMode) -> Array3<f32> {
    const SIGMA: f64 = 0.125;
    let bell = |axis: usize, index: usize| {
        let distance = index as f64 - (patch[axis] as f64 - 1.0) / 2.0;
        (-0.5 * (distance / (SIGMA * patch[axis] as f64)).powi(2)).exp()
    };
    Array3::from_shape_fn(patch, |(x, y, z)| match blend_mode {
        BlendMode::Constant => 1.0,
        BlendMode::Gaussian => ((bell(0, x) * bell(1, y) * bell(2, z)) as f32).max(1e-3),
    })
}

/// A file: any of the 48 orientations, three spacings, an origin, and a shear.
fn stored(shape: [usize; 3], orientation: usize, spacing: [f64; 3], shear: f64) -> Volume<f32> {
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut affine: Affine = Matrix4::zeros();
    for (axis, world) in ORDERS[orientation / 8].into_iter().enumerate() {
        let sign = if (orientation >> axis) & 1 == 1 { -1.0 } else { 1.0 };
        affine[(world, axis)] = sign * spacing[axis];
        affine[(world, 3)] = 3.5 - 7.25 * axis as f64;
    }
    affine[(3, 3)] = 1.0;
    affine[((ORDERS[orientation / 8][0] + 1) % 3, 0)] = shear;
    let voxels = Array3::from_shape_fn(shape, |(x, y, z)| ((5 * x + 3 * y + 11 * z + x * y * z) % 7) as f32);
    Volume::new(voxels.mapv(|value| (value - 2.0).max(0.0)), Grid::new(shape, affine))
}

#[derive(Clone, Debug)]
struct Setting {
    shape: [usize; 3],
    orientation: usize,
    spacing: [f64; 3],
    shear: f64,
    preprocess: PreprocessConfig,
    overlap: f64,
    blend_mode: BlendMode,
    classes: usize,
    overlap_each_other: bool,
    bytes: usize,
}

fn settings() -> impl Strategy<Value = Setting> {
    let spacing = || prop::array::uniform3(prop::sample::select(vec![0.5, 0.8, 1.0, 1.7, 2.5]));
    let preprocess = (prop::option::of(spacing()), any::<bool>(), prop::array::uniform3(1_usize..7))
        .prop_map(|(spacing, crop_foreground, patch)| PreprocessConfig {
            spacing,
            intensity: Intensity::ClipAndScale { a_min: 0.0, a_max: 5.0 },
            crop_foreground,
            patch_size: patch,
        });
    let file =
        (prop::array::uniform3(1_usize..12), 0_usize..48, spacing(), prop::sample::select(vec![0.0, 0.3]));
    let window = (
        prop::sample::select(vec![0.0, 0.25, 0.5, 0.8]),
        prop::sample::select(vec![BlendMode::Gaussian, BlendMode::Constant]),
        (1_usize..4, any::<bool>()),
        prop_oneof![Just(0), 100_usize..20_000, Just(usize::MAX)],
    );
    (file, preprocess, window).prop_map(
        |(
            (shape, orientation, spacing, shear),
            preprocess,
            (overlap, blend_mode, (classes, overlap_each_other), bytes),
        )| Setting {
            shape,
            orientation,
            spacing,
            shear,
            preprocess,
            overlap,
            blend_mode,
            classes,
            overlap_each_other,
            bytes,
        },
    )
}

impl Setting {
    /// One to three classes, exclusive or overlapping.
    fn label_schema(&self) -> LabelSchema {
        if self.overlap_each_other {
            return crate::drawn::overlapping(&LABELS.each_ref().map(std::slice::from_ref)[..self.classes]);
        }
        LabelSchema::from_labels(&LABELS[..self.classes]).unwrap()
    }
}

proptest! {
    // Each case goes the whole way twice; so many take two or three seconds.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn logits_and_labels_are_those_of_the_whole_volume(setting in settings()) {
        let label_schema = setting.label_schema();
        let Setting { shape, orientation, spacing, shear, preprocess, overlap, blend_mode, bytes, .. } = setting;
        let file = stored(shape, orientation, spacing, shear);
        let onto = file.grid().clone();
        let PreprocessedCase { image, grid } = preprocess.prepare(vec![file]);
        let outputs = label_schema.num_logit_channels();
        let window = SlidingWindow::new(preprocess.patch_size, overlap, blend_mode).with_memory_limit(bytes);

        let importance = importance(preprocess.patch_size, blend_mode);
        let whole = cover(image.view(), outputs, importance.view(), overlap, network(outputs));
        let gathered = gather(&window, image.view(), outputs, network(outputs));
        let bits = |logits: &Array4<f32>| logits.mapv(f32::to_bits);
        prop_assert_eq!(bits(&gathered), bits(&whole));

        let mut resampler = LabelResampler::new(&grid, &onto, &label_schema);
        let mut likely = ProbabilityResampler::new(&grid, &onto, &label_schema);
        let plan = window.plan(grid.shape(), outputs);
        let mut patches = 0;
        let predict = |_, patch: ArrayView4<f32>| {
            patches += 1;
            ControlFlow::Continue(network(outputs)(patch))
        };
        let on_slab = |slab: &LogitSlab| {
            resampler.push_slab(slab);
            likely.push_slab(slab);
        };
        prop_assert!(plan.run(image.view(), predict, on_slab).is_continue());
        prop_assert_eq!(patches, plan.patches());
        let labels = label_map(resampler.finish(), &label_schema);
        prop_assert_eq!(labels, restore(&whole, &grid, &onto, &label_schema));
        for (found, expected) in likely.finish().iter().zip(probabilities(&whole, &grid, &onto, &label_schema)) {
            for (found, expected) in found.voxels().iter().zip(expected) {
                prop_assert!((f64::from(*found) - expected).abs() < PROBABILITY_TOLERANCE, "{} {}", found, expected);
            }
        }
    }
}

#[test]
fn what_preprocessing_makes_is_aligned_with_its_file_but_for_sheared_ones() {
    for (shear, spacing, is_aligned) in [
        (0.0, None, true),
        (0.0, Some([0.7, 1.0, 3.0]), true),
        (0.3, None, true),
        (0.3, Some([0.7, 1.0, 3.0]), false),
    ] {
        for orientation in 0..48 {
            let file = stored([5, 6, 7], orientation, [1.0, 0.8, 2.5], shear);
            let onto = file.grid().clone();
            let intensity = Intensity::ClipAndScale { a_min: 0.0, a_max: 5.0 };
            let preprocess =
                PreprocessConfig { spacing, intensity, crop_foreground: true, patch_size: [4, 8, 4] };
            let placement = GridMapping::new(&preprocess.prepare(vec![file]).grid, &onto);
            let found = matches!(placement, GridMapping::Aligned { .. });
            assert_eq!(found, is_aligned, "orientation {orientation}, shear {shear}, {spacing:?}");
        }
    }
}

#[test]
fn a_break_ends_the_sliding_window_before_the_next_patch() {
    let volume = Array4::<f32>::zeros((1, 9, 7, 5));
    let window = SlidingWindow::new([4, 4, 4], 0.5, BlendMode::Constant);
    let mut patches = 0;
    let predict = |_, patch: ArrayView4<f32>| {
        patches += 1;
        if patches == 3 {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(patch.to_owned().into_shared())
    };
    assert!(window.plan([9, 7, 5], 1).run(volume.view(), predict, |_| ()).is_break());
    assert_eq!(patches, 3);
}

#[test]
fn an_identity_predictor_gives_the_volume_back() {
    let volume = Array4::from_shape_fn((2, 9, 7, 5), |(c, x, y, z)| (c * 600 + x * 60 + y * 8 + z) as f32);
    for (blend_mode, overlap, bytes) in [
        (BlendMode::Constant, 0.25, usize::MAX),
        (BlendMode::Gaussian, 0.5, 1000),
        (BlendMode::Gaussian, 0.75, 0),
    ] {
        let window = SlidingWindow::new([4, 4, 4], overlap, blend_mode).with_memory_limit(bytes);
        let covered = gather(&window, volume.view(), 2, |patch| patch.to_owned().into_shared());
        for (found, expected) in covered.iter().zip(&volume) {
            assert!((found - expected).abs() <= TOLERANCE * expected.abs().max(1.0));
        }
    }
}

#[test]
fn classes_get_their_labels_and_what_is_out_of_reach_is_background() {
    // Two voxels of 1 mm; the file's grid has four, of which the outer two are not reached.
    let grid = Grid::with_spacing([2, 1, 1], [1.0; 3]);
    let mut onto = *Grid::with_spacing([4, 1, 1], [1.0; 3]).affine();
    onto[(0, 3)] = -1.0;
    let onto = Grid::new([4, 1, 1], onto);
    let rows: [Array3<f32>; 2] = [array![[[0.0]], [[1.0]], [[-1.0]]], array![[[0.0]], [[-1.0]], [[2.0]]]];
    let label_schema = LabelSchema::from_labels(&[7, 9]).unwrap();
    let column = TileColumn { y: whole(), z: whole() };
    let mut resampler = LabelResampler::new(&grid, &onto, &label_schema);
    let mut likely = ProbabilityResampler::new(&grid, &onto, &label_schema);
    let [first, second] = rows.each_ref().map(|row| row.view());
    for slab in [
        LogitSlab { x: 0, column: &column, rows: [first, first] },
        LogitSlab { x: 1, column: &column, rows: [first, second] },
    ] {
        resampler.push_slab(&slab);
        likely.push_slab(&slab);
    }
    assert_eq!(
        label_map(resampler.finish(), &label_schema).voxels().iter().copied().collect::<Vec<_>>(),
        [0, 7, 9, 0]
    );
    // e / (1 + e + 1/e) and so on; the voxels out of reach are background for certain.
    let expected = [[0.0, 0.665_241, 0.042_010, 0.0], [0.0, 0.090_031, 0.843_795, 0.0]];
    for (found, expected) in likely.finish().iter().zip(expected) {
        for (found, expected) in found.voxels().iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < PROBABILITY_TOLERANCE, "{found} {expected}");
        }
    }
}

#[test]
fn regions_are_decided_where_the_voxels_of_the_file_lie_and_in_their_order() {
    // Two voxels of 2 mm and, halfway between and on them, three of 1 mm.
    let grid = Grid::with_spacing([2, 1, 1], [2.0, 1.0, 1.0]);
    let onto = Grid::with_spacing([3, 1, 1], [1.0; 3]);
    let label_schema = crate::drawn::overlapping(&[&[1, 2], &[2]]);
    // The whole: 1 and −3, so −1 halfway. The part: −1 and 1, so 0 halfway, which is enough.
    let rows: [Array3<f32>; 2] = [array![[[1.0]], [[-1.0]]], array![[[-3.0]], [[1.0]]]];
    let column = TileColumn { y: whole(), z: whole() };
    let mut resampler = LabelResampler::new(&grid, &onto, &label_schema);
    let [first, second] = rows.each_ref().map(|row| row.view());
    resampler.push_slab(&LogitSlab { x: 0, column: &column, rows: [first, first] });
    resampler.push_slab(&LogitSlab { x: 1, column: &column, rows: [first, second] });
    assert_eq!(
        label_map(resampler.finish(), &label_schema).voxels().iter().copied().collect::<Vec<_>>(),
        [1, 2, 2]
    );
}

/// An axis of one voxel.
fn whole() -> Range<usize> {
    0..1
}

//! The sliding window against MONAI's; how its numbers were made stands in
//! `tests/reference/sliding_window.py`.

use bipvl::infer::{BlendMode, SlidingWindow};
use ndarray::{Array3, Array4, ArrayView4, Axis, stack};
use serde::Deserialize;

use crate::whole::gather;

/// Logits below 2, blended in float32 by both implementations.
const FLOAT32: f64 = 1e-5;
/// As in the script.
const SHAPE: [usize; 3] = [40, 37, 33];

#[derive(Deserialize)]
struct Expected {
    patch: [usize; 3],
    overlap: f64,
    blend_mode: BlendMode,
    /// The sum of each of the two logits.
    sums: [f64; 2],
    samples: Vec<([usize; 3], [f64; 2])>,
}

#[test]
fn patches_stand_and_blend_as_by_monai() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/sliding_window.json");
    let cases: Vec<Expected> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(cases.len(), 7);
    for Expected { patch, overlap, blend_mode, sums, samples } in cases {
        let window = SlidingWindow::new(patch, overlap, blend_mode);
        let logits =
            gather(&window, draw_volume().view(), 2, |patch| predict(patch).into_shared()).mapv(f64::from);
        for (logits, sum) in logits.outer_iter().zip(sums) {
            let difference = (logits.sum() - sum).abs() / logits.len() as f64;
            assert!(
                difference <= FLOAT32,
                "{patch:?}, {overlap}, {blend_mode:?}: means differ by {difference}"
            );
        }
        for ([x, y, z], expected) in samples {
            for (logit, expected) in expected.into_iter().enumerate() {
                let found = logits[[logit, x, y, z]];
                let difference = (found - expected).abs();
                assert!(
                    difference <= FLOAT32,
                    "{patch:?}, {overlap}, {blend_mode:?}, logit {logit} at {x}, {y}, {z}: expected {expected}, found {found}"
                );
            }
        }
    }
}

/// Values that float32 holds exactly.
fn draw_volume() -> Array4<f32> {
    Array3::from_shape_fn(SHAPE, |(x, y, z)| ((7 * x + 13 * y + 29 * z + 3 * x * y) % 32) as f32 / 32.0)
        .insert_axis(Axis(0))
}

/// Two logits: the voxel times a ramp through the patch, and that ramp less the voxel.
fn predict(patch: ArrayView4<f32>) -> Array4<f32> {
    let patch = patch.index_axis(Axis(0), 0);
    let ramp = Array3::from_shape_fn(patch.dim(), |(x, y, z)| (1 + x + 2 * y + 3 * z) as f32 / 64.0);
    stack(Axis(0), &[(&ramp * &patch).view(), (&ramp - &patch).view()]).unwrap()
}

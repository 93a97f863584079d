//! The 3³ convolution of small maps: tap by tap, all positions are gathered and multiplied with the tap's
//! weights. The weights, which outweigh such a map by far, are read once.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::Shape;
use crate::product::{Into, Left, Panels, Right, Sums, multiply_panel};

/// The rows of `values`, `[batch · x · y · z, channels]`, that tap `tap` sees from each position, `stride`
/// apart; zeros where it sees beyond the map.
fn gather(shape: Shape, values: &[f32], tap: usize, stride: usize, into: &mut [f32]) {
    let ([x_size, y_size, z_size], channels) = (shape.size, shape.inputs);
    into.fill(0.0);
    let mut rows = into.chunks_exact_mut(stride);
    for sample in values.chunks_exact(x_size * y_size * z_size * channels) {
        for x in 0..x_size {
            for y in 0..y_size {
                for (z, row) in (0..z_size).zip(&mut rows) {
                    let seen = [x + tap / 9, y + tap / 3 % 3, z + tap % 3];
                    if seen.iter().zip(shape.size).all(|(at, size)| (1..=size).contains(at)) {
                        let at = ((seen[0] - 1) * y_size + seen[1] - 1) * z_size + seen[2] - 1;
                        row[..channels].copy_from_slice(&sample[at * channels..][..channels]);
                    }
                }
            }
        }
    }
}

/// Columns of one panel of a matrix with rows of `columns` values, as rows of the panel's width.
fn pack(matrix: &[f32], columns: usize, panels: Panels, panel: usize, into: &mut Vec<f32>) {
    let (first, filled) = (panel * panels.width, panels.filled(panel, columns));
    into.resize(matrix.len() / columns * panels.width, 0.0);
    for (into, row) in into.chunks_exact_mut(panels.width).zip(matrix.chunks_exact(columns)) {
        into[..filled].copy_from_slice(&row[first..first + filled]);
        into[filled..].fill(0.0);
    }
}

/// `[batch, x, y, z, outputs]` from `[batch, x, y, z, inputs]` and `[3, 3, 3, inputs, outputs]`.
pub(super) fn forward(shape: Shape, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let (panels, arch) = (Panels::of(shape.outputs), Arch::new());
    let positions = shape.positions();
    let rows = positions.next_multiple_of(panels.rows);
    let mut seen = vec![0.0; rows * shape.inputs];
    let mut sums = vec![0.0; panels.count * rows * panels.width];
    for (tap, weight) in weight.chunks_exact(shape.inputs * shape.outputs).enumerate() {
        gather(shape, input, tap, shape.inputs, &mut seen);
        let by_panel = sums.par_chunks_mut(rows * panels.width).enumerate();
        by_panel.for_each_init(Vec::new, |packed, (panel, sums)| {
            pack(weight, shape.outputs, panels, panel, packed);
            let left = Left { values: &seen, row: shape.inputs, term: 1 };
            let right = Right { values: packed, term: panels.width };
            let into = Into { values: sums, row: panels.width, rows, sums: Sums::Continued };
            arch.dispatch(Product { panels, terms: shape.inputs, left, right, into });
        });
    }
    let mut output = vec![0.0; positions * shape.outputs];
    for (panel, sums) in sums.chunks_exact(rows * panels.width).enumerate() {
        let (first, filled) = (panel * panels.width, panels.filled(panel, shape.outputs));
        for (output, sums) in output.chunks_exact_mut(shape.outputs).zip(sums.chunks_exact(panels.width)) {
            output[first..first + filled].copy_from_slice(&sums[..filled]);
        }
    }
    output
}

/// The gradient of the weight, `[3, 3, 3, inputs, outputs]`, from the input and the output's gradient.
pub(super) fn weight_gradient(shape: Shape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let Shape { inputs, outputs, .. } = shape;
    let (panels, arch) = (Panels::of(outputs), Arch::new());
    let positions = shape.positions();
    let rows = inputs.next_multiple_of(panels.rows);
    let packed: Vec<Vec<f32>> = (0..panels.count)
        .into_par_iter()
        .map(|panel| {
            let mut packed = Vec::new();
            pack(gradient, outputs, panels, panel, &mut packed);
            packed
        })
        .collect();
    let mut weight = vec![0.0; 27 * inputs * outputs];
    weight.par_chunks_mut(inputs * outputs).enumerate().for_each(|(tap, weight)| {
        let mut seen = vec![0.0; positions * rows];
        let mut sums = vec![0.0; rows * panels.width];
        gather(shape, input, tap, rows, &mut seen);
        for (panel, packed) in packed.iter().enumerate() {
            let left = Left { values: &seen, row: 1, term: rows };
            let right = Right { values: packed, term: panels.width };
            let into = Into { values: &mut sums, row: panels.width, rows, sums: Sums::Fresh };
            arch.dispatch(Product { panels, terms: positions, left, right, into });
            let (first, filled) = (panel * panels.width, panels.filled(panel, outputs));
            for (weight, sums) in weight.chunks_exact_mut(outputs).zip(sums.chunks_exact(panels.width)) {
                weight[first..first + filled].copy_from_slice(&sums[..filled]);
            }
        }
    });
    weight
}

/// One panel of a product.
struct Product<'a> {
    panels: Panels,
    terms: usize,
    left: Left<'a>,
    right: Right<'a>,
    into: Into<'a>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        multiply_panel(simd, self.panels, self.terms, self.left, self.right, self.into);
    }
}

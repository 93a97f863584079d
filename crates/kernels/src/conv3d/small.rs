//! The 3³ convolution of small maps: for each tap, gather its inputs of all voxels and multiply them with its weights.
//! The weights, far larger than such a map, are read once.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::ConvShape;
use crate::microkernel::{Beta, Dst, Lhs, Panels, Rhs, multiply_panel};

/// Inputs of tap `tap` for each voxel, in rows `stride` apart, from `values` `[batch · x · y · z, in_channels]`; zeros
/// beyond the map.
fn gather(shape: ConvShape, values: &[f32], tap: usize, stride: usize, gathered: &mut [f32]) {
    let ([x_size, y_size, z_size], channels) = (shape.size, shape.in_channels);
    gathered.fill(0.0);
    let mut rows = gathered.chunks_exact_mut(stride);
    for sample in values.chunks_exact(x_size * y_size * z_size * channels) {
        for x in 0..x_size {
            for y in 0..y_size {
                for (z, row) in (0..z_size).zip(&mut rows) {
                    let padded = [x + tap / 9, y + tap / 3 % 3, z + tap % 3];
                    if padded.iter().zip(shape.size).all(|(index, size)| (1..=size).contains(index)) {
                        let voxel = ((padded[0] - 1) * y_size + padded[1] - 1) * z_size + padded[2] - 1;
                        row[..channels].copy_from_slice(&sample[voxel * channels..][..channels]);
                    }
                }
            }
        }
    }
}

/// Columns of one panel of a matrix with rows of `columns` values, padded to the width of the panel.
fn pack(matrix: &[f32], columns: usize, panels: Panels, panel: usize, packed: &mut Vec<f32>) {
    let (first, valid) = (panel * panels.width, panels.valid_columns(panel, columns));
    packed.resize(matrix.len() / columns * panels.width, 0.0);
    for (packed, row) in packed.chunks_exact_mut(panels.width).zip(matrix.chunks_exact(columns)) {
        packed[..valid].copy_from_slice(&row[first..first + valid]);
        packed[valid..].fill(0.0);
    }
}

/// `[batch, x, y, z, out_channels]` from `[batch, x, y, z, in_channels]` and `[3, 3, 3, in_channels, out_channels]`.
pub(super) fn forward(shape: ConvShape, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let (panels, arch) = (Panels::new(shape.out_channels), Arch::new());
    let voxels = shape.voxels();
    let rows = voxels.next_multiple_of(panels.tile_rows);
    let mut gathered = vec![0.0; rows * shape.in_channels];
    let mut sums = vec![0.0; panels.count * rows * panels.width];
    for (tap, weight) in weight.chunks_exact(shape.in_channels * shape.out_channels).enumerate() {
        gather(shape, input, tap, shape.in_channels, &mut gathered);
        let panel_sums = sums.par_chunks_mut(rows * panels.width).enumerate();
        panel_sums.for_each_init(Vec::new, |packed, (panel, sums)| {
            pack(weight, shape.out_channels, panels, panel, packed);
            let lhs = Lhs { values: &gathered, row_stride: shape.in_channels, k_stride: 1 };
            let rhs = Rhs { values: packed, k_stride: panels.width };
            let dst = Dst { values: sums, row_stride: panels.width, rows, beta: Beta::One };
            arch.dispatch(PanelProduct { panels, k: shape.in_channels, lhs, rhs, dst });
        });
    }
    let mut output = vec![0.0; voxels * shape.out_channels];
    for (panel, sums) in sums.chunks_exact(rows * panels.width).enumerate() {
        let (first, valid) = (panel * panels.width, panels.valid_columns(panel, shape.out_channels));
        for (output, sums) in output.chunks_exact_mut(shape.out_channels).zip(sums.chunks_exact(panels.width))
        {
            output[first..first + valid].copy_from_slice(&sums[..valid]);
        }
    }
    output
}

/// Gradient of the weight, `[3, 3, 3, in_channels, out_channels]`.
pub(super) fn weight_gradient(shape: ConvShape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let ConvShape { in_channels, out_channels, .. } = shape;
    let (panels, arch) = (Panels::new(out_channels), Arch::new());
    let voxels = shape.voxels();
    let rows = in_channels.next_multiple_of(panels.tile_rows);
    let packed: Vec<Vec<f32>> = (0..panels.count)
        .into_par_iter()
        .map(|panel| {
            let mut packed = Vec::new();
            pack(gradient, out_channels, panels, panel, &mut packed);
            packed
        })
        .collect();
    let mut weight = vec![0.0; 27 * in_channels * out_channels];
    weight.par_chunks_mut(in_channels * out_channels).enumerate().for_each(|(tap, weight)| {
        let mut gathered = vec![0.0; voxels * rows];
        let mut sums = vec![0.0; rows * panels.width];
        gather(shape, input, tap, rows, &mut gathered);
        for (panel, packed) in packed.iter().enumerate() {
            let lhs = Lhs { values: &gathered, row_stride: 1, k_stride: rows };
            let rhs = Rhs { values: packed, k_stride: panels.width };
            let dst = Dst { values: &mut sums, row_stride: panels.width, rows, beta: Beta::Zero };
            arch.dispatch(PanelProduct { panels, k: voxels, lhs, rhs, dst });
            let (first, valid) = (panel * panels.width, panels.valid_columns(panel, out_channels));
            for (weight, sums) in weight.chunks_exact_mut(out_channels).zip(sums.chunks_exact(panels.width)) {
                weight[first..first + valid].copy_from_slice(&sums[..valid]);
            }
        }
    });
    weight
}

/// One panel of a product.
struct PanelProduct<'a> {
    panels: Panels,
    k: usize,
    lhs: Lhs<'a>,
    rhs: Rhs<'a>,
    dst: Dst<'a>,
}

impl WithSimd for PanelProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        multiply_panel(simd, self.panels, self.k, self.lhs, self.rhs, self.dst);
    }
}

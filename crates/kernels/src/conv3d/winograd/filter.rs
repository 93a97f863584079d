//! Transform of a filter to points, and the gradient of a filter from that of its points.

use rayon::prelude::*;

use super::{PLANE, POINTS};
use crate::{conv3d::cpu::ConvShape, microkernel::Panels, simd};

/// G of Lavin and Gray: coefficient of each of the three taps in each point.
const FILTER_TRANSFORM: [[f32; 3]; POINTS] =
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// Coefficient of tap `tap` (of 27) in point `point` (of 64).
fn coefficient(point: usize, tap: usize) -> f32 {
    let [x, y, z] = [
        FILTER_TRANSFORM[point / PLANE],
        FILTER_TRANSFORM[point / POINTS % POINTS],
        FILTER_TRANSFORM[point % POINTS],
    ];
    x[tap / 9] * y[tap / 3 % 3] * z[tap % 3]
}

/// `[panels, 64 points, in_channels, width]` from `[27, in_channels, out_channels]`; padding columns are zero.
pub(super) fn transform(shape: ConvShape, panels: Panels, weight: &[f32]) -> Vec<f32> {
    let (in_channels, out_channels) = (shape.in_channels, shape.out_channels);
    let plane = PLANE * in_channels * panels.width;
    let mut points = vec![0.0; panels.count * POINTS * plane];
    points.par_chunks_mut(plane).enumerate().for_each(|(index, points)| {
        let (panel, plane) = (index / POINTS, index % POINTS);
        let valid = panels.valid_columns(panel, out_channels);
        for input in 0..in_channels {
            for point_in_plane in 0..PLANE {
                let point = &mut points[(point_in_plane * in_channels + input) * panels.width..][..valid];
                for tap in 0..27 {
                    let coefficient = coefficient(plane * PLANE + point_in_plane, tap);
                    if coefficient != 0.0 {
                        let from = (tap * in_channels + input) * out_channels + panel * panels.width;
                        simd::add_scaled(point, &weight[from..from + valid], coefficient);
                    }
                }
            }
        }
    });
    points
}

/// Gradient of the filter, `[27, in_channels, out_channels]`, from those of its points, one slice
/// `[panels, 16 points, rows, width]` for each plane.
pub(super) fn gather_gradient(
    shape: ConvShape,
    panels: Panels,
    rows: usize,
    planes: &[Vec<f32>],
) -> Vec<f32> {
    let (in_channels, out_channels) = (shape.in_channels, shape.out_channels);
    let mut weight = vec![0.0; 27 * in_channels * out_channels];
    weight.par_chunks_mut(in_channels * out_channels).enumerate().for_each(|(tap, weight)| {
        for point in 0..POINTS * PLANE {
            let coefficient = coefficient(point, tap);
            if coefficient == 0.0 {
                continue;
            }
            for panel in 0..panels.count {
                let valid = panels.valid_columns(panel, out_channels);
                let from = (panel * PLANE + point % PLANE) * rows * panels.width;
                let from = &planes[point / PLANE][from..];
                for input in 0..in_channels {
                    let sums = &mut weight[input * out_channels + panel * panels.width..][..valid];
                    simd::add_scaled(sums, &from[input * panels.width..][..valid], coefficient);
                }
            }
        }
    });
    weight
}

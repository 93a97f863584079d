//! Filters at their points, and the gradient of a filter from that of its points.

use rayon::prelude::*;

use super::{PLANE, POINTS};
use crate::{conv3d::cpu::Shape, product::Panels, vector};

/// What each of the three taps gives to each point.
const TAPS: [[f32; 3]; POINTS] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// What tap `tap` (of 27) gives to point `point` (of 64).
fn share(point: usize, tap: usize) -> f32 {
    let [x, y, z] = [TAPS[point / PLANE], TAPS[point / POINTS % POINTS], TAPS[point % POINTS]];
    x[tap / 9] * y[tap / 3 % 3] * z[tap % 3]
}

/// `[panels, 64 points, inputs, width]` from `[27, inputs, outputs]`; columns beyond the outputs are zero.
pub(super) fn transform(shape: Shape, panels: Panels, weight: &[f32]) -> Vec<f32> {
    let (inputs, outputs) = (shape.inputs, shape.outputs);
    let plane = PLANE * inputs * panels.width;
    let mut points = vec![0.0; panels.count * POINTS * plane];
    points.par_chunks_mut(plane).enumerate().for_each(|(index, points)| {
        let (panel, plane) = (index / POINTS, index % POINTS);
        let filled = panels.filled(panel, outputs);
        for input in 0..inputs {
            for within in 0..PLANE {
                let point = &mut points[(within * inputs + input) * panels.width..][..filled];
                for tap in 0..27 {
                    let share = share(plane * PLANE + within, tap);
                    if share != 0.0 {
                        let from = (tap * inputs + input) * outputs + panel * panels.width;
                        vector::add_scaled(point, &weight[from..from + filled], share);
                    }
                }
            }
        }
    });
    points
}

/// Sums the gradient `[27, inputs, outputs]` from those of all points, one slice
/// `[panels, 16 points, rows, width]` for each plane of points.
pub(super) fn gather_gradient(shape: Shape, panels: Panels, rows: usize, planes: &[Vec<f32>]) -> Vec<f32> {
    let (inputs, outputs) = (shape.inputs, shape.outputs);
    let mut weight = vec![0.0; 27 * inputs * outputs];
    weight.par_chunks_mut(inputs * outputs).enumerate().for_each(|(tap, weight)| {
        for point in 0..POINTS * PLANE {
            let share = share(point, tap);
            if share == 0.0 {
                continue;
            }
            for panel in 0..panels.count {
                let filled = panels.filled(panel, outputs);
                let from = (panel * PLANE + point % PLANE) * rows * panels.width;
                let from = &planes[point / PLANE][from..];
                for input in 0..inputs {
                    let into = &mut weight[input * outputs + panel * panels.width..][..filled];
                    vector::add_scaled(into, &from[input * panels.width..][..filled], share);
                }
            }
        }
    });
    weight
}

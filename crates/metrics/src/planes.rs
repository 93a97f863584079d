//! Visits the planes of a label map with their neighbors.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::labels::{Labels, Spacing};

/// Planes that one task visits in order, so that each is read about once.
const PLANES_PER_TASK: usize = 8;

/// A plane between its neighbors; outside of the volume is background.
pub(crate) struct PlaneWindow<'a> {
    /// Index along x.
    pub(crate) x: usize,
    /// The planes at x − 1, x and x + 1.
    planes: [&'a [u16]; 3],
    columns: usize,
    background: &'a [u16],
}

impl PlaneWindow<'_> {
    /// Voxels along y and z.
    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.background.len() / self.columns.max(1), self.columns]
    }

    /// The row at x + `dx` − 1 and `y`; background outside of the plane. `None` is index −1.
    pub(crate) fn row(&self, dx: usize, y: Option<usize>) -> &[u16] {
        let start = y.map(|y| y * self.columns).filter(|start| *start < self.background.len());
        start.map_or(&self.background[..self.columns], |start| &self.planes[dx][start..][..self.columns])
    }
}

/// Whether a row has no label; without an early exit, so that it is read a vector at a time.
pub(crate) fn is_background(row: &[u16]) -> bool {
    row.iter().fold(0, |labels, label| labels | label) == 0
}

/// Visits all planes, and one beyond the last if `is_past_end`, in parallel; results are in the order of the planes. A
/// picture goes on along x: its only plane is its own neighbor.
pub(crate) fn visit_planes<T: Send>(
    labels: &dyn Labels,
    spacing: Spacing,
    is_past_end: bool,
    visit: impl Fn(&PlaneWindow<'_>) -> T + Sync,
) -> Vec<T> {
    let [planes, rows, columns] = labels.shape();
    let background = vec![0; rows * columns];
    let window = |x, planes: &[Cow<'_, [u16]>; 3]| {
        visit(&PlaneWindow { x, planes: planes.each_ref().map(|it| &**it), columns, background: &background })
    };
    if spacing.is_picture() {
        let plane = labels.plane(0);
        return vec![window(0, &[plane.clone(), plane.clone(), plane])];
    }
    let plane = |x: Option<usize>| match x {
        Some(x) if x < planes => labels.plane(x),
        _ => Cow::Borrowed(background.as_slice()),
    };
    let end = planes + usize::from(is_past_end);
    let starts = (0..end.div_ceil(PLANES_PER_TASK)).into_par_iter().map(|task| task * PLANES_PER_TASK);
    let visited: Vec<Vec<T>> = starts
        .map(|start| {
            let mut around = [plane(start.checked_sub(1)), plane(Some(start)), plane(Some(start + 1))];
            let mut visited = vec![window(start, &around)];
            for x in start + 1..end.min(start + PLANES_PER_TASK) {
                around.rotate_left(1);
                around[2] = plane(Some(x + 1));
                visited.push(window(x, &around));
            }
            visited
        })
        .collect();
    visited.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::{Grid, LabelMap};
    use ndarray::Array3;

    use super::*;
    use crate::surface::{Discretization, surfaces};

    /// A rectangle of 4 by 5 pixels in a picture.
    fn rectangle() -> LabelMap {
        let shape = [1, 9, 9];
        let voxels =
            Array3::from_shape_fn(shape, |(_, y, z)| u16::from((2..6).contains(&y) && (3..8).contains(&z)));
        LabelMap::new(voxels, Grid::with_spacing(shape, [1.0; 3]))
    }

    #[test]
    fn the_surface_of_a_picture_is_a_line() {
        let (height, width): (f64, f64) = (0.5, 2.0);
        let spacing = Spacing::Picture([height, width]);
        let surface = |discretization| surfaces(discretization, &rectangle(), &[1], spacing).remove(0);
        assert_eq!(surface(Discretization::EdgeVoxels).indices.len(), 2 * 4 + 2 * 5 - 4);
        // Straight between the centers of the corner pixels; each corner is cut off halfway.
        let by_hand = 2.0 * (3.0 * height + 4.0 * width) + 4.0 * height.hypot(width) / 2.0;
        let length: f64 = surface(Discretization::Surfels).weights.iter().sum();
        assert!((length - by_hand).abs() < 1e-12, "{length}, {by_hand} expected");
    }

    #[test]
    fn every_plane_is_visited_once_between_its_neighbors() {
        let shape = [2 * PLANES_PER_TASK + 3, 1, 1];
        let voxels = Array3::from_shape_fn(shape, |(x, _, _)| x as u16 + 1);
        let labels = LabelMap::new(voxels, Grid::with_spacing(shape, [1.0; 3]));
        let window = |planes: &PlaneWindow<'_>| [0, 1, 2].map(|dx| planes.row(dx, Some(0))[0]);
        let visited = visit_planes(&labels, Spacing::Volume([1.0; 3]), true, window);
        let last = shape[0] as u16;
        let label = |x: u16| if (1..=last).contains(&x) { x } else { 0 };
        let expected: Vec<[u16; 3]> =
            (1..=last + 1).map(|x| [label(x - 1), label(x), label(x + 1)]).collect();
        assert_eq!(visited, expected);
    }
}

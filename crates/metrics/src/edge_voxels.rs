//! Surfaces as edge voxels: voxels of a class with a face neighbor outside it, as MONAI's `get_mask_edges`.

use crate::class_index::ClassIndex;
use crate::planes::{PlaneWindow, is_background};
use crate::surface::SurfaceElement;

/// The edge voxels of all classes in a plane, each of weight 1.
pub(crate) fn edge_voxels(planes: &PlaneWindow<'_>, classes: &ClassIndex) -> Vec<SurfaceElement> {
    let [ny, _] = planes.shape();
    let mut elements = Vec::new();
    let mut differences = Vec::new();
    for y in 0..ny {
        let row = planes.row(1, Some(y));
        if is_background(row) {
            continue;
        }
        let neighbors = [
            planes.row(0, Some(y)),
            planes.row(2, Some(y)),
            planes.row(1, y.checked_sub(1)),
            planes.row(1, Some(y + 1)),
        ];
        from_neighbors(row, neighbors, &mut differences);
        let edges = row.iter().zip(&differences).enumerate();
        for (z, (&label, _)) in edges.filter(|(_, (label, difference))| **label != 0 && **difference != 0) {
            if let Some(class_index) = classes.get(label) {
                elements.push(SurfaceElement {
                    class_index: class_index as u16,
                    index: [planes.x, y, z].map(|index| index as u32),
                    weight: 1.0,
                });
            }
        }
    }
    elements
}

/// Fills `differences` with a number per voxel of a row that is 0 where its six neighbors have its label. Both loops are
/// read a vector at a time.
fn from_neighbors(row: &[u16], neighbors: [&[u16]; 4], differences: &mut Vec<u16>) {
    let [a, b, c, d] = neighbors;
    differences.clear();
    let four = row.iter().zip(a).zip(b).zip(c).zip(d);
    differences.extend(four.map(|((((it, a), b), c), d)| (it ^ a) | (it ^ b) | (it ^ c) | (it ^ d)));
    let along = row.iter().zip(&row[1..]).zip(row.get(2..).unwrap_or_default());
    for (difference, ((before, it), after)) in differences[1..].iter_mut().zip(along) {
        *difference |= (it ^ before) | (it ^ after);
    }
    // Outside of the volume is background.
    for end in [0, row.len() - 1] {
        differences[end] |= row[end];
    }
}

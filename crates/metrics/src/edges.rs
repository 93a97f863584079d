//! Surfaces as voxels: those of a class with a face neighbor that is not.

use crate::classes::ClassIndices;
use crate::rows::Rows;
use crate::surface::Surfel;

/// The edge voxels of all classes in the plane at `x`, each of weight 1.
pub(crate) fn edge_voxels(x: usize, rows: &Rows, classes: &ClassIndices) -> Vec<Surfel> {
    let [_, ny, nz] = rows.shape();
    let mut elements = Vec::new();
    for y in 0..ny {
        let row = rows.at(Some(x), Some(y));
        let beside = [
            rows.at(x.checked_sub(1), Some(y)),
            rows.at(Some(x + 1), Some(y)),
            rows.at(Some(x), y.checked_sub(1)),
            rows.at(Some(x), Some(y + 1)),
        ];
        for (z, &label) in row.iter().enumerate().filter(|(_, label)| **label != 0) {
            let is_inner = z > 0
                && z + 1 < nz
                && row[z - 1] == label
                && row[z + 1] == label
                && beside.iter().all(|neighbors| neighbors[z] == label);
            if is_inner {
                continue;
            }
            if let Some(class_index) = classes.of(label) {
                elements.push(Surfel { class_index, element: [x, y, z], area: 1.0 });
            }
        }
    }
    elements
}

//! Surfaces as edge voxels: voxels of a class with a face neighbor outside it, as MONAI's `get_mask_edges`.

use crate::class_index::ClassIndex;
use crate::label_rows::LabelRows;
use crate::surface::SurfaceElement;

/// The edge voxels of all classes in the plane at `x`, each of weight 1.
pub(crate) fn edge_voxels(x: usize, rows: &LabelRows, classes: &ClassIndex) -> Vec<SurfaceElement> {
    let [_, ny, nz] = rows.shape();
    let mut elements = Vec::new();
    for y in 0..ny {
        let row = rows.row(Some(x), Some(y));
        let neighbors = [
            rows.row(x.checked_sub(1), Some(y)),
            rows.row(Some(x + 1), Some(y)),
            rows.row(Some(x), y.checked_sub(1)),
            rows.row(Some(x), Some(y + 1)),
        ];
        for (z, &label) in row.iter().enumerate().filter(|(_, label)| **label != 0) {
            let is_interior = z > 0
                && z + 1 < nz
                && row[z - 1] == label
                && row[z + 1] == label
                && neighbors.iter().all(|neighbor| neighbor[z] == label);
            if is_interior {
                continue;
            }
            if let Some(class_index) = classes.get(label) {
                elements.push(SurfaceElement { class_index, index: [x, y, z], weight: 1.0 });
            }
        }
    }
    elements
}

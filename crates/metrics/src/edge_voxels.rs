//! Surfaces as edge voxels: voxels of a class with a face neighbor outside it, as MONAI's `get_mask_edges`.

use crate::class_index::ClassIndex;
use crate::planes::PlaneWindow;
use crate::surface::SurfaceElement;

/// The edge voxels of all classes in a plane, each of weight 1.
pub(crate) fn edge_voxels(planes: &PlaneWindow<'_>, classes: &ClassIndex) -> Vec<SurfaceElement> {
    let [ny, nz] = planes.shape();
    let mut elements = Vec::new();
    for y in 0..ny {
        let row = planes.row(1, Some(y));
        let neighbors = [
            planes.row(0, Some(y)),
            planes.row(2, Some(y)),
            planes.row(1, y.checked_sub(1)),
            planes.row(1, Some(y + 1)),
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
                elements.push(SurfaceElement { class_index, index: [planes.x, y, z], weight: 1.0 });
            }
        }
    }
    elements
}

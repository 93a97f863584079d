//! Undoes the recipe: back onto the grid of the input file.

use bipvl_volume::{Grid, LabelMap, Outside, Volume, resample};
use ndarray::{Array3, Array4, Axis, Zip};

/// The most likely class of each voxel of the `onto` grid, as its label in files.
///
/// Logits are interpolated before the decision, class by class. Voxels that the prepared volume does not
/// reach are background.
///
/// # Shapes
///
/// - `logits`: `[classes + 1, x, y, z]` on `grid`, background first
pub fn restore(logits: Array4<f32>, grid: &Grid, onto: &Grid, labels: &[u16]) -> LabelMap {
    let is_same = grid.is_same_as(onto);
    let mut best = Array3::<f32>::zeros(onto.shape());
    let mut decided = Array3::<u16>::zeros(onto.shape());
    for channel in 0..=labels.len() {
        let own = logits.index_axis(Axis(0), channel).to_owned();
        let outside = if channel == 0 { f32::MAX } else { f32::MIN };
        let volume = Volume::new(own, grid.clone());
        let placed = if is_same { volume } else { resample(&volume, onto, Outside::Fill(outside)) };
        if channel == 0 {
            best = placed.into_voxels();
            continue;
        }
        let label = labels[channel - 1];
        Zip::from(&mut best).and(&mut decided).and(placed.voxels()).par_for_each(|best, decided, logit| {
            if logit > best {
                (*best, *decided) = (*logit, label);
            }
        });
    }
    Volume::new(decided, onto.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_get_their_labels_and_what_is_out_of_reach_is_background() {
        // Two voxels of 1 mm; the file's grid has four, of which the outer two are not reached.
        let grid = Grid::with_spacing([2, 1, 1], [1.0; 3]);
        let mut onto = *Grid::with_spacing([4, 1, 1], [1.0; 3]).affine();
        onto[(0, 3)] = -1.0;
        let onto = Grid::new([4, 1, 1], onto);
        let logits = Array4::from_shape_vec((3, 2, 1, 1), vec![0.0, 0.0, 1.0, -1.0, -1.0, 2.0]).unwrap();
        let labels = restore(logits, &grid, &onto, &[7, 9]);
        assert_eq!(labels.voxels().iter().copied().collect::<Vec<_>>(), [0, 7, 9, 0]);
    }
}

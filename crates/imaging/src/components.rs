//! Connected components of a mask, and the largest one of each label.

use ndarray::Array3;

use crate::{BoundingBox, LabelMap, Volume, crop_or_pad};

/// Which voxels are neighbors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// Voxels that share a face: 6 neighbors, connectivity 1 in SciPy and MONAI.
    Face,
    /// Voxels that share a face, an edge or a corner: 26 neighbors, connectivity 3.
    Full,
}

/// The connected components of a mask.
#[derive(Clone, Debug)]
pub struct ConnectedComponents {
    /// 0 outside the mask, else the id of the voxel's component, from 1.
    pub ids: Volume<u32>,
    /// Voxels per component, in the order of the ids.
    pub voxel_counts: Vec<usize>,
}

/// Labels the connected components of `mask` in the order of their first voxels.
pub fn connected_components(mask: &Volume<bool>, connectivity: Connectivity) -> ConnectedComponents {
    let shape = mask.grid().shape();
    let offsets = offsets(connectivity);
    let mut ids: Array3<u32> = Array3::zeros(shape);
    let mut voxel_counts = Vec::new();
    let mut stack = Vec::new();
    for ((x, y, z), &is_inside) in mask.voxels().indexed_iter() {
        if !is_inside || ids[[x, y, z]] != 0 {
            continue;
        }
        let id = voxel_counts.len() as u32 + 1;
        let mut voxel_count = 0;
        ids[[x, y, z]] = id;
        stack.push([x, y, z]);
        while let Some(voxel) = stack.pop() {
            voxel_count += 1;
            for neighbor in offsets.iter().filter_map(|offset| shifted(voxel, *offset, shape)) {
                if mask.voxels()[neighbor] && ids[neighbor] == 0 {
                    ids[neighbor] = id;
                    stack.push(neighbor);
                }
            }
        }
        voxel_counts.push(voxel_count);
    }
    ConnectedComponents { ids: Volume::new(ids, mask.grid().clone()), voxel_counts }
}

/// Sets all but the largest component of each label to background; of equally large ones the first is kept.
pub fn keep_largest_component(labels: &mut LabelMap, connectivity: Connectivity) {
    for (label, bounds) in BoundingBox::of_labels(labels) {
        let mask = crop_or_pad(&*labels, &bounds, 0).map(|voxel| *voxel == label);
        let ConnectedComponents { ids, voxel_counts } = connected_components(&mask, connectivity);
        // `max_by_key` returns the last of equal maxima.
        let largest = voxel_counts.iter().enumerate().rev().max_by_key(|(_, count)| **count);
        let largest = largest.map(|(index, _)| index as u32 + 1);
        let [x, y, z] = bounds.start.map(|start| start as usize);
        for ((dx, dy, dz), id) in ids.voxels().indexed_iter() {
            if *id != 0 && Some(*id) != largest {
                labels.voxels_mut()[[x + dx, y + dy, z + dz]] = 0;
            }
        }
    }
}

fn offsets(connectivity: Connectivity) -> Vec<[isize; 3]> {
    let max_steps = match connectivity {
        Connectivity::Face => 1,
        Connectivity::Full => 3,
    };
    (0..27)
        .map(|code: isize| [code / 9 - 1, code / 3 % 3 - 1, code % 3 - 1])
        .filter(|offset| (1..=max_steps).contains(&offset.iter().map(|step| step.abs()).sum::<isize>()))
        .collect()
}

fn shifted(voxel: [usize; 3], offset: [isize; 3], shape: [usize; 3]) -> Option<[usize; 3]> {
    let moved = [0, 1, 2].map(|axis| voxel[axis].wrapping_add_signed(offset[axis]));
    (0..3).all(|axis| moved[axis] < shape[axis]).then_some(moved)
}

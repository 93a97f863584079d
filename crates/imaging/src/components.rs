//! Connected components; keep the largest of a label.

use ndarray::Array3;

use crate::{BoundingBox, LabelMap, Volume, crop_or_pad};

/// Which voxels touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbors {
    /// Those that share a face.
    Six,
    /// Those that share a face, an edge, or a corner.
    TwentySix,
}

/// The connected parts of a mask.
#[derive(Clone, Debug)]
pub struct Components {
    /// 0 outside the mask, else the number of the voxel's component, from 1.
    pub numbers: Volume<u32>,
    /// Voxels per component, the first of component 1.
    pub voxel_counts: Vec<usize>,
}

/// Finds the connected components of `mask`, numbered in the order of their first voxels.
pub fn components(mask: &Volume<bool>, neighbors: Neighbors) -> Components {
    let shape = mask.grid().shape();
    let offsets = offsets(neighbors);
    let mut numbers: Array3<u32> = Array3::zeros(shape);
    let mut voxel_counts = Vec::new();
    let mut waiting = Vec::new();
    for ((x, y, z), &is_inside) in mask.voxels().indexed_iter() {
        if !is_inside || numbers[[x, y, z]] != 0 {
            continue;
        }
        let number = voxel_counts.len() as u32 + 1;
        let mut voxel_count = 0;
        numbers[[x, y, z]] = number;
        waiting.push([x, y, z]);
        while let Some(voxel) = waiting.pop() {
            voxel_count += 1;
            for neighbor in offsets.iter().filter_map(|offset| shifted(voxel, *offset, shape)) {
                if mask.voxels()[neighbor] && numbers[neighbor] == 0 {
                    numbers[neighbor] = number;
                    waiting.push(neighbor);
                }
            }
        }
        voxel_counts.push(voxel_count);
    }
    Components { numbers: Volume::new(numbers, mask.grid().clone()), voxel_counts }
}

/// Makes background of all but the largest component of each label but 0; of equally large ones the first stays.
pub fn keep_largest(labels: &mut LabelMap, neighbors: Neighbors) {
    for (label, bounds) in BoundingBox::of_labels(labels) {
        let mask = crop_or_pad(labels, &bounds, 0).map(|found| *found == label);
        let Components { numbers, voxel_counts } = components(&mask, neighbors);
        // The last of equal ones is found, so they are asked from behind.
        let largest = voxel_counts.iter().enumerate().rev().max_by_key(|(_, count)| **count);
        let largest = largest.map(|(index, _)| index as u32 + 1);
        let [x, y, z] = bounds.start.map(|start| start as usize);
        for ((dx, dy, dz), number) in numbers.voxels().indexed_iter() {
            if *number != 0 && Some(*number) != largest {
                labels.voxels_mut()[[x + dx, y + dy, z + dz]] = 0;
            }
        }
    }
}

fn offsets(neighbors: Neighbors) -> Vec<[isize; 3]> {
    let max_steps = match neighbors {
        Neighbors::Six => 1,
        Neighbors::TwentySix => 3,
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

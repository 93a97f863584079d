//! Connected components; keep the largest.

use ndarray::Array3;

use crate::Volume;

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

/// The mask without all but its largest component; of equally large ones the first stays.
pub fn keep_largest(mask: &Volume<bool>, neighbors: Neighbors) -> Volume<bool> {
    let components = components(mask, neighbors);
    let mut largest = 0;
    for (index, &voxel_count) in components.voxel_counts.iter().enumerate() {
        if voxel_count > components.voxel_counts[largest] {
            largest = index;
        }
    }
    components.numbers.map(|&number| number == largest as u32 + 1)
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

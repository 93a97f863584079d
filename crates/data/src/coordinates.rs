//! Channels that say where a voxel lies in its scan, by which a network tells left from right in any patch.

use ndarray::Array4;

/// One per axis.
pub const COORDINATE_CHANNELS: usize = 3;

/// The coordinates of a patch of `shape` voxels at `start`, from −1 at the first face of the scan to 1 at the last,
/// `[3, x, y, z]`.
pub fn patch_coordinates(start: [usize; 3], shape: [usize; 3], scan: [usize; 3]) -> Array4<f32> {
    coordinates(shape, scan, |voxel| std::array::from_fn(|axis| (start[axis] + voxel[axis]) as f64))
}

/// The coordinates of voxels whose places in the scan are given.
pub(crate) fn coordinates(
    shape: [usize; 3],
    scan: [usize; 3],
    place: impl Fn([usize; 3]) -> [f64; 3],
) -> Array4<f32> {
    let [x, y, z] = shape;
    Array4::from_shape_fn((COORDINATE_CHANNELS, x, y, z), |(axis, x, y, z)| {
        (2.0 * (place([x, y, z])[axis] + 0.5) / scan[axis] as f64 - 1.0) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_go_from_face_to_face() {
        // The second half of eight voxels along x: centers at 4.5 to 7.5 of 8; the middle voxel of one along z.
        let channels = patch_coordinates([4, 0, 0], [4, 2, 1], [8, 2, 1]);
        assert_eq!(channels.dim(), (3, 4, 2, 1));
        assert_eq!([0, 1, 2, 3].map(|x| channels[[0, x, 1, 0]]), [0.125, 0.375, 0.625, 0.875]);
        assert_eq!([0, 1].map(|y| channels[[1, 2, y, 0]]), [-0.5, 0.5]);
        assert_eq!(channels[[2, 3, 1, 0]], 0.0);
    }
}

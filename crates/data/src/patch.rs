//! Sampling of training patches, a given fraction of them centered on foreground.

use bipvl_imaging::IGNORE_INDEX;
use ndarray::{Array3, Array4, Axis, Zip};
use rand::{
    Rng,
    seq::{IndexedRandom, IteratorRandom},
};

/// Locations kept per class (nnU-Net keeps as many).
const MAX_VOXELS_PER_CLASS: usize = 10_000;

/// Voxels of a case to center patches on, by class (nnU-Net `class_locations`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassLocations {
    shape: [usize; 3],
    by_class: Vec<Vec<u32>>,
}

impl ClassLocations {
    /// Lists the voxels of a preprocessed case. List 0 is the background where a channel of the image is not zero,
    /// list `k` the voxels with channel index `k`; of long lists, evenly spaced voxels are kept. Voxels with
    /// [`IGNORE_INDEX`] are in no list.
    ///
    /// # Panics
    ///
    /// When there are 2³² voxels, or a channel index above `num_labels`.
    pub fn from_case(image: &Array4<f32>, labels: &Array3<u8>, num_labels: usize) -> Self {
        let (x, y, z) = labels.dim();
        assert!(u32::try_from(labels.len()).is_ok(), "a case of {x} × {y} × {z} voxels is too large");
        let mut by_class = vec![Vec::new(); num_labels + 1];
        for (voxel, ((x, y, z), label)) in labels.indexed_iter().enumerate() {
            let is_nonzero = || image.outer_iter().any(|channel| channel[(x, y, z)] != 0.0);
            if *label != IGNORE_INDEX && (*label != 0 || is_nonzero()) {
                by_class[usize::from(*label)].push(voxel as u32);
            }
        }
        Self { shape: [x, y, z], by_class: by_class.into_iter().map(subsample).collect() }
    }

    /// From stored lists: flat voxel indices, z fastest, background first.
    pub(super) fn from_indices(shape: [usize; 3], by_class: Vec<Vec<u32>>) -> Self {
        Self { shape, by_class }
    }

    /// Flat voxel indices, z fastest, background first.
    pub(super) fn by_class(&self) -> &[Vec<u32>] {
        &self.by_class
    }

    /// Samples the first voxel of a patch inside the case (MONAI `RandCropByPosNegLabel`).
    ///
    /// With probability `oversample_foreground` the patch is centered on a voxel of a label, sampled uniformly from the
    /// labels present; otherwise on a background voxel that is not zero in the image. If there is no such voxel, the
    /// other kind is used; if there is neither, any voxel.
    ///
    /// # Panics
    ///
    /// When the patch is larger than the case.
    pub fn sample_patch_origin(
        &self,
        patch_size: [usize; 3],
        oversample_foreground: f64,
        rng: &mut impl Rng,
    ) -> [usize; 3] {
        let is_foreground = rng.random_bool(oversample_foreground);
        let present = self.by_class[1..].iter().filter(|voxels| !voxels.is_empty());
        let foreground = present.choose(rng);
        let background = Some(&self.by_class[0]).filter(|voxels| !voxels.is_empty());
        let chosen = if is_foreground { foreground.or(background) } else { background.or(foreground) };
        let center = match chosen.and_then(|voxels| voxels.choose(rng)) {
            Some(voxel) => self.position(*voxel),
            None => self.shape.map(|size| rng.random_range(0..size)),
        };
        self.origin_around(center, patch_size)
    }

    /// Whether a voxel has this class.
    pub fn contains(&self, class: u8) -> bool {
        self.by_class.get(usize::from(class)).is_some_and(|voxels| !voxels.is_empty())
    }

    /// Samples the first voxel of a patch centered on a voxel of this class.
    ///
    /// # Panics
    ///
    /// When no voxel has the class, or the patch is larger than the case.
    pub fn sample_patch_origin_at(
        &self,
        class: u8,
        patch_size: [usize; 3],
        rng: &mut impl Rng,
    ) -> [usize; 3] {
        let voxel = self.by_class[usize::from(class)].choose(rng).expect("the class has voxels");
        self.origin_around(self.position(*voxel), patch_size)
    }

    fn position(&self, voxel: u32) -> [usize; 3] {
        let [_, size_y, size_z] = self.shape;
        let voxel = voxel as usize;
        [voxel / (size_y * size_z), voxel / size_z % size_y, voxel % size_z]
    }

    /// The first voxel of the patch around `center`, moved inside the case.
    fn origin_around(&self, center: [usize; 3], patch_size: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|axis| {
            let last = self.shape[axis].checked_sub(patch_size[axis]).expect("a case is padded to the patch");
            center[axis].saturating_sub(patch_size[axis] / 2).min(last)
        })
    }
}

/// The first voxel of the patch with the most foreground voxels; of several, of the one nearest to their center.
/// `labels` are channel indices: 0 is background, [`IGNORE_INDEX`] does not count.
///
/// # Panics
///
/// When the patch is larger than the case.
pub fn densest_patch_origin(labels: &Array3<u8>, patch_size: [usize; 3]) -> [usize; 3] {
    let mut counts = labels.mapv(|label| u32::from(label > 0 && label != IGNORE_INDEX));
    for (axis, side) in patch_size.into_iter().enumerate() {
        counts = window_sums(&counts, Axis(axis), side);
    }
    let most = counts.iter().copied().max().expect("a case is padded to the patch");
    let densest = counts.indexed_iter().filter(|(_, count)| **count == most).map(|((x, y, z), _)| [x, y, z]);
    let (mut sums, mut number) = ([0; 3], 0);
    for start in densest.clone() {
        sums = std::array::from_fn(|axis| sums[axis] + start[axis]);
        number += 1;
    }
    // Scaled by their number, so that the center is an integer.
    let distance = |start: &[usize; 3]| -> u128 {
        (0..3).map(|axis| ((number * start[axis]).abs_diff(sums[axis]) as u128).pow(2)).sum()
    };
    densest.min_by_key(distance).expect("there is a densest patch")
}

/// Sums over `side` consecutive voxels along an axis.
fn window_sums(counts: &Array3<u32>, axis: Axis, side: usize) -> Array3<u32> {
    let mut shape = counts.raw_dim();
    shape[axis.index()] = (shape[axis.index()] + 1).checked_sub(side).expect("a case is padded to the patch");
    let mut sums = Array3::zeros(shape);
    Zip::from(counts.lanes(axis)).and(sums.lanes_mut(axis)).for_each(|counts, mut sums| {
        let mut sum: u32 = counts.iter().take(side).sum();
        for (index, window) in sums.iter_mut().enumerate() {
            *window = sum;
            if let Some(next) = counts.get(index + side) {
                sum = sum + next - counts[index];
            }
        }
    });
    sums
}

fn subsample(voxels: Vec<u32>) -> Vec<u32> {
    let kept = voxels.len().min(MAX_VOXELS_PER_CLASS);
    (0..kept).map(|rank| voxels[rank * voxels.len() / kept]).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const PATCH: [usize; 3] = [4, 4, 4];

    fn with_labels(voxels: &[([usize; 3], u8)]) -> ClassLocations {
        let mut labels = Array3::zeros((12, 10, 8));
        for (voxel, label) in voxels {
            labels[*voxel] = *label;
        }
        ClassLocations::from_case(&Array4::zeros((1, 12, 10, 8)), &labels, 3)
    }

    #[test]
    fn a_foreground_patch_contains_its_voxel_and_is_inside_the_case() {
        let voxels = [([0, 0, 0], 1), ([11, 9, 7], 2), ([6, 5, 4], 3)];
        let lists = with_labels(&voxels);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let start = lists.sample_patch_origin(PATCH, 1.0, &mut rng);
            let holds =
                |voxel: [usize; 3]| (0..3).all(|i| (start[i]..start[i] + PATCH[i]).contains(&voxel[i]));
            assert!(voxels.iter().any(|(voxel, _)| holds(*voxel)), "{start:?}");
            assert!((0..3).all(|axis| start[axis] + PATCH[axis] <= [12, 10, 8][axis]), "{start:?}");
        }
    }

    #[test]
    fn classes_are_sampled_equally_often_whatever_their_size() {
        let mut voxels: Vec<_> = (0..10).flat_map(|y| (0..8).map(move |z| ([11, y, z], 2))).collect();
        voxels.push(([0, 0, 0], 1));
        let lists = with_labels(&voxels);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let small = (0..1000).filter(|_| lists.sample_patch_origin(PATCH, 1.0, &mut rng) == [0; 3]).count();
        // Six standard deviations of a fair coin thrown a thousand times.
        assert!(small.abs_diff(500) < 95, "{small}");
    }

    #[test]
    fn the_densest_patch_has_the_most_foreground_near_its_center() {
        let mut labels = Array3::zeros((12, 10, 8));
        // Alone at one end, and two at the other, with different classes: patches of 4 that hold both begin at
        // x 5 to 7, y 3 to 6, z 0 to 3.
        for (voxel, class) in [([0, 0, 7], 1), ([8, 6, 3], 1), ([7, 6, 3], 2)] {
            labels[voxel] = class;
        }
        let start = densest_patch_origin(&labels, PATCH);
        assert!(start[0] == 6 && [4, 5].contains(&start[1]) && [1, 2].contains(&start[2]), "{start:?}");
        labels[[1, 1, 7]] = 3;
        labels[[2, 1, 7]] = 3;
        assert_eq!(densest_patch_origin(&labels, [3, 2, 1]), [0, 0, 7]);
        let nothing = densest_patch_origin(&Array3::zeros((6, 4, 4)), PATCH);
        assert_eq!(nothing, [1, 0, 0]);
    }

    #[test]
    fn an_empty_image_without_labels_is_sampled_uniformly() {
        let lists = with_labels(&[]);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let starts: std::collections::HashSet<_> =
            (0..200).map(|_| lists.sample_patch_origin(PATCH, 0.5, &mut rng)).collect();
        assert!(starts.len() > 20);
    }

    #[test]
    fn background_locations_are_nonzero_in_the_image_and_ignored_voxels_are_in_no_list() {
        let mut image = Array4::zeros((2, 3, 3, 3));
        image[[1, 2, 1, 0]] = -1.0;
        image[[0, 0, 0, 1]] = 1.0;
        let mut labels = Array3::zeros((3, 3, 3));
        labels[[0, 0, 1]] = 1;
        (image[[0, 1, 1, 1]], labels[[1, 1, 1]]) = (1.0, IGNORE_INDEX);
        let lists = ClassLocations::from_case(&image, &labels, 2);
        assert_eq!(lists.by_class(), [vec![2 * 9 + 3], vec![1], vec![]]);
    }

    #[test]
    fn long_lists_are_subsampled_over_the_whole_case() {
        let labels = Array3::from_elem((30, 30, 30), 1);
        let image = Array4::zeros((1, 30, 30, 30));
        let lists = ClassLocations::from_case(&image, &labels, 1);
        let voxels = &lists.by_class()[1];
        assert_eq!(voxels.len(), MAX_VOXELS_PER_CLASS);
        assert!(voxels.is_sorted() && voxels[0] == 0 && *voxels.last().unwrap() > 26_990);
        assert_eq!(image.len_of(Axis(0)), 1);
    }
}

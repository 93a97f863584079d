//! Voxels without annotation, and labels without a class.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bipvl_imaging::{LabelClass, LabelMap};

use crate::labels::Labels;

/// A prediction with background wherever the reference has the ignore label. As in nnU-Net's evaluation, these voxels
/// are then neither true nor false positives; in the reference the label belongs to no class anyway.
pub(crate) struct WithoutIgnored<'a> {
    pub(crate) prediction: &'a dyn Labels,
    pub(crate) reference: &'a dyn Labels,
    pub(crate) ignore_label: u16,
}

impl Labels for WithoutIgnored<'_> {
    fn shape(&self) -> [usize; 3] {
        self.prediction.shape()
    }

    fn plane(&self, x: usize) -> Cow<'_, [u16]> {
        let (plane, reference) = (self.prediction.plane(x), self.reference.plane(x));
        if !reference.contains(&self.ignore_label) {
            return plane;
        }
        let mut plane = plane.into_owned();
        for (label, reference) in plane.iter_mut().zip(reference.iter()) {
            if *reference == self.ignore_label {
                *label = 0;
            }
        }
        Cow::Owned(plane)
    }
}

/// Labels of `label_map` other than background that no class has, and their number of voxels. They are scored as
/// background.
pub fn labels_without_class(
    label_map: &LabelMap,
    classes: &[LabelClass],
    ignore_label: Option<u16>,
) -> BTreeMap<u16, usize> {
    let mut voxels = vec![0; usize::from(u16::MAX) + 1];
    for label in label_map.voxels() {
        voxels[usize::from(*label)] += 1;
    }
    let has_class = |label: u16| classes.iter().any(|class| class.labels.contains(&label));
    (1..=u16::MAX)
        .zip(voxels.into_iter().skip(1))
        .filter(|(label, count)| *count > 0 && Some(*label) != ignore_label && !has_class(*label))
        .collect()
}

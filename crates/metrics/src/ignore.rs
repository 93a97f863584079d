//! Voxels without annotation, and labels without a class.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bipvl_imaging::{LabelClass, LabelMap};

/// `prediction` with background wherever `reference` has the ignore label. As in nnU-Net's evaluation, these voxels
/// are then neither true nor false positives; in the reference the label belongs to no class anyway.
pub fn exclude_ignored<'a>(
    prediction: &'a LabelMap,
    reference: &LabelMap,
    ignore_label: Option<u16>,
) -> Cow<'a, LabelMap> {
    let Some(ignored) = ignore_label.filter(|label| reference.voxels().iter().any(|voxel| voxel == label))
    else {
        return Cow::Borrowed(prediction);
    };
    let mut masked = prediction.clone();
    masked.voxels_mut().zip_mut_with(reference.voxels(), |label, reference| {
        if *reference == ignored {
            *label = 0;
        }
    });
    Cow::Owned(masked)
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

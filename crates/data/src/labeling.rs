//! How labels stand for classes: one each, or regions of several that overlap.

use super::Regions;

/// How the labels of a voxel and its classes hang together, both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labeling {
    /// A voxel has one class at most, and each class is one label, in the order of the classes. The logits hold
    /// a channel of the background first; the highest decides, the first of equal ones.
    Exclusive(Vec<u16>),
    /// A voxel may have several classes, and each class is a region of several labels, its own first. The logits
    /// hold a channel per class, and each decides for itself: at a probability of ½ and more it writes the
    /// region's first label over what the regions before it wrote, as in nnU-Net.
    Overlapping(Vec<Vec<u16>>),
}

impl Labeling {
    /// Of a data set with these `labels`, and with regions where its classes overlap.
    pub fn of(labels: &[u16], regions: &Regions) -> Self {
        if regions.is_empty() {
            return Self::Exclusive(labels.to_vec());
        }
        Self::Overlapping(regions.values().cloned().collect())
    }

    /// The same with another label for each class to write. A class with label 0 makes background of the voxels
    /// that it wins from others, and writes nothing where classes overlap.
    ///
    /// # Panics
    ///
    /// When there are more or fewer labels than classes.
    #[must_use]
    pub fn writing(&self, labels: &[u16]) -> Self {
        assert_eq!(labels.len(), self.classes().len(), "each class has a label");
        match self {
            Self::Exclusive(_) => Self::Exclusive(labels.to_vec()),
            Self::Overlapping(_) => Self::Overlapping(labels.iter().map(|label| vec![*label]).collect()),
        }
    }

    /// The channels of the logits.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Exclusive(labels) => labels.len() + 1,
            Self::Overlapping(regions) => regions.len(),
        }
    }

    /// The channel of a class, counted from 0, in the logits.
    pub fn channel(&self, class: usize) -> usize {
        match self {
            Self::Exclusive(_) => class + 1,
            Self::Overlapping(_) => class,
        }
    }

    /// The labels that stand for each class.
    pub fn classes(&self) -> Vec<&[u16]> {
        match self {
            Self::Exclusive(labels) => labels.chunks(1).collect(),
            Self::Overlapping(regions) => regions.iter().map(Vec::as_slice).collect(),
        }
    }

    /// The label that each channel of the logits writes, in their order.
    pub fn written(&self) -> Vec<u16> {
        match self {
            Self::Exclusive(labels) => std::iter::once(0).chain(labels.iter().copied()).collect(),
            Self::Overlapping(regions) => regions.iter().map(|region| region[0]).collect(),
        }
    }

    /// Whether a channel that writes `label` takes a voxel with this logit from the channels before it, of which
    /// one with the logit `best` was the last to take it.
    pub fn takes(&self, label: u16, logit: f32, best: f32) -> bool {
        match self {
            Self::Exclusive(_) => logit > best,
            // A logit of 0 is a probability of ½.
            Self::Overlapping(_) => label != 0 && logit >= 0.0,
        }
    }

    /// The same for prepared cases, in which a label is 1 + its place in `labels`.
    ///
    /// # Panics
    ///
    /// When a label is not among `labels`.
    #[must_use]
    pub fn prepared(&self, labels: &[u16]) -> Self {
        let place = |label: &u16| {
            let place = labels.iter().position(|known| known == label).expect("every label is known");
            place as u16 + 1
        };
        let places = |labels: &Vec<u16>| labels.iter().map(place).collect();
        match self {
            Self::Exclusive(labels) => Self::Exclusive(places(labels)),
            Self::Overlapping(regions) => Self::Overlapping(regions.iter().map(places).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The label that a voxel gets, channel after channel.
    fn decide(labeling: &Labeling, logits: &[f32]) -> u16 {
        let (mut best, mut decided) = (f32::NEG_INFINITY, 0);
        for (logit, label) in logits.iter().zip(labeling.written()) {
            if labeling.takes(label, *logit, best) {
                (best, decided) = (*logit, label);
            }
        }
        decided
    }

    fn kidney() -> Labeling {
        // nnU-Net's own example of an order that is not that of the labels: kidney with cyst 3 and tumor 2.
        Labeling::Overlapping(vec![vec![1, 2, 3], vec![3, 2], vec![2]])
    }

    #[test]
    fn the_highest_logit_decides_between_classes_that_exclude_each_other() {
        let labeling = Labeling::Exclusive(vec![7, 4]);
        assert_eq!(labeling.outputs(), 3);
        assert_eq!(labeling.classes(), [&[7], &[4]]);
        for (logits, label) in [
            ([-1.0, -2.0, -3.0], 0),
            ([1.0, 2.0, 3.0], 4),
            ([1.0, 3.0, 2.0], 7),
            ([0.5, 0.5, 0.5], 0),
            ([-1.0, -0.5, -0.5], 7),
        ] {
            assert_eq!(decide(&labeling, &logits), label, "{logits:?}");
        }
    }

    #[test]
    fn every_region_decides_for_itself_and_later_ones_write_over_earlier_ones() {
        let labeling = kidney();
        assert_eq!(labeling.outputs(), 3);
        for (logits, label) in [
            ([-0.1, -0.1, -0.1], 0),
            ([0.0, -9.0, -9.0], 1),
            ([9.0, 0.1, -9.0], 3),
            ([9.0, 9.0, 0.0], 2),
            // A part without its whole is written all the same, as in nnU-Net.
            ([-9.0, -9.0, 0.1], 2),
        ] {
            assert_eq!(decide(&labeling, &logits), label, "{logits:?}");
        }
    }

    #[test]
    fn a_class_that_writes_0_leaves_voxels_to_the_others_only_where_classes_overlap() {
        let exclusive = Labeling::Exclusive(vec![7, 4]).writing(&[0, 4]);
        assert_eq!(decide(&exclusive, &[1.0, 3.0, 2.0]), 0);
        let regions = kidney().writing(&[1, 0, 2]);
        assert_eq!(decide(&regions, &[9.0, 9.0, -9.0]), 1);
        assert_eq!(decide(&regions, &[9.0, 9.0, 9.0]), 2);
    }

    #[test]
    fn prepared_labels_are_places_in_the_list_of_labels() {
        assert_eq!(Labeling::Exclusive(vec![2, 10]).prepared(&[2, 10]), Labeling::Exclusive(vec![1, 2]));
        let regions = Labeling::Overlapping(vec![vec![205, 500, 600], vec![600, 500]]);
        let expected = Labeling::Overlapping(vec![vec![1, 2, 3], vec![3, 2]]);
        assert_eq!(regions.prepared(&[205, 500, 600]), expected);
    }
}

//! Labels in the memory of the caller, read plane by plane.

use std::borrow::Cow;

use bipvl_imaging::LabelMap;

/// Labels of a volume, or of a picture as a volume of one plane. They are read one plane at a time, so an array of another
/// type or order need not be copied as a whole.
pub trait Labels: Sync {
    /// Voxels per axis, `[x, y, z]`.
    fn shape(&self) -> [usize; 3];

    /// The labels `[y, z]` of the plane at `x`, z fastest.
    fn plane(&self, x: usize) -> Cow<'_, [u16]>;
}

impl Labels for LabelMap {
    fn shape(&self) -> [usize; 3] {
        self.grid().shape()
    }

    fn plane(&self, x: usize) -> Cow<'_, [u16]> {
        let [_, rows, columns] = Labels::shape(self);
        match self.voxels().as_slice() {
            Some(labels) => Cow::Borrowed(&labels[x * rows * columns..][..rows * columns]),
            None => Cow::Owned(self.voxels().index_axis(ndarray::Axis(0), x).iter().copied().collect()),
        }
    }
}

/// Labels replaced by a table; those beyond its end become background.
pub(crate) struct Relabeled<'a> {
    pub(crate) labels: &'a dyn Labels,
    pub(crate) lookup: &'a [u16],
}

impl Labels for Relabeled<'_> {
    fn shape(&self) -> [usize; 3] {
        self.labels.shape()
    }

    fn plane(&self, x: usize) -> Cow<'_, [u16]> {
        let mut plane = self.labels.plane(x).into_owned();
        for label in &mut plane {
            *label = self.lookup.get(usize::from(*label)).copied().unwrap_or(0);
        }
        Cow::Owned(plane)
    }
}

/// Millimeters per voxel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spacing {
    /// Of the axes x, y, z.
    Volume([f64; 3]),
    /// Of the axes y and z of a single plane, which goes on along x: its surface is a line, and its area a length.
    Picture([f64; 2]),
}

impl Spacing {
    pub(crate) fn per_axis(self) -> [f64; 3] {
        match self {
            Self::Volume(spacing) => spacing,
            Self::Picture([y, z]) => [1.0, y, z],
        }
    }

    pub(crate) fn is_picture(self) -> bool {
        matches!(self, Self::Picture(_))
    }
}

//! The classes of a segmentation, the labels that encode them in label maps, and the logit channels that predict them.
//!
//! One schema serves a data set, a network head, a predictor and its scores. Classes either exclude each other (a
//! softmax with a background channel) or overlap (nnU-Net's *regions*: a sigmoid each, written in order).

mod error;
mod spec;

pub use error::LabelSchemaError;
pub use spec::LabelSchemaSpec;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{Code, LabelMap};

/// Channel indices are stored in a byte, in which 0 is background and [`IGNORE_INDEX`] is reserved.
pub const MAX_LABELS: usize = 254;

/// The channel index of voxels with the ignore label (nnU-Net): they enter no loss, no sampling and no score.
pub const IGNORE_INDEX: u8 = u8::MAX;

/// A class of a segmentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelClass {
    /// The name, unique within its schema.
    pub name: String,
    /// The labels that count as this class; a region has several.
    pub labels: Vec<u16>,
    /// The label that predictions write; 0 writes background.
    pub output_label: u16,
    /// The class in a terminology, where known.
    pub code: Option<Code>,
}

/// Whether a voxel can belong to several classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassRelation {
    /// At most one class per voxel. Logits have a background channel first; the highest logit wins, the first of
    /// equal ones.
    Exclusive,
    /// Any number of classes per voxel. Logits have one channel per class; each with a probability of at least ½
    /// writes its output label over those of the classes before it, as in nnU-Net.
    Overlapping,
}

/// A label that counts as another one: a second part of a class, or an annotation error (MONAI `MapLabelValue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRemap {
    /// The label in the file.
    pub from: u16,
    /// The label it counts as: that of a class, or 0 for background.
    pub to: u16,
}

/// How classes, labels and logit channels correspond; always consistent. Serialized as a [`LabelSchemaSpec`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LabelSchemaSpec", into = "LabelSchemaSpec")]
pub struct LabelSchema {
    classes: Vec<LabelClass>,
    relation: ClassRelation,
    /// Every foreground label; the channel index of a label is 1 + its position.
    labels: Vec<u16>,
    ignore: Option<u16>,
    remap: Vec<LabelRemap>,
}

impl LabelSchema {
    /// Classes that exclude each other, each with its label.
    ///
    /// # Errors
    ///
    /// When there is no class or too many, a name is empty or repeated, or a label is 0 or repeated.
    pub fn exclusive<N: Into<String>>(
        classes: impl IntoIterator<Item = (N, u16)>,
    ) -> Result<Self, LabelSchemaError> {
        let classes: Vec<LabelClass> =
            classes.into_iter().map(|(name, label)| LabelClass::new(name, vec![label])).collect();
        let labels = classes.iter().map(|class| class.output_label).collect();
        let relation = ClassRelation::Exclusive;
        Self { classes, relation, labels, ignore: None, remap: Vec::new() }.validated()
    }

    /// Exclusive classes named after their labels.
    ///
    /// # Errors
    ///
    /// As [`LabelSchema::exclusive`].
    pub fn from_labels(labels: &[u16]) -> Result<Self, LabelSchemaError> {
        Self::exclusive(labels.iter().map(|label| (label.to_string(), *label)))
    }

    /// Classes that may overlap, each with its labels, of which it writes the first. A class that contains another
    /// comes before it, because later classes write over earlier ones.
    ///
    /// # Errors
    ///
    /// When there is no class or too many labels, a name is empty or repeated, a class has no label, label 0 or one
    /// twice, a class would be written over by a later one, or it writes a label of a later class though it has one
    /// to itself.
    pub fn overlapping<N: Into<String>>(
        regions: impl IntoIterator<Item = (N, Vec<u16>)>,
    ) -> Result<Self, LabelSchemaError> {
        let classes: Vec<LabelClass> =
            regions.into_iter().map(|(name, labels)| LabelClass::new(name, labels)).collect();
        let mut labels: Vec<u16> = classes.iter().flat_map(|class| class.labels.iter().copied()).collect();
        labels.sort_unstable();
        labels.dedup();
        let relation = ClassRelation::Overlapping;
        Self { classes, relation, labels, ignore: None, remap: Vec::new() }.validated()
    }

    /// The same with more foreground labels than those of overlapping classes; the others count as background.
    ///
    /// # Errors
    ///
    /// When a class has a label that is not among `labels`, or one of them is 0 or repeated.
    pub fn with_labels(mut self, labels: Vec<u16>) -> Result<Self, LabelSchemaError> {
        self.labels = labels;
        self.validated()
    }

    /// The same with nnU-Net's ignore label.
    ///
    /// # Errors
    ///
    /// When the label is 0 or that of a class.
    pub fn with_ignore(mut self, ignore: Option<u16>) -> Result<Self, LabelSchemaError> {
        self.ignore = ignore;
        self.validated()
    }

    /// The same with labels that count as others.
    ///
    /// # Errors
    ///
    /// When a label is remapped twice, is 0 or that of a class, or is remapped to neither 0 nor a label of a class.
    pub fn with_remap(mut self, remap: Vec<LabelRemap>) -> Result<Self, LabelSchemaError> {
        self.remap = remap;
        self.validated()
    }

    /// The same with other labels to write, one per class. A class with output label 0 turns the voxels it wins into
    /// background, and writes nothing if classes overlap.
    ///
    /// # Panics
    ///
    /// When `labels` has not one element per class.
    #[must_use]
    pub fn with_output_labels(mut self, labels: &[u16]) -> Self {
        assert_eq!(labels.len(), self.classes.len(), "one output label per class");
        for (class, label) in self.classes.iter_mut().zip(labels) {
            class.output_label = *label;
        }
        self
    }

    /// The schema of label maps that hold channel indices: each label is 1 + its position in [`LabelSchema::labels`],
    /// the ignore label is [`IGNORE_INDEX`], nothing is remapped.
    #[must_use]
    pub fn to_channel_indices(&self) -> Self {
        let classes = self.classes.iter().map(|class| LabelClass {
            labels: class.labels.iter().map(|label| u16::from(self.channel_index(*label))).collect(),
            output_label: u16::from(self.channel_index(class.output_label)),
            ..class.clone()
        });
        Self {
            classes: classes.collect(),
            relation: self.relation,
            labels: (1..).take(self.labels.len()).collect(),
            ignore: self.ignore.map(|_| u16::from(IGNORE_INDEX)),
            remap: Vec::new(),
        }
    }

    /// The classes, in the order of the logits.
    pub fn classes(&self) -> &[LabelClass] {
        &self.classes
    }

    /// The names of the classes.
    pub fn names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }

    /// The labels of each class.
    pub fn label_sets(&self) -> Vec<&[u16]> {
        self.classes.iter().map(|class| class.labels.as_slice()).collect()
    }

    /// Whether classes exclude each other.
    pub fn relation(&self) -> ClassRelation {
        self.relation
    }

    /// Whether a voxel can belong to several classes.
    pub fn is_overlapping(&self) -> bool {
        self.relation == ClassRelation::Overlapping
    }

    /// Every foreground label; the channel index of a label is 1 + its position here.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// The label of voxels that are not annotated.
    pub fn ignore(&self) -> Option<u16> {
        self.ignore
    }

    /// The labels that count as others.
    pub fn remap(&self) -> &[LabelRemap] {
        &self.remap
    }

    /// The number of classes; the background is none.
    pub fn num_classes(&self) -> usize {
        self.classes.len()
    }

    /// The number of logit channels: one per class, and one of the background if classes exclude each other.
    pub fn num_logit_channels(&self) -> usize {
        self.channel(self.classes.len())
    }

    /// The logit channel of a class, counted from 0.
    pub fn channel(&self, class: usize) -> usize {
        match self.relation {
            ClassRelation::Exclusive => class + 1,
            ClassRelation::Overlapping => class,
        }
    }

    /// The label that each logit channel writes.
    pub fn channel_labels(&self) -> Vec<u16> {
        let background = (!self.is_overlapping()).then_some(0);
        background.into_iter().chain(self.classes.iter().map(|class| class.output_label)).collect()
    }

    /// Whether a channel that writes `label` wins a voxel with this `logit` from the channels before it, of which
    /// `best` is the logit that won last.
    pub fn overrides(&self, label: u16, logit: f32, best: f32) -> bool {
        match self.relation {
            ClassRelation::Exclusive => logit > best,
            // A logit of 0 is a probability of ½.
            ClassRelation::Overlapping => label != 0 && logit >= 0.0,
        }
    }

    /// The channel index of a label: 0 for background and unknown labels.
    pub fn channel_index(&self, label: u16) -> u8 {
        if self.ignore == Some(label) {
            return IGNORE_INDEX;
        }
        let position = self.labels.iter().position(|known| *known == label);
        position.map_or(0, |position| u8::try_from(position + 1).expect("labels are at most MAX_LABELS"))
    }

    /// Whether the label is background, that of a class, or the ignore label.
    pub fn contains(&self, label: u16) -> bool {
        label == 0 || self.ignore == Some(label) || self.labels.contains(&label)
    }
}

/// Replaces labels that count as others.
pub fn apply_remap(rules: &[LabelRemap], labels: &mut LabelMap) {
    if rules.is_empty() {
        return;
    }
    let counts_as: IndexMap<u16, u16> = rules.iter().map(|rule| (rule.from, rule.to)).collect();
    labels.voxels_mut().mapv_inplace(|label| counts_as.get(&label).copied().unwrap_or(label));
}

impl LabelClass {
    /// A class that writes its first label.
    pub fn new(name: impl Into<String>, labels: Vec<u16>) -> Self {
        let output_label = labels.first().copied().unwrap_or(0);
        Self { name: name.into(), labels, output_label, code: None }
    }
}

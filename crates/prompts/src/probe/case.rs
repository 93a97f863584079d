//! The cases of a probe, and what each says of every concept.

use bipvl_imaging::Grid;
use ndarray::{Array3, Array4};

use super::mask::Mask;
use crate::{Knowledge, Vocabulary, loss::MIN_PRESENT_VOXELS, validate::ValidationCase};

/// A prepared volume with its reference.
#[derive(Clone, Debug)]
pub struct ProbeCase {
    /// Name of the case.
    pub id: String,
    /// Name of its set.
    pub set: String,
    /// Where its voxels are.
    pub grid: Grid,
    /// Intensities, `[channels, x, y, z]`.
    pub image: Array4<f32>,
    /// Class indices of its set, `[x, y, z]`.
    pub labels: Array3<u8>,
    /// What it says of each concept, in the order of the vocabulary.
    pub knowledge: Vec<Knowledge>,
}

impl From<&ValidationCase> for ProbeCase {
    fn from(ValidationCase { set, case, knowledge }: &ValidationCase) -> Self {
        let sample = case.crop([0; 3], case.grid().shape());
        Self {
            id: case.id().to_owned(),
            set: set.clone(),
            grid: case.grid().clone(),
            image: sample.image,
            labels: sample.labels,
            knowledge: knowledge.clone(),
        }
    }
}

/// What is true of a concept in a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// These class indices show it in at least [`MIN_PRESENT_VOXELS`] voxels.
    Present(Vec<u8>),
    /// No voxel shows it, or its set declares it absent.
    Absent,
    /// The case says nothing of it, or shows too little to decide.
    Unknown,
}

impl Truth {
    /// The voxels of the concept; `None` where they are unknown.
    pub(super) fn mask(&self, case: &ProbeCase) -> Option<Mask> {
        match self {
            Self::Present(labels) => Some(Mask::of_labels(&case.labels, labels)),
            Self::Absent => Some(Mask::default()),
            Self::Unknown => None,
        }
    }
}

/// What is true of every concept in a case.
pub(super) fn truths(case: &ProbeCase) -> Vec<Truth> {
    let mut voxels = [0_u32; 256];
    case.labels.iter().for_each(|label| voxels[usize::from(*label)] += 1);
    let truth = |knowledge: &Knowledge| match knowledge {
        Knowledge::Unknown => Truth::Unknown,
        Knowledge::Absent => Truth::Absent,
        Knowledge::Labeled(labels) => {
            match labels.iter().map(|label| voxels[usize::from(*label)]).sum::<u32>() {
                0 => Truth::Absent,
                count if count >= MIN_PRESENT_VOXELS => Truth::Present(labels.clone()),
                _ => Truth::Unknown,
            }
        }
    };
    case.knowledge.iter().map(truth).collect()
}

/// Concepts that only other sets say anything of; unions are left out.
pub(super) fn of_other_sets(case: &ProbeCase, vocabulary: &Vocabulary) -> Vec<usize> {
    let Some(set) = vocabulary.sets.iter().position(|name| *name == case.set) else { return Vec::new() };
    let concepts = vocabulary.concepts.iter().enumerate();
    concepts
        .filter(|(_, concept)| concept.parts.is_empty() && concept.sets.get(set) == Some(&Knowledge::Unknown))
        .filter(|(_, concept)| {
            concept.sets.iter().any(|knowledge| matches!(knowledge, Knowledge::Labeled(_)))
        })
        .map(|(place, _)| place)
        .collect()
}

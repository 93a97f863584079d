//! Metric definitions by implementation, including their handling of empty masks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::overlap::Overlap;
use crate::score::ClassScores;
use crate::surface::{Discretization, SurfaceDistances};

/// The implementation whose metric definitions are used.
///
/// | | Dice | HD95 | NSD | ASSD |
/// |---|---|---|---|---|
/// | `monai` 1.6.1 | voxels | max of the directed percentiles, edge voxels | fraction of edge voxels | mean of the pooled distances |
/// | `deepmind` surface-distance | voxels | max of the directed percentiles, area-weighted | fraction of the surface area | mean of the two area-weighted directed means |
/// | `metrics-reloaded` | voxels | as `monai` | as `monai` | as `monai` |
/// | `medpy` 0.5.2 | voxels | percentile of the pooled distances | not implemented there: as `monai` | as `monai` |
///
/// Empty masks (– is undefined):
///
/// | | both empty | prediction empty | reference empty |
/// |---|---|---|---|
/// | `monai` | all – | Dice 0, NSD 0 | Dice –, NSD 0 |
/// | `deepmind` | all – | Dice 0, NSD 0 | Dice 0, NSD 0 |
/// | `metrics-reloaded` | Dice 1, NSD 1, distances 0 | Dice 0, NSD 0 | Dice 0, NSD 0 |
/// | `medpy` | Dice 1 | Dice 0, NSD 0 | Dice 0, NSD 0 |
///
/// A distance to an empty mask is undefined under every convention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// MONAI with its default arguments; `symmetric=True` for the surface distance.
    #[default]
    Monai,
    /// DeepMind's surface-distance, used by the Medical Segmentation Decathlon.
    #[serde(rename = "deepmind")]
    DeepMind,
    /// Metrics Reloaded.
    MetricsReloaded,
    /// medpy.
    Medpy,
}

/// Which of the two masks of a class are not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskPresence {
    /// Prediction and reference contain the class.
    Both,
    /// Neither contains the class: absent, and rightly not predicted.
    Neither,
    /// Only the reference contains the class: missed.
    OnlyReference,
    /// Only the prediction contains the class: a false alarm.
    OnlyPrediction,
}

/// The percentile of HD95.
const PERCENTILE: f64 = 95.0;

impl Convention {
    /// All conventions, the default first.
    pub const ALL: [Self; 4] = [Self::Monai, Self::DeepMind, Self::MetricsReloaded, Self::Medpy];

    /// The name in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monai => "monai",
            Self::DeepMind => "deepmind",
            Self::MetricsReloaded => "metrics-reloaded",
            Self::Medpy => "medpy",
        }
    }

    /// The discretization of surfaces.
    pub(crate) fn discretization(self) -> Discretization {
        match self {
            Self::DeepMind => Discretization::Surfels,
            Self::Monai | Self::MetricsReloaded | Self::Medpy => Discretization::EdgeVoxels,
        }
    }

    /// The scores of one class from its voxel counts and surface distances.
    pub(crate) fn scores(
        self,
        overlap: Overlap,
        distances: &SurfaceDistances,
        tolerance_mm: f64,
    ) -> ClassScores {
        let presence = overlap.presence();
        if presence != MaskPresence::Both {
            return self.scores_of_empty_masks(presence);
        }
        let hd95_mm = match self {
            Self::Monai | Self::MetricsReloaded => distances.max_directed_percentile(PERCENTILE),
            Self::DeepMind => distances.max_directed_weighted_percentile(PERCENTILE),
            Self::Medpy => distances.pooled_percentile(PERCENTILE),
        };
        let assd_mm = match self {
            Self::DeepMind => distances.mean_of_directed_means(),
            Self::Monai | Self::MetricsReloaded | Self::Medpy => distances.pooled_mean(),
        };
        ClassScores {
            dice: overlap.dice(),
            hd95_mm: Some(hd95_mm),
            nsd: Some(distances.fraction_within(tolerance_mm)),
            assd_mm: Some(assd_mm),
            presence,
        }
    }

    fn scores_of_empty_masks(self, presence: MaskPresence) -> ClassScores {
        let undefined = ClassScores { dice: None, hd95_mm: None, nsd: None, assd_mm: None, presence };
        match (presence, self) {
            (MaskPresence::Neither, Self::MetricsReloaded) => ClassScores {
                dice: Some(1.0),
                hd95_mm: Some(0.0),
                nsd: Some(1.0),
                assd_mm: Some(0.0),
                presence,
            },
            (MaskPresence::Neither, Self::Medpy) => ClassScores { dice: Some(1.0), ..undefined },
            (MaskPresence::Neither, Self::Monai | Self::DeepMind) => undefined,
            (MaskPresence::OnlyPrediction, Self::Monai) => ClassScores { nsd: Some(0.0), ..undefined },
            _ => ClassScores { dice: Some(0.0), nsd: Some(0.0), ..undefined },
        }
    }
}

impl fmt::Display for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Convention {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|convention| convention.name() == name)
            .ok_or_else(|| Error::UnknownConvention { name: name.to_owned() })
    }
}

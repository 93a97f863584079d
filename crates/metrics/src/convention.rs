//! The named definitions of the scores, and what each says of empty masks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::overlap::Overlap;
use crate::score::ClassScores;
use crate::surface::{Elements, SurfaceDistances};

/// Whose definitions the scores follow.
///
/// | | Dice | HD95 | NSD | ASSD |
/// |---|---|---|---|---|
/// | `monai` 1.6.1 | voxels | larger directed percentile, edge voxels | counts of edge voxels | mean of both directions joined |
/// | `deepmind` surface-distance | voxels | larger directed percentile, weighted by area | areas of surface elements | mean of the two area-weighted directed means |
/// | `metrics-reloaded` | voxels | as `monai` | as `monai` | as `monai` |
/// | `medpy` 0.5.2 | voxels | percentile of both directions joined | has none: as `monai` | as `monai` |
///
/// Where a mask is empty they say (–: undefined):
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
    /// MONAI with its defaults, apart from the symmetric surface distance.
    #[default]
    Monai,
    /// DeepMind's surface-distance, which judged the Medical Segmentation Decathlon.
    #[serde(rename = "deepmind")]
    DeepMind,
    /// Metrics Reloaded.
    MetricsReloaded,
    /// medpy.
    Medpy,
}

/// Which of the two masks of a class hold any voxel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Both do.
    Ok,
    /// Neither does: the class is rightly absent.
    BothEmpty,
    /// Only the reference does: the class was missed.
    PredEmpty,
    /// Only the prediction does: a false alarm.
    RefEmpty,
}

/// The percentile of HD95.
const PERCENTILE: f64 = 95.0;

impl Convention {
    /// All conventions, the default first.
    pub const ALL: [Self; 4] = [Self::Monai, Self::DeepMind, Self::MetricsReloaded, Self::Medpy];

    /// The name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monai => "monai",
            Self::DeepMind => "deepmind",
            Self::MetricsReloaded => "metrics-reloaded",
            Self::Medpy => "medpy",
        }
    }

    /// What surfaces are made of.
    pub(crate) fn elements(self) -> Elements {
        match self {
            Self::DeepMind => Elements::Corners,
            Self::Monai | Self::MetricsReloaded | Self::Medpy => Elements::EdgeVoxels,
        }
    }

    /// The scores of one class from its counts and its surface distances.
    pub(crate) fn scores(
        self,
        overlap: Overlap,
        distances: &SurfaceDistances,
        tolerance_mm: f64,
    ) -> ClassScores {
        let state = overlap.state();
        if state != State::Ok {
            return self.scores_of_empty_masks(state);
        }
        let hd95_mm = match self {
            Self::Monai | Self::MetricsReloaded => distances.max_directed_percentile(PERCENTILE),
            Self::DeepMind => distances.larger_percentile_by_area(PERCENTILE),
            Self::Medpy => distances.pooled_percentile(PERCENTILE),
        };
        let assd_mm = match self {
            Self::DeepMind => distances.mean_of_means(),
            Self::Monai | Self::MetricsReloaded | Self::Medpy => distances.pooled_mean(),
        };
        ClassScores {
            dice: overlap.dice(),
            hd95_mm: Some(hd95_mm),
            nsd: Some(distances.fraction_within(tolerance_mm)),
            assd_mm: Some(assd_mm),
            state,
        }
    }

    fn scores_of_empty_masks(self, state: State) -> ClassScores {
        let nothing = ClassScores { dice: None, hd95_mm: None, nsd: None, assd_mm: None, state };
        match (state, self) {
            (State::BothEmpty, Self::MetricsReloaded) => {
                ClassScores { dice: Some(1.0), hd95_mm: Some(0.0), nsd: Some(1.0), assd_mm: Some(0.0), state }
            }
            (State::BothEmpty, Self::Medpy) => ClassScores { dice: Some(1.0), ..nothing },
            (State::BothEmpty, Self::Monai | Self::DeepMind) => nothing,
            (State::RefEmpty, Self::Monai) => ClassScores { nsd: Some(0.0), ..nothing },
            _ => ClassScores { dice: Some(0.0), nsd: Some(0.0), ..nothing },
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
            .ok_or_else(|| Error::UnknownConvention { found: name.to_owned() })
    }
}

//! Segmentation metrics: Dice, HD95, NSD and ASSD.
//!
//! [`score_case`] compares a prediction with a reference by class; [`Scores`] collects cases and their means.
//! Implementations define these metrics differently, often by more than methods differ, so every result names its
//! [`Convention`].
//!
//! A class may be absent from the prediction, the reference or both: see [`MaskPresence`]. Undefined scores are `None`,
//! and means report the number of missed cases.
//!
//! ```
//! use bipvl_metrics::{MetricConfig, Scores, score_case};
//! use bipvl_imaging::{Grid, LabelClass, LabelMap};
//! use ndarray::Array3;
//!
//! let grid = Grid::with_spacing([4, 4, 4], [1.0, 1.0, 2.5]);
//! let reference = LabelMap::new(Array3::from_elem([4, 4, 4], 1), grid);
//! let classes = [LabelClass::new("liver", vec![1])];
//! let config = MetricConfig::default();
//! let case = score_case("case_01", &reference, &reference, &classes, &config)?;
//! assert_eq!(Scores::new(&config, vec![case]).mean_dice(), Some(1.0));
//! # Ok::<(), bipvl_metrics::Error>(())
//! ```

mod aggregate;
pub mod bootstrap;
mod class_index;
mod convention;
mod disjoint;
mod distance_transform;
mod edge_voxels;
mod error;
mod ignore;
mod labels;
mod nearest;
mod overlap;
mod planes;
mod quartiles;
mod score;
mod statistics;
mod surface;
mod surfels;

#[cfg(test)]
mod golden;

pub use aggregate::{ClassSummary, ScoreSummary, Scores};
pub use convention::{Convention, MaskPresence};
pub use error::Error;
pub use ignore::labels_without_class;
pub use labels::{Labels, Spacing};
pub use overlap::{Overlap, overlaps};
pub use quartiles::{Quartiles, median};
pub use score::{CaseScores, ClassScores, MetricConfig, score_case, score_labels};
pub use statistics::{IntensityStatistics, PERCENTILES, StructureStatistics};
pub use surface::{DirectedDistances, Discretization, SurfaceDistances, surface_distances};

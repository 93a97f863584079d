//! How good is a label map.
//!
//! [`score_case`] compares a prediction with a reference, class by class; [`Scores`] gathers the cases
//! and their means. Published figures follow one of several definitions that differ by more than most
//! methods do, so a [`Convention`] is always named beside the numbers.
//!
//! A class may be absent from the prediction, the reference or both. Its [`State`] says so, a score that
//! does not exist is `None`, and a mean counts the missed classes beside its value.
//!
//! ```
//! use bipvl_metrics::{ClassLabels, Scores, Settings, score_case};
//! use bipvl_imaging::{Grid, LabelMap};
//! use ndarray::Array3;
//!
//! let grid = Grid::with_spacing([4, 4, 4], [1.0, 1.0, 2.5]);
//! let reference = LabelMap::new(Array3::from_elem([4, 4, 4], 1), grid);
//! let classes = [ClassLabels { name: "liver".to_owned(), labels: vec![1] }];
//! let settings = Settings::default();
//! let case = score_case("case_01", &reference, &reference, &classes, &settings)?;
//! assert_eq!(Scores::new(&settings, vec![case]).mean_dice(), Some(1.0));
//! # Ok::<(), bipvl_metrics::Error>(())
//! ```

mod aggregate;
pub mod bootstrap;
mod classes;
mod convention;
mod corners;
mod distance_transform;
mod edges;
mod error;
mod layers;
mod nearest;
mod overlap;
mod quartiles;
mod rows;
mod score;
mod surface;

#[cfg(test)]
mod golden;

pub use aggregate::{ClassMeans, Mean, Scores};
pub use convention::{Convention, State};
pub use error::Error;
pub use overlap::{Overlap, overlaps};
pub use quartiles::Quartiles;
pub use score::{CaseScores, ClassLabels, ClassScores, Settings, score_case};

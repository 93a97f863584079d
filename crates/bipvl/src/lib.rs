//! BiPVL-Seg: text-guided segmentation of 3-D medical images.
//!
//! A training reads a [`data::Dataset`] and the [`text::Descriptions`] of its classes, and writes a run directory. A
//! [`infer::TrainedModel`] is what prediction needs of it. Read first: [`nn::BiPvlSeg::forward`], `train::train`,
//! [`infer::Predictor::predict`].
//!
//! # Features
//!
//! - `train` (default): [`train`], [`config`] and [`run`]
//! - `describe` (default): [`describe`]
//! - `vulkan`, `cuda`: GPU devices
//!
//! Without default features this is inference, metrics and imaging.

pub use bipvl_data as data;
#[cfg(feature = "describe")]
pub use bipvl_describe as describe;
pub use bipvl_imaging as imaging;
pub use bipvl_infer as infer;
pub use bipvl_infer::probe;
pub use bipvl_metrics as metrics;
pub use bipvl_nn as nn;
pub use bipvl_nn::device;
pub use bipvl_prompts as prompts;
pub use bipvl_text as text;
#[cfg(feature = "train")]
pub use bipvl_train as train;
#[cfg(feature = "train")]
pub use bipvl_train::{config, run};

/// What most programs need.
pub mod prelude {
    pub use bipvl_data::{Case, Dataset, Split};
    pub use bipvl_imaging::{Grid, LabelClass, LabelMap, Segmentation, Volume, read, read_labels, write};
    pub use bipvl_infer::{InferConfig, Predictor, TrainedModel, ignore_progress};
    pub use bipvl_metrics::{MetricConfig, Scores, score_case};
    pub use bipvl_nn::device::DeviceKind;
    pub use bipvl_text::Descriptions;
    #[cfg(feature = "train")]
    pub use bipvl_train::{
        Start, StopReason, TrainOutcome,
        config::Config,
        event::TrainEvent,
        run::{RunDir, RunSpec, TrainOptions},
        train,
    };
}

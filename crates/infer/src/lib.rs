//! Sliding-window inference: from an image and the descriptions of the classes to a segmentation.
//!
//! [`TrainedModel::open`] reads a run directory, [`TrainedModel::predictor`] loads its weights, and
//! [`Predictor::predict_files`] segments a case. No training code is involved.

mod config;
mod constant_patch_cache;
mod error;
mod folds;
mod label_resampler;
mod mirroring;
mod patch_cost;
mod predictor;
pub mod probe;
mod rolling_buffer;
mod sliding_window;
mod tiling;
mod trained_model;
pub mod weights_file;

pub use config::{DataConfig, InferConfig, ModelConfig, has_prompts_head, head_config, parse_fold};
pub use constant_patch_cache::{ConstantPatchCache, Logits};
pub use error::{Error, NotARunDir, Result};
pub use folds::{Folds, run_dirs};
pub use label_resampler::{LabelResampler, MAX_OVERLAPPING_CLASSES, MaskVoxels, ProbabilityResampler};
pub use mirroring::{Flip, TestTimeMirroring, lateral_pair, mean};
pub use patch_cost::PatchCost;
pub use predictor::{InferenceProgress, Predictor, PredictorInput, ignore_progress};
pub use rolling_buffer::LogitSlab;
pub use sliding_window::{BlendMode, SlidingWindow, TilingPlan};
pub use tiling::TileColumn;
pub use trained_model::TrainedModel;

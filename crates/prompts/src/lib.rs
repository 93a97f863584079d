//! The prompted form: one network for several data sets, prompted with the words of anything that one of them labels.
//!
//! [`Vocabulary`] says what the sets and their cases label, [`PromptSampler`] draws prompts for a patch, [`train`](train::train)
//! changes the weights of a [`PromptSeg`](bipvl_nn::prompts::PromptSeg), and a [`PromptPredictor`] segments volumes.

pub mod ablation;
pub mod alignment;
pub mod batch;
pub mod case_labels;
pub mod code_book;
pub mod config;
mod error;
pub mod evaluation;
pub mod event;
pub mod loader;
pub mod loss;
pub mod model;
pub mod predictor;
pub mod reading;
pub mod run;
pub mod probe;
mod sampler;
mod segmentation;
mod texts;
pub mod sets;
pub mod train;
pub mod training_set;
pub mod validate;
mod vocabulary;

pub use error::{Error, Result};
pub use model::{FoundSegment, Model, ModelSegmentation, SegmentationRequest};
pub use predictor::{EncodedTexts, Overlap, PromptPredictor};
pub use run::{PromptRun, PromptRunSpec, Transfer};
pub use sampler::{DrawnPrompt, PromptSampler, PromptSampling};
pub use segmentation::{Finding, PromptSegmentation};
pub use texts::PromptTexts;
pub use vocabulary::{Concept, Knowledge, Vocabulary};

//! The prompted form: one network for several data sets, prompted with the words of anything that one of them labels.
//!
//! [`Vocabulary`] says what the sets and their cases label, [`PromptSampler`] draws prompts for a patch, [`train`](train::train)
//! changes the weights of a [`PromptSeg`](bipvl_nn::prompts::PromptSeg), and a [`PromptPredictor`] segments volumes.

pub mod alignment;
pub mod batch;
pub mod config;
mod error;
pub mod event;
pub mod loader;
pub mod loss;
mod predictor;
pub mod probe;
mod sampler;
mod texts;
pub mod sets;
pub mod train;
pub mod validate;
mod vocabulary;

pub use error::{Error, Result};
pub use predictor::{EncodedTexts, PromptPredictor};
pub use sampler::{DrawnPrompt, PromptSampler, PromptSampling};
pub use texts::PromptTexts;
pub use vocabulary::{Concept, Knowledge, Vocabulary};

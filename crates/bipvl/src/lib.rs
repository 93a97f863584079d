//! The BiPVL-Seg method: data, text, network, training, inference.
//!
//! A training reads a [`data::Dataset`] and its [`text::Descriptions`], prepares each case once, and lets
//! [`train::train`] change the weights of a [`nn::BiPvlSeg`] patch by patch. Everything that prediction
//! needs afterwards is in a run folder, a [`run::RunDir`], from which an [`infer::Predictor`] is made.
//!
//! Read in this order: [`nn::BiPvlSeg::forward`], [`train::train`], [`infer::Predictor::predict`].

pub use bipvl_data as data;
pub use bipvl_describe as describe;
pub use bipvl_imaging as imaging;
pub use bipvl_infer as infer;
pub use bipvl_infer::probe;
pub use bipvl_metrics as metrics;
pub use bipvl_nn as nn;
pub use bipvl_nn::device;
pub use bipvl_text as text;
pub use bipvl_train as train;
pub use bipvl_train::{config, run};

//! The BiPVL-Seg method: data, text, model, training, inference.
//!
//! A training reads a [`data::Dataset`] and its [`text::Descriptions`], prepares each case once, and lets
//! [`train::train`] change the weights of a [`model::BiPvlSeg`] patch by patch. Everything that prediction
//! needs afterwards is in a run folder, a [`run::Run`], from which an [`infer::Predictor`] is made.
//!
//! Read in this order: [`model::BiPvlSeg::forward`], [`train::train`], [`infer::Predictor::predict`].

pub mod config;
pub mod data;
pub mod text;
pub mod describe;
pub mod model;
pub mod train;
pub mod infer;
pub mod probe;
pub mod device;
pub mod error;
pub mod run;

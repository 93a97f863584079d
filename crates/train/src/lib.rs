//! Training: losses, optimizer, run directories.
//!
//! [`run::RunDir::create`] starts a run, [`run::RunDir::train_setup`] preprocesses its cases, and [`train()`] trains
//! the network. The result is a [`bipvl_infer::TrainedModel`].

pub mod ablation;
pub mod activation_checkpointing;
pub mod budget;
pub mod checkpoint;
pub mod communicator;
pub mod config;
mod error;
pub mod event;
pub mod gradient_accumulation;
pub mod gradient_sync;
pub mod loss;
pub mod memory;
pub mod optimizer;
pub mod run;
pub mod schedule;
mod setup;
mod train_config;
mod training;
mod validation;

pub use error::{Error, Result};
pub use setup::{TrainModule, TrainSetup};
pub use train_config::TrainConfig;
pub use training::{Start, StopReason, TrainOutcome, train};
pub use validation::{ValidationScores, score_validation_cases};

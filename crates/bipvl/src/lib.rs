//! The BiPVL-Seg method: data, text, model, training, inference

pub mod data;
pub mod error;
pub mod text;

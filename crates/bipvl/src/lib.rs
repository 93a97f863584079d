//! The BiPVL-Seg method: data, text, model, training, inference

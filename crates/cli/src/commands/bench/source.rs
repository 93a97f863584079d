//! What is computed with: drawn here, or read from files that another program computes with too.
//!
//! Labels and tokens are counted out, here and in `benches/compare/peer.py` alike.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bipvl::{
    nn::{
        init::{Initializer, Noise},
        published::{Name, load_in_place},
        text_encoder::TokenBatch,
        weights::{Weights, load},
    },
    text::Tokens,
};
use bipvl_kernels::map_file;
use burn::{
    module::Module,
    tensor::{Device, Int, Tensor, TensorData},
};
use ndarray::Array2;

use crate::args::BenchArgs;

/// What every drawn value follows from.
const SEED: u64 = 0;

/// Where weights and inputs come from.
#[derive(Debug)]
pub(super) struct Source {
    weights: Option<PathBuf>,
    /// A CT, or tensors by name.
    pub(super) input: Option<PathBuf>,
}

impl Source {
    pub(super) fn new(args: &BenchArgs) -> Self {
        Self { weights: args.weights.clone(), input: args.input.clone() }
    }

    /// Draws weights, or leaves them blank when they come from a file.
    pub(super) fn initializer(&self, device: &Device) -> Initializer {
        match self.weights {
            Some(_) => Initializer::blank(device),
            None => Initializer::new(SEED, device),
        }
    }

    /// A module with the weights of the file, or as it is without one.
    pub(super) fn filled<M: Module>(&self, module: M, names: &[Name]) -> Result<M> {
        let Some(file) = &self.weights else { return Ok(module) };
        let bytes = map_file(file).with_context(|| file.display().to_string())?;
        Ok(load_in_place(module, names, &bytes, file)?)
    }

    /// Noise, `[batch, channels, x, y, z]`.
    pub(super) fn image(&self, shape: [usize; 5], device: &Device) -> Result<Tensor<5>> {
        Ok(match self.tensor("image", &shape)? {
            Some(values) => Tensor::from_data(TensorData::new(values, shape), device),
            None => Noise::new(SEED, 0).normal(shape, device),
        })
    }

    /// The values of one tensor of the input, or nothing when there is no file.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        let Some(file) = &self.input else { return Ok(None) };
        let (mut tensors, _) = load(file)?;
        let file = file.display();
        match tensors.remove(name) {
            Some(Weights { shape: found, values }) if found == shape => Ok(Some(values)),
            Some(other) => bail!("{file}: expected {name} of shape {shape:?}, found {:?}", other.shape),
            None => bail!("{file}: expected a tensor named {name}, found none"),
        }
    }
}

/// Blocks of eight voxels in each direction, `[batch, x, y, z]`.
pub(super) fn labels(shape: [usize; 4], outputs: usize, device: &Device) -> Tensor<4, Int> {
    let [batch, x, y, z] = shape;
    let label = |voxel: usize| {
        let block = voxel / (y * z) % x / 8 + 2 * (voxel / z % y / 8) + 3 * (voxel % z / 8);
        (block % outputs) as i64
    };
    let labels: Vec<i64> = (0..batch * x * y * z).map(label).collect();
    Tensor::from_data(TensorData::new(labels, shape), device)
}

/// Texts of at most `length` tokens, some up to three shorter.
pub(super) fn tokens([texts, length]: [usize; 2], vocabulary: usize, device: &Device) -> TokenBatch {
    let shape = (texts, length);
    let id = |(text, at)| ((5 + 37 * text + 11 * at) % vocabulary) as i64;
    let mask = Array2::from_shape_fn(shape, |(text, at)| at + text % 4 < length);
    TokenBatch::new(&Tokens { ids: Array2::from_shape_fn(shape, id), mask }, device)
}

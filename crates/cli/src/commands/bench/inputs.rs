//! Weights and inputs of the benchmarks: random, or read from the files of `benches/compare`.
//!
//! Labels and tokens follow the same formulas as in `benches/compare/peer.py`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bipvl::{
    nn::{
        init::{DropoutRng, Initializer},
        interop::{KeyMapping, load_in_place},
        text_encoder::TokenBatch,
        weights::{HostTensor, load},
    },
    text::TokenizedTexts,
};
use bipvl_kernels::map_file;
use burn::{
    module::Module,
    tensor::{Device, Int, Tensor, TensorData},
};
use ndarray::Array2;

use crate::args::BenchArgs;

/// Random seed of weights and inputs.
const SEED: u64 = 0;

/// Files with weights and inputs; random values in their place.
#[derive(Debug)]
pub(super) struct Inputs {
    weights: Option<PathBuf>,
    /// A CT, or tensors by name.
    pub(super) input: Option<PathBuf>,
}

impl Inputs {
    pub(super) fn new(args: &BenchArgs) -> Self {
        Self { weights: args.weights.clone(), input: args.input.clone() }
    }

    /// Random weights, or zeros if they are loaded from a file.
    pub(super) fn initializer(&self, device: &Device) -> Initializer {
        match self.weights {
            Some(_) => Initializer::zeros(device),
            None => Initializer::new(SEED, device),
        }
    }

    /// Loads the weights file, if any, into the module.
    pub(super) fn load_weights<M: Module>(&self, module: M, names: &[KeyMapping]) -> Result<M> {
        let Some(file) = &self.weights else { return Ok(module) };
        let bytes = map_file(file).with_context(|| file.display().to_string())?;
        Ok(load_in_place(module, names, &bytes, file)?)
    }

    /// Image of the input file or standard normal noise, `[batch, channels, x, y, z]`.
    pub(super) fn image(&self, shape: [usize; 5], device: &Device) -> Result<Tensor<5>> {
        Ok(match self.tensor("image", &shape)? {
            Some(values) => Tensor::from_data(TensorData::new(values, shape), device),
            None => DropoutRng::new(SEED, 0).normal(shape, device),
        })
    }

    /// Values of one tensor of the input file, if there is one.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        let Some(file) = &self.input else { return Ok(None) };
        let (mut tensors, _) = load(file)?;
        let file = file.display();
        match tensors.remove(name) {
            Some(HostTensor { shape: found, values }) if found == shape => Ok(Some(values)),
            Some(other) => bail!("{file}: `{name}` has the shape {:?} instead of {shape:?}", other.shape),
            None => bail!("{file}: missing tensor `{name}`"),
        }
    }
}

/// Cubes of 8³ voxels with cycling labels, `[batch, x, y, z]`.
pub(super) fn labels(shape: [usize; 4], outputs: usize, device: &Device) -> Tensor<4, Int> {
    let [batch, x, y, z] = shape;
    let label = |voxel: usize| {
        let block = voxel / (y * z) % x / 8 + 2 * (voxel / z % y / 8) + 3 * (voxel % z / 8);
        (block % outputs) as i64
    };
    let labels: Vec<i64> = (0..batch * x * y * z).map(label).collect();
    Tensor::from_data(TensorData::new(labels, shape), device)
}

/// Texts of `length` to `length - 3` tokens.
pub(super) fn tokens([texts, length]: [usize; 2], vocabulary: usize, device: &Device) -> TokenBatch {
    let shape = (texts, length);
    let id = |(text, at)| ((5 + 37 * text + 11 * at) % vocabulary) as i64;
    let mask = Array2::from_shape_fn(shape, |(text, at)| at + text % 4 < length);
    TokenBatch::new(
        &TokenizedTexts { input_ids: Array2::from_shape_fn(shape, id), attention_mask: mask },
        device,
    )
}

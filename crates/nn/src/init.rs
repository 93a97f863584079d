//! Seeded weight initialization and seeded randomness of training; no global random generator is used.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::layers::Linear;

/// Initializes weights from one seed, the same on every device, or with zeros.
#[derive(Debug)]
pub struct Initializer {
    rng: Option<ChaCha8Rng>,
    device: Device,
}

impl Initializer {
    /// Random weights on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { rng: Some(ChaCha8Rng::seed_from_u64(seed)), device: device.clone() }
    }

    /// Zeros, for weights that are loaded afterwards or only counted: drawing takes seconds for a large network.
    pub fn zeros(device: &Device) -> Self {
        Self { rng: None, device: device.clone() }
    }

    /// Uniform in ±1/√`fan_in`, PyTorch's default for convolutions and linear layers.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        let bound = 1.0 / (fan_in as f32).sqrt();
        self.draw(shape, |rng| rng.random_range(-bound..=bound))
    }

    /// Normal with this standard deviation, truncated at two of them.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f32) -> Param<Tensor<D>> {
        self.draw(shape, |rng| {
            loop {
                let value: f32 = rng.sample(StandardNormal);
                if value.abs() <= 2.0 {
                    break value * std;
                }
            }
        })
    }

    /// The same value everywhere.
    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.param(vec![value; shape.iter().product()], shape)
    }

    /// A linear layer with bias.
    pub fn linear(&mut self, in_features: usize, out_features: usize) -> Linear {
        let weight = self.uniform([in_features, out_features], in_features);
        Linear { weight, bias: Some(self.uniform([out_features], in_features)) }
    }

    /// A linear layer without bias.
    pub fn linear_without_bias(&mut self, in_features: usize, out_features: usize) -> Linear {
        Linear { weight: self.uniform([in_features, out_features], in_features), bias: None }
    }

    /// A linear layer as BERT initializes it: normal weights with standard deviation 0.02, zero bias.
    pub fn bert_linear(&mut self, in_features: usize, out_features: usize) -> Linear {
        Linear {
            weight: self.normal([in_features, out_features], 0.02),
            bias: Some(self.constant([out_features], 0.0)),
        }
    }

    fn draw<const D: usize>(
        &mut self,
        shape: [usize; D],
        mut sample: impl FnMut(&mut ChaCha8Rng) -> f32,
    ) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let values = match &mut self.rng {
            Some(rng) => (0..count).map(|_| sample(rng)).collect(),
            None => vec![0.0; count],
        };
        self.param(values, shape)
    }

    fn param<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }
}

/// Random numbers of one training step: dropout masks, and the noise of the alignment loss.
#[derive(Clone, Debug)]
pub struct DropoutRng {
    rng: ChaCha8Rng,
}

impl DropoutRng {
    /// A generator for one step of a run; each seed and step gives another stream.
    pub fn new(seed: u64, step: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(step.wrapping_add(1));
        Self { rng: random }
    }

    /// A generator for one batch of a step; that of batch 0 is the one of [`Self::new`].
    pub fn of_batch(seed: u64, step: u64, batch: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(step.wrapping_add(1).wrapping_add(batch << 40));
        Self { rng: random }
    }

    /// An independent generator seeded by this one, which advances by one number.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(self.rng.random()) }
    }

    /// 0 with probability `p`, else 1.
    pub fn keep<const D: usize>(&mut self, shape: [usize; D], p: f32, device: &Device) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| if self.rng.random::<f32>() < p { 0.0 } else { 1.0 })
            .collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Sets values to zero with probability `p` and scales the others by 1/(1 − p).
    pub fn dropout<const D: usize>(&mut self, tensor: Tensor<D>, p: f32) -> Tensor<D> {
        if p == 0.0 {
            return tensor;
        }
        let scale = 1.0 / (1.0 - p);
        let shape = tensor.dims();
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| if self.rng.random::<f32>() < p { 0.0 } else { scale })
            .collect();
        let mask = Tensor::from_data(TensorData::new(values, shape), &tensor.device());
        tensor * mask
    }

    /// Standard normal values of a shape.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], device: &Device) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.rng.sample(StandardNormal)).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

//! Seeded first weights and seeded noise; nothing here or below draws from a global generator.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::layers::Linear;

/// Draws first weights from one seed, the same on every device; or leaves them zero.
#[derive(Debug)]
pub struct Initializer {
    rng: Option<ChaCha8Rng>,
    device: Device,
}

impl Initializer {
    /// Weights drawn from `seed` will live on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { rng: Some(ChaCha8Rng::seed_from_u64(seed)), device: device.clone() }
    }

    /// Nothing is drawn, which takes seconds for a large network: for weights that are counted only, or read
    /// from a file at once.
    pub fn zeros(device: &Device) -> Self {
        Self { rng: None, device: device.clone() }
    }

    /// Uniform in ±1/√`fan_in`: what PyTorch gives convolutions and linear layers.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        let bound = 1.0 / (fan_in as f32).sqrt();
        self.drawn(shape, |random| random.random_range(-bound..=bound))
    }

    /// Normal with this standard deviation, cut at two of them.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f32) -> Param<Tensor<D>> {
        self.drawn(shape, |random| {
            loop {
                let value = normal(random);
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

    /// A linear layer as BERT starts: normal weights of deviation 0.02, no bias at first.
    pub fn bert_linear(&mut self, in_features: usize, out_features: usize) -> Linear {
        Linear {
            weight: self.normal([in_features, out_features], 0.02),
            bias: Some(self.constant([out_features], 0.0)),
        }
    }

    fn drawn<const D: usize>(
        &mut self,
        shape: [usize; D],
        mut draw: impl FnMut(&mut ChaCha8Rng) -> f32,
    ) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let values = match &mut self.rng {
            Some(random) => (0..count).map(|_| draw(random)).collect(),
            None => vec![0.0; count],
        };
        self.param(values, shape)
    }

    fn param<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }
}

/// The randomness of one training step: dropout, and the noise of the alignment loss.
#[derive(Clone, Debug)]
pub struct DropoutRng {
    rng: ChaCha8Rng,
}

impl DropoutRng {
    /// The noise of one step of a run; another step or seed gives another noise.
    pub fn new(seed: u64, step: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(step.wrapping_add(1));
        Self { rng: random }
    }

    /// Another noise, which follows from this one and leaves it as if one number had been drawn.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(self.rng.random()) }
    }

    /// Sets a share of the values to zero and scales the others up, so that the mean stays.
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
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| normal(&mut self.rng)).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// One standard normal value, by Box and Muller.
fn normal(random: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * random.random::<f64>()).cos()) as f32
}

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
    random: Option<ChaCha8Rng>,
    device: Device,
}

impl Initializer {
    /// Weights drawn from `seed` will live on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { random: Some(ChaCha8Rng::seed_from_u64(seed)), device: device.clone() }
    }

    /// Nothing is drawn, which takes seconds for a large network: for weights that are counted only, or read
    /// from a file at once.
    pub fn blank(device: &Device) -> Self {
        Self { random: None, device: device.clone() }
    }

    /// Uniform in ±1/√`fan_in`: what PyTorch gives convolutions and linear layers.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        let bound = 1.0 / (fan_in as f32).sqrt();
        self.drawn(shape, |random| random.random_range(-bound..=bound))
    }

    /// Normal with this standard deviation, cut at two of them.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], deviation: f32) -> Param<Tensor<D>> {
        self.drawn(shape, |random| {
            loop {
                let value = normal(random);
                if value.abs() <= 2.0 {
                    break value * deviation;
                }
            }
        })
    }

    /// The same value everywhere.
    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.param(vec![value; shape.iter().product()], shape)
    }

    /// A linear layer with bias.
    pub fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weight = self.uniform([inputs, outputs], inputs);
        Linear { weight, bias: Some(self.uniform([outputs], inputs)) }
    }

    /// A linear layer without bias.
    pub fn linear_without_bias(&mut self, inputs: usize, outputs: usize) -> Linear {
        Linear { weight: self.uniform([inputs, outputs], inputs), bias: None }
    }

    /// A linear layer as BERT starts: normal weights of deviation 0.02, no bias at first.
    pub fn bert_linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        Linear { weight: self.normal([inputs, outputs], 0.02), bias: Some(self.constant([outputs], 0.0)) }
    }

    fn drawn<const D: usize>(
        &mut self,
        shape: [usize; D],
        mut draw: impl FnMut(&mut ChaCha8Rng) -> f32,
    ) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let values = match &mut self.random {
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
pub struct Noise {
    random: ChaCha8Rng,
}

impl Noise {
    /// The noise of one step of a run; another step or seed gives another noise.
    pub fn new(seed: u64, step: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(step.wrapping_add(1));
        Self { random }
    }

    /// Another noise, which follows from this one and leaves it as if one number had been drawn.
    #[must_use]
    pub fn branch(&mut self) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(self.random.random()) }
    }

    /// Sets a share of the values to zero and scales the others up, so that the mean stays.
    pub fn dropout<const D: usize>(&mut self, tensor: Tensor<D>, share: f32) -> Tensor<D> {
        if share == 0.0 {
            return tensor;
        }
        let kept = 1.0 / (1.0 - share);
        let shape = tensor.dims();
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| if self.random.random::<f32>() < share { 0.0 } else { kept })
            .collect();
        let mask = Tensor::from_data(TensorData::new(values, shape), &tensor.device());
        tensor * mask
    }

    /// Standard normal values of a shape.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], device: &Device) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| normal(&mut self.random)).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// One standard normal value, by Box and Muller.
fn normal(random: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * random.random::<f64>()).cos()) as f32
}

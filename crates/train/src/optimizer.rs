//! AdamW over the tensors of a module, with moments that can be saved by name and read back bit for bit.

use std::collections::BTreeMap;

use bipvl_kernels::{AdamWState, AdamWStep, adamw};
use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use bipvl_nn::weights::{ParamPath, StateDict, TensorHandle};

/// Constants of AdamW; the defaults are PyTorch's but for the decay, which is the paper's code's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Share of the mean gradient kept each step.
    pub beta1: f64,
    /// Share of the mean squared gradient kept each step.
    pub beta2: f64,
    /// Keeps the division finite.
    pub epsilon: f64,
    /// Share of a weight that `learning_rate` times this takes away each step.
    pub weight_decay: f64,
    /// Longest gradient over all tensors together; a longer one is scaled down. 0 means: no limit.
    pub max_grad_norm: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-5, max_grad_norm: 0.0 }
    }
}

/// The optimizer: its constants and the moments of every tensor.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    steps: i32,
    moments: BTreeMap<String, Moments>,
}

/// Means of gradient and squared gradient, flat.
#[derive(Clone, Debug)]
struct Moments {
    first: Tensor<1>,
    second: Tensor<1>,
}

impl AdamW {
    /// An optimizer that has not stepped yet.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, steps: 0, moments: BTreeMap::new() }
    }

    /// One step; tensors without a gradient stay as they are. A gradient is freed as soon as it is used, and weights that
    /// nobody else holds are overwritten.
    pub fn step<M: Module>(&mut self, module: M, mut gradients: Gradients, learning_rate: f64) -> M {
        self.steps += 1;
        let scale = match self.config.max_grad_norm {
            0.0 => 1.0,
            limit => (limit / gradient_norm(&module, &gradients)).min(1.0),
        };
        module.map(&mut Step {
            optimizer: self,
            gradients: &mut gradients,
            learning_rate,
            scale,
            path: ParamPath::default(),
        })
    }

    /// Steps done and moments, by name: `first.NAME`, `second.NAME`.
    pub fn state(&self) -> (i32, BTreeMap<String, TensorHandle>) {
        let named = self.moments.iter().flat_map(|(name, moments)| {
            [("first", &moments.first), ("second", &moments.second)]
                .map(|(kind, tensor)| (format!("{kind}.{name}"), TensorHandle::new(tensor.clone())))
        });
        (self.steps, named.collect())
    }

    /// Goes on from a saved state.
    pub fn restore(config: AdamWConfig, steps: i32, state: StateDict, device: &Device) -> Self {
        let mut firsts = BTreeMap::new();
        let mut seconds = BTreeMap::new();
        for (name, weights) in state {
            let tensor = Tensor::<1>::from_data(TensorData::new(weights.values, weights.shape), device);
            if let Some(name) = name.strip_prefix("first.") {
                firsts.insert(name.to_owned(), tensor);
            } else if let Some(name) = name.strip_prefix("second.") {
                seconds.insert(name.to_owned(), tensor);
            }
        }
        let moments = firsts
            .into_iter()
            .filter_map(|(name, first)| {
                let second = seconds.remove(&name)?;
                Some((name, Moments { first, second }))
            })
            .collect();
        Self { config, steps, moments }
    }

    /// The new value of one tensor; all arguments are flat and carry no history.
    fn update(
        &mut self,
        name: &str,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        learning_rate: f64,
    ) -> Tensor<1> {
        let AdamWConfig { beta1, beta2, epsilon, weight_decay, .. } = self.config;
        let (first, second) = match self.moments.remove(name) {
            Some(Moments { first, second }) => (first, second),
            None => (gradient.zeros_like(), gradient.zeros_like()),
        };
        let step = AdamWStep {
            beta1,
            beta2,
            epsilon,
            decay: 1.0 - learning_rate * weight_decay,
            step_size: learning_rate / (1.0 - beta1.powi(self.steps)),
            bias_correction2: 1.0 - beta2.powi(self.steps),
        };
        let state = AdamWState { params: weights, exp_avg: first, exp_avg_sq: second };
        let AdamWState { params: weights, exp_avg: first, exp_avg_sq: second } = adamw(state, gradient, step);
        self.moments.insert(name.to_owned(), Moments { first, second });
        weights
    }
}

struct Step<'a> {
    optimizer: &'a mut AdamW,
    gradients: &'a mut Gradients,
    learning_rate: f64,
    scale: f64,
    path: ParamPath,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        param.map(|weights| {
            let Some(gradient) = weights.grad_remove(self.gradients) else { return weights };
            let strategy = weights.gradient_checkpointing_strategy().expect("what has a gradient learns");
            let shape = weights.dims();
            let count = shape.iter().product::<usize>();
            let plain = weights.inner().reshape([count]);
            let gradient = gradient.reshape([count]);
            let gradient = if self.scale < 1.0 { gradient * self.scale } else { gradient };
            let moved = self.optimizer.update(&name, plain, gradient, self.learning_rate);
            let moved = Tensor::from_inner(moved.reshape(shape));
            moved.with_gradient_checkpointing_strategy(strategy).require_grad()
        })
    }
}

/// Length of all gradients of a module as one vector.
fn gradient_norm<M: Module>(module: &M, gradients: &Gradients) -> f64 {
    struct Norm<'a> {
        gradients: &'a Gradients,
        squares: f64,
    }
    impl burn::module::ModuleVisitor for Norm<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.gradients) {
                self.squares += f64::from(gradient.square().sum().into_scalar::<f32>());
            }
        }
    }
    let mut norm = Norm { gradients, squares: 0.0 };
    module.visit(&mut norm);
    norm.squares.sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct One {
        weight: Param<Tensor<1>>,
    }

    /// AdamW by its formula in float64, for the gradient w of the loss w² / 2.
    fn by_formula(mut w: f64, steps: i32, rate: f64, config: AdamWConfig) -> f64 {
        let (mut m, mut v) = (0.0, 0.0);
        for t in 1..=steps {
            let g = w;
            m = config.beta1 * m + (1.0 - config.beta1) * g;
            v = config.beta2 * v + (1.0 - config.beta2) * g * g;
            let (m_hat, v_hat) = (m / (1.0 - config.beta1.powi(t)), v / (1.0 - config.beta2.powi(t)));
            w = w * (1.0 - rate * config.weight_decay) - rate * m_hat / (v_hat.sqrt() + config.epsilon);
        }
        w
    }

    fn train(module: One, optimizer: &mut AdamW, steps: i32, rate: f64) -> One {
        (0..steps).fold(module, |module, _| {
            let gradients = (module.weight.val().square() / 2.0).sum().backward();
            optimizer.step(module, gradients, rate)
        })
    }

    fn start() -> One {
        let device = Device::flex().autodiff();
        One { weight: Param::from_tensor(Tensor::from_floats([3.0, -0.5], &device)) }
    }

    fn values(module: &One) -> Vec<f32> {
        module.weight.val().into_data().try_to_vec().unwrap()
    }

    #[test]
    fn steps_follow_the_formula() {
        let config = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
        let module = train(start(), &mut AdamW::new(config), 20, 0.05);
        for (found, first) in values(&module).into_iter().zip([3.0, -0.5]) {
            let expected = by_formula(first, 20, 0.05, config);
            assert!((f64::from(found) - expected).abs() < 1e-5, "expected {expected}, found {found}");
        }
    }

    #[test]
    fn a_restored_optimizer_goes_on_bit_for_bit() {
        let config = AdamWConfig::default();
        let whole = values(&train(start(), &mut AdamW::new(config), 10, 0.05));
        let mut optimizer = AdamW::new(config);
        let half = train(start(), &mut optimizer, 5, 0.05);
        let (steps, state) = optimizer.state();
        let state = state.into_iter().map(|(name, held)| (name, held.read())).collect();
        let mut restored = AdamW::restore(config, steps, state, &Device::flex());
        assert_eq!(values(&train(half, &mut restored, 5, 0.05)), whole);
    }

    #[test]
    fn a_long_gradient_is_scaled_to_the_limit() {
        let module = start();
        let gradients = (module.weight.val().square() / 2.0).sum().backward();
        let norm = gradient_norm(&module, &gradients);
        assert!((norm - 9.25f64.sqrt()).abs() < 1e-6);
    }
}

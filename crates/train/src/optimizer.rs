//! AdamW with decoupled weight decay and gradient clipping; its state is saved and restored bit for bit.

use std::collections::BTreeMap;

use bipvl_kernels::{AdamWState, AdamWStep, adamw};
use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use bipvl_nn::weights::{HostTensor, ParamPath, StateDict, TensorHandle};

const STEP: &str = "step";
const EXP_AVG: &str = "exp_avg.";
const EXP_AVG_SQ: &str = "exp_avg_sq.";

/// AdamW; defaults as in PyTorch, except for the weight decay, which is that of the official code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradient clipping: largest norm of all gradients together; 0 disables it.
    pub max_grad_norm: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-5, max_grad_norm: 0.0 }
    }
}

/// The AdamW optimizer.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    /// Factors of the learning rate, by the first part of a parameter's path.
    rate_factors: Vec<(String, f64)>,
    step: i32,
    moments: BTreeMap<String, Moments>,
}

/// First and second moment of one tensor, flat.
#[derive(Clone, Debug)]
struct Moments {
    exp_avg: Tensor<1>,
    exp_avg_sq: Tensor<1>,
}

impl AdamW {
    /// An optimizer before its first step.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, rate_factors: Vec::new(), step: 0, moments: BTreeMap::new() }
    }

    /// Multiplies the learning rate of the parameters whose path begins with `prefix` (PyTorch's parameter groups).
    #[must_use]
    pub fn with_rate_factor(mut self, prefix: &str, factor: f64) -> Self {
        self.rate_factors.push((prefix.to_owned(), factor));
        self
    }

    fn rate_factor(&self, name: &str) -> f64 {
        let factors = self.rate_factors.iter().filter(|(prefix, _)| name.starts_with(prefix));
        factors.map(|(_, factor)| factor).product()
    }

    /// One step. Parameters without a gradient are unchanged; gradients are freed one by one, and parameters without
    /// other references are updated in place.
    pub fn step<M: Module>(&mut self, module: M, mut gradients: Gradients, learning_rate: f64) -> M {
        self.step += 1;
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

    /// The state under PyTorch's names: `step`, and per tensor `exp_avg.NAME` and `exp_avg_sq.NAME`.
    pub fn state_dict(&self) -> BTreeMap<String, TensorHandle> {
        let moments = self.moments.iter().flat_map(|(name, moments)| {
            [(EXP_AVG, &moments.exp_avg), (EXP_AVG_SQ, &moments.exp_avg_sq)]
                .map(|(prefix, tensor)| (format!("{prefix}{name}"), TensorHandle::new(tensor.clone())))
        });
        // float32 as in PyTorch, exact up to 2²⁴ steps.
        let step = Tensor::<1>::from_floats([self.step as f32], &Device::flex());
        moments.chain([(STEP.to_owned(), TensorHandle::new(step))]).collect()
    }

    /// Restores a saved state; `None` if it is incomplete.
    pub fn load_state_dict(config: AdamWConfig, mut state: StateDict, device: &Device) -> Option<Self> {
        let step = *state.remove(STEP)?.values.first()? as i32;
        let tensor =
            |tensor: HostTensor| Tensor::<1>::from_data(TensorData::new(tensor.values, tensor.shape), device);
        let mut moments = BTreeMap::new();
        while let Some((key, exp_avg)) = state.pop_first() {
            let name = key.strip_prefix(EXP_AVG)?.to_owned();
            let exp_avg_sq = tensor(state.remove(&format!("{EXP_AVG_SQ}{name}"))?);
            moments.insert(name, Moments { exp_avg: tensor(exp_avg), exp_avg_sq });
        }
        Some(Self { config, rate_factors: Vec::new(), step, moments })
    }

    /// Updates one parameter; all tensors are flat and without autodiff.
    fn update(
        &mut self,
        name: &str,
        params: Tensor<1>,
        gradient: Tensor<1>,
        learning_rate: f64,
    ) -> Tensor<1> {
        let AdamWConfig { beta1, beta2, epsilon, weight_decay, .. } = self.config;
        let Moments { exp_avg, exp_avg_sq } = self
            .moments
            .remove(name)
            .unwrap_or_else(|| Moments { exp_avg: gradient.zeros_like(), exp_avg_sq: gradient.zeros_like() });
        let step = AdamWStep {
            beta1,
            beta2,
            epsilon,
            decay: 1.0 - learning_rate * weight_decay,
            step_size: learning_rate / (1.0 - beta1.powi(self.step)),
            bias_correction2: 1.0 - beta2.powi(self.step),
        };
        let state = AdamWState { params, exp_avg, exp_avg_sq };
        let AdamWState { params, exp_avg, exp_avg_sq } = adamw(state, gradient, step);
        self.moments.insert(name.to_owned(), Moments { exp_avg, exp_avg_sq });
        params
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
            let strategy =
                weights.gradient_checkpointing_strategy().expect("a parameter with a gradient has autodiff");
            let shape = weights.dims();
            let count = shape.iter().product::<usize>();
            let plain = weights.inner().reshape([count]);
            let gradient = gradient.reshape([count]);
            let gradient = if self.scale < 1.0 { gradient * self.scale } else { gradient };
            let learning_rate = self.learning_rate * self.optimizer.rate_factor(&name);
            let moved = self.optimizer.update(&name, plain, gradient, learning_rate);
            let moved = Tensor::from_inner(moved.reshape(shape));
            moved.with_gradient_checkpointing_strategy(strategy).require_grad()
        })
    }
}

/// Norm of all gradients of a module.
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
    fn a_restored_optimizer_continues_bit_for_bit() {
        let config = AdamWConfig::default();
        let whole = values(&train(start(), &mut AdamW::new(config), 10, 0.05));
        let mut optimizer = AdamW::new(config);
        let half = train(start(), &mut optimizer, 5, 0.05);
        let state = optimizer.state_dict().into_iter().map(|(name, tensor)| (name, tensor.read())).collect();
        let mut restored = AdamW::load_state_dict(config, state, &Device::flex()).unwrap();
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

//! Five steps of the optimizer against torch.optim.AdamW, free and with the gradient clipped.

use bipvl::train::optimizer::{AdamW, AdamWConfig};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

use crate::reference::{assert_near, made, reference};

/// Five steps in float32 on weights of at most 1.
const TOLERANCE: f32 = 1e-6;
const RATES: [f64; 5] = [0.05, 0.04, 0.03, 0.02, 0.01];

#[derive(Module, Debug)]
struct Line {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

fn compare(case: &str, max_grad_norm: f64) {
    let (reference, device) = (reference("adamw"), Device::flex().autodiff());
    let mut line = Line {
        weight: Param::from_tensor(made("weight", [4, 3], &device)),
        bias: Param::from_tensor(made("bias", [3], &device)),
    };
    let (inputs, target) = (made::<2>("inputs", [6, 4], &device), made::<2>("target", [6, 3], &device));
    let config = AdamWConfig { weight_decay: 0.1, max_grad_norm, ..AdamWConfig::default() };
    let mut optimizer = AdamW::new(config);
    for (index, rate) in RATES.into_iter().enumerate() {
        let found = inputs.clone().matmul(line.weight.val()) + line.bias.val().unsqueeze_dim(0);
        let gradients = (found - target.clone()).square().sum().backward();
        line = optimizer.step(line, gradients, rate);
        let name = |tensor: &str| format!("{case}.{}.{tensor}", index + 1);
        assert_near(line.weight.val(), &reference, &name("weight"), TOLERANCE);
        assert_near(line.bias.val(), &reference, &name("bias"), TOLERANCE);
    }
}

#[test]
fn free_steps_equal_pytorch() {
    compare("free", 0.0);
}

#[test]
fn clipped_steps_equal_pytorch() {
    compare("clipped", 0.5);
}

//! Every operation with each subset of its inputs frozen, and with constants from a device without autodiff.

use bipvl_kernels::{
    AttentionInput, WindowAttentionInput, WindowPartition, attention, conv_transpose3d_concat, conv3d, gelu,
    instance_norm, instance_norm_add, layer_norm, linear, window_attention,
};
use burn::tensor::{Device, Tensor, TensorData};

use crate::random::random;

/// An operation on flat inputs of these lengths.
struct Case {
    name: &'static str,
    lengths: &'static [usize],
    run: fn(&[Tensor<1>]) -> Tensor<1>,
}

const CASES: [Case; 9] = [
    Case {
        name: "conv3d",
        lengths: &[2 * 3 * 4 * 5 * 3, 27 * 3 * 4],
        run: |x| {
            let (input, weight) =
                (x[0].clone().reshape([2, 3, 4, 5, 3]), x[1].clone().reshape([3, 3, 3, 3, 4]));
            conv3d(input, weight).flatten(0, 4)
        },
    },
    Case {
        name: "linear",
        lengths: &[7 * 5, 5 * 6, 6],
        run: |x| {
            let (input, weight) = (x[0].clone().reshape([7, 5]), x[1].clone().reshape([5, 6]));
            linear(input, weight, Some(x[2].clone())).flatten(0, 1)
        },
    },
    Case { name: "gelu", lengths: &[33], run: |x| gelu(x[0].clone()) },
    Case {
        name: "instance norm",
        lengths: &[2 * 3 * 4 * 5 * 3],
        run: |x| instance_norm(x[0].clone().reshape([2, 3, 4, 5, 3]), 1e-5, 0.01).flatten(0, 4),
    },
    Case {
        name: "instance norm with residual",
        lengths: &[2 * 3 * 4 * 5 * 3, 2 * 3 * 4 * 5 * 3],
        run: |x| {
            let [input, residual] = [0, 1].map(|index: usize| x[index].clone().reshape([2, 3, 4, 5, 3]));
            instance_norm_add(input, residual, 1e-5, 0.01).flatten(0, 4)
        },
    },
    Case {
        name: "layer norm",
        lengths: &[7 * 5, 5, 5],
        run: |x| layer_norm(x[0].clone().reshape([7, 5]), x[1].clone(), x[2].clone(), 1e-5).flatten(0, 1),
    },
    Case {
        name: "transposed convolution",
        lengths: &[2 * 2 * 3 * 2 * 4, 4 * 8 * 3, 2 * 4 * 6 * 4 * 2],
        run: |x| {
            let (input, weight) = (x[0].clone().reshape([2, 2, 3, 2, 4]), x[1].clone().reshape([4, 24]));
            conv_transpose3d_concat(input, weight, x[2].clone().reshape([2, 4, 6, 4, 2])).flatten(0, 4)
        },
    },
    Case {
        name: "attention",
        lengths: &[2 * 6 * 2 * 3, 2 * 5 * 2 * 3, 2 * 5 * 2 * 3, 2 * 6 * 5],
        run: |x| {
            let query = x[0].clone().reshape([2, 6, 2, 3]);
            let [key, value] = [1, 2].map(|index: usize| x[index].clone().reshape([2, 5, 2, 3]));
            let bias = Some(x[3].clone().reshape([2, 6, 5]));
            attention(AttentionInput { query, key, value, bias, mask: None }).flatten(0, 3)
        },
    },
    Case {
        name: "window attention",
        lengths: &[4 * 5 * 3 * 12, 12, 125 * 2],
        run: |x| {
            window_attention(WindowAttentionInput {
                qkv: x[0].clone().reshape([1, 4, 5, 3, 12]),
                padding_token: x[1].clone(),
                bias_table: x[2].clone().reshape([125, 2]),
                partition: WindowPartition::new([4, 5, 3], 3, 1),
            })
            .flatten(0, 4)
        },
    },
];

impl Case {
    /// Output, and the gradient of each input on a device with autodiff whose bit is set in `tracked`.
    fn gradients(&self, devices: &[Device], tracked: usize) -> (TensorData, Vec<Option<TensorData>>) {
        let inputs: Vec<Tensor<1>> = (0..self.lengths.len())
            .map(|index| {
                let input = random([self.lengths[index]], index as u64 + 1, &devices[index]);
                if tracked & (1 << index) == 0 { input } else { input.require_grad() }
            })
            .collect();
        let output = (self.run)(&inputs);
        let weight = random(output.dims(), 9, &output.device());
        let gradients = (output.clone() * weight).sum().backward();
        let of_inputs = inputs.iter().enumerate().map(|(index, input)| {
            let is_tracked = tracked & (1 << index) != 0;
            is_tracked.then(|| input.grad(&gradients).map(Tensor::into_data)).flatten()
        });
        (output.into_data(), of_inputs.collect())
    }

    /// Compares the run with all inputs tracked to the bit with each subset, frozen inputs on `constants`.
    fn check(&self, autodiff: &Device, constants: &Device) {
        let count = self.lengths.len();
        let all = (1 << count) - 1;
        let (output, expected) = self.gradients(&vec![autodiff.clone(); count], all);
        for tracked in 1..=all {
            let device = |index: usize| if tracked & (1 << index) == 0 { constants } else { autodiff };
            let devices: Vec<Device> = (0..count).map(|index| device(index).clone()).collect();
            let (found_output, found) = self.gradients(&devices, tracked);
            found_output.assert_eq(&output, true);
            for (index, (found, expected)) in found.into_iter().zip(&expected).enumerate() {
                let name = self.name;
                let expected =
                    expected.as_ref().unwrap_or_else(|| panic!("{name}: no gradient of input {index}"));
                match found {
                    Some(found) => found.assert_eq(expected, true),
                    None => assert_eq!(tracked & (1 << index), 0, "{name}: no gradient of input {index}"),
                }
            }
        }
    }
}

#[test]
fn a_frozen_input_changes_no_other_gradient() {
    for device in [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()] {
        for case in CASES {
            case.check(&device, &device);
        }
    }
}

#[test]
fn a_tensor_without_autodiff_is_a_constant() {
    let device = Device::flex().autodiff();
    for case in CASES {
        case.check(&device, &Device::flex());
    }
}

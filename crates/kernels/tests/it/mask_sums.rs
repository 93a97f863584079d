//! Sums of masks against their definition in float64, and their gradient against Burn's.

use bipvl_kernels::{MaskSums, mask_sums};
use burn::tensor::{
    Tensor,
    activation::{log_sigmoid, sigmoid},
};

use crate::{assert_close, device, random::random};

/// Rounding of float32 terms that are added in float64 blocks, relative to the sum.
const RELATIVE: f64 = 1e-6;
/// Not a multiple of the vector length or of a block.
const VOXELS: usize = 2_345;

fn logits() -> Tensor<2> {
    random([6, VOXELS], 1, &device()) * 8.0
}

/// Between 0 and 1, as means over cubes are.
fn soft(seed: u64, rows: usize) -> Tensor<2> {
    sigmoid(random([rows, VOXELS], seed, &device()) * 3.0)
}

fn all(sums: MaskSums) -> [Tensor<1>; 5] {
    [sums.overlap, sums.squares, sums.prediction, sums.reference, sums.cross_entropy]
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

#[test]
fn sums_are_those_of_the_definition() {
    for weights in [None, Some(soft(3, 2))] {
        let (z, y) = (values(logits()), values(soft(2, 6)));
        let v = weights.clone().map(values);
        let found = all(mask_sums(logits(), soft(2, 6), weights)).map(values);
        for row in 0..6 {
            let mut expected = [0.0; 5];
            for voxel in 0..VOXELS {
                let (z, y) = (z[row * VOXELS + voxel], y[row * VOXELS + voxel]);
                // Three consecutive masks share their weights.
                let v = v.as_ref().map_or(1.0, |v| v[row / 3 * VOXELS + voxel]);
                let p = 1.0 / (1.0 + (-z).exp());
                let cross_entropy = y * (-z).exp().ln_1p() + (1.0 - y) * z.exp().ln_1p();
                let terms = [v * v * p * y, v * v * p * p, v * p, v * v * y * y, v * cross_entropy];
                expected.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
            for (found, expected) in found.iter().zip(expected) {
                assert!((found[row] / expected - 1.0).abs() < RELATIVE, "{} for {expected}", found[row]);
            }
        }
    }
}

#[test]
fn gradients_equal_burn() {
    for weights in [None, Some(soft(3, 2))] {
        let logits = logits().require_grad();
        let masks = soft(2, 6);
        let weigh = |sums: [Tensor<1>; 5]| {
            let [a, b, c, _, d] = sums;
            (a * 0.3 + b * 0.2 - c * 0.7 + d * 1.1).square().sum() * 1e-6
        };
        let ours = weigh(all(mask_sums(logits.clone(), masks.clone(), weights.clone()))).backward();
        let v = match weights {
            Some(weights) => weights.unsqueeze_dim::<3>(1).repeat_dim(1, 3).reshape([6, VOXELS]),
            None => Tensor::ones([6, VOXELS], &device()),
        };
        let likelihood = log_sigmoid(logits.clone()) * masks.clone()
            + log_sigmoid(logits.clone().neg()) * (masks.clone().neg() + 1.0);
        let (p, y) = (sigmoid(logits.clone()) * v.clone(), masks * v.clone());
        let terms = [p.clone() * y.clone(), p.clone().square(), p, y.square(), (likelihood * v).neg()];
        let theirs = weigh(terms.map(|terms| terms.sum_dim(1).squeeze_dim(1))).backward();
        assert_close("gradient", logits.grad(&ours).unwrap(), logits.grad(&theirs).unwrap());
    }
}

#[test]
fn saturated_logits_have_finite_sums_and_gradients() {
    let logits = Tensor::<2>::from_floats([[-200.0, 200.0, -200.0, 200.0]], &device()).require_grad();
    let masks = Tensor::<2>::from_floats([[0.0, 1.0, 1.0, 0.0]], &device());
    let sums = mask_sums(logits.clone(), masks, None);
    // Two voxels are right, each of the others costs 200.
    let found = values(sums.cross_entropy.clone())[0];
    assert!((found - 400.0).abs() < 1e-3, "{found}");
    let gradient = values(logits.grad(&sums.cross_entropy.sum().backward()).unwrap());
    assert_eq!(gradient, [0.0, 0.0, -1.0, 1.0]);
}

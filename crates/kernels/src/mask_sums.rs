//! The sums that Dice and binary cross-entropy of many masks are made of, in one pass over the logits.

use burn::tensor::{
    Tensor,
    activation::{log_sigmoid, sigmoid},
};
use rayon::prelude::*;

use crate::{
    flex::{Contiguous, dims, on_cpu, tensor, tensor_like},
    op::{CpuTensor, Op, Saved, apply},
    simd,
    uninit::{Chunking, par_init_chunks},
};

/// Sums over the voxels of each mask, with p = σ(logit), y the reference and v the weight of a voxel.
#[derive(Clone, Debug)]
pub struct MaskSums {
    /// `Σ v² p y`, `[masks]`.
    pub overlap: Tensor<1>,
    /// `Σ v² p²`, `[masks]`.
    pub squares: Tensor<1>,
    /// `Σ v p`, `[masks]`.
    pub prediction: Tensor<1>,
    /// `Σ v² y²`, `[masks]`.
    pub reference: Tensor<1>,
    /// `Σ v (−y ln p − (1 − y) ln(1 − p))`, `[masks]`.
    pub cross_entropy: Tensor<1>,
}

/// The sums of each mask; differentiable in the logits.
///
/// # Shapes
///
/// - `logits`, `masks`: `[masks, voxels]`
/// - `weights`: `[groups, voxels]`, each for equally many consecutive masks; `None` for ones
///
/// # Panics
///
/// When the shapes do not match.
pub fn mask_sums(logits: Tensor<2>, masks: Tensor<2>, weights: Option<Tensor<2>>) -> MaskSums {
    assert_eq!(logits.dims(), masks.dims(), "a mask has a value for every logit");
    let [count, voxels] = logits.dims();
    if let Some(weights) = &weights {
        let [groups, of_group] = weights.dims();
        assert!(of_group == voxels && count.is_multiple_of(groups), "weights for every voxel of some masks");
    }
    let sums = if on_cpu(&logits) {
        // A single weight stands for all.
        let weights = weights.unwrap_or_else(|| Tensor::ones([1, 1], &masks.device().inner()));
        apply(MaskSumsOp, [logits.into_dispatch(), masks.into_dispatch(), weights.into_dispatch()])
    } else {
        in_tensors(logits, masks, weights)
    };
    let column = |index: usize| sums.clone().slice_dim(1, index..index + 1).squeeze_dim::<1>(1);
    MaskSums {
        overlap: column(0),
        squares: column(1),
        prediction: column(2),
        reference: column(3),
        cross_entropy: column(4),
    }
}

/// The same in Burn's operations, `[masks, 5]`.
fn in_tensors(logits: Tensor<2>, masks: Tensor<2>, weights: Option<Tensor<2>>) -> Tensor<2> {
    let [count, voxels] = logits.dims();
    let weights = match weights {
        Some(weights) => {
            let [groups, _] = weights.dims();
            weights.unsqueeze_dim::<3>(1).repeat_dim(1, count / groups).reshape([count, voxels])
        }
        None => Tensor::ones([count, voxels], &logits.device()),
    };
    let log_likelihood = log_sigmoid(logits.clone()) * masks.clone()
        + log_sigmoid(logits.clone().neg()) * (masks.clone().neg() + 1.0);
    let (p, y) = (sigmoid(logits) * weights.clone(), masks * weights.clone());
    let sums = [p.clone() * y.clone(), p.clone().square(), p, y.square(), (log_likelihood * weights).neg()];
    Tensor::cat(sums.map(|terms| terms.sum_dim(1)).to_vec(), 1)
}

#[derive(Clone, Debug)]
struct MaskSumsOp;

/// Voxels and the weights of a mask.
struct Rows<'a> {
    voxels: usize,
    weights: &'a [f32],
    masks_per_group: usize,
}

impl<'a> Rows<'a> {
    fn new(logits: &CpuTensor, weights: &'a Contiguous, groups: usize) -> Self {
        let [count, voxels] = dims(logits);
        Self { voxels, weights: weights.values(), masks_per_group: (count / groups.max(1)).max(1) }
    }

    fn weights(&self, row: usize) -> Option<&'a [f32]> {
        let start = row / self.masks_per_group * self.voxels;
        (self.weights.len() > 1).then(|| &self.weights[start..start + self.voxels])
    }
}

impl Op<3> for MaskSumsOp {
    const SAVED_INPUTS: [bool; 3] = [true; 3];

    fn forward(&self, [logits, masks, weights]: [CpuTensor; 3]) -> CpuTensor {
        let [groups, _] = dims(&weights);
        let [logits, masks, weights] = [logits, masks, weights].map(Contiguous::new);
        let (logits_tensor, values) = (logits.tensor(), logits.values());
        let rows = Rows::new(logits_tensor, &weights, groups);
        let [count, voxels] = dims(logits_tensor);
        let of_row = |row: usize| {
            let range = row * voxels..(row + 1) * voxels;
            simd::mask_sums(&values[range.clone()], &masks.values()[range], rows.weights(row))
        };
        let sums: Vec<[f32; simd::SUMS]> = (0..count).into_par_iter().map(of_row).collect();
        tensor(sums.concat(), [count, simd::SUMS])
    }

    fn backward(&self, mut saved: Saved<3>, grad: CpuTensor, _: [bool; 3]) -> [Option<CpuTensor>; 3] {
        let weights = saved.input(2);
        let [groups, _] = dims(&weights);
        let [logits, masks, grad] = [saved.input(0), saved.input(1), grad].map(Contiguous::new);
        let weights = Contiguous::new(weights);
        let rows = Rows::new(logits.tensor(), &weights, groups);
        let voxels = rows.voxels;
        let gradients = grad.values();
        let chunking = Chunking::blocks(logits.values().len(), voxels);
        let values = par_init_chunks(chunking, |(): &mut (), offset, out| {
            let row = offset / voxels;
            let gradient = std::array::from_fn(|sum| gradients[row * simd::SUMS + sum]);
            let [logits, masks] =
                [&logits, &masks].map(|values| &values.values()[offset..offset + out.len()]);
            simd::mask_sums_gradient([logits, masks], rows.weights(row), gradient, out);
        });
        [Some(tensor_like(values, &logits)), None, None]
    }
}

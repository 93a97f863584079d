//! Losses of a batch of prompts: masks at every scale, presence, class embedding, alignment.
//!
//! B is the batch, K the prompts of a sample. Every prompt of a batch is labeled for its sample; what a data set
//! says nothing of is never drawn, so no voxel of it needs masking.

use bipvl_kernels::{MaskSums, mask_sums};
use bipvl_nn::{
    init::{DropoutRng, Initializer},
    prompts::PromptOutput,
};
use bipvl_train::loss::{LossConfig, LossWeighting, class_embedding::binary_class_embedding_loss};
use burn::{
    module::{Module, Param},
    tensor::{Tensor, activation::log_sigmoid},
};

use crate::alignment::{Comparable, alignment};

/// Keeps the Dice of an empty union finite.
const DICE_EPSILON: f64 = 1e-5;
/// Voxels of false alarm at which the loss of an empty mask is ½: plain Dice has no gradient there.
const EMPTY_SMOOTHING: f64 = 64.0;
/// The weight of empty masks in the first step. With all of it, a network that finds nothing yet learns to find nothing.
const INITIAL_EMPTY_WEIGHT: f64 = 0.1;
/// From so many voxels on a concept is present in a patch; between 1 and this it is neither present nor absent.
pub const MIN_PRESENT_VOXELS: u32 = 8;

/// What the prompts of a batch should find.
#[derive(Clone, Debug)]
pub struct PromptTarget {
    /// 1 inside of what the prompt names, else 0, `[B, K, x, y, z]`.
    pub masks: Tensor<5>,
    /// 0 where the reference says `ignore`, else 1, `[B, 1, x, y, z]`; `None` where nothing is ignored.
    pub valid: Option<Tensor<5>>,
    /// Voxels of each mask, `[B][K]`.
    pub voxels: Vec<Vec<u32>>,
    /// Which prompts may serve as negatives of each other.
    pub comparable: Comparable,
}

/// The losses of one step, each a tensor of one value.
#[derive(Clone, Debug)]
pub struct PromptLosses {
    /// Binary cross-entropy and Dice of the masks, over all scales.
    pub segmentation: Tensor<1>,
    /// Class embeddings against the masks that the decoder found.
    pub class_embedding: Tensor<1>,
    /// Prompts against what they name in the image; `None` where nothing is aligned or there is nothing to compare.
    pub alignment: Option<Tensor<1>>,
    /// Binary cross-entropy of presence; `None` without a presence head.
    pub presence: Option<Tensor<1>>,
}

impl PromptLosses {
    /// All losses of one batch. `progress` is the share of the training that is done.
    pub fn compute(
        output: &PromptOutput,
        target: &PromptTarget,
        config: &LossConfig,
        progress: f64,
        rng: Option<&mut DropoutRng>,
    ) -> Self {
        Self {
            segmentation: deep_supervision_loss(output, target, empty_weight(progress)),
            class_embedding: binary_class_embedding_loss(
                output.class_embedding.clone(),
                output.logits.clone(),
                target.valid.clone().map(|valid| valid.squeeze_dim(1)),
            ),
            alignment: alignment(output, target, config, rng),
            presence: output.presence.clone().map(|logits| presence(logits, &target.voxels)),
        }
    }
}

/// The weight of the false alarms of empty masks beside Dice: from a tenth, linearly to 1 at the end.
fn empty_weight(progress: f64) -> f64 {
    INITIAL_EMPTY_WEIGHT + (1.0 - INITIAL_EMPTY_WEIGHT) * progress
}

/// `BCE + Dice` of every scale, weighted 1, ½, ¼ and so on, the weights then divided by their sum (nnU-Net's deep
/// supervision). The masks of a coarser scale are means over its cubes.
fn deep_supervision_loss(output: &PromptOutput, target: &PromptTarget, empty_weight: f64) -> Tensor<1> {
    let (mut masks, mut valid) = (target.masks.clone(), target.valid.clone());
    let mut sum = mask_loss(output.logits.clone(), masks.clone(), valid.clone(), empty_weight);
    let (mut weight, mut weights) = (1.0, 1.0);
    for logits in &output.aux_logits {
        masks = halved(masks);
        valid = valid.map(halved);
        weight /= 2.0;
        weights += weight;
        sum = sum + mask_loss(logits.clone(), masks.clone(), valid.clone(), empty_weight) * weight;
    }
    sum / weights
}

/// The mean over prompts of their binary cross-entropy, plus the mean of their Dice, or of the share of their false
/// alarm where the mask is empty: `Σp / (Σp + 64)` times `empty_weight`.
///
/// # Shapes
///
/// - `logits`, `masks`: `[B, K, x, y, z]`
/// - `valid`: `[B, 1, x, y, z]`
fn mask_loss(logits: Tensor<5>, masks: Tensor<5>, valid: Option<Tensor<5>>, empty_weight: f64) -> Tensor<1> {
    let [batch, prompts, x, y, z] = logits.dims();
    let (count, voxels) = (batch * prompts, x * y * z);
    let flat = |map: Tensor<5>| map.reshape([count, voxels]);
    let valid = valid.map(|valid| valid.reshape([batch, voxels]));
    let counted = match &valid {
        Some(valid) => valid.clone().sum_dim(1).clamp_min(1.0).repeat_dim(1, prompts).reshape([count]),
        None => Tensor::full([count], voxels as f32, &masks.device()),
    };
    let MaskSums { overlap, squares, prediction, reference, cross_entropy } =
        mask_sums(flat(logits), flat(masks), valid);
    let is_present = reference.clone().greater_scalar(0.0).float().detach();
    let dice = (overlap * 2.0 / (squares + reference + DICE_EPSILON)).neg() + 1.0;
    let empty = prediction.clone() / (prediction + EMPTY_SMOOTHING);
    let overlap = is_present.clone() * dice + (is_present.neg() + 1.0) * empty * empty_weight;
    overlap.mean() + (cross_entropy / counted).mean()
}

/// Means over cubes of 2³ voxels. `[B, K, x, y, z]` → `[B, K, x/2, y/2, z/2]`
pub(super) fn halved(map: Tensor<5>) -> Tensor<5> {
    let mut map = map;
    for axis in 2..5 {
        let size = map.dims()[axis] as isize;
        let every_second = |first: isize| burn::tensor::Slice::new(first, Some(size), 2);
        let [even, odd] = [0, 1].map(|first| map.clone().slice_dim(axis, every_second(first)));
        map = (even + odd) * 0.5;
    }
    map
}

/// Binary cross-entropy of presence, the mean over the prompts that are clearly there or clearly not.
fn presence(logits: Tensor<2>, voxels: &[Vec<u32>]) -> Tensor<1> {
    let device = logits.device();
    let [batch, prompts] = logits.dims();
    let tensor = |value: &dyn Fn(u32) -> f32| {
        let values: Vec<f32> = voxels.iter().flatten().map(|count| value(*count)).collect();
        Tensor::<1>::from_floats(values.as_slice(), &device).reshape([batch, prompts])
    };
    let sign = tensor(&|count| if count >= MIN_PRESENT_VOXELS { 1.0 } else { -1.0 });
    let weight = tensor(&|count| f32::from(count == 0 || count >= MIN_PRESENT_VOXELS));
    let counted = weight.clone().sum().clamp_min(1.0);
    (log_sigmoid(logits * sign) * weight).sum().neg() / counted
}

/// One learned `log_sigma` per loss of the prompted form.
#[derive(Module, Debug)]
pub struct PromptLossWeights {
    /// `[4]`: segmentation, class embedding, alignment, presence; each starts at 0.
    pub log_sigma: Param<Tensor<1>>,
}

impl PromptLossWeights {
    /// Equal weights.
    pub fn new(init: &Initializer) -> Self {
        Self { log_sigma: init.constant([4], 0.0) }
    }

    /// The sum of the weighted losses. A loss that is not there has no weight to learn either.
    pub fn total(&self, losses: &PromptLosses, weighting: LossWeighting) -> Tensor<1> {
        let all = [
            Some(losses.segmentation.clone()),
            Some(losses.class_embedding.clone()),
            losses.alignment.clone(),
            losses.presence.clone(),
        ];
        let log_sigma = self.log_sigma.val();
        let there = all.into_iter().enumerate().filter_map(|(index, loss)| Some((index, loss?)));
        let weighted = there
            .map(|(index, loss)| weighting.weigh(loss, log_sigma.clone().slice_dim(0, index..index + 1)));
        weighted.reduce(|one, other| one + other).expect("the masks always have a loss")
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// float32 sums over 64 voxels.
    const TOLERANCE: f32 = 1e-5;

    /// Two prompts: the first fills half of 4³ voxels, the second is absent.
    fn masks() -> Tensor<5> {
        let values: Vec<f32> = (0..128).map(|voxel| f32::from(u8::from(voxel < 32))).collect();
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1, 2, 4, 4, 4])
    }

    fn assert_near(loss: Tensor<1>, expected: f32) {
        let loss = loss.into_scalar::<f32>();
        assert!((loss - expected).abs() < TOLERANCE, "expected {expected}, found {loss}");
    }

    #[test]
    fn undecided_masks_cost_the_closed_form() {
        // p = ½: Dice of the first is 2·16 / (16 + 32), the false alarm of the second 32 / (32 + 64).
        let overlap = f32::midpoint(1.0 - 32.0 / 48.0, 32.0 / 96.0);
        let loss = mask_loss(Tensor::zeros([1, 2, 4, 4, 4], &Device::flex()), masks(), None, 1.0);
        assert_near(loss, 2f32.ln() + overlap);
    }

    #[test]
    fn certain_and_right_masks_cost_nothing() {
        assert_near(mask_loss((masks() * 2.0 - 1.0) * 50.0, masks(), None, 1.0), 0.0);
    }

    #[test]
    fn ignored_voxels_cost_nothing_whatever_the_logits() {
        let device = Device::flex();
        let valid = Tensor::<1>::from_floats(
            (0..64).map(|voxel| f32::from(u8::from(voxel % 2 == 0))).collect::<Vec<_>>().as_slice(),
            &device,
        )
        .reshape([1, 1, 4, 4, 4]);
        let right = (masks() * 2.0 - 1.0) * 50.0;
        let wrong_where_ignored = right.clone() * (valid.clone() * 2.0 - 1.0);
        assert_near(mask_loss(wrong_where_ignored, masks(), Some(valid), 1.0), 0.0);
    }

    #[test]
    fn halved_maps_are_means_of_cubes() {
        let found: Vec<f32> = halved(masks()).into_data().try_to_vec().unwrap();
        assert_eq!(found, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn presence_skips_what_is_neither_there_nor_absent() {
        let logits = Tensor::<2>::from_floats([[0.0, -3.0, 0.0]], &Device::flex());
        // 20 voxels are there, 3 are neither, 0 are absent.
        assert_near(presence(logits, &[vec![20, 3, 0]]), 2f32.ln());
    }
}

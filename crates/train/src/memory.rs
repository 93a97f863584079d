//! Peak memory of training steps: activations of the network ([`bipvl_nn::Cost`]), weights, gradients and optimizer
//! state, intermediate tensors of the losses, and prefetched patches.

use burn::tensor::Device;

use super::activation_checkpointing::ActivationCheckpointing;
use bipvl_data::PREFETCH_STEPS;
use bipvl_nn::{BiPvlSegConfig, Cost, ForwardShape, HeadConfig, TextShape, init::Initializer};

/// The program, its libraries, class locations, and scratch buffers of kernels in bytes: 37 to 43 MiB were resident
/// before the first step of small networks.
const PROGRAM: f64 = 64.0 * 1024.0 * 1024.0;
/// Safety factor: no training in the table of `docs/src/explanation/performance.md` needed more than half a percent
/// above its count, but the heap of another may be more fragmented.
const MARGIN: f64 = 1.05;
/// Gradients of the feature maps of the finest stage that exist at the start of the backward pass, with all
/// activations.
const GRADIENT_MAPS: usize = 2;
/// Tensors with a value per voxel and class that the losses hold: logits, log-probabilities, probabilities, one-hot
/// labels, two products and a gradient; 30 more classes at 65 536 voxels needed 51 MiB.
const CLASS_MAPS: usize = 7;
/// A weight and its two moments.
const STATE: usize = 3;
/// The gradient of a weight; most exist before the activations of the coarser stages are freed.
const GRADIENT: usize = 1;
const FLOAT: f64 = size_of::<f32>() as f64;

/// The part of a configuration that determines the memory of a training step, and can be reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Patch size in voxels.
    pub patch_size: [usize; 3],
    /// Samples per forward pass.
    pub batch_size: usize,
    /// Batches per optimizer step.
    pub gradient_accumulation_steps: usize,
    /// Activation checkpointing.
    pub activation_checkpointing: ActivationCheckpointing,
}

/// Estimates the memory of training steps.
#[derive(Clone, Debug)]
pub struct MemoryEstimator {
    /// Sizes of the network.
    pub model: BiPvlSegConfig,
    /// Classes and logit channels.
    pub head: HeadConfig,
    /// Lengths of the texts.
    pub text: TextSize,
    /// Threads of the data loader.
    pub workers: usize,
}

/// Size of the padded text of all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSize {
    /// The longest text.
    pub longest: TextShape,
    /// Whether samples have different texts.
    pub is_by_case: bool,
}

impl MemoryPlan {
    /// The plan in words, such as `patch 96 × 96 × 96, batch size 1, activation checkpointing`.
    pub fn describe(&self) -> String {
        let [x, y, z] = self.patch_size;
        let checkpointing = match self.activation_checkpointing {
            ActivationCheckpointing::Off => "",
            ActivationCheckpointing::Blocks => ", activation checkpointing",
        };
        format!("patch {x} × {y} × {z}, batch size {}{checkpointing}", self.batch_size)
    }
}

impl MemoryEstimator {
    /// Peak memory of the training steps in bytes, including the program and a margin. Preprocessed cases are not
    /// counted: they are memory-mapped files, whose pages the system reclaims. Neither is the validation of whole
    /// cases.
    pub fn peak(&self, plan: &MemoryPlan) -> f64 {
        let cost = self.forward_cost(plan);
        let activations = match plan.activation_checkpointing {
            ActivationCheckpointing::Off => cost.activation_bytes,
            ActivationCheckpointing::Blocks => cost.checkpointed_bytes + cost.recompute_bytes,
        };
        let finest = voxels(plan.patch_size, 0) * self.model.vision.channels_at(0);
        let supervised: usize =
            (0..=self.model.deep_supervision_levels).map(|level| voxels(plan.patch_size, level)).sum();
        let losses =
            plan.batch_size * (GRADIENT_MAPS * finest + CLASS_MAPS * self.head.out_channels * supervised);
        let accumulated = if plan.gradient_accumulation_steps > 1 { GRADIENT } else { 0 };
        // Writing a checkpoint needs less: it is written tensor by tensor.
        let floats = (STATE + GRADIENT + accumulated) * cost.parameters + losses + self.samples(plan);
        MARGIN * (FLOAT * floats as f64 + activations as f64) + PROGRAM
    }

    /// Cost of one forward pass.
    fn forward_cost(&self, plan: &MemoryPlan) -> Cost {
        let mut init = Initializer::zeros(&Device::flex());
        let model = self.model.init(self.head, plan.patch_size, &mut init);
        model.cost(&ForwardShape {
            patch: plan.patch_size,
            batch: plan.batch_size,
            num_texts: if self.text.is_by_case { plan.batch_size } else { 1 },
            text: self.text.longest,
        })
    }

    /// Values of the patches in memory: prefetched, being cut, and in use.
    fn samples(&self, plan: &MemoryPlan) -> usize {
        let steps = self.workers.max(1) * (PREFETCH_STEPS + 1) + 1;
        // The labels of a batch are integers, one per voxel.
        let values = self.model.vision.in_channels() + 1;
        steps * plan.batch_size * plan.gradient_accumulation_steps * voxels(plan.patch_size, 0) * values
    }
}

/// Voxels of a patch downsampled by 2 so many times.
fn voxels(patch: [usize; 3], level: usize) -> usize {
    patch.iter().map(|side| side >> level).product()
}

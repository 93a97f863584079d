//! How much memory a training needs at most: what the blocks of the network hold for the backward pass
//! ([`bipvl_nn::Cost`]), weights, gradients and moments, the maps of the losses, and patches cut ahead.

use burn::tensor::Device;

use super::activation_checkpointing::ActivationCheckpointing;
use bipvl_data::PREFETCH_STEPS;
use bipvl_nn::{BiPvlSegConfig, Cost, ForwardShape, HeadConfig, TextShape, init::Initializer};

/// The program itself, its libraries, lists of voxels, and what kernels take for a moment: 37 to 43 MiB were
/// resident before the first update of small networks.
const PROGRAM: f64 = 64.0 * 1024.0 * 1024.0;
/// The estimate is so much above the count, for what was not measured: no training in the table of docs/src/explanation/performance.md
/// needed more than half a percent above its count, and the heap of another may have larger holes.
const MARGIN: f64 = 1.05;
/// Gradients of the finest maps when the backward pass begins and all else is still there.
const GRADIENT_MAPS: usize = 2;
/// Tensors of one value for each voxel and class that the losses hold: logits, their logarithms, probabilities,
/// the labels in the same form, two products and a gradient; 30 classes more at 65 536 voxels needed 51 MiB.
const CLASS_MAPS: usize = 7;
/// A weight and its two moments.
const STATE: usize = 3;
/// The gradient of a weight; most are there before the maps of the coarser stages are let go.
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
    pub classes: HeadConfig,
    /// Lengths of the texts.
    pub text: TextSize,
    /// Threads of the data loader.
    pub workers: usize,
}

/// How long the padded text of all classes is.
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
    /// Bytes that the updates of a training need at most, the program and a margin included. Prepared cases are files
    /// that are mapped into memory and given back when it is short: they are not counted. What a validation
    /// needs for a whole case is not counted either.
    pub fn peak(&self, plan: &MemoryPlan) -> f64 {
        let cost = self.forward_cost(plan);
        let held = match plan.activation_checkpointing {
            ActivationCheckpointing::Off => cost.activation_bytes,
            ActivationCheckpointing::Blocks => cost.checkpointed_bytes + cost.recompute_bytes,
        };
        let finest = voxels(plan.patch_size, 0) * self.model.vision.channels_at(0);
        let scored: usize =
            (0..=self.model.deep_supervision_levels).map(|level| voxels(plan.patch_size, level)).sum();
        let losses =
            plan.batch_size * (GRADIENT_MAPS * finest + CLASS_MAPS * self.classes.out_channels * scored);
        let summed = if plan.gradient_accumulation_steps > 1 { GRADIENT } else { 0 };
        // A checkpoint needs less: it is written tensor by tensor.
        let floats = (STATE + GRADIENT + summed) * cost.parameters + losses + self.samples(plan);
        MARGIN * (FLOAT * floats as f64 + held as f64) + PROGRAM
    }

    /// Cost of one forward pass.
    fn forward_cost(&self, plan: &MemoryPlan) -> Cost {
        let mut init = Initializer::zeros(&Device::flex());
        let model = self.model.init(self.classes, plan.patch_size, &mut init);
        model.cost(&ForwardShape {
            patch: plan.patch_size,
            batch: plan.batch_size,
            num_texts: if self.text.is_by_case { plan.batch_size } else { 1 },
            text: self.text.longest,
        })
    }

    /// Patches that were cut ahead: those that wait, those that are being cut, and those in use.
    fn samples(&self, plan: &MemoryPlan) -> usize {
        let updates = self.workers.max(1) * (PREFETCH_STEPS + 1) + 1;
        // A label is a byte; in the batch it is a number.
        let values = self.model.vision.in_channels() + 1;
        updates * plan.batch_size * plan.gradient_accumulation_steps * voxels(plan.patch_size, 0) * values
    }
}

/// Voxels of a patch whose sides were halved so many times.
fn voxels(patch: [usize; 3], level: usize) -> usize {
    patch.iter().map(|side| side >> level).product()
}

//! How much memory a training needs at most, counted from the tensors that its backward pass remembers.
//!
//! A *map* is a tensor with the width of its stage at each of its voxels. The counts below follow the layers in
//! `model`: what a layer's gradient reads is remembered, and what two layers read is counted once. Of a block that is
//! computed once more its input is remembered, and the insides of the largest are there for a moment.

use burn::{module::Module, tensor::Device};

use super::activation_checkpointing::ActivationCheckpointing;
use bipvl_data::PREFETCH_STEPS;
use bipvl_nn::{
    BiPvlSegConfig, HeadConfig, STAGES, SwinVersion, TextConfig, VisionConfig, bifusion::FusionDirection,
    init::Initializer,
};

/// The program itself, its libraries, lists of voxels, and what kernels take for a moment: 37 to 43 MiB were
/// resident before the first update of small networks.
const PROGRAM: f64 = 64.0 * 1024.0 * 1024.0;
/// The estimate is so much above the count, for what was not measured: no training in the table of docs/performance.md
/// needed more than half a percent above its count, and the heap of another may have larger holes.
const MARGIN: f64 = 1.05;
/// Maps of a residual block: its first convolution, the norm after it, its second convolution, its sum.
const RESIDUAL_MAPS: usize = 4;
/// Maps of an up block: those of its residual block, twice the width where the skip is joined, and the shortcut.
const UP_MAPS: usize = RESIDUAL_MAPS + 3;
/// Maps of a Swin block: its input, a norm, queries, keys and values, what is attended to, a sum, a norm, and four
/// times the width before and after GELU.
const SWIN_MAPS: usize = 16;
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

/// What a training can change to need less memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Voxels of a patch.
    pub patch_size: [usize; 3],
    /// Samples that pass through the network together.
    pub batch_size: usize,
    /// Batches per update.
    pub gradient_accumulation_steps: usize,
    /// What is computed once more.
    pub activation_checkpointing: ActivationCheckpointing,
}

/// All else that the need of a training depends on.
#[derive(Clone, Debug)]
pub struct MemoryEstimator {
    /// Sizes of the network.
    pub model: BiPvlSegConfig,
    /// How many classes there are.
    pub classes: HeadConfig,
    /// The text of all classes.
    pub text: TextSize,
    /// Threads that cut patches.
    pub workers: usize,
}

/// How long the padded text of all classes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSize {
    /// Tokens of all classes' whole texts together.
    pub tokens: usize,
    /// Tokens of all sentences that are encoded apart, 0 where nothing is aligned.
    pub sentence_tokens: usize,
    /// Whether samples have different texts.
    pub is_by_case: bool,
}

impl MemoryEstimator {
    /// Bytes that the updates of a training need at most, the program and a margin included. Prepared cases are files
    /// that are mapped into memory and given back when it is short: they are not counted. What a validation
    /// needs for a whole case is not counted either.
    pub fn peak(&self, plan: &MemoryPlan) -> f64 {
        let outputs = self.classes.out_channels;
        let mut init = Initializer::zeros(&Device::flex());
        let weights = self.model.init(self.classes, plan.patch_size, &mut init).num_params();
        let finest = voxels(plan.patch_size, 0) * self.model.vision.channels_at(0);
        let scored: usize =
            (0..=self.model.deep_supervision_levels).map(|level| voxels(plan.patch_size, level)).sum();
        let remembered = self.text_encoder(plan)
            + self.fusions(plan)
            + self.insides(plan)
            + plan.batch_size
                * (vision(&self.model.vision, plan) + GRADIENT_MAPS * finest + CLASS_MAPS * outputs * scored);
        let summed = if plan.gradient_accumulation_steps > 1 { GRADIENT } else { 0 };
        let update = (STATE + GRADIENT + summed) * weights + remembered;
        // A checkpoint needs less: it is written tensor by tensor.
        let floats = update + self.samples(plan);
        MARGIN * FLOAT * floats as f64 + PROGRAM
    }

    /// Values of the text encoder: both streams of text.
    fn text_encoder(&self, plan: &MemoryPlan) -> usize {
        let (config, exchange) = (&self.model.text, self.model.fusion.direction);
        let texts = self.texts(plan);
        let [first, others @ ..] = config.stage_layers;
        let later: usize = others.iter().sum();
        // Behind the first exchange that informs the text, every sample has a text of its own.
        let informed = if exchange.updates_text() { plan.batch_size } else { texts };
        let of_full = match exchange {
            FusionDirection::None => 0,
            _ => self.text.tokens * (texts * first + informed * later),
        };
        let of_sentences = self.text.sentence_tokens * texts * (first + later);
        let of_layer = match plan.activation_checkpointing {
            ActivationCheckpointing::Off => text_layer(config),
            ActivationCheckpointing::Blocks => config.hidden_size,
        };
        (of_full + of_sentences) * of_layer
    }

    /// Different texts in a batch.
    fn texts(&self, plan: &MemoryPlan) -> usize {
        if self.text.is_by_case { plan.batch_size } else { 1 }
    }

    /// Values of the largest block that is computed once more.
    fn insides(&self, plan: &MemoryPlan) -> usize {
        if plan.activation_checkpointing == ActivationCheckpointing::Off {
            return 0;
        }
        let (vision, batch) = (&self.model.vision, plan.batch_size);
        let up = batch * voxels(plan.patch_size, 0) * vision.channels_at(0) * UP_MAPS;
        let swin = batch * voxels(plan.patch_size, 1) * vision.channels_at(0) * SWIN_MAPS;
        let tokens = (batch * self.text.tokens).max(self.texts(plan) * self.text.sentence_tokens);
        let perceptron = match self.model.fusion.direction {
            FusionDirection::None => 0,
            _ => batch * self.text.tokens.max(voxels(plan.patch_size, 2)) * 2 * self.model.fusion.mlp_size,
        };
        up.max(swin).max(tokens * text_layer(&self.model.text)).max(perceptron)
    }

    /// Values of all exchanges between both sides.
    fn fusions(&self, plan: &MemoryPlan) -> usize {
        let stages = match self.model.fusion.direction {
            FusionDirection::None => return 0,
            FusionDirection::LateOnly => STAGES..=STAGES,
            _ => 1..=self.model.last_fused_stage(),
        };
        let block = |stage: usize| {
            let channels = self.model.vision.channels_at(stage);
            let wide = match plan.activation_checkpointing {
                ActivationCheckpointing::Off => 2 * self.model.fusion.mlp_size,
                ActivationCheckpointing::Blocks => 0,
            };
            let (of_text, of_vision) = fusion(wide, self.model.text.hidden_size, channels);
            self.text.tokens * of_text + voxels(plan.patch_size, stage + 1) * of_vision
        };
        plan.batch_size * stages.map(block).sum::<usize>()
    }

    /// Patches that were cut ahead: those that wait, those that are being cut, and those in use.
    fn samples(&self, plan: &MemoryPlan) -> usize {
        let updates = self.workers.max(1) * (PREFETCH_STEPS + 1) + 1;
        // A label is a byte; in the batch it is a number.
        let values = self.model.vision.channels + 1;
        updates * plan.batch_size * plan.gradient_accumulation_steps * voxels(plan.patch_size, 0) * values
    }
}

/// Voxels of a patch whose sides were halved so many times.
fn voxels(patch: [usize; 3], level: usize) -> usize {
    patch.iter().map(|side| side >> level).product()
}

/// Values of the Swin UNETR for one sample.
fn vision(config: &VisionConfig, plan: &MemoryPlan) -> usize {
    // What is left of a block that is computed once more is what it gives.
    let [residual, shortcut, up, swin] = match plan.activation_checkpointing {
        ActivationCheckpointing::Off => [RESIDUAL_MAPS, 1, UP_MAPS, SWIN_MAPS],
        ActivationCheckpointing::Blocks => [1, 0, 1, 1],
    };
    let finest = voxels(plan.patch_size, 0);
    let mut values = finest * (config.channels + config.channels_at(0) * (residual + shortcut + up));
    for stage in 0..STAGES {
        let convolution = match config.version {
            SwinVersion::V1 => 0,
            SwinVersion::V2 => residual,
        };
        let skip = if stage + 1 < STAGES { residual } else { 0 };
        // What enters the stage and its norm for the skip; what is merged and its norm.
        let maps = 2 + convolution + config.depths[stage] * swin + 2 + skip + up;
        values += voxels(plan.patch_size, stage + 1) * config.channels_at(stage) * maps;
    }
    values + voxels(plan.patch_size, STAGES + 1) * config.channels_at(STAGES) * (2 + residual)
}

/// Values of one layer of the text encoder for each token: its input, queries, keys, values, what is attended to, two
/// sums, a norm, and the wide ones before and after GELU; where values are dropped, which and their input, twice.
fn text_layer(config: &TextConfig) -> usize {
    let dropped = if config.hidden_dropout_prob > 0.0 { 4 } else { 0 };
    (8 + dropped) * config.hidden_size + 2 * config.intermediate_size
}

/// Values of one exchange for each token of the text and of the image, counted for the form that remembers more, two
/// layers both ways; `wide` are those within a perceptron.
fn fusion(wide: usize, hidden: usize, channels: usize) -> (usize, usize) {
    let of_text = 2 * (16 * channels + wide) + 2 * hidden + 6 * channels;
    let of_vision = 2 * (6 * channels + wide);
    (of_text, of_vision)
}

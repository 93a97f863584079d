//! The encoder of Swin UNETR: patch embedding, Swin blocks, patch merging (method.md section 3).

use bipvl_kernels::{WindowPartition, checkpoint};
use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use super::{voxels, window_attention::WindowAttention};
use crate::{
    Cost, InvalidConfig,
    error::{divides, positive},
    init::Initializer,
    layers::{EPSILON, LayerNorm, Linear, Mlp, ResidualBlock},
};

/// Stages of the encoder.
pub(crate) const STAGES: usize = 4;
/// Maps that a Swin block holds for the backward pass beside those of its MLP: its input, a norm, queries, keys and
/// values, the attended values, a sum, a norm.
const BLOCK_MAPS: usize = 8;
/// Maps that a stage boundary holds: the input of the stage, and its normalized copy for the skip.
const BOUNDARY_MAPS: usize = 2;

/// The two published versions of Swin UNETR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SwinVersion {
    /// Swin blocks only.
    V1,
    /// A residual block of convolutions before the blocks of each stage.
    V2,
}

/// Which voxels of a 2³ cube the patch merging concatenates; MONAI's argument `downsample`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PatchMerging {
    /// As MONAI did up to version 1.4 and the paper's code does: two of the eight are used twice and two never
    /// (method.md 3.5).
    #[default]
    #[serde(rename = "merging")]
    V1,
    /// All eight, MONAI's default from version 1.6 on.
    #[serde(rename = "mergingv2")]
    V2,
}

impl PatchMerging {
    /// Parities (4x + 2y + z) of the voxels in the order in which they are concatenated.
    fn parities(self) -> [i64; 8] {
        match self {
            Self::V1 => [0, 4, 2, 1, 5, 2, 1, 7],
            Self::V2 => [0, 4, 2, 1, 6, 5, 3, 7],
        }
    }
}

/// Sizes of a Swin UNETR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwinUnetrConfig {
    /// Channels of the image.
    pub in_channels: usize,
    /// Channels of the first stage; they double with each.
    pub feature_size: usize,
    /// Swin blocks per stage.
    pub depths: [usize; STAGES],
    /// Attention heads per stage.
    pub heads: [usize; STAGES],
    /// Tokens per side of an attention window.
    pub window_size: usize,
    /// With or without the convolutions of version 2.
    pub version: SwinVersion,
    /// Patch merging; pretrained weights fit the version that they were trained with.
    #[serde(default)]
    pub merging: PatchMerging,
}

impl SwinUnetrConfig {
    /// Channels of the feature map of a level.
    pub fn channels_at(&self, level: usize) -> usize {
        self.feature_size << level
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        positive("in_channels", self.in_channels)?;
        positive("feature_size", self.feature_size)?;
        positive("window_size", self.window_size)?;
        for (stage, heads) in self.heads.iter().enumerate() {
            divides(&format!("heads in stage {}", stage + 1), *heads, self.channels_at(stage))?;
        }
        Ok(())
    }
}

/// Patch embedding and four stages.
#[derive(Module, Debug)]
pub struct SwinEncoder {
    /// 2³ voxels → one token.
    pub patch_embed: Linear,
    /// From fine to coarse.
    pub stages: Vec<SwinStage>,
}

impl SwinEncoder {
    /// Randomly initialized.
    pub fn new(init: &mut Initializer, config: &SwinUnetrConfig) -> Self {
        Self {
            patch_embed: init.linear(8 * config.in_channels, config.feature_size),
            stages: (0..STAGES).map(|stage| SwinStage::new(init, config, stage)).collect(),
        }
    }

    /// # Shapes
    ///
    /// - `image`: `[batch, x, y, z, in_channels]`
    /// - output: `[batch, x/2, y/2, z/2, feature_size]`
    pub fn embed_patches(&self, image: Tensor<5>) -> Tensor<5> {
        let [batch, x, y, z, channels] = image.dims();
        // [.., x, .., y, .., z, ..] -> [.., 2·2·2·channels]
        let cubes = image
            .reshape([batch, x / 2, 2, y / 2, 2, z / 2, 2, channels])
            .permute([0, 1, 3, 5, 2, 4, 6, 7])
            .reshape([batch, x / 2, y / 2, z / 2, 8 * channels]);
        self.patch_embed.forward(cubes)
    }

    /// Cost of one patch; the normalized feature maps that the decoder reads are counted here.
    pub(super) fn cost(&self, patch: [usize; 3]) -> Cost {
        let [in_features, feature_size] = self.patch_embed.weight.dims();
        let tokens = voxels(patch, 1);
        let mut cost = self.patch_embed.cost(tokens) + Cost::activations(tokens * in_features);
        for (stage, block) in self.stages.iter().enumerate() {
            let size = patch.map(|side| side >> (stage + 1));
            cost += Cost::activations(BOUNDARY_MAPS * voxels(size, 0) * (feature_size << stage));
            cost += block.cost(size);
        }
        let (stages, deepest) = (self.stages.len(), feature_size << self.stages.len());
        cost + Cost::activations(BOUNDARY_MAPS * voxels(patch, stages + 1) * deepest)
    }
}

/// Blocks of one resolution, and the merging to the next.
#[derive(Module, Debug)]
pub struct SwinStage {
    /// The convolutions of version 2.
    pub convolution: Option<ResidualBlock>,
    /// Blocks with plain and with shifted windows in turn.
    pub blocks: Vec<SwinBlock>,
    /// To half the resolution and twice the channels.
    pub merging: PatchMergingLayer,
    window: usize,
    #[module(skip)]
    patch_merging: PatchMerging,
}

impl SwinStage {
    fn new(init: &mut Initializer, config: &SwinUnetrConfig, stage: usize) -> Self {
        let channels = config.channels_at(stage);
        let (heads, window) = (config.heads[stage], config.window_size);
        let convolution = match config.version {
            SwinVersion::V1 => None,
            SwinVersion::V2 => Some(ResidualBlock::new(init, channels, channels)),
        };
        let blocks =
            (0..config.depths[stage]).map(|_| SwinBlock::new(init, channels, heads, window)).collect();
        let merging = PatchMergingLayer::new(init, channels);
        Self { convolution, blocks, merging, window, patch_merging: config.merging }
    }

    /// # Shapes
    ///
    /// - input: `[batch, x, y, z, channels]`
    /// - output: `[batch, x/2, y/2, z/2, 2 · channels]`
    pub fn forward(&self, features: Tensor<5>) -> Tensor<5> {
        let [_, x, y, z, _] = features.dims();
        let mut features = match &self.convolution {
            Some(convolution) => convolution.forward(features),
            None => features,
        };
        let plain = WindowPartition::new([x, y, z], self.window, 0);
        let shifted = WindowPartition::new([x, y, z], self.window, self.window / 2);
        for (block, partition) in self.blocks.iter().zip([plain, shifted].into_iter().cycle()) {
            features = block.forward(features, partition);
        }
        self.merging.forward(features, self.patch_merging.parities())
    }

    /// Cost for a feature map of this size.
    fn cost(&self, size: [usize; 3]) -> Cost {
        let convolution = self.convolution.as_ref().map(|block| block.cost(voxels(size, 0)));
        let blocks: Cost = self.blocks.iter().map(|block| block.cost(size, self.window)).sum();
        convolution.unwrap_or_default() + blocks + self.merging.cost(size)
    }
}

/// Window attention and MLP, each with a norm before it and a residual connection around both.
#[derive(Module, Debug)]
pub struct SwinBlock {
    /// Before the attention.
    pub norm1: LayerNorm,
    /// Inside windows.
    pub attention: WindowAttention,
    /// Before the MLP.
    pub norm2: LayerNorm,
    /// Hidden size four times the channels.
    pub mlp: Mlp,
}

impl SwinBlock {
    fn new(init: &mut Initializer, channels: usize, heads: usize, window: usize) -> Self {
        Self {
            norm1: LayerNorm::new(init, channels, EPSILON),
            attention: WindowAttention::new(init, channels, heads, window),
            norm2: LayerNorm::new(init, channels, EPSILON),
            mlp: Mlp { up: init.linear(channels, 4 * channels), down: init.linear(4 * channels, channels) },
        }
    }

    fn forward(&self, x: Tensor<5>, partition: WindowPartition) -> Tensor<5> {
        checkpoint(self, [x], move |block, [x]| {
            let x = x.clone() + block.attention.forward(block.norm1.forward(x), partition);
            x.clone() + block.mlp.forward(block.norm2.forward(x))
        })
    }

    fn cost(&self, size: [usize; 3], window: usize) -> Cost {
        let tokens = voxels(size, 0);
        let map = tokens * self.norm1.gamma.dims()[0];
        let layers = self.norm1.cost() + self.attention.cost(size, window) + self.norm2.cost();
        (layers + self.mlp.cost(tokens) + Cost::activations(BLOCK_MAPS * map)).checkpointed(map)
    }
}

/// The eight voxels of each 2³ cube become one token of twice the channels.
#[derive(Module, Debug)]
pub struct PatchMergingLayer {
    /// Over the concatenated channels.
    pub norm: LayerNorm,
    /// From eight times to twice the channels.
    pub reduction: Linear,
}

impl PatchMergingLayer {
    fn new(init: &mut Initializer, channels: usize) -> Self {
        Self {
            norm: LayerNorm::new(init, 8 * channels, EPSILON),
            reduction: init.linear_without_bias(8 * channels, 2 * channels),
        }
    }

    fn forward(&self, features: Tensor<5>, parities: [i64; 8]) -> Tensor<5> {
        let [batch, x, y, z, channels] = features.dims();
        let [hx, hy, hz] = [x, y, z].map(|size| size.div_ceil(2));
        let far = [2 * hx - x, 2 * hy - y, 2 * hz - z];
        let features = if far == [0; 3] {
            features
        } else {
            features.pad([(0, 0), (0, far[0]), (0, far[1]), (0, far[2]), (0, 0)], 0.0)
        };
        let order = Tensor::<1, Int>::from_data(TensorData::new(parities.to_vec(), [8]), &features.device());
        // [batch, 2hx, 2hy, 2hz, channels] -> [voxels, 8, channels] -> [batch, hx, hy, hz, 8·channels]
        let concatenated = features
            .reshape([batch, hx, 2, hy, 2, hz, 2, channels])
            .permute([0, 1, 3, 5, 2, 4, 6, 7])
            .reshape([batch * hx * hy * hz, 8, channels])
            .select(1, order)
            .reshape([batch, hx, hy, hz, 8 * channels]);
        self.reduction.forward(self.norm.forward(concatenated))
    }

    /// Cost for a feature map of this size; the concatenated channels and their norm are held.
    fn cost(&self, size: [usize; 3]) -> Cost {
        let tokens: usize = size.iter().map(|side| side.div_ceil(2)).product();
        let [in_features, _] = self.reduction.weight.dims();
        self.norm.cost() + self.reduction.cost(tokens) + Cost::activations(2 * tokens * in_features)
    }
}

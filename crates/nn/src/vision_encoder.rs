//! The Swin stages of the vision encoder: patch embedding, blocks, merging (paper.md section 3).

use bipvl_kernels::{WindowPartition, checkpoint};
use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use super::{
    init::Initializer,
    layers::{EPSILON, LayerNorm, Linear, Mlp, ResidualBlock},
    window_attention::WindowAttention,
};

/// Stages of both encoders.
pub const STAGES: usize = 4;
/// Sides of a patch are multiples of this: patch embedding and four mergings each halve it.
pub const PATCH_MULTIPLE: usize = 32;

/// The two published forms of Swin UNETR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SwinVersion {
    /// Swin blocks only.
    V1,
    /// A residual block of convolutions before the blocks of each stage.
    V2,
}

/// Which voxels of a 2³ cube the patch merging joins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PatchMerging {
    /// As MONAI did up to version 1.4 and the paper's code does: two of the eight stand twice and two are
    /// left out (paper.md 3.5).
    #[default]
    #[serde(rename = "merging")]
    V1,
    /// All eight, as MONAI 1.6 does.
    #[serde(rename = "mergingv2")]
    V2,
}

impl PatchMerging {
    /// Parities (4x + 2y + z) of the voxels in the order in which they are joined.
    fn parities(self) -> [i64; 8] {
        match self {
            Self::V1 => [0, 4, 2, 1, 5, 2, 1, 7],
            Self::V2 => [0, 4, 2, 1, 6, 5, 3, 7],
        }
    }
}

/// Sizes of the vision side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Input channels of a case.
    pub channels: usize,
    /// Channels of the first stage; they double with each.
    pub feature_size: usize,
    /// Swin blocks per stage.
    pub depths: [usize; STAGES],
    /// Attention heads per stage.
    pub heads: [usize; STAGES],
    /// Side of an attention window in tokens.
    pub window_size: usize,
    /// With or without the convolutions of version 2.
    pub version: SwinVersion,
    /// Which voxels the patch merging joins; published weights fit the form they were trained with.
    #[serde(default)]
    pub merging: PatchMerging,
}

impl VisionConfig {
    /// Channels of the feature map that enters stage `stage` (0 to 4; 4 is the bottleneck).
    pub fn channels_at(&self, stage: usize) -> usize {
        self.feature_size << stage
    }
}

/// Patch embedding and four stages.
#[derive(Module, Debug)]
pub struct VisionEncoder {
    /// 2³ voxels → one token.
    pub patch_embed: Linear,
    /// From fine to coarse.
    pub stages: Vec<VisionStage>,
}

impl VisionEncoder {
    /// First weights for these sizes.
    pub fn new(init: &mut Initializer, config: &VisionConfig) -> Self {
        Self {
            patch_embed: init.linear(8 * config.channels, config.feature_size),
            stages: (0..STAGES).map(|stage| VisionStage::new(init, config, stage)).collect(),
        }
    }

    /// # Shapes
    ///
    /// - `image`: `[batch, x, y, z, channels]`
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
}

/// Blocks of one resolution, and the merging to the next.
#[derive(Module, Debug)]
pub struct VisionStage {
    /// The convolutions of version 2.
    pub convolution: Option<ResidualBlock>,
    /// Plain and shifted blocks in turn.
    pub blocks: Vec<SwinBlock>,
    /// To half the resolution and twice the channels.
    pub merging: PatchMergingLayer,
    window: usize,
    #[module(skip)]
    patch_merging: PatchMerging,
}

impl VisionStage {
    fn new(init: &mut Initializer, config: &VisionConfig, stage: usize) -> Self {
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
}

/// Window attention and a perceptron, each with its norm and around which the input is carried.
#[derive(Module, Debug)]
pub struct SwinBlock {
    /// Before the attention.
    pub norm1: LayerNorm,
    /// Inside windows.
    pub attention: WindowAttention,
    /// Before the perceptron.
    pub norm2: LayerNorm,
    /// Four times as wide inside.
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
}

/// The eight voxels of each 2³ cube become one token of twice the channels.
#[derive(Module, Debug)]
pub struct PatchMergingLayer {
    /// Over the joined channels.
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
        let patch_merging =
            Tensor::<1, Int>::from_data(TensorData::new(parities.to_vec(), [8]), &features.device());
        // [batch, 2hx, 2hy, 2hz, channels] -> [voxels, 8, channels] -> [batch, hx, hy, hz, 8·channels]
        let joined = features
            .reshape([batch, hx, 2, hy, 2, hz, 2, channels])
            .permute([0, 1, 3, 5, 2, 4, 6, 7])
            .reshape([batch * hx * hy * hz, 8, channels])
            .select(1, patch_merging)
            .reshape([batch, hx, hy, hz, 8 * channels]);
        self.reduction.forward(self.norm.forward(joined))
    }
}

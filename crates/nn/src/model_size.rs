//! Named model sizes: `paper`, `small`, `tiny`.

use std::{fmt, str::FromStr};

use crate::{
    BackboneConfig, BiPvlSegConfig, BottleneckInput, HeadKind, PatchMerging, SwinUnetrConfig, SwinVersion,
    TextConfig,
    bifusion::{FusionBlockKind, FusionConfig, FusionDirection, TextResidual, TextSelfAttention},
    prompts::PromptHeadConfig,
};

/// A named set of sizes of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelSize {
    /// As published: feature size 48, BERT-base, patches of 96³.
    Paper,
    /// Feature size 24, a text encoder of 12 layers with 128 channels, patches of 64³.
    Small,
    /// Trains on a CPU: feature size 16, 12 layers with 64 channels, patches of 32³.
    Tiny,
}

/// All names.
pub const MODEL_SIZES: [&str; 3] = ["paper", "small", "tiny"];

impl ModelSize {
    /// Voxels of a training patch.
    pub fn patch(self) -> [usize; 3] {
        match self {
            Self::Paper => [96; 3],
            Self::Small => [64; 3],
            Self::Tiny => [32; 3],
        }
    }

    /// The configuration for images with so many channels.
    pub fn config(self, in_channels: usize) -> BiPvlSegConfig {
        let (vision, text, fusion, projection_dim) = match self {
            Self::Paper => {
                (vision(in_channels, 48, [3, 6, 12, 24], 7), text(28_996, 768, 12, 0.1), fusion(8, 2048), 128)
            }
            Self::Small => {
                (vision(in_channels, 24, [3, 6, 12, 24], 7), text(0, 128, 4, 0.0), fusion(8, 256), 64)
            }
            Self::Tiny => {
                (vision(in_channels, 16, [2, 4, 8, 16], 4), text(0, 64, 4, 0.0), fusion(4, 128), 32)
            }
        };
        BiPvlSegConfig {
            head: HeadKind::Channels,
            vision,
            text,
            fusion,
            bottleneck: BottleneckInput::AfterFusion,
            projection_dim,
            deep_supervision_levels: 0,
            prompts: PromptHeadConfig::default(),
        }
    }

    /// The sizes of the prompted form: text tokens keep a residual connection and attend within their prompt. As
    /// published, all prompts would become one.
    pub fn prompted_config(self, channels: usize) -> BiPvlSegConfig {
        let mut config = self.config(channels);
        config.head = HeadKind::Prompts;
        config.fusion.text_residual = TextResidual::On;
        config.fusion.text_self_attention = TextSelfAttention::PerClass;
        config
    }
}

fn vision(in_channels: usize, feature_size: usize, heads: [usize; 4], window_size: usize) -> BackboneConfig {
    let (version, merging) = (SwinVersion::V2, PatchMerging::V1);
    let depths = [2; 4];
    BackboneConfig::SwinUnetr(SwinUnetrConfig {
        in_channels,
        feature_size,
        depths,
        heads,
        window_size,
        version,
        merging,
    })
}

fn text(vocab_size: usize, hidden_size: usize, heads: usize, dropout: f32) -> TextConfig {
    TextConfig {
        vocab_size,
        hidden_size,
        num_attention_heads: heads,
        intermediate_size: 4 * hidden_size,
        max_position_embeddings: 512,
        stage_layers: vec![6, 2, 2, 2],
        hidden_dropout_prob: dropout,
        layer_norm_eps: 1e-12,
    }
}

fn fusion(heads: usize, mlp_size: usize) -> FusionConfig {
    let (block, direction, text_residual) =
        (FusionBlockKind::TwoWay, FusionDirection::Bidirectional, TextResidual::Off);
    FusionConfig {
        heads,
        mlp_size,
        block,
        direction,
        text_residual,
        class_scale: false,
        text_self_attention: TextSelfAttention::Joint,
    }
}

impl fmt::Display for ModelSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [paper, small, tiny] = MODEL_SIZES;
        f.write_str(match self {
            Self::Paper => paper,
            Self::Small => small,
            Self::Tiny => tiny,
        })
    }
}

impl FromStr for ModelSize {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Paper, Self::Small, Self::Tiny]
            .into_iter()
            .find(|size| size.to_string() == name)
            .ok_or_else(|| format!("expected one of {}, found \"{name}\"", MODEL_SIZES.join(", ")))
    }
}

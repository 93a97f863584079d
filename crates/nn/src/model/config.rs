//! Configuration of the network, its validation, and random initialization.

use serde::{Deserialize, Serialize};

use super::BiPvlSeg;
use crate::{
    HeadConfig, InvalidConfig,
    backbone::{Backbone, BackboneConfig},
    bifusion::{BiFusion, ClassScale, FusionConfig, FusionDirection, TextOutput},
    error::{divides, positive},
    heads::{AlignmentHeads, ClassEmbeddingHead, SegmentationHead},
    init::Initializer,
    prompts::PromptHeadConfig,
    text_encoder::{TextConfig, TextEncoder},
};

/// Sizes of the whole network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BiPvlSegConfig {
    /// What makes the masks.
    #[serde(default, skip_serializing_if = "HeadKind::is_default")]
    pub head: HeadKind,
    /// Image encoder and decoder.
    pub vision: BackboneConfig,
    /// BERT.
    pub text: TextConfig,
    /// The blocks between both encoders.
    pub fusion: FusionConfig,
    /// Input of the decoder.
    #[serde(default)]
    pub bottleneck: BottleneckInput,
    /// Size of the shared space of the alignment loss.
    pub projection_dim: usize,
    /// Coarser scales of the decoder with a loss of their own (deep supervision), 0 to the number of stages; each adds
    /// a linear layer, which prediction leaves out.
    #[serde(default)]
    pub deep_supervision_levels: usize,
    /// The head of the prompted form ([`crate::prompts`]).
    #[serde(default, skip_serializing_if = "PromptHeadConfig::is_default")]
    pub prompts: PromptHeadConfig,
}

/// What makes the masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// A logit channel per class, as in the paper; the classes are fixed.
    #[default]
    Channels,
    /// A dot product per prompt ([`crate::prompts`]); any number of prompts in any words.
    Prompts,
}

impl HeadKind {
    /// Whether it is that of the paper.
    pub fn is_default(&self) -> bool {
        *self == Self::Channels
    }
}

/// Input of the decoder (method.md section 11, row 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BottleneckInput {
    /// The last stage after its fusion block. The default: the figure has a block after every stage, and one whose
    /// output is not used would be none.
    #[default]
    AfterFusion,
    /// The last stage before fusion, as in the published code; it has no fusion block then.
    BeforeFusion,
}

impl BiPvlSegConfig {
    /// Index (1-based) of the last fused encoder stage.
    pub fn last_fused_stage(&self) -> usize {
        match self.bottleneck {
            BottleneckInput::AfterFusion => self.vision.num_stages(),
            BottleneckInput::BeforeFusion => self.vision.num_stages() - 1,
        }
    }

    /// Indices (1-based) of the stages with a fusion block.
    fn fused_stages(&self) -> impl Iterator<Item = usize> {
        let last = self.last_fused_stage();
        let first = match self.fusion.direction {
            FusionDirection::None => last + 1,
            FusionDirection::LateOnly => self.vision.num_stages(),
            FusionDirection::Bidirectional
            | FusionDirection::TextToVision
            | FusionDirection::VisionToText => 1,
        };
        first..=last
    }

    /// Whether the sizes fit together.
    ///
    /// # Errors
    ///
    /// When they do not.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        self.vision.validate().map_err(|error| error.within("vision"))?;
        let num_stages = self.vision.num_stages();
        self.text.validate(num_stages).map_err(|error| error.within("text"))?;
        positive("fusion.mlp_size", self.fusion.mlp_size)?;
        positive("projection_dim", self.projection_dim)?;
        if self.deep_supervision_levels > num_stages {
            let requirement = format!("0 to {num_stages}");
            return Err(InvalidConfig::new(
                "deep_supervision_levels",
                self.deep_supervision_levels,
                requirement,
            ));
        }
        for stage in 1..=num_stages {
            divides("fusion.heads", self.fusion.heads, self.vision.channels_at(stage) / 2)?;
        }
        let is_late = self.fusion.direction == FusionDirection::LateOnly;
        if is_late && self.bottleneck == BottleneckInput::BeforeFusion {
            let requirement =
                "\"after_fusion\" with a fusion.direction of \"late_only\", which fuses the last stage";
            return Err(InvalidConfig::new("bottleneck", "\"before_fusion\"", requirement));
        }
        Ok(())
    }

    /// Randomly initialized, for training patches of `patch` voxels.
    pub fn init(&self, head: HeadConfig, patch: [usize; 3], init: &mut Initializer) -> BiPvlSeg {
        let HeadConfig { num_classes, out_channels } = head;
        let hidden = self.text.hidden_size;
        let deepest = self.vision.channels_at(self.vision.num_stages());
        let bottleneck_voxels = patch.iter().map(|side| side / self.vision.patch_multiple()).product();
        // The order of what follows decides which weights a seed gives.
        let fusions = self.fused_stages().map(|stage| self.init_fusion(init, stage)).collect();
        let encoder = self.vision.init_encoder(init);
        let text_encoder = TextEncoder::new(init, &self.text);
        let decoder = self.vision.init_decoder(init);
        let segmentation = SegmentationHead::new(init, self.vision.decoder_channels_at(0), out_channels);
        let class_embedding = ClassEmbeddingHead::new(init, deepest, out_channels);
        let alignment = AlignmentHeads::new(init, bottleneck_voxels, hidden, self.projection_dim);
        let aux_channels =
            (1..=self.deep_supervision_levels).map(|scale| self.vision.decoder_channels_at(scale));
        let segmentation = segmentation.with_deep_supervision(init, aux_channels);
        let class_scale = self.fusion.class_scale.then(|| ClassScale::new(init, num_classes, hidden));
        let backbone = Backbone { encoder, decoder };
        let direction = self.fusion.direction;
        BiPvlSeg {
            backbone,
            text_encoder,
            fusions,
            segmentation,
            class_embedding,
            alignment,
            class_scale,
            direction,
        }
    }

    fn init_fusion(&self, init: &mut Initializer, stage: usize) -> BiFusion {
        let text_output = match self.fusion.direction {
            FusionDirection::Bidirectional if stage < self.last_fused_stage() => TextOutput::Required,
            FusionDirection::VisionToText => TextOutput::Required,
            _ => TextOutput::Unused,
        };
        let channels = self.vision.channels_at(stage);
        BiFusion::new(init, &self.fusion, self.text.hidden_size, channels, text_output)
    }
}

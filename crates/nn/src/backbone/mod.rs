//! The backbone: an image encoder that is run stage by stage, and the decoder over its feature maps.
//!
//! A new backbone is a file beside `swin.rs`, a variant of [`BackboneConfig`] and of [`Encoder`]; the compiler
//! lists the places. Level 0 is the output of the stem at half the resolution of the image; each stage halves the
//! resolution once more, so that stage `i` (from 1) ends at level `i`, with stride 2ⁱ⁺¹.

pub mod decoder;
pub mod swin;
pub mod window_attention;

use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};

pub use decoder::{Decoder, DecoderInput, DecoderOutput};
pub use swin::{PatchMerging, SwinEncoder, SwinUnetrConfig, SwinVersion};

use crate::{Cost, InvalidConfig, init::Initializer};

/// Architecture of a backbone and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BackboneConfig {
    /// Swin UNETR, versions 1 and 2 (method.md section 3).
    SwinUnetr(SwinUnetrConfig),
}

impl BackboneConfig {
    /// Channels of the image.
    pub fn in_channels(&self) -> usize {
        match self {
            Self::SwinUnetr(config) => config.in_channels,
        }
    }

    /// The same for images with more channels.
    #[must_use]
    pub fn with_more_channels(mut self, more: usize) -> Self {
        match &mut self {
            Self::SwinUnetr(config) => config.in_channels += more,
        }
        self
    }

    /// Stages of the encoder; the text encoder has as many.
    pub fn num_stages(&self) -> usize {
        match self {
            Self::SwinUnetr(config) => config.depths.len(),
        }
    }

    /// Channels of the feature map of a level, 0 to [`Self::num_stages`]; the last is the bottleneck.
    pub fn channels_at(&self, level: usize) -> usize {
        match self {
            Self::SwinUnetr(config) => config.channels_at(level),
        }
    }

    /// Channels of the decoder's feature map of a scale, `1/2ˢ` of the image.
    pub fn decoder_channels_at(&self, scale: usize) -> usize {
        self.channels_at(scale.saturating_sub(1))
    }

    /// Voxels per axis of the image that one voxel of a level covers.
    pub fn stride_at(&self, level: usize) -> usize {
        2 << level
    }

    /// The sides of a patch are multiples of this: the stride of the bottleneck.
    pub fn patch_multiple(&self) -> usize {
        self.stride_at(self.num_stages())
    }

    /// Whether the sizes fit together.
    ///
    /// # Errors
    ///
    /// When they do not; keys are relative to this table.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        match self {
            Self::SwinUnetr(config) => config.validate(),
        }
    }

    /// Randomly initialized encoder.
    pub fn init_encoder(&self, init: &mut Initializer) -> Encoder {
        match self {
            Self::SwinUnetr(config) => Encoder::Swin(SwinEncoder::new(init, config)),
        }
    }

    /// Randomly initialized decoder.
    pub fn init_decoder(&self, init: &mut Initializer) -> Decoder {
        let channels: Vec<usize> = (0..=self.num_stages()).map(|level| self.channels_at(level)).collect();
        Decoder::new(init, self.in_channels(), &channels)
    }
}

/// Image encoder and decoder. Feature maps are channels-last, `[batch, x, y, z, channels]`.
#[derive(Module, Debug)]
pub struct Backbone {
    /// From the image to the bottleneck, stage by stage.
    pub encoder: Encoder,
    /// From the bottleneck and the skip connections to feature maps of every scale.
    pub decoder: Decoder,
}

impl Backbone {
    /// Stages of the encoder.
    pub fn num_stages(&self) -> usize {
        self.encoder.num_stages()
    }

    /// The sides of a patch are multiples of this.
    pub fn patch_multiple(&self) -> usize {
        2 << self.num_stages()
    }

    /// The stem.
    ///
    /// # Shapes
    ///
    /// - `image`: `[batch, x, y, z, in_channels]`
    /// - output: level 0, `[batch, x/2, y/2, z/2, channels]`
    pub fn embed(&self, image: Tensor<5>) -> Tensor<5> {
        match &self.encoder {
            Encoder::Swin(encoder) => encoder.embed_patches(image),
        }
    }

    /// One stage, counted from 0: from the feature map of level `stage` to that of level `stage + 1`.
    pub fn encode_stage(&self, stage: usize, features: Tensor<5>) -> Tensor<5> {
        match &self.encoder {
            Encoder::Swin(encoder) => encoder.stages[stage].forward(features),
        }
    }

    /// The decoder's feature maps of the `num_scales` finest scales, 1 at least.
    pub fn decode(&self, input: DecoderInput, num_scales: usize) -> DecoderOutput {
        self.decoder.forward(input, num_scales)
    }
}

/// An image encoder.
#[derive(Module, Debug)]
pub enum Encoder {
    /// Patch embedding and Swin stages.
    Swin(SwinEncoder),
}

impl Encoder {
    /// Stages of the encoder.
    pub fn num_stages(&self) -> usize {
        match self {
            Self::Swin(encoder) => encoder.stages.len(),
        }
    }

    /// Cost for a batch of patches, with the normalized feature maps that the decoder reads.
    pub fn cost(&self, batch: usize, patch: [usize; 3]) -> Cost {
        match self {
            Self::Swin(encoder) => encoder.cost(patch).batched(batch),
        }
    }
}

/// Voxels of a patch at a stride of 2ⁿ.
pub(crate) fn voxels(patch: [usize; 3], halvings: usize) -> usize {
    patch.iter().map(|side| side >> halvings).product()
}

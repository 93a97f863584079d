//! Swin UNETR alone: the vision side without any text, as MONAI publishes it.

use burn::{module::Module, tensor::Tensor};

use super::{
    channels_first, channels_last,
    decoder::{Decoder, DecoderInput},
    init::Initializer,
    layers::normalize,
    vision_encoder::{STAGES, VisionConfig, VisionEncoder},
};

/// Both modules of the vision side; its tensors have the names that they have in the whole network.
#[derive(Module, Debug)]
pub struct SwinUnetr {
    /// Swin stages.
    pub vision_encoder: VisionEncoder,
    /// From the bottleneck and the skips to the logits.
    pub decoder: Decoder,
}

impl SwinUnetr {
    /// First weights for `outputs` logit channels.
    pub fn new(init: &mut Initializer, config: &VisionConfig, out_channels: usize) -> Self {
        Self {
            vision_encoder: VisionEncoder::new(init, config),
            decoder: Decoder::new(init, config, out_channels),
        }
    }

    /// Stages, skips, decoder.
    ///
    /// # Shapes
    ///
    /// - `image`: `[batch, channels, x, y, z]`, sides multiples of 32
    /// - output: logits, `[batch, outputs, x, y, z]`
    pub fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        let image = channels_last(image);
        let mut x = self.vision_encoder.embed_patches(image.clone());
        let mut skips = Vec::with_capacity(STAGES);
        for stage in &self.vision_encoder.stages {
            skips.push(normalize(x.clone()));
            x = stage.forward(x);
        }
        let skips = skips.try_into().expect("one skip per stage");
        let input = DecoderInput { image, skips, bottleneck: normalize(x) };
        channels_first(self.decoder.forward(input).logits)
    }
}

//! A backbone with a segmentation head and no text; with Swin UNETR, the network that MONAI publishes.

use burn::{module::Module, tensor::Tensor};

use crate::{
    Cost,
    backbone::{Backbone, BackboneConfig, DecoderInput},
    heads::SegmentationHead,
    init::Initializer,
    layers::normalize,
    model::{channels_first, channels_last},
};

/// Image encoder, decoder and head; its tensors have the names that they have in [`crate::BiPvlSeg`].
#[derive(Module, Debug)]
pub struct VisionSeg {
    /// From the image to feature maps.
    pub backbone: Backbone,
    /// From feature maps to logits.
    pub segmentation: SegmentationHead,
}

impl VisionSeg {
    /// Randomly initialized, with `out_channels` channels of the logits.
    pub fn new(init: &mut Initializer, config: &BackboneConfig, out_channels: usize) -> Self {
        let backbone = Backbone { encoder: config.init_encoder(init), decoder: config.init_decoder(init) };
        let segmentation = SegmentationHead::new(init, config.decoder_channels_at(0), out_channels);
        Self { backbone, segmentation }
    }

    /// # Shapes
    ///
    /// - `image`: `[batch, channels, x, y, z]`, sides multiples of [`Backbone::patch_multiple`]
    /// - output: logits, `[batch, out_channels, x, y, z]`
    pub fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        let image = channels_last(image);
        let mut features = self.backbone.embed(image.clone());
        let mut skips = Vec::with_capacity(self.backbone.num_stages());
        for stage in 0..self.backbone.num_stages() {
            skips.push(normalize(features.clone()));
            features = self.backbone.encode_stage(stage, features);
        }
        let input = DecoderInput { image, skips, bottleneck: normalize(features) };
        let features = self.backbone.decode(input, 1).features;
        channels_first(
            self.segmentation.logits.forward(features.into_iter().next().expect("the finest scale")),
        )
    }

    /// Cost for one patch.
    pub fn cost(&self, patch: [usize; 3]) -> Cost {
        let backbone = self.backbone.encoder.cost(1, patch) + self.backbone.decoder.cost(1, patch);
        backbone + self.segmentation.cost(1, patch)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::{PatchMerging, SwinUnetrConfig, SwinVersion};

    /// Billions of operations that torch 2.15.0's `FlopCounterMode` counts in MONAI 1.6.1's
    /// `SwinUNETR(in_channels=1, out_channels=14, use_v2=…)`.
    const REFERENCE: [(SwinVersion, usize, usize, f64); 3] = [
        (SwinVersion::V1, 48, 96, 637.049_465_472),
        (SwinVersion::V1, 12, 64, 14.077_941_792),
        (SwinVersion::V2, 24, 64, 54.820_273_728),
    ];

    fn network(version: SwinVersion, feature_size: usize) -> VisionSeg {
        let config = SwinUnetrConfig {
            in_channels: 1,
            feature_size,
            depths: [2; 4],
            heads: [3, 6, 12, 24],
            window_size: 7,
            version,
            merging: PatchMerging::V2,
        };
        VisionSeg::new(&mut Initializer::zeros(&Device::flex()), &BackboneConfig::SwinUnetr(config), 14)
    }

    #[test]
    fn flops_of_a_swin_unetr_are_those_that_pytorch_counts() {
        for (version, feature_size, side, expected) in REFERENCE {
            let found = network(version, feature_size).cost([side; 3]).gflops();
            assert!((found - expected).abs() < 1e-6 * expected, "expected {expected}, found {found}");
        }
    }

    #[test]
    fn parameters_are_those_of_the_module() {
        let network = network(SwinVersion::V2, 12);
        assert_eq!(network.cost([32; 3]).parameters, network.num_params());
    }

    #[test]
    fn the_sides_of_a_patch_may_differ() {
        let network = network(SwinVersion::V2, 12);
        let flops = |patch| network.cost(patch).flops;
        assert_eq!(flops([32, 64, 32]), flops([64, 32, 32]));
        assert!(flops([32; 3]) < flops([32, 64, 32]) && flops([32, 64, 32]) < flops([64; 3]));
    }
}

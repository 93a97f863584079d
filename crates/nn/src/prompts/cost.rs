//! What a prompted network costs.

use burn::module::Module;

use super::PromptSeg;
use crate::{Cost, VisionSeg, backbone::voxels, heads::SegmentationHead, init::Initializer};

impl PromptSeg {
    /// Cost of one patch in prediction for so many prompts of so many tokens, whose first text stage is encoded before.
    pub fn patch_cost(&self, patch: [usize; 3], prompts: usize, tokens: usize) -> Cost {
        let image = self.backbone.encoder.cost(1, patch) + self.backbone.decoder.cost(1, patch);
        let stages = 0..self.backbone.num_stages();
        let text: Cost =
            stages.clone().skip(1).map(|stage| self.text_encoder.stage_cost(stage, prompts, tokens)).sum();
        let fusion = |stage| Some(self.fusion(stage)?.cost(prompts * tokens, voxels(patch, stage + 2)));
        let fusions: Cost = stages.filter_map(fusion).sum();
        let channels = self.head.masks[0].weight.weight.dims()[1];
        let masks = Cost::new(0, voxels(patch, 0) * channels * prompts, 0);
        (image + text + fusions + masks).without_parameters() + Cost::new(self.num_params(), 0, 0)
    }

    /// Learned parameters by block.
    pub fn parameters(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("encoder", self.backbone.encoder.num_params()),
            ("decoder", self.backbone.decoder.num_params()),
            ("text_encoder", self.text_encoder.num_params()),
            ("fusions", self.fusions.num_params()),
            ("head", self.head.num_params()),
        ]
    }

    /// The image alone through the same backbone, with one channel of logits: what the prompts add is beside it.
    pub fn without_text(&self, init: &mut Initializer) -> VisionSeg {
        let channels = self.head.masks[0].weight.weight.dims()[1];
        let segmentation = SegmentationHead::new(init, channels, 1);
        VisionSeg { backbone: self.backbone.clone(), segmentation }
    }
}

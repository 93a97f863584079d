//! What a forward pass of the whole network costs, block by block.

use burn::module::Module;

use super::BiPvlSeg;
use crate::{
    Cost, ForwardShape, TextShape,
    backbone::voxels,
    bifusion::{BiFusion, ClassScale},
};

impl BiPvlSeg {
    /// Cost of a forward pass in training, by block.
    pub fn costs(&self, shape: &ForwardShape) -> Vec<(&'static str, Cost)> {
        let ForwardShape { patch, batch, num_texts, text } = *shape;
        let bottleneck = batch * voxels(patch, self.backbone.num_stages() + 1);
        let sentences = num_texts * text.num_sentences;
        vec![
            ("encoder", self.backbone.encoder.cost(batch, patch)),
            ("decoder", self.backbone.decoder.cost(batch, patch)),
            ("segmentation", self.segmentation.cost(batch, patch)),
            ("text_encoder", self.text_cost(shape)),
            ("fusions", self.fusion_cost(patch, text).batched(batch)),
            ("class_embedding", self.class_embedding.cost(bottleneck)),
            ("alignment", self.alignment.cost(batch * text.num_classes, sentences)),
            ("class_scale", self.class_scale.as_ref().map(ClassScale::cost).unwrap_or_default()),
        ]
    }

    /// Learned parameters by block.
    pub fn parameters(&self) -> Vec<(&'static str, usize)> {
        let patch = [self.backbone.patch_multiple(); 3];
        // Parameters depend on no text.
        let text = TextShape { num_classes: 1, tokens: 0, num_sentences: 0, sentence_tokens: 0 };
        let costs = self.costs(&ForwardShape { patch, batch: 1, num_texts: 1, text });
        costs.into_iter().map(|(block, cost)| (block, cost.parameters)).collect()
    }

    /// Cost of a forward pass in training.
    pub fn cost(&self, shape: &ForwardShape) -> Cost {
        self.costs(shape).into_iter().map(|(_, cost)| cost).sum()
    }

    /// Cost of one patch in prediction: the text stages that no image updates are encoded before.
    pub fn patch_cost(&self, patch: [usize; 3], text: TextShape) -> Cost {
        let backbone = self.backbone.encoder.cost(1, patch) + self.backbone.decoder.cost(1, patch);
        let vision = backbone + self.segmentation.logits.cost(voxels(patch, 0));
        if self.required_text_stages() == 0 {
            return vision;
        }
        vision + self.fusion_cost(patch, text) + self.updated_text_cost(1, text)
    }

    /// Both streams of text: the descriptions, as far as a fusion block reads them, and the sentences.
    fn text_cost(&self, shape: &ForwardShape) -> Cost {
        let ForwardShape { batch, num_texts, text, .. } = *shape;
        let stages = 0..self.text_encoder.stages.len();
        let parameters = Cost::new(self.text_encoder.num_params(), 0, 0);
        let cached = 0..self.cacheable_text_stages();
        let cached: Cost = cached.map(|stage| self.text_stage_cost(stage, num_texts, text)).sum();
        let sentences = num_texts * text.num_sentences;
        let sentences: Cost =
            stages.map(|stage| self.text_encoder.stage_cost(stage, sentences, text.sentence_tokens)).sum();
        parameters
            + cached.without_parameters()
            + self.updated_text_cost(batch, text)
            + sentences.without_parameters()
    }

    /// Stages of the text encoder after the first fusion block that updates the text, for a text per sample.
    fn updated_text_cost(&self, batch: usize, text: TextShape) -> Cost {
        let stages = self.cacheable_text_stages()..self.text_encoder.stages.len();
        let stages = stages.filter(|stage| self.fusion_at(*stage).is_some());
        let cost: Cost = stages.map(|stage| self.text_stage_cost(stage, batch, text)).sum();
        cost.without_parameters()
    }

    fn text_stage_cost(&self, stage: usize, texts: usize, text: TextShape) -> Cost {
        self.text_encoder.stage_cost(stage, texts * text.num_classes, text.tokens)
    }

    /// All fusion blocks, for one sample.
    fn fusion_cost(&self, patch: [usize; 3], text: TextShape) -> Cost {
        let stages =
            (0..self.backbone.num_stages()).filter_map(|stage| Some((stage, self.fusion_at(stage)?)));
        let cost = |(stage, fusion): (usize, &BiFusion)| {
            fusion.cost(text.num_classes * text.tokens, voxels(patch, stage + 2))
        };
        stages.map(cost).sum()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::{
        BiPvlSegConfig, HeadConfig, ModelSize,
        bifusion::{FusionBlockKind, FusionDirection, TextOutput},
        init::Initializer,
    };

    /// AMOS22: 15 classes of 141 tokens.
    const TEXT: TextShape =
        TextShape { num_classes: 15, tokens: 141, num_sentences: 90, sentence_tokens: 30 };
    const PATCH: [usize; 3] = [96; 3];

    fn model(config: &BiPvlSegConfig) -> BiPvlSeg {
        let mut init = Initializer::zeros(&Device::flex());
        config.init(HeadConfig::exclusive(TEXT.num_classes), PATCH, &mut init)
    }

    /// The network of the paper with few word embeddings, which cost no operation.
    fn paper() -> BiPvlSegConfig {
        let mut config = ModelSize::Paper.config(1);
        config.text.vocab_size = 1;
        config
    }

    #[test]
    fn parameters_are_those_of_the_module() {
        for block in [FusionBlockKind::TwoWay, FusionBlockKind::PreNorm] {
            let mut config = ModelSize::Tiny.config(1);
            config.text.vocab_size = 30;
            config.deep_supervision_levels = 2;
            config.fusion.class_scale = true;
            config.fusion.block = block;
            let model = model(&config);
            let shape = ForwardShape { patch: PATCH, batch: 2, num_texts: 1, text: TEXT };
            assert_eq!(model.cost(&shape).parameters, model.num_params());
            let parameters = model.parameters().into_iter();
            assert_eq!(parameters.map(|(_, parameters)| parameters).sum::<usize>(), model.num_params());
        }
    }

    #[test]
    fn flops_of_fusion_block_and_text_layer_follow_from_the_shapes_of_the_paper() {
        // By hand from the shapes of the published code, in multiply-accumulates.
        let config = paper();
        let mut init = Initializer::zeros(&Device::flex());
        let text = TEXT.num_classes * TEXT.tokens;
        for (channels, side, expected) in
            [(96, 24usize, 29.5e9), (192, 12, 14.9e9), (384, 6, 20.5e9), (768, 3, 43.7e9)]
        {
            let block = BiFusion::new(&mut init, &config.fusion, 768, channels, TextOutput::Required);
            let found = block.cost(text, side.pow(3)).flops as f64 / 2.0;
            assert!((found - expected).abs() < 0.05e9, "{channels}: expected {expected}, found {found}");
        }
        let text_encoder = model(&config).text_encoder;
        let layer = text_encoder.stage_cost(1, TEXT.num_classes, TEXT.tokens).flops as f64 / 4.0;
        assert!((layer - 15.4e9).abs() < 0.05e9, "{layer}");
    }

    #[test]
    fn a_patch_costs_more_the_more_fusion_there_is() {
        let flops = |direction| {
            let mut config = paper();
            config.fusion.direction = direction;
            model(&config).patch_cost(PATCH, TEXT).flops
        };
        let vision = flops(FusionDirection::None);
        assert_eq!(flops(FusionDirection::VisionToText), vision);
        let [late, one_way, both] =
            [FusionDirection::LateOnly, FusionDirection::TextToVision, FusionDirection::Bidirectional]
                .map(flops);
        assert!(vision < late && late < one_way && one_way < both, "{vision} {late} {one_way} {both}");
    }
}

//! BiPVL-Seg: backbone and text encoder, fused stage by stage, and the heads.

mod config;
mod cost;
mod summary;

use burn::{module::Module, tensor::Tensor};

pub use config::{BiPvlSegConfig, BottleneckInput, HeadKind};
pub use summary::ModelSummary;

use crate::{
    backbone::{Backbone, DecoderInput, DecoderOutput},
    bifusion::{BiFusion, ClassScale, FusionDirection, FusionInput},
    heads::{AlignmentHeads, ClassEmbeddingHead, SegmentationHead},
    init::DropoutRng,
    layers::normalize,
    text_encoder::{TextEncoder, TextInput, TokenBatch},
};

/// The network: a backbone and a text encoder with fusion blocks between their stages, and three heads.
#[derive(Module, Debug)]
pub struct BiPvlSeg {
    /// Image encoder and decoder.
    pub backbone: Backbone,
    /// BERT, divided into as many stages as the image encoder.
    pub text_encoder: TextEncoder,
    /// One block per fused stage.
    pub fusions: Vec<BiFusion>,
    /// Logits from the decoder's feature maps.
    pub segmentation: SegmentationHead,
    /// One channel per class from the bottleneck.
    pub class_embedding: ClassEmbeddingHead,
    /// Projections into the space of the alignment loss.
    pub alignment: AlignmentHeads,
    /// Scales the text tokens of each class, where configured.
    pub class_scale: Option<ClassScale>,
    #[module(skip)]
    direction: FusionDirection,
}

/// Output of a forward pass in training. B is the batch, C the channels of the logits, K the classes, M the concepts
/// of a class, S the texts of a batch: 1 that all samples share, or B.
#[derive(Clone, Debug)]
pub struct Output {
    /// `[B, C, x, y, z]`
    pub logits: Tensor<5>,
    /// Class embeddings as a coarse map, `[B, C, x/32, y/32, z/32]` with four stages.
    pub class_embedding: Tensor<5>,
    /// Class embeddings in the shared space, without background, `[B, K, projection_dim]`.
    pub vision_embedding: Tensor<3>,
    /// Concepts in the shared space, `[S, K, M, projection_dim]`; `None` without alignment.
    pub concept_embedding: Option<Tensor<4>>,
    /// The text of each class after the last fusion, in the shared space, `[B, K, projection_dim]`; only for
    /// [`FusionDirection::VisionToText`], where nothing else reads it.
    pub fused_text_embedding: Option<Tensor<3>>,
    /// Logits of coarser scales, finest first, `[B, C, x/2ˢ, y/2ˢ, z/2ˢ]`.
    pub aux_logits: Vec<Tensor<5>>,
}

/// The part of an encoded text that depends on no image, stage by stage.
#[derive(Clone, Debug)]
pub struct EncodedText {
    /// Tokens before the fusion of each stage that no image has updated, `[S·K, tokens, hidden]`; empty where the
    /// logits depend on no text.
    stages: Vec<Tensor<3>>,
    /// `[S·K, 1, tokens]`
    mask: Tensor<3>,
    num_texts: usize,
}

impl EncodedText {
    /// Whether the logits depend on the text.
    pub fn affects_logits(&self) -> bool {
        !self.stages.is_empty()
    }

    fn num_classes(&self) -> usize {
        self.mask.dims()[0] / self.num_texts
    }
}

/// Feature maps of an image, fused with a text.
#[derive(Clone, Debug)]
pub struct Features {
    /// The decoder's feature maps, channels-last.
    pub decoder: DecoderOutput,
    /// The text after each fusion block, `[B·K, tokens, hidden]`; `None` where its update is not used.
    pub text: Vec<Option<Tensor<3>>>,
}

impl BiPvlSeg {
    /// Everything that the losses read.
    ///
    /// # Shapes
    ///
    /// - `image`: `[B, channels, x, y, z]`, sides multiples of [`Backbone::patch_multiple`]
    pub fn forward(&self, image: Tensor<5>, text: &TextInput, mut rng: Option<&mut DropoutRng>) -> Output {
        let stages = self.cacheable_text_stages();
        let encoded = self.encode_stages(stages, &text.prompts, text.num_texts, rng.as_deref_mut());
        let num_scales = self.segmentation.num_scales();
        let Features { decoder, text: fused_text } =
            self.forward_features(image, &encoded, num_scales, rng.as_deref_mut());
        let concepts = text.sentences.as_ref().map(|tokens| self.text_encoder.cls_embeddings(tokens, rng));

        let mut logits = self.segmentation.forward(decoder.features).into_iter().map(channels_first);
        let class_embedding = channels_first(self.class_embedding.forward(decoder.bottleneck));
        Output {
            logits: logits.next().expect("the finest scale"),
            aux_logits: logits.collect(),
            vision_embedding: self.project_vision(class_embedding.clone(), text.num_classes()),
            concept_embedding: concepts.map(|concepts| self.project_concepts(concepts, text)),
            fused_text_embedding: fused_text
                .into_iter()
                .next_back()
                .flatten()
                .map(|tokens| self.project_fused_text(tokens, text.num_classes())),
            class_embedding,
        }
    }

    /// Both encoders stage by stage, with a fusion block after each fused stage, then the decoder.
    ///
    /// Skips are taken before fusion; the bottleneck is the last stage after it (method.md section 11, row 4).
    ///
    /// # Shapes
    ///
    /// - `image`: `[B, channels, x, y, z]`
    /// - output: the decoder's feature maps of the `num_scales` finest scales
    pub fn forward_features(
        &self,
        image: Tensor<5>,
        text: &EncodedText,
        num_scales: usize,
        mut rng: Option<&mut DropoutRng>,
    ) -> Features {
        self.check_shapes(&image, text);
        let image = channels_last(image);
        let mut fused_text: Vec<Option<Tensor<3>>> = Vec::new();
        let mut features = self.backbone.embed(image.clone());
        let mut skips = vec![normalize(features.clone())];
        for stage in 0..self.backbone.num_stages() {
            features = self.backbone.encode_stage(stage, features);
            skips.push(normalize(features.clone()));
            let Some(fusion) = self.fusion_at(stage).filter(|_| text.affects_logits()) else { continue };
            let tokens = if let Some(cached) = text.stages.get(stage) {
                cached.clone()
            } else {
                let updated = fused_text.last().cloned().flatten().expect("text that a block has updated");
                self.text_encoder.forward_stage(stage, updated, &text.mask, rng.as_deref_mut())
            };
            let fused = fusion.forward(FusionInput {
                vision: features,
                text: tokens,
                text_mask: text.mask.clone(),
                num_classes: text.num_classes(),
            });
            features = fused.vision;
            fused_text.push(fused.text);
        }
        skips.truncate(self.backbone.num_stages());
        let input = DecoderInput { image, skips, bottleneck: normalize(features) };
        Features { decoder: self.backbone.decode(input, num_scales), text: fused_text }
    }

    /// Logits alone, `[B, C, x, y, z]`; what only training needs is not computed.
    pub fn segment(&self, image: Tensor<5>, text: &EncodedText) -> Tensor<5> {
        let features = self.forward_features(image, text, 1, None).decoder.features;
        channels_first(self.segmentation.logits.forward(features.into_iter().next().expect("one scale")))
    }

    /// The same network without the layers that only training needs.
    #[must_use]
    pub fn into_inference(mut self) -> Self {
        self.segmentation.aux_logits.clear();
        self
    }

    /// The part of the text that the logits depend on and no image updates: once per text, not per patch.
    pub fn encode_text(&self, text: &TextInput, rng: Option<&mut DropoutRng>) -> EncodedText {
        self.encode_stages(self.required_text_stages(), &text.prompts, text.num_texts, rng)
    }

    /// The same from the description of each class alone, which is all that prediction reads; one for all samples.
    pub fn encode_prompt(&self, full: &TokenBatch, rng: Option<&mut DropoutRng>) -> EncodedText {
        self.encode_stages(self.required_text_stages(), full, 1, rng)
    }

    /// Stages of the text encoder that the logits depend on and no image updates.
    fn required_text_stages(&self) -> usize {
        match self.direction {
            FusionDirection::VisionToText => 0,
            _ => self.cacheable_text_stages(),
        }
    }

    /// Stages of the text encoder up to the first fusion block that updates the text.
    fn cacheable_text_stages(&self) -> usize {
        match self.direction {
            FusionDirection::None => 0,
            FusionDirection::Bidirectional | FusionDirection::VisionToText => 1,
            FusionDirection::TextToVision => self.fusions.len(),
            FusionDirection::LateOnly => self.backbone.num_stages(),
        }
    }

    fn encode_stages(
        &self,
        stages: usize,
        full: &TokenBatch,
        num_texts: usize,
        mut rng: Option<&mut DropoutRng>,
    ) -> EncodedText {
        let mask = full.attention_mask.clone();
        let mut encoded = EncodedText { stages: Vec::with_capacity(stages), mask, num_texts };
        if stages == 0 {
            return encoded;
        }
        let mut tokens = self.text_encoder.embeddings.forward(full.input_ids.clone(), rng.as_deref_mut());
        for stage in 0..stages {
            tokens = self.text_encoder.forward_stage(stage, tokens, &encoded.mask, rng.as_deref_mut());
            encoded.stages.push(match &self.class_scale {
                Some(scale) => scale.forward(tokens.clone()),
                None => tokens.clone(),
            });
        }
        encoded
    }

    /// The fusion block after a stage, counted from 0.
    fn fusion_at(&self, stage: usize) -> Option<&BiFusion> {
        match self.direction {
            FusionDirection::LateOnly => {
                self.fusions.last().filter(|_| stage + 1 == self.backbone.num_stages())
            }
            _ => self.fusions.get(stage),
        }
    }

    fn check_shapes(&self, image: &Tensor<5>, text: &EncodedText) {
        let [batch, _, x, y, z] = image.dims();
        let multiple = self.backbone.patch_multiple();
        assert!(
            [x, y, z].iter().all(|side| side.is_multiple_of(multiple)),
            "sides are multiples of {multiple}"
        );
        assert!([1, batch].contains(&text.num_texts), "one text for all samples, or one for each");
    }

    /// `[B, C, x, y, z]` → `[B, K, projection_dim]`; background, where it has a channel, has no text and is left out.
    fn project_vision(&self, class_embedding: Tensor<5>, classes: usize) -> Tensor<3> {
        let [batch, channels, x, y, z] = class_embedding.dims();
        let flat = class_embedding.reshape([batch, channels, x * y * z]);
        self.alignment.vision.forward(flat.slice([0..batch, channels - classes..channels, 0..x * y * z]))
    }

    /// `[S·K·M, hidden]` → `[S, K, M, projection_dim]`
    fn project_concepts(&self, concepts: Tensor<2>, text: &TextInput) -> Tensor<4> {
        let [total, hidden] = concepts.dims();
        let classes = total / (text.num_texts * text.sentences_per_class);
        let by_class = concepts.reshape([text.num_texts, classes, text.sentences_per_class, hidden]);
        self.alignment.text.forward(by_class)
    }

    /// The `[CLS]` token of each class, `[B·K, tokens, hidden]` → `[B, K, projection_dim]`
    fn project_fused_text(&self, tokens: Tensor<3>, classes: usize) -> Tensor<3> {
        let [rows, _, hidden] = tokens.dims();
        let first = tokens.slice([0..rows, 0..1, 0..hidden]);
        self.alignment.text.forward(first.reshape([rows / classes, classes, hidden]))
    }
}

pub(crate) fn channels_last(x: Tensor<5>) -> Tensor<5> {
    x.permute([0, 2, 3, 4, 1])
}

pub(crate) fn channels_first(x: Tensor<5>) -> Tensor<5> {
    x.permute([0, 4, 1, 2, 3])
}

//! The network; one file per box of the paper's figure.
//!
//! Inside, feature maps are channels-last, `[batch, x, y, z, channels]`; the doors of [`BiPvlSeg`] take and
//! give `[batch, channels, x, y, z]`. B is the batch, K the classes, M the concepts of a class, L the tokens
//! of a text, S the texts of a batch: 1 that all samples share, or B, C the channels of the logits: the K
//! classes, behind a channel of the background where classes exclude each other.

mod error;
pub mod bifusion;
pub mod decoder;
pub mod device;
pub mod heads;
pub mod init;
pub mod layers;
pub mod model_size;
pub mod interop;
pub mod swin_unetr;
pub mod text_encoder;
pub mod vision_encoder;
pub mod weights;
pub mod window_attention;

use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};

pub use error::{Error, Result};
pub use model_size::{MODEL_SIZES, ModelSize};
pub use text_encoder::{TextConfig, TextInput, TokenBatch};
pub use vision_encoder::{PATCH_MULTIPLE, PatchMerging, STAGES, SwinVersion, VisionConfig};

use bifusion::{BiFusion, ClassScale, FusionConfig, FusionDirection, FusionInput, TextOutput};
use decoder::{Decoder, DecoderInput, DecoderOutput};
use heads::{AlignmentHeads, ClassEmbeddingHead};
use init::{DropoutRng, Initializer};
use layers::normalize;
use text_encoder::TextEncoder;
use vision_encoder::VisionEncoder;

/// Sizes of the whole network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BiPvlSegConfig {
    /// The Swin UNETR.
    pub vision: VisionConfig,
    /// The BERT.
    pub text: TextConfig,
    /// The blocks between them.
    pub fusion: FusionConfig,
    /// What the decoder starts from.
    #[serde(default)]
    pub bottleneck: BottleneckInput,
    /// Width of the space where text and image are aligned.
    pub projection_dim: usize,
    /// Coarser scales of the decoder that learn to segment too, 0 to 4: deep supervision. They add a linear
    /// layer each, which prediction leaves out. None unless asked for.
    #[serde(default)]
    pub deep_supervision_levels: usize,
}

/// What the decoder starts from (paper.md section 11, row 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BottleneckInput {
    /// The last stage after its exchange with the text. The default: the figure has a block after every
    /// stage, and a block that nothing reads would be none.
    #[default]
    AfterFusion,
    /// The last stage before an exchange, as in the release; so there is none after it.
    BeforeFusion,
}

/// How many classes a network tells apart, and by how many channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadConfig {
    /// Classes, each with a text; the background is none.
    pub num_classes: usize,
    /// Channels of the logits: one more, of the background, where classes exclude each other.
    pub out_channels: usize,
}

impl HeadConfig {
    /// Of classes that exclude each other.
    pub fn exclusive(num_classes: usize) -> Self {
        Self { num_classes, out_channels: num_classes + 1 }
    }
}

impl BiPvlSegConfig {
    /// The last stage, from 1, after which both sides may meet.
    pub fn last_fused_stage(&self) -> usize {
        match self.bottleneck {
            BottleneckInput::AfterFusion => STAGES,
            BottleneckInput::BeforeFusion => STAGES - 1,
        }
    }

    /// Draws first weights for these classes and training patches of `patch` voxels.
    pub fn init(&self, head: HeadConfig, patch: [usize; 3], init: &mut Initializer) -> BiPvlSeg {
        let HeadConfig { num_classes, out_channels } = head;
        let hidden = self.text.hidden_size;
        let deepest = self.vision.channels_at(STAGES);
        let exchanges = self.last_fused_stage();
        let exchange = self.fusion.direction;
        let meet = |stage: &usize| match exchange {
            FusionDirection::None => false,
            FusionDirection::LateOnly => *stage == STAGES,
            FusionDirection::Bidirectional
            | FusionDirection::TextToVision
            | FusionDirection::VisionToText => true,
        };
        let fusions = (1..=exchanges)
            .filter(meet)
            .map(|stage| {
                let read = match exchange {
                    FusionDirection::Bidirectional => stage < exchanges,
                    FusionDirection::VisionToText => true,
                    FusionDirection::TextToVision | FusionDirection::LateOnly | FusionDirection::None => {
                        false
                    }
                };
                let afterwards = if read { TextOutput::Required } else { TextOutput::Unused };
                BiFusion::new(init, &self.fusion, hidden, self.vision.channels_at(stage), afterwards)
            })
            .collect();
        let network = BiPvlSeg {
            vision_encoder: VisionEncoder::new(init, &self.vision),
            text_encoder: TextEncoder::new(init, &self.text),
            fusions,
            decoder: Decoder::new(init, &self.vision, out_channels),
            class_embedding: ClassEmbeddingHead::new(init, deepest, out_channels),
            alignment: AlignmentHeads::new(init, bottleneck_voxels(patch), hidden, self.projection_dim),
            class_scale: None,
            direction: exchange,
        };
        // Drawn last, so that all others are what they are without.
        let decoder = network.decoder.with_deep_supervision(init, &self.vision, self.deep_supervision_levels);
        let class_scale = self.fusion.class_scale.then(|| ClassScale::new(init, num_classes, hidden));
        BiPvlSeg { decoder, class_scale, ..network }
    }
}

/// Voxels of the bottleneck of a patch: the length of a class's vision embedding.
fn bottleneck_voxels(patch: [usize; 3]) -> usize {
    patch.iter().map(|side| side / PATCH_MULTIPLE).product()
}

/// The network: two encoders that exchange information after every stage, a decoder, and two heads.
#[derive(Module, Debug)]
pub struct BiPvlSeg {
    /// Swin stages.
    pub vision_encoder: VisionEncoder,
    /// BERT stages.
    pub text_encoder: TextEncoder,
    /// One block per stage in which both sides meet; none after the last one if the bottleneck is not fused.
    pub fusions: Vec<BiFusion>,
    /// From the bottleneck and the skips to the logits.
    pub decoder: Decoder,
    /// One channel per class from the bottleneck.
    pub class_embedding: ClassEmbeddingHead,
    /// Into the space of the alignment loss.
    pub alignment: AlignmentHeads,
    /// Which class a token is of, where tokens say so.
    pub class_scale: Option<ClassScale>,
    #[module(skip)]
    direction: FusionDirection,
}

/// Everything that the losses read.
#[derive(Clone, Debug)]
pub struct Output {
    /// `[B, C, x, y, z]`
    pub logits: Tensor<5>,
    /// The class embeddings as a small map, `[B, C, x/32, y/32, z/32]`.
    pub class_embedding: Tensor<5>,
    /// Each class embedding in the shared space, without background, `[B, K, shared]`.
    pub vision_embedding: Tensor<3>,
    /// Each concept in the shared space, `[S, K, M, shared]`; `None` where nothing is aligned.
    pub concept_embedding: Option<Tensor<4>>,
    /// The text of each class, informed by the image, in the shared space, `[B, K, shared]`; only where the
    /// image informs the text and not the other way round, since nothing else would read it.
    pub fused_text_embedding: Option<Tensor<3>>,
    /// Logits of coarser scales, finest first, `[B, K + 1, x/2ⁱ, y/2ⁱ, z/2ⁱ]`.
    pub aux_logits: Vec<Tensor<5>>,
}

/// What of a text depends on no image, stage by stage.
#[derive(Clone, Debug)]
pub struct EncodedText {
    /// The text before the exchange of a stage, `[S·K, L, hidden]`: that of the first stage, and of the later ones
    /// as long as no image has informed it; none where the logits depend on no text.
    stages: Vec<Tensor<3>>,
    /// `[S·K, 1, L]`
    mask: Tensor<3>,
    num_texts: usize,
}

impl EncodedText {
    /// Whether the logits depend on it.
    pub fn affects_logits(&self) -> bool {
        !self.stages.is_empty()
    }
}

/// What the encoders and the decoder made of an image and a text.
struct Features {
    decoded: DecoderOutput,
    /// The text after the last exchange, `[B·K, L, hidden]`, where the block lets it out.
    text: Option<Tensor<3>>,
}

impl BiPvlSeg {
    /// Sees a batch with its text and gives everything that the losses read.
    ///
    /// # Shapes
    ///
    /// - `image`: `[B, channels, x, y, z]`, sides multiples of 32
    pub fn forward(&self, image: Tensor<5>, text: &TextInput, mut rng: Option<&mut DropoutRng>) -> Output {
        let batch = image.dims()[0];
        let encoded = self.encode_stages(
            self.cacheable_text_stages(),
            (&text.full, text.num_texts),
            rng.as_deref_mut(),
        );
        let Features { decoded, text: informed } = self.forward_features(image, &encoded, rng.as_deref_mut());
        let concepts = text.concepts.as_ref().map(|concepts| self.text_encoder.cls_embeddings(concepts, rng));
        let class_embedding = channels_first(self.class_embedding.forward(decoded.bottleneck));
        Output {
            logits: channels_first(decoded.logits),
            vision_embedding: self.project_vision(class_embedding.clone(), text.num_classes()),
            concept_embedding: concepts.map(|concepts| self.project_concepts(concepts, text)),
            fused_text_embedding: informed.map(|tokens| self.project_informed(tokens, batch)),
            class_embedding,
            aux_logits: decoded.aux_logits.into_iter().map(channels_first).collect(),
        }
    }

    /// The same without what prediction does not need of it.
    #[must_use]
    pub fn into_inference(mut self) -> Self {
        self.decoder.aux_logits.clear();
        self
    }

    /// All that the logits need of a text and no image changes: once per text, not per patch.
    pub fn encode_text(&self, text: &TextInput, rng: Option<&mut DropoutRng>) -> EncodedText {
        self.encode_stages(self.required_text_stages(), (&text.full, text.num_texts), rng)
    }

    /// The same from the whole text of each class, which is all that a segmentation reads; one for all samples.
    pub fn encode_prompt(&self, full: &TokenBatch, rng: Option<&mut DropoutRng>) -> EncodedText {
        self.encode_stages(self.required_text_stages(), (full, 1), rng)
    }

    /// Stages of the text encoder that the logits depend on, as far as no image informs them.
    fn required_text_stages(&self) -> usize {
        match self.direction {
            FusionDirection::VisionToText => 0,
            _ => self.cacheable_text_stages(),
        }
    }

    /// Stages of the text encoder that come before the first exchange that informs the text.
    fn cacheable_text_stages(&self) -> usize {
        match self.direction {
            FusionDirection::None => 0,
            FusionDirection::Bidirectional | FusionDirection::VisionToText => 1,
            FusionDirection::TextToVision => self.fusions.len(),
            FusionDirection::LateOnly => STAGES,
        }
    }

    fn encode_stages(
        &self,
        stages: usize,
        (full, num_texts): (&TokenBatch, usize),
        mut rng: Option<&mut DropoutRng>,
    ) -> EncodedText {
        let mask = full.attention_mask.clone();
        let mut encoded = EncodedText { stages: Vec::with_capacity(stages), mask, num_texts };
        if stages > 0 {
            let ids = full.input_ids.clone();
            let mut tokens = self.text_encoder.embeddings.forward(ids, rng.as_deref_mut());
            for stage in 0..stages {
                tokens = self.text_encoder.forward_stage(stage, tokens, &encoded.mask, rng.as_deref_mut());
                encoded.stages.push(match &self.class_scale {
                    Some(codes) => codes.forward(tokens.clone()),
                    None => tokens.clone(),
                });
            }
        }
        encoded
    }

    /// Logits alone, `[B, C, x, y, z]`; what training needs beside them is not computed.
    pub fn segment(&self, image: Tensor<5>, text: &EncodedText) -> Tensor<5> {
        channels_first(self.forward_features(image, text, None).decoded.logits)
    }

    /// The block in which both sides meet in a stage.
    fn fusion(&self, stage: usize) -> Option<&BiFusion> {
        match self.direction {
            FusionDirection::LateOnly => self.fusions.last().filter(|_| stage == STAGES - 1),
            _ => self.fusions.get(stage),
        }
    }

    /// Both encoders side by side with an exchange after every stage that has a block, then the decoder.
    ///
    /// Skips are taken before the exchange; the bottleneck is the fused last stage (paper.md section 11,
    /// row 4).
    fn forward_features(
        &self,
        image: Tensor<5>,
        text: &EncodedText,
        mut rng: Option<&mut DropoutRng>,
    ) -> Features {
        let image = channels_last(image);
        let [batch, x, y, z, _] = image.dims();
        assert!(
            [x, y, z].iter().all(|side| side.is_multiple_of(PATCH_MULTIPLE)),
            "sides are multiples of 32"
        );
        let num_texts = text.num_texts;
        assert!(num_texts == 1 || num_texts == batch, "one text for all samples, or one for each");
        let [texts, _, length] = text.mask.dims();
        let classes = texts / num_texts;
        let text_mask = text.mask.clone().reshape([num_texts, 1, classes * length]);
        let mut informed: Option<Tensor<3>> = None;
        let mut features = self.vision_encoder.embed_patches(image.clone());
        let mut skips = vec![normalize(features.clone())];
        for (stage, vision) in self.vision_encoder.stages.iter().enumerate() {
            features = vision.forward(features);
            skips.push(normalize(features.clone()));
            let Some(fusion) = self.fusion(stage).filter(|_| !text.stages.is_empty()) else { continue };
            let tokens = match (text.stages.get(stage), informed.take()) {
                (Some(untouched), _) => untouched.clone().repeat_dim(0, batch / num_texts),
                (None, Some(tokens)) => {
                    self.text_encoder.forward_stage(stage, tokens, &text.mask, rng.as_deref_mut())
                }
                (None, None) => unreachable!("a text is untouched until a block has let it out"),
            };
            let hidden = tokens.dims()[2];
            let [_, x, y, z, channels] = features.dims();
            let fused = fusion.forward(FusionInput {
                // [B·K, L, hidden] -> [B, K·L, hidden]: within a sample, all classes meet the image together.
                text: tokens.reshape([batch, classes * length, hidden]),
                vision: features.reshape([batch, x * y * z, channels]),
                text_mask: text_mask.clone(),
            });
            features = fused.vision.reshape([batch, x, y, z, channels]);
            informed = fused.text.map(|text| text.reshape([batch * classes, length, hidden]));
        }
        skips.truncate(STAGES);
        let skips = skips.try_into().expect("one skip per stage");
        let decoded = self.decoder.forward(DecoderInput { image, skips, bottleneck: normalize(features) });
        Features { decoded, text: informed }
    }

    /// `[B, C, x, y, z]` → `[B, K, shared]`; background, where it has a channel, has no text and is left out.
    fn project_vision(&self, class_embedding: Tensor<5>, classes: usize) -> Tensor<3> {
        let [batch, out_channels, x, y, z] = class_embedding.dims();
        let flat = class_embedding.reshape([batch, out_channels, x * y * z]);
        self.alignment.vision.forward(flat.slice([
            0..batch,
            out_channels - classes..out_channels,
            0..x * y * z,
        ]))
    }

    /// `[S·K·M, hidden]` → `[S, K, M, shared]`
    fn project_concepts(&self, concepts: Tensor<2>, text: &TextInput) -> Tensor<4> {
        let [total, hidden] = concepts.dims();
        let classes = total / (text.num_texts * text.num_concepts);
        let apart = concepts.reshape([text.num_texts, classes, text.num_concepts, hidden]);
        self.alignment.text.forward(apart)
    }

    /// The first token of each class's text, `[B·K, L, hidden]` → `[B, K, shared]`
    fn project_informed(&self, tokens: Tensor<3>, batch: usize) -> Tensor<3> {
        let [texts, _, hidden] = tokens.dims();
        let first = tokens.slice([0..texts, 0..1, 0..hidden]);
        self.alignment.text.forward(first.reshape([batch, texts / batch, hidden]))
    }
}

fn channels_last(x: Tensor<5>) -> Tensor<5> {
    x.permute([0, 2, 3, 4, 1])
}

fn channels_first(x: Tensor<5>) -> Tensor<5> {
    x.permute([0, 4, 1, 2, 3])
}

//! The network; one file per box of the paper's figure.
//!
//! Inside, feature maps are channels-last, `[batch, x, y, z, channels]`; the doors of [`BiPvlSeg`] take and
//! give `[batch, channels, x, y, z]`. B is the batch, K the classes, M the concepts of a class, L the tokens
//! of a text, S the texts of a batch: 1 that all samples share, or B.

pub mod bifusion;
pub mod decoder;
pub mod heads;
pub mod init;
pub mod layers;
pub mod preset;
pub mod published;
pub mod swin_unetr;
pub mod text_encoder;
pub mod vision_encoder;
pub mod weights;
pub mod window_attention;

use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};

pub use preset::{PRESETS, Preset};
pub use text_encoder::{TextConfig, TextInput};
pub use vision_encoder::{Merging, PATCH_MULTIPLE, SwinVersion, VisionConfig};

use bifusion::{BiFusion, FusionConfig, FusionInput, TextAfterwards};
use decoder::{Decoder, DecoderInput, DecoderOutput};
use heads::{AlignmentHeads, ClassEmbeddingHead};
use init::{Initializer, Noise};
use layers::normalize;
use text_encoder::TextEncoder;
use vision_encoder::{STAGES, VisionEncoder};

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
    pub bottleneck: Bottleneck,
    /// Width of the space where text and image are aligned.
    pub shared_size: usize,
}

/// What the decoder starts from (paper.md section 11, row 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// The last stage after its exchange with the text. The default: the figure has a block after every
    /// stage, and a block that nothing reads would be none.
    #[default]
    Fused,
    /// The last stage before an exchange, as in the release; so there is none after it.
    Unfused,
}

impl BiPvlSegConfig {
    /// Draws first weights for `classes` foreground classes and training patches of `patch` voxels.
    pub fn init(&self, classes: usize, patch: [usize; 3], init: &mut Initializer) -> BiPvlSeg {
        let (hidden, outputs) = (self.text.hidden_size, classes + 1);
        let deepest = self.vision.width(STAGES);
        let exchanges = match self.bottleneck {
            Bottleneck::Fused => STAGES,
            Bottleneck::Unfused => STAGES - 1,
        };
        let fusions = (1..=exchanges)
            .map(|stage| {
                let last = stage == exchanges;
                let afterwards = if last { TextAfterwards::Unread } else { TextAfterwards::Read };
                BiFusion::new(init, &self.fusion, hidden, self.vision.width(stage), afterwards)
            })
            .collect();
        BiPvlSeg {
            vision_encoder: VisionEncoder::new(init, &self.vision),
            text_encoder: TextEncoder::new(init, &self.text),
            fusions,
            decoder: Decoder::new(init, &self.vision, outputs),
            class_embedding: ClassEmbeddingHead::new(init, deepest, outputs),
            alignment: AlignmentHeads::new(init, bottleneck_voxels(patch), hidden, self.shared_size),
        }
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
    /// One block per stage; none after the last one if the bottleneck is not fused.
    pub fusions: Vec<BiFusion>,
    /// From the bottleneck and the skips to the logits.
    pub decoder: Decoder,
    /// One channel per class from the bottleneck.
    pub class_embedding: ClassEmbeddingHead,
    /// Into the space of the alignment loss.
    pub alignment: AlignmentHeads,
}

/// Everything that the losses read.
#[derive(Clone, Debug)]
pub struct Output {
    /// `[B, K + 1, x, y, z]`
    pub logits: Tensor<5>,
    /// The class embeddings as a small map, `[B, K + 1, x/32, y/32, z/32]`.
    pub class_embedding: Tensor<5>,
    /// Each class embedding in the shared space, without background, `[B, K, shared]`.
    pub vision_embedding: Tensor<3>,
    /// Each concept in the shared space, `[S, K, M, shared]`.
    pub concept_embedding: Tensor<4>,
}

/// A text that has passed the layers before the first exchange; it depends on no image.
#[derive(Clone, Debug)]
pub struct EncodedText {
    /// `[S·K, L, hidden]`
    tokens: Tensor<3>,
    /// `[S·K, 1, L]`
    mask: Tensor<3>,
    num_texts: usize,
}

impl BiPvlSeg {
    /// Sees a batch with its text and gives everything that the losses read.
    ///
    /// # Shapes
    ///
    /// - `image`: `[B, channels, x, y, z]`, sides multiples of 32
    pub fn forward(&self, image: Tensor<5>, text: &TextInput, mut noise: Option<&mut Noise>) -> Output {
        let encoded = self.encode_text(text, noise.as_deref_mut());
        let decoded = self.see(image, &encoded, noise.as_deref_mut());
        let concepts = self.text_encoder.first_tokens(&text.concepts, noise);
        let class_embedding = channels_first(self.class_embedding.forward(decoded.bottleneck));
        Output {
            logits: channels_first(decoded.logits),
            vision_embedding: self.project_vision(class_embedding.clone()),
            concept_embedding: self.project_concepts(concepts, text),
            class_embedding,
        }
    }

    /// The part of the text encoder that comes before the first exchange: once per text, not per patch.
    pub fn encode_text(&self, text: &TextInput, mut noise: Option<&mut Noise>) -> EncodedText {
        let mask = text.full.mask.clone();
        let embedded = self.text_encoder.embeddings.forward(text.full.ids.clone(), noise.as_deref_mut());
        let tokens = self.text_encoder.stage(0, embedded, &mask, noise);
        EncodedText { tokens, mask, num_texts: text.num_texts }
    }

    /// Logits alone, `[B, K + 1, x, y, z]`; what training needs beside them is not computed.
    pub fn segment(&self, image: Tensor<5>, text: &EncodedText) -> Tensor<5> {
        channels_first(self.see(image, text, None).logits)
    }

    /// Both encoders side by side with an exchange after every stage that has a block, then the decoder.
    ///
    /// Skips are taken before the exchange; the bottleneck is the fused last stage (paper.md section 11,
    /// row 4).
    fn see(&self, image: Tensor<5>, text: &EncodedText, mut noise: Option<&mut Noise>) -> DecoderOutput {
        let image = channels_last(image);
        let [batch, x, y, z, _] = image.dims();
        assert!(
            [x, y, z].iter().all(|side| side.is_multiple_of(PATCH_MULTIPLE)),
            "sides are multiples of 32"
        );
        let num_texts = text.num_texts;
        assert!(num_texts == 1 || num_texts == batch, "one text for all samples, or one for each");
        let [texts, length, hidden] = text.tokens.dims();
        let classes = texts / num_texts;
        let text_mask = text.mask.clone().reshape([num_texts, 1, classes * length]);
        let mut tokens = text.tokens.clone().repeat_dim(0, batch / num_texts);
        let mut map = self.vision_encoder.embed_patches(image.clone());
        let mut skips = vec![normalize(map.clone())];
        for (stage, vision) in self.vision_encoder.stages.iter().enumerate() {
            map = vision.forward(map);
            skips.push(normalize(map.clone()));
            let Some(fusion) = self.fusions.get(stage) else { continue };
            if stage > 0 {
                tokens = self.text_encoder.stage(stage, tokens, &text.mask, noise.as_deref_mut());
            }
            let [_, x, y, z, channels] = map.dims();
            let fused = fusion.forward(FusionInput {
                // [B·K, L, hidden] -> [B, K·L, hidden]: within a sample, all classes meet the image together.
                text: tokens.clone().reshape([batch, classes * length, hidden]),
                vision: map.reshape([batch, x * y * z, channels]),
                text_mask: text_mask.clone(),
            });
            map = fused.vision.reshape([batch, x, y, z, channels]);
            if let Some(text) = fused.text {
                tokens = text.reshape([batch * classes, length, hidden]);
            }
        }
        skips.truncate(STAGES);
        let skips = skips.try_into().expect("one skip per stage");
        self.decoder.forward(DecoderInput { image, skips, bottleneck: normalize(map) })
    }

    /// `[B, K + 1, x, y, z]` → `[B, K, shared]`; background has no text and is left out.
    fn project_vision(&self, class_embedding: Tensor<5>) -> Tensor<3> {
        let [batch, outputs, x, y, z] = class_embedding.dims();
        let flat = class_embedding.reshape([batch, outputs, x * y * z]);
        self.alignment.vision.forward(flat.slice([0..batch, 1..outputs, 0..x * y * z]))
    }

    /// `[S·K·M, hidden]` → `[S, K, M, shared]`
    fn project_concepts(&self, concepts: Tensor<2>, text: &TextInput) -> Tensor<4> {
        let [total, hidden] = concepts.dims();
        let classes = total / (text.num_texts * text.num_concepts);
        let apart = concepts.reshape([text.num_texts, classes, text.num_concepts, hidden]);
        self.alignment.text.forward(apart)
    }
}

fn channels_last(map: Tensor<5>) -> Tensor<5> {
    map.permute([0, 2, 3, 4, 1])
}

fn channels_first(map: Tensor<5>) -> Tensor<5> {
    map.permute([0, 4, 1, 2, 3])
}

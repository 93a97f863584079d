//! Exchange between one vision stage and one text stage, in one of two forms (Fig. 2b).
//!
//! Padding tokens are never attended to. Neither form knows positions: whatever order tokens come in, they
//! leave in the same.

mod class_scale;
mod pre_norm;
mod two_way;

use bipvl_kernels::{AttentionInput, attention, checkpoint};
use burn::{
    module::Module,
    tensor::{Tensor, activation::relu},
};
use serde::{Deserialize, Serialize};

pub use class_scale::ClassScale;
pub use pre_norm::{PreNorm, PreNormStream};
pub use two_way::{TextProjection, TwoWay, TwoWayLayer};

use super::{init::Initializer, layers::Linear};

/// Sizes and form of every fusion block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionConfig {
    /// Heads of each attention.
    pub heads: usize,
    /// Width inside the perceptrons.
    pub mlp_size: usize,
    /// How both sides meet.
    #[serde(default)]
    pub block: FusionBlockKind,
    /// Which side hears of the other, and where.
    #[serde(default)]
    pub direction: FusionDirection,
    /// What becomes of the tokens that enter.
    #[serde(default)]
    pub text_residual: TextResidual,
    /// Whether a token says which class it is of (paper.md section 11, row 2b). Not by default: it was not published.
    #[serde(default)]
    pub class_scale: bool,
}

/// Which side hears of the other, and where; all but the default are there to be compared with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionDirection {
    /// Both of each other, in every stage: the method.
    #[default]
    Bidirectional,
    /// The image of the text, in every stage; the text stays as it was.
    TextToVision,
    /// The text of the image, in every stage. The logits depend on no text; the informed text is what the
    /// global alignment reads.
    VisionToText,
    /// Both of each other, once: in the last stage, when each has passed all its layers alone.
    LateOnly,
    /// Neither: the network is a Swin UNETR.
    None,
}

impl FusionDirection {
    /// Whether a block lets the text ask the image.
    pub fn updates_text(self) -> bool {
        !matches!(self, Self::TextToVision | Self::None)
    }

    /// Whether a block lets the image ask the text.
    pub fn updates_vision(self) -> bool {
        !matches!(self, Self::VisionToText | Self::None)
    }
}

/// What becomes of the tokens that enter a block (paper.md section 11, row 2a).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextResidual {
    /// What is made of them takes their place, and 5.2 scales them to length 1. The default: it is what was
    /// published. The first self-attention, with first weights a mean, makes one and the same of all text tokens;
    /// what a text says is learned all the same (docs/results.md).
    #[default]
    Off,
    /// They keep their length, and what the first self-attention and the whole block make of them is added, so
    /// that text tokens stay apart.
    On,
}

impl TextResidual {
    /// `made`, added to the tokens or in their place.
    fn join(self, tokens: Tensor<3>, made: Tensor<3>) -> Tensor<3> {
        match self {
            Self::On => tokens + made,
            Self::Off => made,
        }
    }
}

/// How both sides meet (paper.md section 11, row 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionBlockKind {
    /// Two post-norm layers without self-attention of the image (5.2). The default: it alone is specified to
    /// the last number, and self-attention of all image tokens is dear.
    #[default]
    TwoWay,
    /// One pre-norm pass with self-attention on both sides (5.1), as the figure draws it.
    PreNorm,
}

/// Tokens of both sides.
#[derive(Clone, Debug)]
pub struct FusionInput {
    /// `[batch, text tokens, hidden]`
    pub text: Tensor<3>,
    /// `[batch, vision tokens, channels]`
    pub vision: Tensor<3>,
    /// Scores added to each text token as a key, `[texts, 1, text tokens]`, with one text for all
    /// samples or one for each.
    pub text_mask: Tensor<3>,
}

/// Tokens of both sides after the exchange.
#[derive(Clone, Debug)]
pub struct FusionOutput {
    /// `[batch, text tokens, hidden]`; `None` where it stays as it was or nothing reads it.
    pub text: Option<Tensor<3>>,
    /// `[batch, vision tokens, channels]`
    pub vision: Tensor<3>,
}

/// The fusion block of one stage.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one block per stage")]
pub enum BiFusion {
    /// In the form of the release.
    TwoWay(TwoWay),
    /// In the form of the figure.
    PreNorm(PreNorm),
}

/// Whether a later stage reads the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextOutput {
    /// The next text stage goes on with it.
    Required,
    /// The last stage: only the vision side leaves the block.
    Unused,
}

impl BiFusion {
    /// First weights for a stage of `channels`.
    pub fn new(
        init: &mut Initializer,
        config: &FusionConfig,
        hidden: usize,
        channels: usize,
        text_output: TextOutput,
    ) -> Self {
        match config.block {
            FusionBlockKind::TwoWay => Self::TwoWay(TwoWay::new(init, config, hidden, channels, text_output)),
            FusionBlockKind::PreNorm => {
                Self::PreNorm(PreNorm::new(init, config, hidden, channels, text_output))
            }
        }
    }

    /// Both sides after the exchange.
    pub fn forward(&self, input: FusionInput) -> FusionOutput {
        match self {
            Self::TwoWay(block) => block.forward(input),
            Self::PreNorm(block) => block.forward(input),
        }
    }
}

/// From one width to another, or as it is where they do not differ.
fn project(linear: Option<&Linear>, tokens: Tensor<3>) -> Tensor<3> {
    match linear {
        Some(linear) => linear.forward(tokens),
        None => tokens,
    }
}

/// Linear, ReLU, linear.
#[derive(Module, Debug)]
pub struct FusionMlp {
    /// Widens.
    pub up: Linear,
    /// Narrows again.
    pub down: Linear,
}

impl FusionMlp {
    fn new(init: &mut Initializer, channels: usize, inner: usize) -> Self {
        Self { up: init.linear(channels, inner), down: init.linear(inner, channels) }
    }

    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        checkpoint(self, [tokens], |mlp, [tokens]| mlp.down.forward(relu(mlp.up.forward(tokens))))
    }
}

/// Multi-head attention of a given inner width.
#[derive(Module, Debug)]
pub struct FusionAttention {
    /// Query projection.
    pub query: Linear,
    /// Key projection.
    pub key: Linear,
    /// Value projection.
    pub value: Linear,
    /// Back to the channels.
    pub output: Linear,
    heads: usize,
}

impl FusionAttention {
    fn new(init: &mut Initializer, heads: usize, channels: usize, inner: usize) -> Self {
        Self {
            query: init.linear(channels, inner),
            key: init.linear(channels, inner),
            value: init.linear(channels, inner),
            output: init.linear(inner, channels),
            heads,
        }
    }

    fn forward(
        &self,
        query: Tensor<3>,
        key: Tensor<3>,
        value: Tensor<3>,
        mask: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let split = |linear: &Linear, tokens: Tensor<3>| {
            let [batch, count, _] = tokens.dims();
            let projected = linear.forward(tokens);
            let [.., inner] = projected.dims();
            projected.reshape([batch, count, self.heads, inner / self.heads])
        };
        let (query, key) = (split(&self.query, query), split(&self.key, key));
        let value = split(&self.value, value);
        let [batch, count, heads, width] = query.dims();
        let attended = attention(AttentionInput { query, key, value, bias: None, mask });
        self.output.forward(attended.reshape([batch, count, heads * width]))
    }
}

//! Bidirectional fusion of one vision stage with one text stage, by one of two blocks (Fig. 2b).
//!
//! Padding tokens are never attended to. No block has position codes: permuting the tokens of an input permutes the
//! output alike.

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

use crate::{Cost, init::Initializer, layers::Linear};

/// Sizes and variant of every fusion block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionConfig {
    /// Heads of each attention.
    pub heads: usize,
    /// Hidden size of the MLPs.
    pub mlp_size: usize,
    /// Fusion block variant.
    #[serde(default)]
    pub block: FusionBlockKind,
    /// Direction of cross-modal attention, and at which stages.
    #[serde(default)]
    pub direction: FusionDirection,
    /// Whether text tokens keep a residual connection.
    #[serde(default)]
    pub text_residual: TextResidual,
    /// Whether text tokens are scaled by a learned vector of their class (method.md section 11, row 2b); not published.
    #[serde(default)]
    pub class_scale: bool,
    /// Which tokens the self-attention of the text joins.
    #[serde(default)]
    pub text_self_attention: TextSelfAttention,
}

/// Which text tokens attend to each other in a fusion block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextSelfAttention {
    /// Those of all classes of a sample, as published.
    #[default]
    Joint,
    /// Those of each class, or prompt, separately: classes then interact only where the image attends to the text.
    PerClass,
}

/// Direction of cross-modal attention; all but the default exist for comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionDirection {
    /// Text attends to image and image to text, in every stage: the method.
    #[default]
    Bidirectional,
    /// The image attends to the text, in every stage; the text is not updated.
    TextToVision,
    /// The text attends to the image, in every stage. The logits depend on no text; the global alignment reads the
    /// updated text.
    VisionToText,
    /// Both directions, in the last stage alone.
    LateOnly,
    /// No fusion: the image alone is segmented.
    None,
}

impl FusionDirection {
    /// Whether the text attends to the image.
    pub fn updates_text(self) -> bool {
        !matches!(self, Self::TextToVision | Self::None)
    }

    /// Whether the image attends to the text.
    pub fn updates_vision(self) -> bool {
        !matches!(self, Self::VisionToText | Self::None)
    }
}

/// Whether text tokens keep a residual connection through a block (method.md section 11, row 2a).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextResidual {
    /// The block's output replaces the tokens, and the two-way block scales its input to length 1. The default, as
    /// published. With initial weights the first self-attention, a mean, makes all text tokens equal; training
    /// separates them again (docs/src/explanation/results.md).
    #[default]
    Off,
    /// The first self-attention and the whole block are added to their input, which keeps text tokens distinct.
    On,
}

impl TextResidual {
    /// `update`, added to the tokens or in their place.
    fn apply(self, tokens: Tensor<3>, update: Tensor<3>) -> Tensor<3> {
        match self {
            Self::On => tokens + update,
            Self::Off => update,
        }
    }
}

/// Fusion block variant (method.md section 11, row 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionBlockKind {
    /// Two post-norm layers without self-attention of the image (5.2). The default: the only variant that is fully
    /// specified, and self-attention of all image tokens is expensive.
    #[default]
    TwoWay,
    /// One pre-norm layer with self-attention of both (5.1), as the figure draws it.
    PreNorm,
}

/// Input of a fusion block.
#[derive(Clone, Debug)]
pub struct FusionInput {
    /// Feature map, `[batch, x, y, z, channels]`.
    pub vision: Tensor<5>,
    /// Text tokens of every class, `[texts · classes, tokens, hidden]`, with one text for all samples or one each.
    pub text: Tensor<3>,
    /// Added to the attention score of each text token as a key, `[texts · classes, 1, tokens]`, with one text for
    /// all samples or one each.
    pub text_mask: Tensor<3>,
    /// Number of classes.
    pub num_classes: usize,
}

/// Output of a fusion block.
#[derive(Clone, Debug)]
pub struct FusionOutput {
    /// `[batch · classes, tokens, hidden]`; `None` where the text is not updated or its update is not used.
    pub text: Option<Tensor<3>>,
    /// `[batch, x, y, z, channels]`
    pub vision: Tensor<5>,
}

/// Tokens as the attentions read them: those of all classes of a sample together.
struct FusionTokens {
    /// `[batch, classes · tokens, hidden]`
    text: Tensor<3>,
    /// `[batch, voxels, channels]`
    vision: Tensor<3>,
    /// `[texts, 1, classes · tokens]`
    text_mask: Tensor<3>,
    shape: TokenShape,
}

/// Shapes of the tensors that tokens came from.
#[derive(Clone, Copy)]
struct TokenShape {
    vision: [usize; 5],
    num_classes: usize,
    tokens: usize,
}

impl FusionInput {
    /// Joins the tokens of all classes of a sample, and the voxels of its feature map.
    fn into_tokens(self) -> FusionTokens {
        let Self { vision, text, text_mask, num_classes } = self;
        let shape @ [batch, x, y, z, channels] = vision.dims();
        let [rows, tokens, hidden] = text.dims();
        let joined = num_classes * tokens;
        let texts = text_mask.dims()[0] / num_classes;
        // One text for all samples is copied for each; an updated text is there for each already.
        let text = if rows == batch * num_classes { text } else { text.repeat_dim(0, batch) };
        FusionTokens {
            text: text.reshape([batch, joined, hidden]),
            vision: vision.reshape([batch, x * y * z, channels]),
            text_mask: text_mask.reshape([texts, 1, joined]),
            shape: TokenShape { vision: shape, num_classes, tokens },
        }
    }
}

impl TokenShape {
    /// Self-attention within each class: `[batch, classes · tokens, channels]` → the same.
    fn attend_per_class(self, attention: &FusionAttention, qkv: Qkv, mask: &Tensor<3>) -> Tensor<3> {
        let [batch, joined, channels] = qkv.value.dims();
        let [texts, ..] = mask.dims();
        let split = |tokens: Tensor<3>| tokens.reshape([batch * self.num_classes, self.tokens, channels]);
        let Qkv { query, key, value } = qkv;
        let qkv = Qkv { query: split(query), key: split(key), value: split(value) };
        let mask = mask.clone().reshape([texts * self.num_classes, 1, self.tokens]);
        attention.forward(qkv, Some(mask)).reshape([batch, joined, channels])
    }

    /// `[batch, classes · tokens, hidden]` → `[batch · classes, tokens, hidden]`, and `[batch, voxels, channels]` →
    /// `[batch, x, y, z, channels]`.
    fn output(self, text: Option<Tensor<3>>, vision: Tensor<3>) -> FusionOutput {
        let text = text.map(|text| {
            let [batch, _, hidden] = text.dims();
            text.reshape([batch * self.num_classes, self.tokens, hidden])
        });
        FusionOutput { text, vision: vision.reshape(self.vision) }
    }
}

/// The fusion block of one stage.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one block per stage")]
pub enum BiFusion {
    /// The block of the published code.
    TwoWay(TwoWay),
    /// The block of the figure.
    PreNorm(PreNorm),
}

/// Whether the updated text leaves the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextOutput {
    /// A later stage or a loss reads it.
    Required,
    /// Only the feature map leaves the block.
    Unused,
}

impl BiFusion {
    /// Randomly initialized, for a feature map of `channels` and text tokens of `hidden` channels.
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

    /// Updated feature map and text.
    pub fn forward(&self, input: FusionInput) -> FusionOutput {
        match self {
            Self::TwoWay(block) => block.forward(input),
            Self::PreNorm(block) => block.forward(input),
        }
    }

    /// Cost of one sample with so many tokens of all classes together and so many voxels.
    pub fn cost(&self, text: usize, vision: usize) -> Cost {
        match self {
            Self::TwoWay(block) => block.cost(text, vision),
            Self::PreNorm(block) => block.cost(text, vision),
        }
    }
}

/// Values that the sublayers of a block hold for the backward pass, without projections and MLPs. Counted for the
/// two-way block, which holds more.
fn held_values(hidden: usize, channels: usize, text: usize, vision: usize) -> Cost {
    let of_text = 2 * 16 * channels + 2 * hidden + 6 * channels;
    let of_vision = 2 * 6 * channels;
    Cost::activations(text * of_text + vision * of_vision)
}

/// Projects to another number of channels, if it differs.
fn project(linear: Option<&Linear>, tokens: Tensor<3>) -> Tensor<3> {
    match linear {
        Some(linear) => linear.forward(tokens),
        None => tokens,
    }
}

/// Linear, ReLU, linear.
#[derive(Module, Debug)]
pub struct FusionMlp {
    /// To the hidden size.
    pub up: Linear,
    /// From the hidden size.
    pub down: Linear,
}

impl FusionMlp {
    fn new(init: &mut Initializer, channels: usize, inner: usize) -> Self {
        Self { up: init.linear(channels, inner), down: init.linear(inner, channels) }
    }

    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        checkpoint(self, [tokens], |mlp, [tokens]| mlp.down.forward(relu(mlp.up.forward(tokens))))
    }

    /// Cost for so many rows; the hidden values before and after ReLU are held.
    fn cost(&self, rows: usize) -> Cost {
        let [_, hidden] = self.up.weight.dims();
        let layers = self.up.cost(rows) + self.down.cost(rows);
        (layers + Cost::activations(2 * rows * hidden)).checkpointed(0)
    }
}

/// Multi-head attention of a given inner size.
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

/// Tokens that an attention projects to queries, keys and values.
struct Qkv {
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
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

    /// The mask is of the keys.
    fn forward(&self, input: Qkv, mask: Option<Tensor<3>>) -> Tensor<3> {
        let split = |linear: &Linear, tokens: Tensor<3>| {
            let [batch, count, _] = tokens.dims();
            let projected = linear.forward(tokens);
            let [.., inner] = projected.dims();
            projected.reshape([batch, count, self.heads, inner / self.heads])
        };
        let (query, key) = (split(&self.query, input.query), split(&self.key, input.key));
        let value = split(&self.value, input.value);
        let [batch, count, heads, width] = query.dims();
        let attended = attention(AttentionInput { query, key, value, bias: None, mask });
        self.output.forward(attended.reshape([batch, count, heads * width]))
    }

    /// Cost for so many queries and keys.
    fn cost(&self, queries: usize, keys: usize) -> Cost {
        let [_, inner] = self.query.weight.dims();
        let of_queries = self.query.cost(queries) + self.output.cost(queries);
        let of_keys = self.key.cost(keys) + self.value.cost(keys);
        of_queries + of_keys + Cost::new(0, 2 * queries * keys * inner, 0)
    }
}

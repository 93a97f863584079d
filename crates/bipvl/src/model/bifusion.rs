//! Exchange between one vision stage and one text stage: a two-way transformer of two layers
//! (paper.md 5.2, Fig. 2b).
//!
//! Text tokens are the queries `q`, vision tokens the keys `k`, and the projected text as it entered, `p`,
//! serves as position code of the queries. Padding tokens are never attended to.

use bipvl_kernels::{AttentionInput, attention};
use burn::{
    module::Module,
    nn::Linear,
    tensor::{Tensor, activation::relu},
};
use serde::{Deserialize, Serialize};

use super::{
    init::Initializer,
    layers::{EPSILON, LayerNorm},
};

/// Layers of the two-way transformer.
const LAYERS: usize = 2;
/// Length below which a token is not scaled up, as PyTorch's `normalize`.
const SHORTEST: f32 = 1e-12;

/// Sizes of every fusion block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionConfig {
    /// Heads of each attention.
    pub heads: usize,
    /// Width inside the perceptrons.
    pub mlp_size: usize,
}

/// Tokens of both sides.
#[derive(Clone, Debug)]
pub struct FusionInput {
    /// `[batch, text tokens, hidden]`
    pub text: Tensor<3>,
    /// `[batch, vision tokens, channels]`
    pub vision: Tensor<3>,
    /// Scores added to each text token as a key, `[1, 1, text tokens]`.
    pub text_mask: Tensor<3>,
}

/// Tokens of both sides after the exchange.
#[derive(Clone, Debug)]
pub struct FusionOutput {
    /// `[batch, text tokens, hidden]`; `None` after the last stage, where nothing reads it.
    pub text: Option<Tensor<3>>,
    /// `[batch, vision tokens, channels]`
    pub vision: Tensor<3>,
}

/// The fusion block of one stage.
#[derive(Module, Debug)]
pub struct BiFusion {
    /// From the text's width to the vision's, where they differ.
    pub project: Option<Linear>,
    /// Both ways, twice.
    pub layers: Vec<TwoWayLayer>,
    /// The way of the text out of the block.
    pub text_output: Option<TextOutput>,
}

/// Last attention of the text to the image, and back to the text's width.
#[derive(Module, Debug)]
pub struct TextOutput {
    /// Text asks, image answers.
    pub attention: FusionAttention,
    /// After it.
    pub norm: LayerNorm,
    /// From the vision's width to the text's, where they differ.
    pub project: Option<Linear>,
}

/// Whether a later stage reads the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextAfterwards {
    /// The next text stage goes on with it.
    Read,
    /// The last stage: only the vision side leaves the block.
    Unread,
}

impl BiFusion {
    /// First weights for a stage of `channels`.
    pub fn new(
        init: &mut Initializer,
        config: &FusionConfig,
        hidden: usize,
        channels: usize,
        afterwards: TextAfterwards,
    ) -> Self {
        let differ = hidden != channels;
        Self {
            project: differ.then(|| init.linear(hidden, channels)),
            layers: (0..LAYERS).map(|_| TwoWayLayer::new(init, config, channels)).collect(),
            text_output: (afterwards == TextAfterwards::Read).then(|| TextOutput {
                attention: FusionAttention::new(init, config.heads, channels, channels / 2),
                norm: LayerNorm::new(init, channels, EPSILON),
                project: differ.then(|| init.linear(channels, hidden)),
            }),
        }
    }

    /// Both sides after the exchange.
    pub fn forward(&self, input: FusionInput) -> FusionOutput {
        let FusionInput { text, vision, text_mask } = input;
        let length = text.clone().square().sum_dim(2).sqrt().clamp_min(SHORTEST);
        let text = text / length;
        let position = match &self.project {
            Some(project) => project.forward(text),
            None => text,
        };
        let mut both = (position.clone(), vision);
        for (index, layer) in self.layers.iter().enumerate() {
            both = layer.forward(both, &position, &text_mask, index == 0);
        }
        let (text, vision) = both;
        let text = self.text_output.as_ref().map(|output| output.forward(text, position, vision.clone()));
        FusionOutput { text, vision }
    }
}

impl TextOutput {
    fn forward(&self, text: Tensor<3>, position: Tensor<3>, vision: Tensor<3>) -> Tensor<3> {
        let asked = self.attention.forward(text.clone() + position, vision.clone(), vision, None);
        let text = self.norm.forward(text + asked);
        match &self.project {
            Some(project) => project.forward(text),
            None => text,
        }
    }
}

/// Text to itself, text to image, image to text, each followed by a perceptron and a norm.
#[derive(Module, Debug)]
pub struct TwoWayLayer {
    /// Text to itself.
    pub self_attention: FusionAttention,
    /// Text asks, image answers.
    pub text_to_vision: FusionAttention,
    /// Image asks, text answers.
    pub vision_to_text: FusionAttention,
    /// Of the text.
    pub text_mlp: FusionMlp,
    /// Of the image.
    pub vision_mlp: FusionMlp,
    /// In the order of their use.
    pub norms: Vec<LayerNorm>,
}

impl TwoWayLayer {
    fn new(init: &mut Initializer, config: &FusionConfig, channels: usize) -> Self {
        let heads = config.heads;
        Self {
            self_attention: FusionAttention::new(init, heads, channels, channels),
            text_to_vision: FusionAttention::new(init, heads, channels, channels / 2),
            vision_to_text: FusionAttention::new(init, heads, channels, channels / 2),
            text_mlp: FusionMlp::new(init, channels, config.mlp_size),
            vision_mlp: FusionMlp::new(init, channels, config.mlp_size),
            norms: (0..5).map(|_| LayerNorm::new(init, channels, EPSILON)).collect(),
        }
    }

    /// The first layer's self-attention replaces the text instead of being added to it.
    fn forward(
        &self,
        (q, k): (Tensor<3>, Tensor<3>),
        p: &Tensor<3>,
        mask: &Tensor<3>,
        is_first: bool,
    ) -> (Tensor<3>, Tensor<3>) {
        let mask = || Some(mask.clone());
        let q = if is_first {
            self.self_attention.forward(q.clone(), q.clone(), q, mask())
        } else {
            let asking = q.clone() + p.clone();
            q.clone() + self.self_attention.forward(asking.clone(), asking, q, mask())
        };
        let q = self.norms[0].forward(q);
        let asked = self.text_to_vision.forward(q.clone() + p.clone(), k.clone(), k.clone(), None);
        let q = self.norms[1].forward(q + asked);
        let q = self.norms[2].forward(q.clone() + self.text_mlp.forward(q));
        let asked = self.vision_to_text.forward(k.clone(), q.clone() + p.clone(), q.clone(), mask());
        let k = self.norms[3].forward(k + asked);
        let k = self.norms[4].forward(k.clone() + self.vision_mlp.forward(k));
        (q, k)
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
        self.down.forward(relu(self.up.forward(tokens)))
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

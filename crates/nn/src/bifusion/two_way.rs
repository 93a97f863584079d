//! The fusion block of the release: a two-way transformer of two layers (paper.md 5.2).
//!
//! Text tokens are the queries `q`, vision tokens the keys `k`, and the projected text as it entered, `p`,
//! serves as position code of the queries. Where one side alone hears of the other ([`super::FusionDirection`]), the
//! layers that would inform the other are not there.

use burn::{module::Module, tensor::Tensor};

use super::{
    FusionAttention, FusionConfig, FusionInput, FusionMlp, FusionOutput, TextOutput, TextResidual, project,
};
use crate::{
    init::Initializer,
    layers::{EPSILON, LayerNorm, Linear},
};

/// Layers of the two-way transformer.
const LAYERS: usize = 2;
/// Length below which a token is not scaled up, as PyTorch's `normalize`.
const NORM_EPS: f32 = 1e-12;

/// Both ways, twice, and a last look of the text at the image.
#[derive(Module, Debug)]
pub struct TwoWay {
    /// From the text's width to the vision's, where they differ.
    pub project: Option<Linear>,
    /// Both ways, twice.
    pub layers: Vec<TwoWayLayer>,
    /// The way of the text out of the block.
    pub text_output: Option<TextProjection>,
    #[module(skip)]
    text_residual: TextResidual,
}

/// Last attention of the text to the image, and back to the text's width.
#[derive(Module, Debug)]
pub struct TextProjection {
    /// Text asks, image answers.
    pub attention: FusionAttention,
    /// After it.
    pub norm: LayerNorm,
    /// From the vision's width to the text's, where they differ.
    pub project: Option<Linear>,
}

impl TwoWay {
    pub(super) fn new(
        init: &mut Initializer,
        config: &FusionConfig,
        hidden: usize,
        channels: usize,
        output: TextOutput,
    ) -> Self {
        let differ = hidden != channels;
        Self {
            project: differ.then(|| init.linear(hidden, channels)),
            layers: (0..LAYERS).map(|_| TwoWayLayer::new(init, config, channels)).collect(),
            text_output: (output == TextOutput::Required).then(|| TextProjection {
                attention: FusionAttention::new(init, config.heads, channels, channels / 2),
                norm: LayerNorm::new(init, channels, EPSILON),
                project: differ.then(|| init.linear(channels, hidden)),
            }),
            text_residual: config.text_residual,
        }
    }

    pub(super) fn forward(&self, input: FusionInput) -> FusionOutput {
        let FusionInput { text, vision, text_mask } = input;
        let entering = match self.text_residual {
            TextResidual::On => text.clone(),
            TextResidual::Off => to_unit_length(text.clone()),
        };
        let position = project(self.project.as_ref(), entering);
        let mut both = (position.clone(), vision);
        for (index, layer) in self.layers.iter().enumerate() {
            let first = (index == 0).then_some(self.text_residual);
            both = layer.forward(both, &position, &text_mask, first);
        }
        let (made, vision) = both;
        let made = self.text_output.as_ref().map(|output| output.forward(made, position, vision.clone()));
        FusionOutput { text: made.map(|made| self.text_residual.join(text, made)), vision }
    }
}

fn to_unit_length(tokens: Tensor<3>) -> Tensor<3> {
    let length = tokens.clone().square().sum_dim(2).sqrt().clamp_min(NORM_EPS);
    tokens / length
}

impl TextProjection {
    fn forward(&self, text: Tensor<3>, position: Tensor<3>, vision: Tensor<3>) -> Tensor<3> {
        let asked = self.attention.forward(text.clone() + position, vision.clone(), vision, None);
        project(self.project.as_ref(), self.norm.forward(text + asked))
    }
}

/// Text to itself, text to image, image to text, each followed by a perceptron and a norm.
#[derive(Module, Debug)]
pub struct TwoWayLayer {
    /// Text to itself.
    pub self_attention: FusionAttention,
    /// Text asks, image answers.
    pub text_to_vision: Option<FusionAttention>,
    /// Image asks, text answers.
    pub vision_to_text: Option<FusionAttention>,
    /// Of the text.
    pub text_mlp: FusionMlp,
    /// Of the image.
    pub vision_mlp: Option<FusionMlp>,
    /// In the order of their use.
    pub norms: Vec<LayerNorm>,
}

impl TwoWayLayer {
    fn new(init: &mut Initializer, config: &FusionConfig, channels: usize) -> Self {
        let FusionConfig { heads, mlp_size, direction, .. } = *config;
        let (asks, answers) = (direction.updates_text(), direction.updates_vision());
        let norms = 2 + usize::from(asks) + 2 * usize::from(answers);
        Self {
            self_attention: FusionAttention::new(init, heads, channels, channels),
            text_to_vision: asks.then(|| FusionAttention::new(init, heads, channels, channels / 2)),
            vision_to_text: answers.then(|| FusionAttention::new(init, heads, channels, channels / 2)),
            text_mlp: FusionMlp::new(init, channels, mlp_size),
            vision_mlp: answers.then(|| FusionMlp::new(init, channels, mlp_size)),
            norms: (0..norms).map(|_| LayerNorm::new(init, channels, EPSILON)).collect(),
        }
    }

    /// The self-attention of the `first` layer has no position code, and as published no residual either.
    fn forward(
        &self,
        (q, k): (Tensor<3>, Tensor<3>),
        p: &Tensor<3>,
        mask: &Tensor<3>,
        first: Option<TextResidual>,
    ) -> (Tensor<3>, Tensor<3>) {
        let mask = || Some(mask.clone());
        let q = if let Some(tokens) = first {
            tokens.join(q.clone(), self.self_attention.forward(q.clone(), q.clone(), q, mask()))
        } else {
            let asking = q.clone() + p.clone();
            q.clone() + self.self_attention.forward(asking.clone(), asking, q, mask())
        };
        let mut norms = self.norms.iter();
        let mut norm = |tokens| norms.next().expect("one norm per sum").forward(tokens);
        let mut q = norm(q);
        if let Some(ask) = &self.text_to_vision {
            let asked = ask.forward(q.clone() + p.clone(), k.clone(), k.clone(), None);
            q = norm(q + asked);
        }
        let q = norm(q.clone() + self.text_mlp.forward(q));
        let (Some(ask), Some(mlp)) = (&self.vision_to_text, &self.vision_mlp) else { return (q, k) };
        let asked = ask.forward(k.clone(), q.clone() + p.clone(), q.clone(), mask());
        let k = norm(k + asked);
        let k = norm(k.clone() + mlp.forward(k));
        (q, k)
    }
}

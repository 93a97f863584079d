//! The fusion block of the paper's figure: one pre-norm layer with self-attention of both streams (method.md 5.1).
//!
//! With T the text projected to the image's channels and V the image:
//!
//! - T′ = T + SA(LN(T)), V′ = V + SA(LN(V)), in the paper without the first term
//! - T̂ = T′ + MLP(CA(T′; V′)), V̂ = V′ + MLP(CA(V′; T̂))
//!
//! The image attends to the updated text. The paper gives neither heads nor hidden sizes; those of the published code
//! are used: cross-attention at half the channels, and an MLP with ReLU. Text tokens are not scaled to length 1, which
//! the layer norm makes unnecessary. With a residual connection the block's output is added to its text input; in the
//! paper it replaces it.

use burn::{module::Module, tensor::Tensor};

use super::{
    FusionAttention, FusionConfig, FusionInput, FusionMlp, FusionOutput, FusionTokens, Qkv, TextOutput,
    TextResidual, held_values, project,
};
use crate::{
    Cost,
    init::Initializer,
    layers::{EPSILON, LayerNorm, Linear},
};

/// Self-attention of both streams, then cross-attention of the text, then of the image.
#[derive(Module, Debug)]
pub struct PreNorm {
    /// From the text's channels to the image's, where they differ.
    pub project: Option<Linear>,
    /// The text's layers.
    pub text: PreNormStream,
    /// The image's layers.
    pub vision: PreNormStream,
    /// From the image's channels to the text's, where they differ and the updated text is used.
    pub project_back: Option<Linear>,
    #[module(skip)]
    text_output: TextOutput,
    #[module(skip)]
    text_residual: TextResidual,
}

/// One stream (text or image) of a pre-norm fusion block.
#[derive(Module, Debug)]
pub struct PreNormStream {
    /// Before the self-attention.
    pub norm: LayerNorm,
    /// Of the stream's own tokens.
    pub self_attention: FusionAttention,
    /// Queries: this stream, keys and values: the other; `None` where this stream is not updated.
    pub cross_attention: Option<FusionAttention>,
    /// After the cross-attention.
    pub mlp: Option<FusionMlp>,
}

impl PreNorm {
    pub(super) fn new(
        init: &mut Initializer,
        config: &FusionConfig,
        hidden: usize,
        channels: usize,
        text_output: TextOutput,
    ) -> Self {
        let differ = hidden != channels;
        let returns = differ && text_output == TextOutput::Required;
        Self {
            project: differ.then(|| init.linear(hidden, channels)),
            text: PreNormStream::new(init, config, channels, config.direction.updates_text()),
            vision: PreNormStream::new(init, config, channels, config.direction.updates_vision()),
            project_back: returns.then(|| init.linear(channels, hidden)),
            text_output,
            text_residual: config.text_residual,
        }
    }

    pub(super) fn forward(&self, input: FusionInput) -> FusionOutput {
        let FusionTokens { text, vision, text_mask, shape } = input.into_tokens();
        let update = project(self.project.as_ref(), text.clone());
        let update = self.text.self_attend(update, Some(text_mask.clone()), self.text_residual);
        let attended = self.vision.self_attend(vision.clone(), None, self.text_residual);
        let update = self.text.cross_attend(update.clone(), attended.clone(), None).unwrap_or(update);
        let vision = self.vision.cross_attend(attended, update.clone(), Some(text_mask)).unwrap_or(vision);
        let text = match self.text_output {
            TextOutput::Required => {
                Some(self.text_residual.apply(text, project(self.project_back.as_ref(), update)))
            }
            TextOutput::Unused => None,
        };
        shape.output(text, vision)
    }

    pub(super) fn cost(&self, text: usize, vision: usize) -> Cost {
        let channels = self.text.norm.gamma.dims()[0];
        let hidden = self.project.as_ref().map_or(channels, |linear| linear.weight.dims()[0]);
        let projections = [&self.project, &self.project_back].into_iter().flatten();
        let projections: Cost = projections.map(|linear| linear.cost(text)).sum();
        let streams = self.text.cost(text, vision) + self.vision.cost(vision, text);
        projections + streams + held_values(hidden, channels, text, vision)
    }
}

impl PreNormStream {
    fn new(init: &mut Initializer, config: &FusionConfig, channels: usize, is_updated: bool) -> Self {
        let cross = |init: &mut Initializer| FusionAttention::new(init, config.heads, channels, channels / 2);
        Self {
            norm: LayerNorm::new(init, channels, EPSILON),
            self_attention: FusionAttention::new(init, config.heads, channels, channels),
            cross_attention: is_updated.then(|| cross(init)),
            mlp: is_updated.then(|| FusionMlp::new(init, channels, config.mlp_size)),
        }
    }

    /// `SA(LN(tokens))`, added to the tokens or in their place.
    fn self_attend(&self, tokens: Tensor<3>, mask: Option<Tensor<3>>, residual: TextResidual) -> Tensor<3> {
        let normed = self.norm.forward(tokens.clone());
        let qkv = Qkv { query: normed.clone(), key: normed.clone(), value: normed };
        residual.apply(tokens, self.self_attention.forward(qkv, mask))
    }

    /// `tokens + MLP(CA(tokens; other))`, or `None` where this stream is not updated; the mask is of `other`.
    fn cross_attend(
        &self,
        tokens: Tensor<3>,
        other: Tensor<3>,
        mask: Option<Tensor<3>>,
    ) -> Option<Tensor<3>> {
        let (attention, mlp) = (self.cross_attention.as_ref()?, self.mlp.as_ref()?);
        let qkv = Qkv { query: tokens.clone(), key: other.clone(), value: other };
        Some(tokens + mlp.forward(attention.forward(qkv, mask)))
    }

    /// Cost for so many tokens of this stream and of the other.
    fn cost(&self, tokens: usize, other: usize) -> Cost {
        let cross = self.cross_attention.as_ref().map(|attention| attention.cost(tokens, other));
        let mlp = self.mlp.as_ref().map(|mlp| mlp.cost(tokens));
        let self_attention = self.norm.cost() + self.self_attention.cost(tokens, tokens);
        self_attention + cross.unwrap_or_default() + mlp.unwrap_or_default()
    }
}

//! The fusion block of the paper's figure: one pre-norm pass with self-attention on both sides (paper.md
//! 5.1).
//!
//! With T the text projected to the vision's width and V the image:
//!
//! - T′ = T + SA(LN(T)), V′ = V + SA(LN(V)), in the paper without the first term
//! - T̂ = T′ + MLP(CA(T′; V′)), V̂ = V′ + MLP(CA(V′; T̂))
//!
//! The image attends to the updated text. The paper gives neither heads nor widths, so those of the release
//! hold: cross-attention at half the width, and a perceptron with ReLU. Text tokens are not scaled to length
//! 1, because the layer norm does that work. What leaves the block is added to the text that entered it; in
//! the paper it takes its place.

use burn::{module::Module, tensor::Tensor};

use super::{
    FusionAttention, FusionConfig, FusionInput, FusionMlp, FusionOutput, TextOutput, TextResidual, project,
};
use crate::{
    init::Initializer,
    layers::{EPSILON, LayerNorm, Linear},
};

/// Both sides to themselves, then text to image, then image to text.
#[derive(Module, Debug)]
pub struct PreNorm {
    /// From the text's width to the vision's, where they differ.
    pub project: Option<Linear>,
    /// The text's layers.
    pub text: PreNormStream,
    /// The image's layers.
    pub vision: PreNormStream,
    /// From the vision's width to the text's, where they differ and the text is read afterwards.
    pub project_back: Option<Linear>,
    #[module(skip)]
    text_output: TextOutput,
    #[module(skip)]
    text_residual: TextResidual,
}

/// The layers of one side.
#[derive(Module, Debug)]
pub struct PreNormStream {
    /// Before the self-attention.
    pub norm: LayerNorm,
    /// The side to itself.
    pub self_attention: FusionAttention,
    /// The side asks, the other answers; `None` where the side hears nothing of the other.
    pub cross_attention: Option<FusionAttention>,
    /// Of the answer.
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
        let FusionInput { text, vision, text_mask } = input;
        let made = project(self.project.as_ref(), text.clone());
        let made = self.text.self_attend(made, Some(text_mask.clone()), self.text_residual);
        let attended = self.vision.self_attend(vision.clone(), None, self.text_residual);
        let made = self.text.cross_attend(made.clone(), attended.clone(), None).unwrap_or(made);
        let vision = self.vision.cross_attend(attended, made.clone(), Some(text_mask)).unwrap_or(vision);
        let text = match self.text_output {
            TextOutput::Required => {
                Some(self.text_residual.join(text, project(self.project_back.as_ref(), made)))
            }
            TextOutput::Unused => None,
        };
        FusionOutput { text, vision }
    }
}

impl PreNormStream {
    fn new(init: &mut Initializer, config: &FusionConfig, channels: usize, asks: bool) -> Self {
        Self {
            norm: LayerNorm::new(init, channels, EPSILON),
            self_attention: FusionAttention::new(init, config.heads, channels, channels),
            cross_attention: asks.then(|| FusionAttention::new(init, config.heads, channels, channels / 2)),
            mlp: asks.then(|| FusionMlp::new(init, channels, config.mlp_size)),
        }
    }

    /// `SA(LN(tokens))`, added to the tokens or in their place.
    fn self_attend(&self, tokens: Tensor<3>, mask: Option<Tensor<3>>, path: TextResidual) -> Tensor<3> {
        let normed = self.norm.forward(tokens.clone());
        path.join(tokens, self.self_attention.forward(normed.clone(), normed.clone(), normed, mask))
    }

    /// `tokens + MLP(CA(tokens; other))`, or nothing where this side does not ask; the mask is of `other`.
    fn cross_attend(
        &self,
        tokens: Tensor<3>,
        other: Tensor<3>,
        mask: Option<Tensor<3>>,
    ) -> Option<Tensor<3>> {
        let (attention, mlp) = (self.cross_attention.as_ref()?, self.mlp.as_ref()?);
        let answer = attention.forward(tokens.clone(), other.clone(), other, mask);
        Some(tokens + mlp.forward(answer))
    }
}

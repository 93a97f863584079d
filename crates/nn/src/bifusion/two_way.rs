//! The fusion block of the published code: a two-way transformer of two layers, as in SAM (method.md 5.2).
//!
//! Text tokens are the queries `q`, vision tokens the keys `k`; the projected text at the input, `p`, is the position
//! code of the queries. In a one-way direction ([`super::FusionDirection`]) the layers of the other one are absent.

use burn::{module::Module, tensor::Tensor};

use super::{
    FusionAttention, FusionConfig, FusionInput, FusionMlp, FusionOutput, FusionTokens, Qkv, TextOutput,
    TextResidual, TextSelfAttention, TokenShape, held_values, project,
};
use crate::{
    Cost,
    init::Initializer,
    layers::{EPSILON, LayerNorm, Linear, NORM_EPS},
};

/// Layers of the two-way transformer.
const LAYERS: usize = 2;

/// Two layers in both directions, and a last attention of the text to the image.
#[derive(Module, Debug)]
pub struct TwoWay {
    /// From the text's channels to the image's, where they differ.
    pub project: Option<Linear>,
    /// The layers.
    pub layers: Vec<TwoWayLayer>,
    /// From the last layer to the updated text.
    pub text_output: Option<TextProjection>,
    #[module(skip)]
    text_residual: TextResidual,
    #[module(skip)]
    text_self_attention: TextSelfAttention,
}

/// Last attention of the text to the image, and projection to the text's channels.
#[derive(Module, Debug)]
pub struct TextProjection {
    /// Cross-attention, queries: text, keys and values: image.
    pub attention: FusionAttention,
    /// After it.
    pub norm: LayerNorm,
    /// From the image's channels to the text's, where they differ.
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
            text_self_attention: config.text_self_attention,
        }
    }

    pub(super) fn forward(&self, input: FusionInput) -> FusionOutput {
        let FusionTokens { text, vision, text_mask, shape } = input.into_tokens();
        let projected = match self.text_residual {
            TextResidual::On => text.clone(),
            TextResidual::Off => to_unit_length(text.clone()),
        };
        let position = project(self.project.as_ref(), projected);
        let mut tokens = TwoWayTokens { queries: position.clone(), keys: vision };
        let per_class = (self.text_self_attention == TextSelfAttention::PerClass).then_some(shape);
        let context = TextContext { position, mask: text_mask, per_class };
        for (index, layer) in self.layers.iter().enumerate() {
            let first = (index == 0).then_some(self.text_residual);
            tokens = layer.forward(tokens, &context, first);
        }
        let TwoWayTokens { queries, keys: vision } = tokens;
        let update =
            self.text_output.as_ref().map(|output| output.forward(queries, context.position, vision.clone()));
        shape.output(update.map(|update| self.text_residual.apply(text, update)), vision)
    }

    pub(super) fn cost(&self, text: usize, vision: usize) -> Cost {
        let channels = self.layers[0].self_attention.query.weight.dims()[0];
        let hidden = self.project.as_ref().map_or(channels, |linear| linear.weight.dims()[0]);
        let projection = self.project.as_ref().map(|linear| linear.cost(text)).unwrap_or_default();
        let layers: Cost = self.layers.iter().map(|layer| layer.cost(text, vision)).sum();
        let output = self.text_output.as_ref().map(|output| output.cost(text, vision)).unwrap_or_default();
        projection + layers + output + held_values(hidden, channels, text, vision)
    }
}

fn to_unit_length(tokens: Tensor<3>) -> Tensor<3> {
    let length = tokens.clone().square().sum_dim(2).sqrt().clamp_min(NORM_EPS);
    tokens / length
}

impl TextProjection {
    fn forward(&self, text: Tensor<3>, position: Tensor<3>, vision: Tensor<3>) -> Tensor<3> {
        let qkv = Qkv { query: text.clone() + position, key: vision.clone(), value: vision };
        let attended = self.attention.forward(qkv, None);
        project(self.project.as_ref(), self.norm.forward(text + attended))
    }

    fn cost(&self, text: usize, vision: usize) -> Cost {
        let projection = self.project.as_ref().map(|linear| linear.cost(text)).unwrap_or_default();
        self.attention.cost(text, vision) + self.norm.cost() + projection
    }
}

/// Text and image between two layers.
struct TwoWayTokens {
    /// Text, `[batch, text tokens, channels]`.
    queries: Tensor<3>,
    /// Image, `[batch, voxels, channels]`.
    keys: Tensor<3>,
}

/// What all layers read of the text at the input.
struct TextContext {
    /// `[batch, text tokens, channels]`
    position: Tensor<3>,
    /// `[texts, 1, text tokens]`
    mask: Tensor<3>,
    /// Where each class attends to itself alone.
    per_class: Option<TokenShape>,
}

/// Self-attention of the text and its MLP, cross-attention in both directions, MLP of the image; a norm after each.
#[derive(Module, Debug)]
pub struct TwoWayLayer {
    /// Self-attention of the text.
    pub self_attention: FusionAttention,
    /// Cross-attention, queries: text, keys and values: image.
    pub text_to_vision: Option<FusionAttention>,
    /// Cross-attention, queries: image, keys and values: text.
    pub vision_to_text: Option<FusionAttention>,
    /// Of the text.
    pub text_mlp: FusionMlp,
    /// Of the image.
    pub vision_mlp: Option<FusionMlp>,
    /// After `self_attention`.
    pub self_attention_norm: LayerNorm,
    /// After `text_to_vision`.
    pub text_to_vision_norm: Option<LayerNorm>,
    /// After `text_mlp`.
    pub text_mlp_norm: LayerNorm,
    /// After `vision_to_text`.
    pub vision_to_text_norm: Option<LayerNorm>,
    /// After `vision_mlp`.
    pub vision_mlp_norm: Option<LayerNorm>,
}

impl TwoWayLayer {
    fn new(init: &mut Initializer, config: &FusionConfig, channels: usize) -> Self {
        let FusionConfig { heads, mlp_size, direction, .. } = *config;
        let (updates_text, updates_vision) = (direction.updates_text(), direction.updates_vision());
        let self_attention = FusionAttention::new(init, heads, channels, channels);
        let mut cross_attention =
            |is_there: bool| is_there.then(|| FusionAttention::new(init, heads, channels, channels / 2));
        let (text_to_vision, vision_to_text) =
            (cross_attention(updates_text), cross_attention(updates_vision));
        let text_mlp = FusionMlp::new(init, channels, mlp_size);
        let vision_mlp = updates_vision.then(|| FusionMlp::new(init, channels, mlp_size));
        let norm = || LayerNorm::new(init, channels, EPSILON);
        Self {
            self_attention,
            text_to_vision,
            vision_to_text,
            text_mlp,
            vision_mlp,
            self_attention_norm: norm(),
            text_to_vision_norm: updates_text.then(norm),
            text_mlp_norm: norm(),
            vision_to_text_norm: updates_vision.then(norm),
            vision_mlp_norm: updates_vision.then(norm),
        }
    }

    /// The self-attention of the `first` layer has no position code, and as published no residual either.
    fn forward(
        &self,
        tokens: TwoWayTokens,
        context: &TextContext,
        first: Option<TextResidual>,
    ) -> TwoWayTokens {
        let TwoWayTokens { queries: q, keys: k } = tokens;
        let TextContext { position: p, mask, .. } = context;
        let q = if let Some(residual) = first {
            let qkv = Qkv { query: q.clone(), key: q.clone(), value: q.clone() };
            residual.apply(q, self.self_attend(qkv, context))
        } else {
            let coded = q.clone() + p.clone();
            let qkv = Qkv { query: coded.clone(), key: coded, value: q.clone() };
            q + self.self_attend(qkv, context)
        };
        let mut q = self.self_attention_norm.forward(q);
        if let (Some(attention), Some(norm)) = (&self.text_to_vision, &self.text_to_vision_norm) {
            let qkv = Qkv { query: q.clone() + p.clone(), key: k.clone(), value: k.clone() };
            q = norm.forward(q + attention.forward(qkv, None));
        }
        let q = self.text_mlp_norm.forward(q.clone() + self.text_mlp.forward(q));
        let mut k = k;
        if let (Some(attention), Some(norm)) = (&self.vision_to_text, &self.vision_to_text_norm) {
            let qkv = Qkv { query: k.clone(), key: q.clone() + p.clone(), value: q.clone() };
            k = norm.forward(k + attention.forward(qkv, Some(mask.clone())));
        }
        if let (Some(mlp), Some(norm)) = (&self.vision_mlp, &self.vision_mlp_norm) {
            k = norm.forward(k.clone() + mlp.forward(k));
        }
        TwoWayTokens { queries: q, keys: k }
    }

    fn self_attend(&self, qkv: Qkv, context: &TextContext) -> Tensor<3> {
        match context.per_class {
            Some(shape) => shape.attend_per_class(&self.self_attention, qkv, &context.mask),
            None => self.self_attention.forward(qkv, Some(context.mask.clone())),
        }
    }

    fn cost(&self, text: usize, vision: usize) -> Cost {
        let attention = |attention: &Option<FusionAttention>| {
            attention.as_ref().map(|attention| attention.cost(text, vision)).unwrap_or_default()
        };
        let mut cost = self.self_attention.cost(text, text) + self.text_mlp.cost(text);
        cost += attention(&self.text_to_vision);
        // Queries and keys cost the same: either direction projects and multiplies the same tokens.
        cost += attention(&self.vision_to_text);
        cost += self.vision_mlp.as_ref().map(|mlp| mlp.cost(vision)).unwrap_or_default();
        let optional = [&self.text_to_vision_norm, &self.vision_to_text_norm, &self.vision_mlp_norm];
        let norms = optional.into_iter().flatten().chain([&self.self_attention_norm, &self.text_mlp_norm]);
        cost + norms.map(LayerNorm::cost).sum()
    }
}

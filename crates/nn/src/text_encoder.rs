//! BERT cut into stages, so that the text can meet the image between its layers (paper.md section 4).

use bipvl_kernels::{AttentionInput, attention, checkpoint};
use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use super::{
    init::{DropoutRng, Initializer},
    layers::{LayerNorm, Linear, Mlp},
    vision_encoder::STAGES,
};
use bipvl_text::{ClassText, Tokens};

/// Added to the score of a padding token: no weight is left after the softmax.
const MASK_VALUE: f32 = -1e9;

/// Sizes of the text side; the names are those of a Hugging Face `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Word pieces; 0 means: as many as the tokenizer has.
    pub vocab_size: usize,
    /// Width of a token.
    pub hidden_size: usize,
    /// Heads of each layer.
    pub num_attention_heads: usize,
    /// Width inside a layer's perceptron.
    pub intermediate_size: usize,
    /// Longest text in tokens.
    pub max_position_embeddings: usize,
    /// Layers of each stage; the paper's are 6, 2, 2, 2.
    pub stage_layers: [usize; STAGES],
    /// Share of values dropped in training.
    pub hidden_dropout_prob: f32,
    /// Epsilon of every norm.
    pub layer_norm_eps: f32,
}

impl TextConfig {
    /// All layers.
    pub fn layers(&self) -> usize {
        self.stage_layers.iter().sum()
    }
}

/// Token ids and masks of the classes' texts, on a device.
#[derive(Clone, Debug)]
pub struct TextInput {
    /// One text per class, `[texts · classes, tokens]`.
    pub full: TokenBatch,
    /// One text per concept of each class, `[texts · classes · concepts, tokens]`; `None` where nothing is aligned.
    pub concepts: Option<TokenBatch>,
    /// Concepts per class, the title counted.
    pub num_concepts: usize,
    /// 1 for a text that all samples of a batch share, else one for each sample.
    pub num_texts: usize,
}

/// Ids of padded texts, and which of them are real.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// `[texts, tokens]`
    pub input_ids: Tensor<2, Int>,
    /// Scores added to each key, 0 or very negative, `[texts, 1, tokens]`.
    pub attention_mask: Tensor<3>,
}

impl TextInput {
    /// Uploads tokenized texts.
    pub fn new(text: &ClassText, device: &Device) -> Self {
        Self {
            full: TokenBatch::new(&text.full, device),
            concepts: Some(TokenBatch::new(&text.concepts, device)),
            num_concepts: text.num_concepts,
            num_texts: text.num_texts,
        }
    }

    /// How many classes the texts are of.
    pub fn num_classes(&self) -> usize {
        self.full.input_ids.dims()[0] / self.num_texts
    }

    /// For a training without alignment, which alone reads the concepts.
    #[must_use]
    pub fn without_concepts(self) -> Self {
        Self { concepts: None, ..self }
    }
}

impl TokenBatch {
    /// Uploads one set of padded texts.
    pub fn new(tokens: &Tokens, device: &Device) -> Self {
        let (texts, length) = tokens.ids.dim();
        let ids: Vec<i64> = tokens.ids.iter().copied().collect();
        let mask: Vec<f32> = tokens.mask.iter().map(|real| if *real { 0.0 } else { MASK_VALUE }).collect();
        Self {
            input_ids: Tensor::from_data(TensorData::new(ids, [texts, length]), device),
            attention_mask: Tensor::from_data(TensorData::new(mask, [texts, 1, length]), device),
        }
    }
}

/// Embeddings and layers, grouped by stage.
#[derive(Module, Debug)]
pub struct TextEncoder {
    /// Words, positions, types.
    pub embeddings: TextEmbeddings,
    /// The layers of each stage.
    pub stages: Vec<Vec<TextLayer>>,
}

/// Sum of word, position and type embeddings, normalized.
#[derive(Module, Debug)]
pub struct TextEmbeddings {
    /// `[vocabulary, hidden]`
    pub words: Param<Tensor<2>>,
    /// `[positions, hidden]`
    pub positions: Param<Tensor<2>>,
    /// `[2, hidden]`; every token of ours is of the first type.
    pub types: Param<Tensor<2>>,
    /// Over the sum.
    pub norm: LayerNorm,
    dropout: f64,
}

/// One post-norm transformer layer.
#[derive(Module, Debug)]
pub struct TextLayer {
    /// Query projection.
    pub query: Linear,
    /// Key projection.
    pub key: Linear,
    /// Value projection.
    pub value: Linear,
    /// After the heads are joined.
    pub attention_output: Linear,
    /// After the attention.
    pub attention_norm: LayerNorm,
    /// Widens, GELU, narrows.
    pub mlp: Mlp,
    /// After the perceptron.
    pub output_norm: LayerNorm,
    heads: usize,
    dropout: f64,
}

impl TextEncoder {
    /// First weights for these sizes.
    pub fn new(init: &mut Initializer, config: &TextConfig) -> Self {
        let hidden = config.hidden_size;
        let embeddings = TextEmbeddings {
            words: init.normal([config.vocab_size, hidden], 0.02),
            positions: init.normal([config.max_position_embeddings, hidden], 0.02),
            types: init.normal([2, hidden], 0.02),
            norm: LayerNorm::new(init, hidden, config.layer_norm_eps),
            dropout: f64::from(config.hidden_dropout_prob),
        };
        let stages = config
            .stage_layers
            .iter()
            .map(|layers| (0..*layers).map(|_| TextLayer::new(init, config)).collect())
            .collect();
        Self { embeddings, stages }
    }

    /// Runs the layers of one stage.
    ///
    /// # Shapes
    ///
    /// - `tokens` and output: `[texts, tokens, hidden]`
    /// - `mask`: `[groups, 1, tokens]`; text `t` uses group `t % groups`
    pub fn forward_stage(
        &self,
        stage: usize,
        tokens: Tensor<3>,
        mask: &Tensor<3>,
        mut rng: Option<&mut DropoutRng>,
    ) -> Tensor<3> {
        let layers = self.stages[stage].iter();
        layers.fold(tokens, |tokens, layer| layer.forward(tokens, mask, rng.as_deref_mut()))
    }

    /// Runs all layers without meeting an image and keeps the first token of each text, `[texts, hidden]`.
    pub fn cls_embeddings(&self, tokens: &TokenBatch, mut rng: Option<&mut DropoutRng>) -> Tensor<2> {
        let embedded = self.embeddings.forward(tokens.input_ids.clone(), rng.as_deref_mut());
        let encoded = (0..STAGES).fold(embedded, |encoded, stage| {
            self.forward_stage(stage, encoded, &tokens.attention_mask, rng.as_deref_mut())
        });
        let [texts, _, hidden] = encoded.dims();
        encoded.slice([0..texts, 0..1, 0..hidden]).squeeze_dim(1)
    }
}

impl TextEmbeddings {
    /// # Shapes
    ///
    /// - `ids`: `[texts, tokens]`
    /// - output: `[texts, tokens, hidden]`
    pub fn forward(&self, ids: Tensor<2, Int>, rng: Option<&mut DropoutRng>) -> Tensor<3> {
        let [texts, length] = ids.dims();
        let [_, hidden] = self.words.dims();
        let words = self.words.val().select(0, ids.flatten::<1>(0, 1)).reshape([texts, length, hidden]);
        let positions = self.positions.val().slice([0..length, 0..hidden]).unsqueeze_dim::<3>(0);
        let types = self.types.val().slice([0..1, 0..hidden]).unsqueeze_dim::<3>(0);
        drop_out(self.norm.forward(words + positions + types), self.dropout, rng)
    }
}

impl TextLayer {
    fn new(init: &mut Initializer, config: &TextConfig) -> Self {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let norm = |init: &Initializer| LayerNorm::new(init, hidden, config.layer_norm_eps);
        Self {
            query: init.bert_linear(hidden, hidden),
            key: init.bert_linear(hidden, hidden),
            value: init.bert_linear(hidden, hidden),
            attention_output: init.bert_linear(hidden, hidden),
            attention_norm: norm(init),
            mlp: Mlp { up: init.bert_linear(hidden, inner), down: init.bert_linear(inner, hidden) },
            output_norm: norm(init),
            heads: config.num_attention_heads,
            dropout: f64::from(config.hidden_dropout_prob),
        }
    }

    fn forward(&self, tokens: Tensor<3>, mask: &Tensor<3>, rng: Option<&mut DropoutRng>) -> Tensor<3> {
        let mask = mask.clone().inner();
        // Noise of its own is the same whenever the layer is computed.
        let rng = rng.filter(|_| self.dropout > 0.0).map(DropoutRng::split);
        checkpoint(self, [tokens], move |layer, [tokens]| layer.encode(tokens, &mask, rng.clone().as_mut()))
    }

    fn encode(&self, tokens: Tensor<3>, mask: &Tensor<3>, mut rng: Option<&mut DropoutRng>) -> Tensor<3> {
        let [texts, length, hidden] = tokens.dims();
        let split = |linear: &Linear| {
            linear.forward(tokens.clone()).reshape([texts, length, self.heads, hidden / self.heads])
        };
        let attended = attention(AttentionInput {
            query: split(&self.query),
            key: split(&self.key),
            value: split(&self.value),
            bias: None,
            mask: Some(mask.clone()),
        });
        let attended = self.attention_output.forward(attended.reshape([texts, length, hidden]));
        let attended = drop_out(attended, self.dropout, rng.as_deref_mut());
        let tokens = self.attention_norm.forward(tokens + attended);
        let output = drop_out(self.mlp.forward(tokens.clone()), self.dropout, rng);
        self.output_norm.forward(tokens + output)
    }
}

fn drop_out(tokens: Tensor<3>, p: f64, rng: Option<&mut DropoutRng>) -> Tensor<3> {
    match rng {
        Some(rng) => rng.dropout(tokens, p as f32),
        None => tokens,
    }
}

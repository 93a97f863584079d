//! BERT divided into stages, between which fusion blocks read and update its tokens (method.md section 4).

use bipvl_kernels::{AttentionInput, attention, checkpoint};
use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use bipvl_text::{ClassText, TokenizedTexts};

use crate::{
    Cost, InvalidConfig,
    error::{divides, positive},
    init::{DropoutRng, Initializer},
    layers::{LayerNorm, Linear, Mlp},
};

/// Added to the attention score of a padding token, whose weight is then 0 after the softmax.
const MASK_VALUE: f32 = -1e9;

/// Sizes of the text encoder; keys are those of a Hugging Face `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Word pieces; 0 takes the number of the tokenizer.
    pub vocab_size: usize,
    /// Channels of a token.
    pub hidden_size: usize,
    /// Attention heads of each layer.
    pub num_attention_heads: usize,
    /// Hidden size of the MLPs.
    pub intermediate_size: usize,
    /// Longest text in tokens.
    pub max_position_embeddings: usize,
    /// Layers per stage, as many stages as the backbone has; the paper's are 6, 2, 2, 2.
    pub stage_layers: Vec<usize>,
    /// Dropout probability in training.
    pub hidden_dropout_prob: f32,
    /// Epsilon of every norm.
    pub layer_norm_eps: f32,
}

impl TextConfig {
    /// All layers.
    pub fn num_layers(&self) -> usize {
        self.stage_layers.iter().sum()
    }

    pub(crate) fn validate(&self, num_stages: usize) -> Result<(), InvalidConfig> {
        positive("hidden_size", self.hidden_size)?;
        positive("intermediate_size", self.intermediate_size)?;
        positive("max_position_embeddings", self.max_position_embeddings)?;
        divides("num_attention_heads", self.num_attention_heads, self.hidden_size)?;
        if self.stage_layers.len() != num_stages {
            let requirement = format!("one number per stage of the backbone, {num_stages}");
            return Err(InvalidConfig::new("stage_layers", format!("{:?}", self.stage_layers), requirement));
        }
        Ok(())
    }
}

/// Token ids and masks of the class descriptions, on a device.
#[derive(Clone, Debug)]
pub struct TextInput {
    /// The prompt of each class: its whole description, `[texts · classes, tokens]`.
    pub prompts: TokenBatch,
    /// The sentences of each class one by one, `[texts · classes · sentences, tokens]`; `None` without alignment.
    pub sentences: Option<TokenBatch>,
    /// Sentences per class, the title included.
    pub sentences_per_class: usize,
    /// 1 if all samples of a batch share the text, else one per sample.
    pub num_texts: usize,
}

/// Padded token ids with their attention mask.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// `[texts, tokens]`
    pub input_ids: Tensor<2, Int>,
    /// Added to the attention score of each key: 0, or very negative for padding, `[texts, 1, tokens]`.
    pub attention_mask: Tensor<3>,
}

impl TextInput {
    /// Copies tokenized texts to a device.
    pub fn new(text: &ClassText, device: &Device) -> Self {
        Self {
            prompts: TokenBatch::new(&text.prompts, device),
            sentences: Some(TokenBatch::new(&text.sentences, device)),
            sentences_per_class: text.sentences_per_class,
            num_texts: text.num_texts,
        }
    }

    /// Number of classes described.
    pub fn num_classes(&self) -> usize {
        self.prompts.input_ids.dims()[0] / self.num_texts
    }

    /// The same without single sentences, which only the alignment loss reads.
    #[must_use]
    pub fn without_sentences(self) -> Self {
        Self { sentences: None, ..self }
    }
}

impl TokenBatch {
    /// Copies one set of padded texts to a device.
    pub fn new(tokens: &TokenizedTexts, device: &Device) -> Self {
        let (texts, length) = tokens.input_ids.dim();
        let ids: Vec<i64> = tokens.input_ids.iter().copied().collect();
        let mask: Vec<f32> =
            tokens.attention_mask.iter().map(|real| if *real { 0.0 } else { MASK_VALUE }).collect();
        Self {
            input_ids: Tensor::from_data(TensorData::new(ids, [texts, length]), device),
            attention_mask: Tensor::from_data(TensorData::new(mask, [texts, 1, length]), device),
        }
    }
}

/// Embeddings, and layers grouped by stage.
#[derive(Module, Debug)]
pub struct TextEncoder {
    /// Word, position and type embeddings.
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
    /// `[2, hidden]`; all tokens are of the first type.
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
    /// Linear, GELU, linear.
    pub mlp: Mlp,
    /// After the MLP.
    pub output_norm: LayerNorm,
    heads: usize,
    dropout: f64,
}

/// What one embedding of a text is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPooling {
    /// The mean over its tokens, as sentence transformers are trained: from nothing, every word has a gradient at once.
    #[default]
    Mean,
    /// The `[CLS]` token, as published: an untrained encoder gives all texts nearly the same one.
    First,
}

impl TextPooling {
    /// # Shapes
    ///
    /// - `tokens`: `[texts, tokens, hidden]`
    /// - `mask`: 0 or very negative for padding, `[texts, 1, tokens]`
    /// - output: `[texts, hidden]`
    pub fn pool(self, tokens: Tensor<3>, mask: &Tensor<3>) -> Tensor<2> {
        match self {
            Self::First => tokens.slice_dim(1, 0..1).squeeze_dim(1),
            Self::Mean => {
                let is_real = mask.clone().exp();
                let length = is_real.clone().sum_dim(2);
                (is_real.matmul(tokens) / length).squeeze_dim(1)
            }
        }
    }
}

impl TextEncoder {
    /// Randomly initialized.
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

    /// Embedding of the `[CLS]` token of each text after all layers, without fusion, `[texts, hidden]`.
    pub fn cls_embeddings(&self, tokens: &TokenBatch, rng: Option<&mut DropoutRng>) -> Tensor<2> {
        TextPooling::First.pool(self.encode(tokens, rng), &tokens.attention_mask)
    }

    /// All layers without fusion, `[texts, tokens, hidden]`.
    pub fn encode(&self, tokens: &TokenBatch, mut rng: Option<&mut DropoutRng>) -> Tensor<3> {
        let embedded = self.embeddings.forward(tokens.input_ids.clone(), rng.as_deref_mut());
        (0..self.stages.len()).fold(embedded, |encoded, stage| {
            self.forward_stage(stage, encoded, &tokens.attention_mask, rng.as_deref_mut())
        })
    }

    /// Cost of the layers of one stage for so many texts of so many tokens.
    pub fn stage_cost(&self, stage: usize, texts: usize, tokens: usize) -> Cost {
        self.stages[stage].iter().map(|layer| layer.cost(texts, tokens)).sum()
    }
}

impl TextEmbeddings {
    /// The mean of the word embeddings of each text, without positions and context, `[texts, hidden]`.
    pub fn mean_word(&self, tokens: &TokenBatch) -> Tensor<2> {
        let [texts, length] = tokens.input_ids.dims();
        let [_, hidden] = self.words.dims();
        let words = self.words.val().select(0, tokens.input_ids.clone().flatten::<1>(0, 1));
        TextPooling::Mean.pool(words.reshape([texts, length, hidden]), &tokens.attention_mask)
    }

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
        dropout(self.norm.forward(words + positions + types), self.dropout, rng)
    }
}

/// Values per channel that a layer holds for the backward pass beside those of its MLP: its input, queries, keys,
/// values, the attended values, two sums, a norm.
const LAYER_MAPS: usize = 8;
/// The same for dropout, which is applied twice: its mask and its input.
const DROPOUT_MAPS: usize = 4;

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
        // A generator of its own draws the same when the layer is recomputed.
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
        let attended = dropout(attended, self.dropout, rng.as_deref_mut());
        let tokens = self.attention_norm.forward(tokens + attended);
        let output = dropout(self.mlp.forward(tokens.clone()), self.dropout, rng);
        self.output_norm.forward(tokens + output)
    }

    /// Cost for so many texts of so many tokens.
    fn cost(&self, texts: usize, tokens: usize) -> Cost {
        let (rows, [hidden, _]) = (texts * tokens, self.query.weight.dims());
        let projections = [&self.query, &self.key, &self.value, &self.attention_output];
        let projections: Cost = projections.into_iter().map(|linear| linear.cost(rows)).sum();
        let norms = self.attention_norm.cost() + self.output_norm.cost();
        let maps = LAYER_MAPS + if self.dropout > 0.0 { DROPOUT_MAPS } else { 0 };
        let attention = Cost::new(0, 2 * rows * tokens * hidden, maps * rows * hidden);
        (projections + norms + self.mlp.cost(rows) + attention).checkpointed(rows * hidden)
    }
}

fn dropout(tokens: Tensor<3>, p: f64, rng: Option<&mut DropoutRng>) -> Tensor<3> {
    match rng {
        Some(rng) => rng.dropout(tokens, p as f32),
        None => tokens,
    }
}

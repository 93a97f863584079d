//! A published BERT in a Hugging Face folder: its sizes, and our names for its tensors.
//!
//! | theirs, after an optional `bert.` | ours |
//! |---|---|
//! | `embeddings.word_embeddings.weight` | `embeddings.words` |
//! | `embeddings.position_embeddings.weight` | `embeddings.positions` |
//! | `embeddings.token_type_embeddings.weight` | `embeddings.types` |
//! | `embeddings.LayerNorm` | `embeddings.norm` |
//! | `encoder.layer.N.attention.self.{query,key,value}` | `stages.S.L.{query,key,value}` |
//! | `encoder.layer.N.attention.output.dense` | `stages.S.L.attention_output` |
//! | `encoder.layer.N.attention.output.LayerNorm` | `stages.S.L.attention_norm` |
//! | `encoder.layer.N.intermediate.dense` | `stages.S.L.mlp.up` |
//! | `encoder.layer.N.output.dense` | `stages.S.L.mlp.down` |
//! | `encoder.layer.N.output.LayerNorm` | `stages.S.L.output_norm` |
//!
//! Linear weights are transposed; norms may be called `weight`, `bias` or `gamma`, `beta`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    TextConfig,
    text_encoder::TextEncoder,
    vision_encoder::STAGES,
    weights::{self, NamedWeights},
};
use crate::error::{Error, Result};

/// What we read of a `config.json`.
#[derive(Deserialize)]
struct PublishedConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    #[serde(default = "default_dropout")]
    hidden_dropout_prob: f32,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f32,
}

fn default_positions() -> usize {
    512
}

fn default_dropout() -> f32 {
    0.1
}

fn default_epsilon() -> f32 {
    1e-12
}

/// The sizes of the BERT in a folder. Its layers are divided among the stages as the paper divides 12:
/// a sixth for each of the last three, the rest for the first.
///
/// # Errors
///
/// When `config.json` cannot be read or is not that of a BERT of at least four layers.
pub fn read_config(folder: &Path) -> Result<TextConfig> {
    let path = folder.join("config.json");
    let text = fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
    let published: PublishedConfig = serde_json::from_str(&text)
        .map_err(|error| Error::content(&path, "the configuration of a BERT", error.to_string()))?;
    let layers = published.num_hidden_layers;
    if layers < STAGES {
        let expected = format!("num_hidden_layers of at least {STAGES}");
        return Err(Error::content(&path, expected, layers.to_string()));
    }
    let later = (layers / 6).max(1);
    Ok(TextConfig {
        vocab_size: published.vocab_size,
        hidden_size: published.hidden_size,
        num_attention_heads: published.num_attention_heads,
        intermediate_size: published.intermediate_size,
        max_position_embeddings: published.max_position_embeddings,
        stage_layers: [layers - 3 * later, later, later, later],
        hidden_dropout_prob: published.hidden_dropout_prob,
        layer_norm_eps: published.layer_norm_eps,
    })
}

/// Replaces the weights of a text encoder by those of `model.safetensors` in a folder, or of the only file
/// of that kind.
///
/// # Errors
///
/// When the file cannot be read, a tensor of the encoder is missing, or a shape differs.
pub fn load(encoder: TextEncoder, folder: &Path) -> Result<TextEncoder> {
    let path = weight_file(folder)?;
    let (published, _) = weights::load(&path)?;
    let layers: Vec<usize> = encoder.stages.iter().map(Vec::len).collect();
    let mut renamed = NamedWeights::new();
    for (name, tensor) in published {
        if let Some((ours, form)) = our_name(&name, &layers) {
            let tensor = match form {
                Form::AsIs => tensor,
                Form::Transposed => tensor.transposed(),
            };
            renamed.insert(ours, tensor);
        }
    }
    weights::apply(encoder, renamed, &path)
}

/// `model.safetensors`, or the only file of that kind under another name.
fn weight_file(folder: &Path) -> Result<PathBuf> {
    let usual = folder.join("model.safetensors");
    if usual.exists() {
        return Ok(usual);
    }
    let entries = fs::read_dir(folder).map_err(|source| Error::io(folder, source))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        count => Err(Error::content(folder, "model.safetensors", format!("{count} files of that kind"))),
    }
}

enum Form {
    AsIs,
    Transposed,
}

/// Our name for a published tensor; `None` for what we do not have (pooler, language head, buffers).
fn our_name(name: &str, layers: &[usize]) -> Option<(String, Form)> {
    let name = name.strip_prefix("bert.").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("embeddings.") {
        let ours = match rest {
            "word_embeddings.weight" => "words",
            "position_embeddings.weight" => "positions",
            "token_type_embeddings.weight" => "types",
            _ => {
                return Some((
                    format!("embeddings.norm.{}", norm_part(rest.strip_prefix("LayerNorm.")?)?),
                    Form::AsIs,
                ));
            }
        };
        return Some((format!("embeddings.{ours}"), Form::AsIs));
    }
    let (number, rest) = name.strip_prefix("encoder.layer.")?.split_once('.')?;
    let (stage, layer) = place(number.parse().ok()?, layers)?;
    let (part, last) = rest.rsplit_once('.')?;
    let linear = match part {
        "attention.self.query" => "query",
        "attention.self.key" => "key",
        "attention.self.value" => "value",
        "attention.output.dense" => "attention_output",
        "intermediate.dense" => "mlp.up",
        "output.dense" => "mlp.down",
        "attention.output.LayerNorm" => {
            return Some((format!("stages.{stage}.{layer}.attention_norm.{}", norm_part(last)?), Form::AsIs));
        }
        "output.LayerNorm" => {
            return Some((format!("stages.{stage}.{layer}.output_norm.{}", norm_part(last)?), Form::AsIs));
        }
        _ => return None,
    };
    let form = if last == "weight" { Form::Transposed } else { Form::AsIs };
    Some((format!("stages.{stage}.{layer}.{linear}.{last}"), form))
}

fn norm_part(name: &str) -> Option<&'static str> {
    match name {
        "weight" | "gamma" => Some("gamma"),
        "bias" | "beta" => Some("beta"),
        _ => None,
    }
}

/// Stage and layer within it of the `number`-th layer.
fn place(number: usize, layers: &[usize]) -> Option<(usize, usize)> {
    let mut first = 0;
    for (stage, count) in layers.iter().enumerate() {
        if number < first + count {
            return Some((stage, number - first));
        }
        first += count;
    }
    None
}

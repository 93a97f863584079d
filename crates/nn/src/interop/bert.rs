//! A BERT in a Hugging Face folder: its configuration, and the names of its tensors.
//!
//! | Hugging Face, after an optional `bert.` | ours |
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
//! Scale and shift of a norm may be called `weight`, `bias` or `gamma`, `beta`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Architecture, Checkpoint, ImportReport, KeyMapping, LayoutConversion, import};
use crate::{
    Error, Result, TextConfig,
    text_encoder::TextEncoder,
    weights::{StateDict, load_state_dict, state_dict},
};

/// How a BERT is recognized in a checkpoint.
const BERT: Architecture =
    Architecture { name: "BERT", anchor: "embeddings.word_embeddings.weight", submodules: &["bert."] };
/// Stages into which the paper divides the layers.
const STAGES: usize = 4;

/// The keys that are read of a `config.json`.
#[derive(Deserialize)]
struct HuggingFaceConfig {
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

/// The configuration of the BERT in a folder. Its layers are divided into four stages as the paper divides 12: a
/// sixth for each of the last three, the rest for the first.
///
/// # Errors
///
/// When `config.json` cannot be read or is not that of a BERT of at least four layers.
pub fn read_config(folder: &Path) -> Result<TextConfig> {
    let path = folder.join("config.json");
    let text = fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
    let config: HuggingFaceConfig = serde_json::from_str(&text)
        .map_err(|error| Error::InvalidBertConfig { path: path.clone(), reason: error.to_string() })?;
    let layers = config.num_hidden_layers;
    if layers < STAGES {
        return Err(Error::TooFewLayers { path, found: layers, required: STAGES });
    }
    let later = (layers / 6).max(1);
    Ok(TextConfig {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        num_attention_heads: config.num_attention_heads,
        intermediate_size: config.intermediate_size,
        max_position_embeddings: config.max_position_embeddings,
        stage_layers: vec![layers - 3 * later, later, later, later],
        hidden_dropout_prob: config.hidden_dropout_prob,
        layer_norm_eps: config.layer_norm_eps,
    })
}

/// Replaces the weights of a text encoder by those in a folder: `model.safetensors`, `pytorch_model.bin`, or
/// the only safetensors file under another name.
///
/// # Errors
///
/// When the file cannot be read, a tensor of the encoder is missing, or a shape differs.
pub fn load(encoder: TextEncoder, folder: &Path) -> Result<(TextEncoder, ImportReport)> {
    let path = weight_file(folder)?;
    let layers: Vec<usize> = encoder.stages.iter().map(Vec::len).collect();
    let checkpoint = Checkpoint::read(&path, &BERT)?;
    let external = rename_keys(checkpoint.state_dict);
    let (internal, mut report) = import(&key_map(&layers), external, &state_dict(&encoder), &path)?;
    report.unused.extend(checkpoint.outside);
    Ok((load_state_dict(encoder, internal, &path)?, report))
}

fn weight_file(folder: &Path) -> Result<PathBuf> {
    let usual = ["model.safetensors", "pytorch_model.bin"].map(|name| folder.join(name));
    if let Some(path) = usual.into_iter().find(|path| path.exists()) {
        return Ok(path);
    }
    let entries = fs::read_dir(folder).map_err(|source| Error::io(folder, source))?;
    let mut candidates: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    match candidates.len() {
        1 => Ok(candidates.remove(0)),
        candidates => Err(Error::NoWeights { path: folder.to_owned(), candidates }),
    }
}

/// Names without the `bert.` of a language model, and norms under their present names.
fn rename_keys(state_dict: StateDict) -> StateDict {
    let plain = |name: String| {
        let name = name.strip_prefix("bert.").unwrap_or(&name);
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    };
    state_dict.into_iter().map(|(name, tensor)| (plain(name), tensor)).collect()
}

/// Every parameter of a text encoder with so many layers per stage under both names.
pub fn key_map(layers: &[usize]) -> Vec<KeyMapping> {
    let mut names: Vec<KeyMapping> = [("word", "words"), ("position", "positions"), ("token_type", "types")]
        .into_iter()
        .map(|(external, internal)| {
            KeyMapping::new(
                format!("embeddings.{external}_embeddings.weight"),
                format!("embeddings.{internal}"),
                LayoutConversion::AsIs,
            )
        })
        .collect();
    names.extend(KeyMapping::layer_norm("embeddings.LayerNorm", "embeddings.norm"));
    let places =
        layers.iter().enumerate().flat_map(|(stage, count)| (0..*count).map(move |layer| (stage, layer)));
    for (number, (stage, layer)) in places.enumerate() {
        let (external, internal) = (format!("encoder.layer.{number}"), format!("stages.{stage}.{layer}"));
        for (their_part, our_part) in [
            ("attention.self.query", "query"),
            ("attention.self.key", "key"),
            ("attention.self.value", "value"),
            ("attention.output.dense", "attention_output"),
            ("intermediate.dense", "mlp.up"),
            ("output.dense", "mlp.down"),
        ] {
            let (external, internal) = (format!("{external}.{their_part}"), format!("{internal}.{our_part}"));
            names.extend(KeyMapping::linear(&external, &internal));
        }
        names.extend(KeyMapping::layer_norm(
            &format!("{external}.attention.output.LayerNorm"),
            &format!("{internal}.attention_norm"),
        ));
        names.extend(KeyMapping::layer_norm(
            &format!("{external}.output.LayerNorm"),
            &format!("{internal}.output_norm"),
        ));
    }
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::weights::HostTensor;

    #[test]
    fn names_of_a_language_model_and_of_old_norms_are_those_of_a_plain_bert() {
        // Bio_ClinicalBERT's file has `bert.` and `gamma`, MiniLM's and PubMedBERT's the plain names.
        let published = [
            "bert.embeddings.LayerNorm.gamma",
            "bert.encoder.layer.0.output.LayerNorm.beta",
            "bert.encoder.layer.0.attention.self.query.weight",
            "embeddings.word_embeddings.weight",
        ];
        let tensor = HostTensor { shape: vec![1], values: vec![0.0] };
        let plain = rename_keys(published.map(|name| (name.to_owned(), tensor.clone())).into());
        let known: BTreeSet<String> = key_map(&[1]).into_iter().map(|name| name.external).collect();
        assert_eq!(plain.len(), published.len());
        assert!(plain.keys().all(|name| known.contains(name)), "{:?}", plain.keys());
    }
}

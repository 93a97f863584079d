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
//! Norms may be called `weight`, `bias` or `gamma`, `beta`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Form, Name, Report, import, read};
use crate::{Error, Result};
use crate::{
    TextConfig,
    text_encoder::TextEncoder,
    vision_encoder::STAGES,
    weights::{StateDict, apply, collect},
};

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

/// Replaces the weights of a text encoder by those in a folder: `model.safetensors`, `pytorch_model.bin`, or
/// the only safetensors file under another name.
///
/// # Errors
///
/// When the file cannot be read, a tensor of the encoder is missing, or a shape differs.
pub fn load(encoder: TextEncoder, folder: &Path) -> Result<(TextEncoder, Report)> {
    let path = weight_file(folder)?;
    let layers: Vec<usize> = encoder.stages.iter().map(Vec::len).collect();
    let published = strip_key_prefixes(read(&path)?);
    let (ours, report) = import(&names(&layers), published, &collect(&encoder), &path)?;
    Ok((apply(encoder, ours, &path)?, report))
}

fn weight_file(folder: &Path) -> Result<PathBuf> {
    let usual = ["model.safetensors", "pytorch_model.bin"].map(|name| folder.join(name));
    if let Some(path) = usual.into_iter().find(|path| path.exists()) {
        return Ok(path);
    }
    let entries = fs::read_dir(folder).map_err(|source| Error::io(folder, source))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        count => {
            let found = format!("{count} files named .safetensors");
            Err(Error::content(folder, "model.safetensors or pytorch_model.bin", found))
        }
    }
}

/// Published names without the `bert.` of a language model, and norms under their present names.
fn strip_key_prefixes(published: StateDict) -> StateDict {
    let plain = |name: String| {
        let name = name.strip_prefix("bert.").unwrap_or(&name);
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    };
    published.into_iter().map(|(name, tensor)| (plain(name), tensor)).collect()
}

/// Every tensor of a text encoder with so many layers per stage under both names.
pub fn names(layers: &[usize]) -> Vec<Name> {
    let mut names: Vec<Name> = [("word", "words"), ("position", "positions"), ("token_type", "types")]
        .into_iter()
        .map(|(theirs, ours)| {
            Name::new(
                format!("embeddings.{theirs}_embeddings.weight"),
                format!("embeddings.{ours}"),
                Form::AsIs,
            )
        })
        .collect();
    norm_names(&mut names, "embeddings.LayerNorm", "embeddings.norm");
    let places =
        layers.iter().enumerate().flat_map(|(stage, count)| (0..*count).map(move |layer| (stage, layer)));
    for (number, (stage, layer)) in places.enumerate() {
        let (theirs, ours) = (format!("encoder.layer.{number}"), format!("stages.{stage}.{layer}"));
        for (their_part, our_part) in [
            ("attention.self.query", "query"),
            ("attention.self.key", "key"),
            ("attention.self.value", "value"),
            ("attention.output.dense", "attention_output"),
            ("intermediate.dense", "mlp.up"),
            ("output.dense", "mlp.down"),
        ] {
            let (theirs, ours) = (format!("{theirs}.{their_part}"), format!("{ours}.{our_part}"));
            names.push(Name::new(format!("{theirs}.weight"), format!("{ours}.weight"), Form::Linear));
            names.push(Name::new(format!("{theirs}.bias"), format!("{ours}.bias"), Form::AsIs));
        }
        norm_names(
            &mut names,
            &format!("{theirs}.attention.output.LayerNorm"),
            &format!("{ours}.attention_norm"),
        );
        norm_names(&mut names, &format!("{theirs}.output.LayerNorm"), &format!("{ours}.output_norm"));
    }
    names
}

fn norm_names(names: &mut Vec<Name>, theirs: &str, ours: &str) {
    names.push(Name::new(format!("{theirs}.weight"), format!("{ours}.gamma"), Form::AsIs));
    names.push(Name::new(format!("{theirs}.bias"), format!("{ours}.beta"), Form::AsIs));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::weights::Weights;

    #[test]
    fn names_of_a_language_model_and_of_old_norms_are_those_of_a_plain_bert() {
        // Bio_ClinicalBERT's file has `bert.` and `gamma`, MiniLM's and PubMedBERT's the plain names.
        let published = [
            "bert.embeddings.LayerNorm.gamma",
            "bert.encoder.layer.0.output.LayerNorm.beta",
            "bert.encoder.layer.0.attention.self.query.weight",
            "embeddings.word_embeddings.weight",
        ];
        let tensor = Weights { shape: vec![1], values: vec![0.0] };
        let plain = strip_key_prefixes(published.map(|name| (name.to_owned(), tensor.clone())).into());
        let known: BTreeSet<String> = names(&[1]).into_iter().map(|name| name.theirs).collect();
        assert_eq!(plain.len(), published.len());
        assert!(plain.keys().all(|name| known.contains(name)), "{:?}", plain.keys());
    }
}

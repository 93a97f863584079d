//! A published network as a file of ours: weights under our names, with the sizes they need.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::{ImportReport, bert, export, import, monai, read};
use crate::{Error, Result};
use crate::{
    PatchMerging, TextConfig, VisionConfig,
    decoder::Decoder,
    init::Initializer,
    text_encoder::TextEncoder,
    vision_encoder::VisionEncoder,
    weights::{self, StateDict, state_dict},
};

/// Keys of the metadata of an imported file.
const VISION: &str = "vision";
const TEXT: &str = "text";

/// Weights to begin a training with.
#[derive(Clone, Debug)]
pub struct PretrainedWeights {
    /// Where they came from.
    pub source: PathBuf,
    /// By our names, as in the whole network.
    pub weights: StateDict,
    /// What they fit into.
    pub config: PretrainedConfig,
}

/// Sizes of an imported network.
#[derive(Clone, Debug, PartialEq)]
pub enum PretrainedConfig {
    /// Vision encoder and decoder.
    Vision(VisionConfig),
    /// Text encoder; its tokenizer stands in the folder it came from.
    Text(TextConfig),
}

impl PretrainedWeights {
    /// Reads a Swin UNETR of MONAI, whole or pre-trained without labels, trained with this form of merging.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no Swin UNETR, or a tensor has another shape than its sizes ask for.
    pub fn from_monai(file: &Path, merging: PatchMerging) -> Result<(Self, ImportReport)> {
        let published = monai::strip_key_prefixes(read(file)?);
        let (config, out_channels) = monai::read_config(&published, merging, file)?;
        let (weights, report) =
            import(&monai::key_map(&config), published, &vision_shapes(&config, out_channels), file)?;
        Ok((Self { source: file.to_owned(), weights, config: PretrainedConfig::Vision(config) }, report))
    }

    /// Reads a BERT in a Hugging Face folder.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, a tensor of the encoder is missing, or a shape differs.
    pub fn from_bert(folder: &Path) -> Result<(Self, ImportReport)> {
        let config = bert::read_config(folder)?;
        let encoder = TextEncoder::new(&mut Initializer::new(0, &Device::flex()), &config);
        let (encoder, report) = bert::load(encoder, folder)?;
        let weights = prefixed("text_encoder", state_dict(&encoder)).collect();
        Ok((Self { source: folder.to_owned(), weights, config: PretrainedConfig::Text(config) }, report))
    }

    /// Writes weights and sizes as one safetensors file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (key, sizes) = match &self.config {
            PretrainedConfig::Vision(config) => (VISION, serde_json::to_string(config)),
            PretrainedConfig::Text(config) => (TEXT, serde_json::to_string(config)),
        };
        weights::save(path, &self.weights, &[(key, sizes.expect("sizes have a JSON conversion"))])
    }

    /// Reads what [`Self::save`] wrote.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has no sizes.
    pub fn load(path: &Path) -> Result<Self> {
        let (weights, metadata) = weights::load(path)?;
        let vision = metadata
            .get(VISION)
            .and_then(|json| serde_json::from_str(json).ok())
            .map(PretrainedConfig::Vision);
        let text = || {
            metadata.get(TEXT).and_then(|json| serde_json::from_str(json).ok()).map(PretrainedConfig::Text)
        };
        let sizes = vision.or_else(text).ok_or_else(|| {
            Error::content(path, "weights written by `bipvl import`", "a file without their sizes")
        })?;
        Ok(Self { source: path.to_owned(), weights, config: sizes })
    }

    /// Leaves out the layer that gives the logits when it is not for so many channels; says whether it did.
    pub fn drop_mismatched_head(&mut self, out_channels: usize) -> bool {
        let bias = self.weights.get("decoder.logits.bias");
        let differs = bias.is_some_and(|bias| bias.shape != [out_channels]);
        if differs {
            self.weights.retain(|name, _| !name.starts_with("decoder.logits."));
        }
        differs
    }
}

/// The vision side of a network under MONAI's names and layouts.
pub fn to_monai(config: &VisionConfig, internal: StateDict) -> StateDict {
    export(&monai::key_map(config), internal)
}

/// The tensors that a Swin UNETR of these sizes has, by our names.
fn vision_shapes(config: &VisionConfig, out_channels: usize) -> StateDict {
    let mut init = Initializer::new(0, &Device::flex());
    let encoder = state_dict(&VisionEncoder::new(&mut init, config));
    let decoder = state_dict(&Decoder::new(&mut init, config, out_channels));
    prefixed("vision_encoder", encoder).chain(prefixed("decoder", decoder)).collect()
}

fn prefixed(module: &str, weights: StateDict) -> impl Iterator<Item = (String, weights::HostTensor)> {
    weights.into_iter().map(move |(name, tensor)| (format!("{module}.{name}"), tensor))
}

//! Imported weights: parameters under our names, with the configuration that they fit.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::{ImportReport, bert, checkpoint::is_pytorch, export, import, monai};
use crate::{
    BackboneConfig, Error, PatchMerging, Result, SwinUnetrConfig, TextConfig, VisionSeg,
    init::Initializer,
    text_encoder::TextEncoder,
    weights::{self, StateDict, state_dict},
};

/// Keys of the metadata of an imported file.
const VISION: &str = "vision";
const TEXT: &str = "text";
/// The layer whose shape depends on the classes.
const HEAD: &str = "segmentation.logits.";

/// Weights to initialize a part of the network with.
#[derive(Clone, Debug)]
pub struct PretrainedWeights {
    /// The file or folder that was read.
    pub source: PathBuf,
    /// By our names, as in the whole network.
    pub weights: StateDict,
    /// The configuration that they fit.
    pub config: PretrainedConfig,
}

/// Configuration of a pretrained part of the network.
#[derive(Clone, Debug, PartialEq)]
pub enum PretrainedConfig {
    /// Backbone and segmentation head.
    Vision(BackboneConfig),
    /// Text encoder; its tokenizer is in the folder that it was read from.
    Text(TextConfig),
}

impl PretrainedWeights {
    /// Reads the checkpoint of a MONAI `SwinUNETR`, or of its encoder pre-trained without labels.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no Swin UNETR, or a tensor has the wrong shape or values that are not finite.
    pub fn from_monai(file: &Path, merging: PatchMerging) -> Result<(Self, ImportReport)> {
        let checkpoint = monai::read(file)?;
        let (swin, out_channels) = monai::infer_config(&checkpoint, merging)?;
        let config = BackboneConfig::SwinUnetr(swin.clone());
        let mut init = Initializer::zeros(&Device::flex());
        let expected = state_dict(&VisionSeg::new(&mut init, &config, out_channels));
        let (weights, mut report) = import(&monai::key_map(&swin), checkpoint.state_dict, &expected, file)?;
        report.unused.extend(checkpoint.outside);
        Ok((Self { source: file.to_owned(), weights, config: PretrainedConfig::Vision(config) }, report))
    }

    /// Reads a BERT in a Hugging Face folder.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, a tensor of the encoder is missing, or has the wrong shape or values that are not
    /// finite.
    pub fn from_bert(folder: &Path) -> Result<(Self, ImportReport)> {
        let config = bert::read_config(folder)?;
        let encoder = TextEncoder::new(&mut Initializer::zeros(&Device::flex()), &config);
        let (encoder, report) = bert::load(encoder, folder)?;
        let tensors = state_dict(&encoder).into_iter();
        let weights = tensors.map(|(name, tensor)| (format!("text_encoder.{name}"), tensor)).collect();
        Ok((Self { source: folder.to_owned(), weights, config: PretrainedConfig::Text(config) }, report))
    }

    /// Writes weights and configuration as one safetensors file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (key, config) = match &self.config {
            PretrainedConfig::Vision(config) => (VISION, serde_json::to_string(config)),
            PretrainedConfig::Text(config) => (TEXT, serde_json::to_string(config)),
        };
        weights::save(path, &self.weights, &[(key, config.expect("a configuration has a JSON form"))])
    }

    /// Reads a file that [`Self::save`] wrote.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or holds no configuration.
    pub fn load(path: &Path) -> Result<Self> {
        let not_imported = || Error::NotImported { path: path.to_owned() };
        let (weights, metadata) = match weights::load(path) {
            Err(Error::InvalidSafetensors { .. }) if is_pytorch(path) => return Err(not_imported()),
            loaded => loaded?,
        };
        let vision = metadata.get(VISION).and_then(|json| serde_json::from_str(json).ok());
        let text = || metadata.get(TEXT).and_then(|json| serde_json::from_str(json).ok());
        let config = vision.map(PretrainedConfig::Vision).or_else(|| text().map(PretrainedConfig::Text));
        Ok(Self { source: path.to_owned(), weights, config: config.ok_or_else(not_imported)? })
    }

    /// Drops the logit layer if it is not for so many channels; returns whether it did.
    pub fn drop_mismatched_head(&mut self, out_channels: usize) -> bool {
        let bias = self.weights.get(&format!("{HEAD}bias"));
        let is_mismatched = bias.is_some_and(|bias| bias.shape != [out_channels]);
        if is_mismatched {
            self.weights.retain(|name, _| !name.starts_with(HEAD));
        }
        is_mismatched
    }
}

/// Backbone and segmentation head as the state dict of a MONAI `SwinUNETR`.
pub fn to_monai(config: &SwinUnetrConfig, internal: StateDict) -> StateDict {
    export(&monai::key_map(config), internal)
}

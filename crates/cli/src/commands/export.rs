//! `bipvl export`: exports the backbone of a run as a MONAI `SwinUNETR` state dict.

use anyhow::Result;
use bipvl::{
    infer::TrainedModel,
    nn::{
        BackboneConfig,
        interop::to_monai,
        weights::{save, state_dict},
    },
};
use burn::tensor::Device;

use crate::{args::ExportArgs, paths::ensure_keeps_source};

/// Writes the best weights of a run under MONAI's names.
pub(crate) fn run(args: &ExportArgs) -> Result<()> {
    ensure_keeps_source(&args.out, &args.run)?;
    let run = TrainedModel::open(&args.run)?;
    let model = run.network(&Device::flex())?;
    let BackboneConfig::SwinUnetr(config) = &run.config.model.vision;
    let state_dict = to_monai(config, state_dict(&model));
    save(&args.out, &state_dict, &[("format", "pt".to_owned())])?;
    tracing::info!("{} tensors in {}", state_dict.len(), args.out.display());
    Ok(())
}

//! `bipvl export`: gives the vision side of a run as a MONAI Swin UNETR.

use anyhow::Result;
use bipvl::{
    nn::{
        interop::to_monai,
        weights::{save, state_dict},
    },
    run::RunDir,
};
use burn::tensor::Device;

use crate::args::ExportArgs;

/// Writes the best weights of a run under MONAI's names.
pub(crate) fn run(args: &ExportArgs) -> Result<()> {
    let run = RunDir::open(&args.run)?;
    let model = run.model(&Device::flex())?;
    let published = to_monai(&run.config.model.vision, state_dict(&model));
    save(&args.out, &published, &[("format", "pt".to_owned())])?;
    tracing::info!("{} tensors in {}", published.len(), args.out.display());
    Ok(())
}

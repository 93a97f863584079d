//! Reads a scan: image files, or the chosen series of a DICOM study.

use std::{fs::File, io};

use anyhow::Result;
use bipvl::data::read_channels;
use bipvl_dicom::{Algorithm, SeriesVolume, Source, Study};
use bipvl_imaging::{Header, Volume, probe};
use sha2::{Digest, Sha256};

use super::{
    inputs::{Scan, ScanSource},
    outputs::Job,
};
use crate::args::PredictArgs;

/// The voxels of a scan, and the series that results refer to.
pub(super) struct LoadedScan {
    pub(super) channels: Vec<Volume<f32>>,
    /// Of image files.
    pub(super) header: Option<Header>,
    series: Option<(Study, usize)>,
}

/// Reads the voxels of a scan.
pub(super) fn load(scan: &Scan, args: &PredictArgs) -> Result<LoadedScan> {
    match &scan.source {
        ScanSource::Images(images) => Ok(LoadedScan {
            channels: read_channels(images)?,
            header: Some(probe(&images[0])?),
            series: None,
        }),
        ScanSource::Dicom(path) => {
            let study = Study::open(path)?;
            let volume = study.choose(args.dicom.series.as_deref())?;
            volume.ensure_readable()?;
            for remark in volume.remarks() {
                tracing::warn!("{}: {remark}", scan.id);
            }
            let (channels, index) = (vec![volume.read()?], volume.number - 1);
            Ok(LoadedScan { channels, header: None, series: Some((study, index)) })
        }
    }
}

impl LoadedScan {
    /// The modality of a series, such as `CT`.
    #[cfg(feature = "nats")]
    pub(super) fn modality(&self) -> Option<&str> {
        self.series.as_ref().map(|(study, index)| study.volumes()[*index].modality.as_str())
    }

    /// The series, as the source of DICOM objects.
    pub(super) fn source(&self, algorithm: Algorithm, args: &PredictArgs) -> Result<Option<Source>> {
        let Some((study, index)) = &self.series else { return Ok(None) };
        let volume: &SeriesVolume = &study.volumes()[*index];
        Ok(Some(Source::new(volume, algorithm, args.dicom.deidentify)?))
    }
}

/// How DICOM objects name what made them; the key, and with it their UIDs, changes with the weights and with the flags
/// that change results.
pub(super) fn algorithm(args: &PredictArgs, jobs: &[Job]) -> Result<Algorithm> {
    let mut hash = Sha256::new();
    // Results of image files name no algorithm, and weights may be large.
    let makes_objects = jobs.iter().any(|job| job.scan.is_dicom());
    for folder in args.model.iter().filter(|_| makes_objects) {
        let weights = folder.join("best.safetensors");
        if let Ok(mut file) = File::open(weights) {
            io::copy(&mut file, &mut hash)?;
        }
    }
    let flags = (&args.prompts, &args.classes, args.overlap, args.blend_mode, args.keep_largest_component);
    hash.update(format!("{flags:?} {:?} {:?}", args.tta_mirror_axes, args.descriptions));
    let key = format!("{:x}", hash.finalize());
    Ok(Algorithm { name: "bipvl".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), key })
}

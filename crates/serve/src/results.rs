//! The files that a finished job leaves.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_dicom::{
    Algorithm, Measurement, SegmentVoxels, SegmentationKind, Source, write_report, write_segmentation,
    write_structure_set,
};
use bipvl_imaging::{SegmentationFiles, Volume};
use bipvl_io::{FileError, FileTransaction};
use bipvl_metrics::StructureStatistics;
use bipvl_prompts::ModelSegmentation;
use bipvl_text::Synonyms;

use crate::{Result, library::LoadedScan, queue::FoundSegment};

/// A form of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResultFormat {
    Nifti,
    Nrrd,
    Json,
    Seg,
    StructureSet,
    Report,
}

impl ResultFormat {
    const ALL: [Self; 6] = [Self::Nifti, Self::Nrrd, Self::Json, Self::Seg, Self::StructureSet, Self::Report];

    /// The end of its file name.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Nifti => "nii.gz",
            Self::Nrrd => "nrrd",
            Self::Json => "json",
            Self::Seg => "seg.dcm",
            Self::StructureSet => "rtstruct.dcm",
            Self::Report => "sr.dcm",
        }
    }

    pub(crate) fn from_ending(ending: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.ending() == ending)
    }

    /// Whether it refers to a DICOM series.
    pub(crate) fn is_dicom(self) -> bool {
        matches!(self, Self::Seg | Self::StructureSet | Self::Report)
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Seg | Self::StructureSet | Self::Report => "application/dicom",
            Self::Nifti | Self::Nrrd => "application/octet-stream",
        }
    }

    /// Its file in the folder of a job.
    pub(crate) fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("result.{}", self.ending()))
    }
}

/// Writes all files of a result, or none.
pub(crate) fn write(
    folder: &Path,
    found: &ModelSegmentation,
    segments: &[FoundSegment],
    image: &Volume<f32>,
    scan: &LoadedScan,
    algorithm: Algorithm,
) -> Result<()> {
    // What an attempt left that was killed.
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(|reason| FileError::new(folder, reason))?;
    let mut staged = FileTransaction::default();
    if let Some((study, index)) = &scan.study {
        let source = Source::new(&study.volumes()[*index], algorithm, false)?;
        stage_objects(folder, &source, found, image, &mut staged)?;
    }
    let json = serde_json::to_vec_pretty(segments).expect("segments become JSON");
    staged.stage(&ResultFormat::Json.path(folder), &json)?;
    let files = SegmentationFiles {
        label_map: Some(ResultFormat::Nifti.path(folder)),
        masks: Vec::new(),
        probabilities: Vec::new(),
    };
    found.stage(&files, &mut staged)?;
    Ok(staged.commit()?)
}

fn stage_objects(
    folder: &Path,
    source: &Source,
    found: &ModelSegmentation,
    image: &Volume<f32>,
    staged: &mut FileTransaction,
) -> Result<()> {
    let synonyms = Synonyms::builtin();
    let segments = found.segments();
    let mask = |segment: usize| found.mask(segment);
    let measured: Vec<Measurement> = segments
        .iter()
        .enumerate()
        .map(|(index, segment)| {
            let statistics = StructureStatistics::new(&segment.name, &mask(index), image);
            let mean = statistics.intensity.map(|intensity| intensity.mean);
            Measurement { volume_ml: statistics.volume_ml, mean }
        })
        .collect();
    let voxels = SegmentVoxels::Masks(&mask);
    let objects = [
        (
            ResultFormat::Seg,
            write_segmentation(source, &segments, &voxels, SegmentationKind::Binary, &synonyms)?,
        ),
        (ResultFormat::StructureSet, write_structure_set(source, &segments, &mask)?),
        (ResultFormat::Report, write_report(source, &segments, &measured, &synonyms)?),
    ];
    for (format, object) in objects {
        staged
            .stage_with(&format.path(folder), |file| object.write_all(file).map_err(std::io::Error::other))?;
    }
    Ok(())
}

/// What each class or prompt found, with its volume.
pub(crate) fn found_segments(found: &ModelSegmentation) -> Vec<FoundSegment> {
    found.found_segments().into_iter().map(FoundSegment::from).collect()
}

//! Writes what a prediction found beside its label map: DICOM objects, statistics.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bipvl::{prompts::PromptSegmentation, text::Synonyms};
use bipvl_dicom::{
    Measurement, SegmentVoxels, SegmentationKind, Source, write_report, write_segmentation,
    write_structure_set,
};
use bipvl_imaging::{LabelMap, Segment, Segmentation, SegmentationVoxels, Volume};
use bipvl_io::FileTransaction;
use bipvl_metrics::{PERCENTILES, StructureStatistics};

use super::outputs::Job;
use crate::args::ObjectFormat;

/// What a prediction found: segments with their voxels.
pub(super) enum ModelOutput<'a> {
    Classes(&'a Segmentation),
    Prompts(&'a PromptSegmentation, Vec<Segment>),
}

impl ModelOutput<'_> {
    fn segments(&self) -> &[Segment] {
        match self {
            Self::Classes(found) => found.segments(),
            Self::Prompts(_, segments) => segments,
        }
    }

    fn mask(&self, segment: usize) -> Volume<bool> {
        match self {
            Self::Classes(found) => found.mask(segment),
            Self::Prompts(found, _) => found.mask(segment),
        }
    }

    /// Exclusive labels, where nothing can overlap.
    fn labels(&self) -> Option<&LabelMap> {
        match self {
            Self::Classes(found) => match found.voxels() {
                SegmentationVoxels::Labels(labels) => Some(labels),
                SegmentationVoxels::Masks(_) => None,
            },
            Self::Prompts(..) => None,
        }
    }

    fn probabilities(&self) -> Option<&[Volume<f32>]> {
        match self {
            Self::Classes(found) => found.probabilities(),
            Self::Prompts(found, _) => found.probabilities(),
        }
    }

    /// One label per voxel; of masks that overlap the later wins.
    fn flattened(&self) -> LabelMap {
        match self {
            Self::Classes(found) => found.to_label_map(),
            Self::Prompts(found, _) => found.to_label_map(),
        }
    }
}

/// Stages all DICOM objects of a job.
fn stage_objects(
    job: &Job,
    source: &Source,
    found: &ModelOutput<'_>,
    statistics: &[StructureStatistics],
    synonyms: &Synonyms,
    staged: &mut FileTransaction,
) -> Result<()> {
    let segments = found.segments();
    for (format, path) in &job.objects {
        let object = match format {
            ObjectFormat::Seg => {
                let mask = |segment| found.mask(segment);
                let voxels = match found.labels() {
                    Some(labels) => SegmentVoxels::Labels(labels),
                    None => SegmentVoxels::Masks(&mask),
                };
                write_segmentation(source, segments, &voxels, SegmentationKind::Binary, synonyms)?
            }
            ObjectFormat::LabelMap => {
                let labels = found.flattened();
                let voxels = SegmentVoxels::Labels(&labels);
                write_segmentation(source, segments, &voxels, SegmentationKind::LabelMap, synonyms)?
            }
            ObjectFormat::RtStruct => write_structure_set(source, segments, &|segment| found.mask(segment))?,
            ObjectFormat::Sr => {
                let measured: Vec<Measurement> = statistics.iter().map(measurement).collect();
                write_report(source, segments, &measured, synonyms)?
            }
        };
        stage_object(path, &object, staged)?;
    }
    if let Some(path) = &job.fractional {
        let probabilities = found.probabilities().expect("the predictor keeps them for --probabilities");
        let voxels = SegmentVoxels::Probabilities(probabilities);
        let object = write_segmentation(source, segments, &voxels, SegmentationKind::Fractional, synonyms)?;
        stage_object(path, &object, staged)?;
    }
    Ok(())
}

fn stage_object(path: &Path, object: &bipvl_dicom::Object, staged: &mut FileTransaction) -> Result<()> {
    Ok(staged.stage_with(path, |file| object.write_all(file).map_err(std::io::Error::other))?)
}

fn measurement(statistics: &StructureStatistics) -> Measurement {
    Measurement {
        volume_ml: statistics.volume_ml,
        mean: statistics.intensity.as_ref().map(|intensity| intensity.mean),
    }
}

/// The statistics of all segments.
fn statistics(found: &ModelOutput<'_>, image: &Volume<f32>) -> Vec<StructureStatistics> {
    let segments = found.segments().iter().enumerate();
    segments
        .map(|(index, segment)| StructureStatistics::new(&segment.name, &found.mask(index), image))
        .collect()
}

/// Stages the statistics as JSON and CSV.
fn stage_statistics(
    [json, csv]: &[PathBuf; 2],
    statistics: &[StructureStatistics],
    staged: &mut FileTransaction,
) -> Result<()> {
    staged.stage(json, serde_json::to_string_pretty(statistics)?.as_bytes())?;
    staged.stage(csv, table(statistics)?.as_bytes())?;
    Ok(())
}

/// A row per structure; what does not exist is empty.
fn table(statistics: &[StructureStatistics]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let percentiles = PERCENTILES.map(|percent| format!("intensity_p{percent:02}"));
    let fixed = [
        "name",
        "voxels",
        "volume_ml",
        "components",
        "intensity_mean",
        "intensity_std",
        "intensity_min",
        "intensity_max",
    ];
    let bounds = ["x_first", "x_last", "y_first", "y_last", "z_first", "z_last"];
    let centroid = ["centroid_x_mm", "centroid_y_mm", "centroid_z_mm"];
    let header =
        fixed.into_iter().chain(percentiles.iter().map(String::as_str)).chain(bounds).chain(centroid);
    writer.write_record(header)?;
    for row in statistics {
        let StructureStatistics { name, voxels, volume_ml, components, .. } = row;
        let mut record =
            vec![name.clone(), voxels.to_string(), volume_ml.to_string(), components.to_string()];
        let intensity = row.intensity.as_ref().map(|found| {
            let first = [found.mean, found.standard_deviation, found.minimum, found.maximum];
            first.into_iter().chain(found.percentiles).collect::<Vec<f64>>()
        });
        record.extend(cells(intensity, 4 + PERCENTILES.len()));
        record.extend(cells(row.bounding_box.map(|bounds| bounds.as_flattened().to_vec()), bounds.len()));
        record.extend(cells(row.centroid_mm.map(Vec::from), centroid.len()));
        writer.write_record(record)?;
    }
    Ok(String::from_utf8(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)?)
}

fn cells<T: ToString>(values: Option<Vec<T>>, count: usize) -> Vec<String> {
    values.map_or_else(|| vec![String::new(); count], |values| values.iter().map(T::to_string).collect())
}

/// Stages all results beside the label map and masks.
pub(super) fn stage(
    job: &Job,
    source: Option<&Source>,
    found: &ModelOutput<'_>,
    image: Option<&Volume<f32>>,
    synonyms: &Synonyms,
    staged: &mut FileTransaction,
) -> Result<()> {
    let statistics = image.map_or_else(Vec::new, |image| statistics(found, image));
    if let Some(source) = source {
        stage_objects(job, source, found, &statistics, synonyms, staged)?;
    }
    match &job.statistics {
        Some(files) => stage_statistics(files, &statistics, staged),
        None => Ok(()),
    }
}

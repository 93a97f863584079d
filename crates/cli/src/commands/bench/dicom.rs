//! DICOM: reading a series, writing and reading a segmentation, writing contours.

use std::path::Path;

use anyhow::{Result, bail};
use bipvl::text::Synonyms;
use bipvl_dicom::{
    Algorithm, SegmentVoxels, SegmentationKind, Source, Study, phantom::write_ct_series, write_segmentation,
    write_structure_set,
};
use bipvl_imaging::{Grid, LabelMap, Segment, Volume};
use ndarray::Array3;
use tempfile::TempDir;

use super::workload::Workload;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DicomTask {
    /// Reading 500 slices of 512 × 512.
    ReadSeries,
    /// Writing 100 segments over 300 slices of 512 × 512.
    WriteSeg,
    /// Reading them.
    ReadSeg,
    /// Writing the contours of 20 organs over 300 slices of 512 × 512.
    WriteRtStruct,
}

impl DicomTask {
    fn shape(self, smoke_test: bool) -> [usize; 3] {
        match (smoke_test, self) {
            (true, _) => [64, 64, 16],
            (false, Self::ReadSeries) => [512, 512, 500],
            (false, _) => [512, 512, 300],
        }
    }

    fn num_segments(self, smoke_test: bool) -> usize {
        match (smoke_test, self) {
            (true, _) => 8,
            (false, Self::WriteRtStruct) => 20,
            (false, _) => 100,
        }
    }
}

/// A series in a temporary folder, and labels of it.
pub(super) struct DicomWorkload {
    task: DicomTask,
    folder: TempDir,
    labels: LabelMap,
    segments: Vec<Segment>,
}

impl DicomWorkload {
    pub(super) fn new(task: DicomTask, smoke_test: bool) -> Result<Self> {
        let (shape, count) = (task.shape(smoke_test), task.num_segments(smoke_test));
        let grid = Grid::with_spacing(shape, [0.8, 0.8, 1.0]);
        let folder = tempfile::tempdir()?;
        let noise = |(x, y, z): (usize, usize, usize)| {
            ((x * 7919 + y * 104_729 + z * 1_299_709) % 2000) as f32 - 1000.0
        };
        write_ct_series(
            &folder.path().join("series"),
            &Volume::new(Array3::from_shape_fn(shape, noise), grid.clone()),
            "bench",
        )?;
        let labels =
            LabelMap::new(Array3::from_shape_fn(shape, |at| label_at(at.into(), shape, count)), grid);
        let segment = |label: u16| Segment { name: format!("structure {label}"), label, code: None };
        let workload = Self { task, folder, labels, segments: (1..=count as u16).map(segment).collect() };
        if task == DicomTask::ReadSeg {
            workload.write_segmentation()?;
        }
        Ok(workload)
    }

    fn source(&self) -> Result<Source> {
        let study = Study::open(&self.folder.path().join("series"))?;
        let algorithm = Algorithm { name: "bench".to_owned(), version: "1".to_owned(), key: String::new() };
        Ok(Source::new(study.choose(None)?, algorithm, false)?)
    }

    fn write_segmentation(&self) -> Result<()> {
        let voxels = SegmentVoxels::Labels(&self.labels);
        let (source, synonyms) = (self.source()?, Synonyms::builtin());
        let object =
            write_segmentation(&source, &self.segments, &voxels, SegmentationKind::Binary, &synonyms)?;
        Ok(object.write_to_file(self.folder.path().join("seg.dcm"))?)
    }
}

/// Ellipsoids side by side along x and y, each through two fifths of the slices, at different heights.
fn label_at([x, y, z]: [usize; 3], shape: [usize; 3], count: usize) -> u16 {
    let side = (count as f64).sqrt().ceil();
    let place = |index: usize, length: usize| index as f64 / length as f64;
    let [u, v] = [place(x, shape[0]) * side, place(y, shape[1]) * side];
    let index = v as usize * side as usize + u as usize;
    let distance = ((u.fract() - 0.5) / 0.45).powi(2)
        + ((v.fract() - 0.5) / 0.45).powi(2)
        + ((place(z, shape[2]) - 0.2 - 0.6 * (index % 7) as f64 / 6.0) / 0.2).powi(2);
    if index < count && distance < 1.0 { index as u16 + 1 } else { 0 }
}

impl Workload for DicomWorkload {
    fn run(&mut self) -> Result<()> {
        match self.task {
            DicomTask::ReadSeries => {
                let volume = Study::open(&self.folder.path().join("series"))?.choose(None)?.read()?;
                std::hint::black_box(volume);
            }
            DicomTask::WriteSeg => self.write_segmentation()?,
            DicomTask::ReadSeg => {
                let path = self.folder.path().join("seg.dcm");
                std::hint::black_box(Study::open(&path)?.read_segmentation()?);
            }
            DicomTask::WriteRtStruct => {
                let mask = |index: usize| self.labels.map(|label| usize::from(*label) == index + 1);
                let object = write_structure_set(&self.source()?, &self.segments, &mask)?;
                object.write_to_file(self.folder.path().join("contours.dcm"))?;
            }
        }
        Ok(())
    }

    fn save(&self, _: &Path) -> Result<()> {
        bail!("--output: a DICOM benchmark has no result to compare")
    }
}

//! What a folder, file or archive holds: volumes to choose among, and segmentations of them.

use std::{
    fmt::{self, Display, Formatter},
    path::{Path, PathBuf},
    sync::Arc,
};

use bipvl_imaging::{Grid, Volume};
use dicom_object::InMemDicomObject;
use indexmap::IndexMap;
use rayon::prelude::*;

use crate::{
    Error, Result,
    instance::{Instance, ObjectKind},
    pixels,
    source::{Files, ObjectFile},
    stack::Stack,
};

/// All DICOM objects below one path.
#[derive(Debug)]
pub struct Study {
    path: PathBuf,
    volumes: Vec<SeriesVolume>,
    segmentations: Vec<Instance>,
    skipped: Skipped,
    /// The folder of each damaged file.
    damaged_folders: Vec<String>,
}

/// Files that are no part of a volume or segmentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Files that are not DICOM.
    pub not_dicom: usize,
    /// Objects that are neither slices nor segmentations.
    pub other_objects: usize,
    /// Files that begin as DICOM and cannot be parsed, with the reason.
    pub damaged: Vec<String>,
}

/// One volume of one series.
#[derive(Debug)]
pub struct SeriesVolume {
    /// From 1, as listed.
    pub number: usize,
    /// `SeriesInstanceUID`.
    pub series_uid: String,
    /// Modality, such as `CT`.
    pub modality: String,
    /// `SeriesDescription`, and what tells the volume from others of its series.
    pub description: String,
    instances: Arc<Vec<Instance>>,
    stack: Stack,
    /// The first slice that cannot be placed.
    unplaced: Option<String>,
}

impl Study {
    /// Reads the headers of all files below a path: a file, a folder of any depth, a DICOMDIR, a zip archive.
    ///
    /// # Errors
    ///
    /// When the path or an archive cannot be read, or has more files than a study can have. Damaged files are
    /// [counted](Self::skipped).
    pub fn open(path: &Path) -> Result<Self> {
        let Files { objects, others, damaged, .. } = Files::find(path)?;
        let header = |file: ObjectFile| instance(file.clone()).map_err(|error| file.damage(&error));
        let headers: Vec<_> = objects.into_par_iter().map(header).collect();
        let headers = headers.into_iter().chain(damaged.into_iter().map(Err));
        let mut damaged_folders = Vec::new();
        let mut skipped = Skipped { not_dicom: others, ..Skipped::default() };
        let mut images: IndexMap<(String, [String; 4]), Vec<Instance>> = IndexMap::new();
        let mut segmentations = Vec::new();
        for header in headers {
            match header {
                Ok(instance) => match instance.kind {
                    ObjectKind::Image => {
                        let key = (instance.series_uid.clone(), instance.owner.clone());
                        images.entry(key).or_default().push(instance);
                    }
                    ObjectKind::Segmentation | ObjectKind::StructureSet => segmentations.push(instance),
                    ObjectKind::Other => skipped.other_objects += 1,
                },
                Err(damage) => {
                    skipped.damaged.push(damage.message);
                    damaged_folders.push(damage.folder);
                }
            }
        }
        let mut volumes: Vec<SeriesVolume> = images.into_values().flat_map(SeriesVolume::of_series).collect();
        volumes.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        for (index, volume) in volumes.iter_mut().enumerate() {
            volume.number = index + 1;
        }
        Ok(Self { path: path.to_owned(), volumes, segmentations, skipped, damaged_folders })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All volumes, numbered from 1: by modality, description, UID.
    pub fn volumes(&self) -> &[SeriesVolume] {
        &self.volumes
    }

    /// What is neither slice nor segmentation.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    fn unknown(&self, wanted: Option<&str>, count: usize) -> Error {
        Error::UnknownSeries {
            path: self.path.clone(),
            wanted: wanted.unwrap_or_default().to_owned(),
            count,
            series: lines(&self.volumes.iter().collect::<Vec<_>>()),
        }
    }

    /// The first damaged file beside the slices of a volume, with the reason: it may be a slice.
    pub(crate) fn damage_beside(&self, volume: &SeriesVolume) -> Option<&str> {
        let is_beside = |folder: &String| {
            volume.instances.iter().any(|instance| instance.file.folder() == folder.as_str())
        };
        let place = self.damaged_folders.iter().position(is_beside)?;
        Some(&self.skipped.damaged[place])
    }

    /// The files of segmentations and structure sets.
    pub(crate) fn segmentations(&self) -> &[Instance] {
        &self.segmentations
    }

    /// How many segmentations and structure sets there are.
    pub fn num_segmentations(&self) -> usize {
        self.segmentations.len()
    }

    /// The chosen volume: by its number, `SeriesInstanceUID`, `largest`, or a part of its description; without a choice
    /// the only one. Localizers are chosen by number alone.
    ///
    /// # Errors
    ///
    /// When none or several match; the message lists all. When a file is damaged, because it may be a slice.
    pub fn choose(&self, choice: Option<&str>) -> Result<&SeriesVolume> {
        if !self.skipped.damaged.is_empty() {
            let (path, damaged) = (self.path.clone(), self.skipped.damaged.join("; "));
            return Err(Error::DamagedFiles { path, count: self.skipped.damaged.len(), damaged });
        }
        if self.volumes.is_empty() {
            let (wanted, found) = ("image series", self.skipped.to_string());
            return Err(Error::NothingFound { path: self.path.clone(), wanted, found });
        }
        let number = choice.and_then(|choice| choice.parse::<usize>().ok());
        if let Some(number) = number {
            return self.volumes.get(number.wrapping_sub(1)).ok_or_else(|| self.unknown(choice, 0));
        }
        let mut usual: Vec<&SeriesVolume> =
            self.volumes.iter().filter(|volume| !volume.is_localizer()).collect();
        if usual.is_empty() {
            usual = self.volumes.iter().collect();
        }
        let matching: Vec<&SeriesVolume> = match choice {
            None => usual,
            Some("largest") => {
                usual.into_iter().max_by_key(|volume| volume.num_voxels()).into_iter().collect()
            }
            Some(wanted) => usual.into_iter().filter(|volume| volume.matches(wanted)).collect(),
        };
        match (matching.as_slice(), choice) {
            ([volume], _) => Ok(volume),
            (several, None) => Err(Error::SeveralSeries {
                path: self.path.clone(),
                count: several.len(),
                series: lines(several),
            }),
            (several, Some(_)) => Err(self.unknown(choice, several.len())),
        }
    }
}

fn instance(file: ObjectFile) -> Result<Instance> {
    let (header, pixels) = file.header()?;
    Ok(Instance::new(file, &header, pixels))
}

fn lines(volumes: &[&SeriesVolume]) -> String {
    volumes.iter().map(|volume| format!("  {volume}")).collect::<Vec<_>>().join("\n")
}

impl SeriesVolume {
    fn of_series(mut instances: Vec<Instance>) -> Vec<Self> {
        // The order of files must not matter where slices lie at the same place.
        instances
            .sort_by(|a, b| (a.instance_number, &a.sop_instance).cmp(&(b.instance_number, &b.sop_instance)));
        let unplaced = instances.iter().find_map(|instance| instance.frames.as_ref().err());
        let unplaced = unplaced.map(ToString::to_string);
        let instances = Arc::new(instances);
        let mut stacks = Stack::split(&instances);
        if stacks.is_empty() {
            stacks.push(Stack { distinction: None, slices: Vec::new(), remarks: Vec::new(), problem: None });
        }
        let volume = |stack: Stack| {
            let first = &instances[stack.slices.first().map_or(0, |slice| slice.instance)];
            let described = [Some(first.description.clone()), stack.distinction.clone()];
            let described = described.into_iter().flatten().filter(|text| !text.is_empty());
            Self {
                number: 0,
                series_uid: first.series_uid.clone(),
                modality: first.modality.clone(),
                description: described.collect::<Vec<_>>().join(", "),
                instances: Arc::clone(&instances),
                unplaced: unplaced.clone(),
                stack,
            }
        };
        stacks.into_iter().map(volume).collect()
    }

    fn sort_key(&self) -> (&str, &str, &str, &Option<String>) {
        (&self.modality, &self.description, &self.series_uid, &self.stack.distinction)
    }

    fn matches(&self, wanted: &str) -> bool {
        self.series_uid == wanted || self.description.to_lowercase().contains(&wanted.to_lowercase())
    }

    /// Modality and number, for messages.
    pub fn label(&self) -> String {
        format!("{} series {}", self.modality, self.number)
    }

    fn num_voxels(&self) -> usize {
        self.grid().and_then(|grid| grid.num_voxels()).unwrap_or(0)
    }

    /// Whether all slices are overviews for planning.
    pub fn is_localizer(&self) -> bool {
        let slices = &self.stack.slices;
        !slices.is_empty() && slices.iter().all(|slice| self.instances[slice.instance].is_localizer)
    }

    /// Shape and affine; `None` if no slice can be placed.
    pub fn grid(&self) -> Option<Grid> {
        (!self.stack.slices.is_empty()).then(|| self.stack.grid())
    }

    /// What is odd, for a person to know: a reason why it cannot be read comes first.
    pub fn remarks(&self) -> Vec<String> {
        let localizer = self.is_localizer().then(|| "localizer".to_owned());
        let reasons = self.unplaced.iter().chain(&self.stack.problem).cloned();
        reasons.chain(localizer).chain(self.stack.remarks.iter().cloned()).collect()
    }

    /// Whether it can be read.
    ///
    /// # Errors
    ///
    /// When slices cannot be placed or do not make one volume; the message names them.
    pub fn ensure_readable(&self) -> Result<()> {
        match self.unplaced.iter().chain(&self.stack.problem).next() {
            Some(problem) => Err(Error::Slices { series: self.label(), problem: problem.clone() }),
            None => Ok(()),
        }
    }

    /// Intensities in the units of the modality: rescale slope and intercept of each slice are applied. Voxels are
    /// `[column, row, slice]`. Stored values of MONOCHROME1 are complemented first, as ITK does.
    ///
    /// # Errors
    ///
    /// When the slices do not make one volume, or a pixel data element is damaged or in an unknown encoding.
    pub fn read(&self) -> Result<Volume<f32>> {
        self.ensure_readable()?;
        pixels::read(&self.stack, &self.instances)
    }

    /// The header of the first slice, without pixel data.
    pub(crate) fn header(&self) -> Result<InMemDicomObject> {
        let first = &self.instances[self.stack.slices.first().map_or(0, |slice| slice.instance)];
        Ok(first.file.header()?.0.into_inner())
    }

    /// The lowest slice; a readable series has one.
    pub(crate) fn first_frame(&self) -> &crate::instance::Frame {
        &self.stack.slices[0].frame
    }

    /// The object and, of objects with several, the frame of each slice, from 1.
    pub(crate) fn sources(&self) -> impl Iterator<Item = SourceSlice<'_>> {
        self.stack.slices.iter().map(|slice| {
            let instance = &self.instances[slice.instance];
            let is_multi_frame = instance.frames.as_ref().is_ok_and(|frames| frames.len() > 1);
            SourceSlice {
                sop_class: &instance.sop_class,
                sop_instance: &instance.sop_instance,
                frame: is_multi_frame.then_some(slice.frame.index + 1),
                position: slice.frame.position.into(),
            }
        })
    }
}

/// What a derived object refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceSlice<'a> {
    pub(crate) sop_class: &'a str,
    pub(crate) sop_instance: &'a str,
    pub(crate) frame: Option<u32>,
    pub(crate) position: [f64; 3],
}

impl Display for SeriesVolume {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {} ", self.number, self.modality)?;
        if !self.description.is_empty() {
            write!(f, " {} ", self.description)?;
        }
        if let Some(grid) = self.grid() {
            let ([x, y, z], [dx, dy, dz]) = (grid.shape(), grid.spacing());
            write!(f, " {x} x {y} x {z}, {dx:.3} x {dy:.3} x {dz:.3} mm")?;
        }
        for remark in self.remarks() {
            write!(f, "; {remark}")?;
        }
        Ok(())
    }
}

impl Display for Skipped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { not_dicom, other_objects, damaged } = self;
        write!(
            f,
            "files that are not DICOM: {not_dicom}; other DICOM objects: {other_objects}; damaged files: {}",
            damaged.len()
        )?;
        if let Some(first) = damaged.first() {
            write!(f, " ({first})")?;
        }
        Ok(())
    }
}

//! Segmentations and structure sets as labels of the series that they were made for.

use std::{borrow::Cow, collections::BTreeSet};

use bipvl_imaging::{
    Grid, LabelMap, PaddingMode, Segment, Segmentation, SegmentationVoxels, Volume, resample_labels,
};
use dicom_dictionary_std::tags;

use crate::{
    Error, Result, SeriesVolume, Study,
    attributes::Attributes,
    instance::{Instance, ObjectKind},
    rtstruct::{OpenStructure, read_structure_set},
    seg::{read_segmentation, segment_names},
};

/// A volume and the objects that label it.
#[derive(Debug)]
pub struct LabeledSeries<'a> {
    /// The volume.
    pub volume: &'a SeriesVolume,
    objects: Vec<&'a Instance>,
}

/// What the objects of a series hold.
#[derive(Debug, Default)]
pub struct LabelMasks {
    /// The structures on the grid of the series, in the order of the objects.
    pub masks: Vec<(Segment, Volume<bool>)>,
    /// Contours that make no mask.
    pub open: Vec<OpenStructure>,
}

/// Something of a study that no labeled series was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// A series, or the file of a segmentation.
    pub name: String,
    /// Why, and what would help.
    pub reason: String,
}

impl Study {
    /// The segmentation or structure set, if it is the only one; a structure set is drawn on its series, which must be
    /// there, too.
    ///
    /// # Errors
    ///
    /// When there is none or more than one, it cannot be read, or the series of a structure set is missing.
    pub fn read_segmentation(&self) -> Result<Segmentation> {
        let [instance] = self.segmentations() else {
            let found = format!("{} of them; {}", self.segmentations().len(), self.skipped());
            let wanted = "single segmentation or structure set";
            return Err(Error::NothingFound { path: self.path().to_owned(), wanted, found });
        };
        if instance.kind == ObjectKind::Segmentation {
            return read_segmentation(&instance.file);
        }
        let structures = read_structure_set(&instance.file)?;
        let series = structures.series_uids();
        let referenced = self.volumes().iter().find(|volume| series.contains(&volume.series_uid));
        let Some(volume) = referenced else {
            let wanted = "series that the structure set was drawn on";
            let found = format!("{} other series", self.volumes().len());
            return Err(Error::NothingFound { path: self.path().to_owned(), wanted, found });
        };
        volume.ensure_readable()?;
        structures.rasterize(&volume.grid().expect("a readable series has slices"))
    }

    /// The names of the segments or structures of all segmentations and structure sets.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn segment_names(&self) -> Result<Vec<String>> {
        let names = self.segmentations().iter().map(|instance| match instance.kind {
            ObjectKind::StructureSet => Ok(read_structure_set(&instance.file)?.names()),
            _ => segment_names(&instance.file),
        });
        Ok(names.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Whether there is a structure set alone, without the series that it was drawn on.
    pub fn is_lone_structure_set(&self) -> bool {
        self.volumes().is_empty()
            && matches!(self.segmentations(), [Instance { kind: ObjectKind::StructureSet, .. }])
    }

    /// The structures of a [lone one](Self::is_lone_structure_set) on a grid, with as many more slices as they reach beyond.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or contours do not lie on the slices of the grid.
    pub fn read_structures_on(&self, grid: &Grid) -> Result<Segmentation> {
        let structures = read_structure_set(&self.segmentations()[0].file)?;
        structures.rasterize(&structures.extended(grid)?)
    }

    /// The structures of a [lone structure set](Self::is_lone_structure_set) that are not drawn, or not with all contours.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn open_structures(&self) -> Result<Vec<OpenStructure>> {
        read_structure_set(&self.segmentations()[0].file)?.open_structures()
    }

    /// The volumes that segmentations or structure sets below the path refer to, and what is left out.
    pub fn labeled_series(&self) -> (Vec<LabeledSeries<'_>>, Vec<LeftOut>) {
        let mut labeled: Vec<LabeledSeries<'_>> = Vec::new();
        let mut left_out = Vec::new();
        let mut used = BTreeSet::new();
        for object in self.segmentations() {
            match self.series_of(object) {
                Ok(volume) => {
                    used.insert(volume.number);
                    match labeled.iter_mut().find(|series| series.volume.number == volume.number) {
                        Some(series) => series.objects.push(object),
                        None => labeled.push(LabeledSeries { volume, objects: vec![object] }),
                    }
                }
                Err(reason) => {
                    let referenced = referenced_series(object).unwrap_or_default();
                    let volumes =
                        self.volumes().iter().filter(|volume| referenced.contains(&volume.series_uid));
                    used.extend(volumes.map(|volume| volume.number));
                    left_out.push(LeftOut { name: object.file.label.clone(), reason });
                }
            }
        }
        for volume in self.volumes().iter().filter(|volume| !used.contains(&volume.number)) {
            let reason = "no segmentation or structure set refers to it".to_owned();
            left_out.push(LeftOut { name: volume.label(), reason });
        }
        labeled.sort_by_key(|series| series.volume.number);
        (labeled, left_out)
    }

    fn series_of(&self, object: &Instance) -> std::result::Result<&SeriesVolume, String> {
        let referenced = referenced_series(object).map_err(|error| error.to_string())?;
        let volumes: Vec<&SeriesVolume> =
            self.volumes().iter().filter(|volume| referenced.contains(&volume.series_uid)).collect();
        match volumes.as_slice() {
            [volume] => match self.damage_beside(volume) {
                Some(damage) => Err(format!("a file beside its series may be a slice: {damage}")),
                None => volume.ensure_readable().map(|()| *volume).map_err(|error| error.to_string()),
            },
            [] => match self.skipped().damaged.first() {
                Some(damage) => {
                    Err(format!("the series that it was made for is not here, or damaged: {damage}"))
                }
                None => Err("the series that it was made for is not here; add it".to_owned()),
            },
            several => Err(format!("it was made for a series of {} volumes; keep one", several.len())),
        }
    }
}

fn referenced_series(object: &Instance) -> Result<Vec<String>> {
    if object.kind == ObjectKind::StructureSet {
        return Ok(read_structure_set(&object.file)?.series_uids());
    }
    let (header, _) = object.file.header()?;
    let series = header.items(tags::REFERENCED_SERIES_SEQUENCE).iter();
    Ok(series.filter_map(|item| item.text(tags::SERIES_INSTANCE_UID)).collect())
}

impl LabeledSeries<'_> {
    /// The file of the first object that labels the series, for a name.
    pub fn file_label(&self) -> &str {
        &self.objects[0].file.label
    }

    /// The structures of all objects.
    ///
    /// # Errors
    ///
    /// When an object cannot be read or its contours do not lie on the slices of the series.
    pub fn read_masks(&self) -> Result<LabelMasks> {
        let grid = self.volume.grid().expect("a labeled series is readable");
        let mut labels = LabelMasks::default();
        for object in &self.objects {
            let found = if object.kind == ObjectKind::StructureSet {
                let structures = read_structure_set(&object.file)?;
                labels.open.extend(structures.open_structures()?);
                structures.rasterize(&grid)?
            } else {
                read_segmentation(&object.file)?
            };
            for (index, segment) in found.segments().iter().enumerate() {
                let mask = match found.voxels() {
                    SegmentationVoxels::Masks(masks) => Cow::Borrowed(&masks[index]),
                    SegmentationVoxels::Labels(_) => Cow::Owned(found.mask(index)),
                };
                labels.masks.push((segment.clone(), placed(&mask, &grid)));
            }
        }
        Ok(labels)
    }
}

/// A mask on another grid; outside of its own it is empty.
fn placed(mask: &Volume<bool>, grid: &Grid) -> Volume<bool> {
    if mask.grid().approx_eq(grid) {
        return Volume::new(mask.voxels().clone(), grid.clone());
    }
    placed_labels(&mask.map(|is_inside| u16::from(*is_inside)), grid).map(|label| *label > 0)
}

/// Labels on another grid: the nearest voxel, 0 outside of their own.
pub fn placed_labels(labels: &LabelMap, grid: &Grid) -> LabelMap {
    resample_labels(labels, grid, PaddingMode::Constant(0))
}

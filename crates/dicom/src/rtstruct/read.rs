//! Reads the structures of a structure set onto the grid of its series.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bipvl_imaging::{BoundingBox, Grid, MAX_VOXELS, Segment, Segmentation, Volume};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use nalgebra::Vector4;
use ndarray::Array3;

use super::raster::fill;
use crate::{Error, Result, attributes::Attributes, source::ObjectFile};

/// A contour may lie this far from its slice, as a part of the step between slices.
const MAX_DISTANCE: f64 = 0.3;

/// A structure set: names, and contours in mm, LPS.
pub(crate) struct StructureSet {
    label: String,
    object: InMemDicomObject,
}

/// A structure whose contours are not closed, or not all of them: points and open lines enclose no voxel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenStructure {
    /// `ROIName`.
    pub name: String,
    /// How many contours are not closed; 0 where nothing was contoured.
    pub num_open: usize,
    /// Whether the other contours make a mask.
    pub has_mask: bool,
    /// `ContourGeometricType` of those that are not closed.
    kinds: BTreeSet<String>,
}

impl fmt::Display for OpenStructure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds.iter().map(String::as_str).collect::<Vec<_>>().join(" and ");
        match (self.num_open, self.has_mask) {
            (0, _) => write!(formatter, "it has no contours"),
            (1, true) => write!(formatter, "one of its contours is {kinds}, which encloses no voxel"),
            (count, true) => {
                write!(formatter, "{count} of its contours are {kinds}, which enclose no voxel")
            }
            (_, false) => write!(formatter, "its contours are {kinds}, which enclose no voxel"),
        }
    }
}

/// Opens a structure set.
pub(crate) fn read_structure_set(file: &ObjectFile) -> Result<StructureSet> {
    Ok(StructureSet { label: file.label.clone(), object: file.object()?.into_inner() })
}

fn unnamed(number: i64) -> String {
    format!("structure {number}")
}

fn is_closed(contour: &InMemDicomObject) -> bool {
    let kind = contour.text(tags::CONTOUR_GEOMETRIC_TYPE).unwrap_or_default();
    matches!(kind.as_str(), "CLOSED_PLANAR" | "CLOSEDPLANAR_XOR")
}

impl StructureSet {
    /// The UIDs of the series that contours were drawn on.
    pub(crate) fn series_uids(&self) -> Vec<String> {
        let frames = self.object.items(tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE).iter();
        let studies = frames.flat_map(|item| item.items(tags::RT_REFERENCED_STUDY_SEQUENCE));
        let series = studies.flat_map(|item| item.items(tags::RT_REFERENCED_SERIES_SEQUENCE));
        series.filter_map(|item| item.text(tags::SERIES_INSTANCE_UID)).collect()
    }

    /// Masks of all structures with closed contours, on the grid of their series; labels are ROI numbers.
    pub(crate) fn rasterize(&self, grid: &Grid) -> Result<Segmentation> {
        let names = self.names_by_number()?;
        let (mut masks, mut segments) = (Vec::new(), Vec::new());
        for (number, contours) in self.contours_by_number()? {
            let closed: Vec<&InMemDicomObject> = contours.into_iter().filter(|it| is_closed(it)).collect();
            if closed.is_empty() {
                continue; // see `open_structures`
            }
            let name = names.get(&number).cloned().unwrap_or_else(|| unnamed(number));
            masks.push(self.mask(&name, &closed, grid)?);
            segments.push(Segment { name, label: number as u16, code: None });
        }
        Ok(Segmentation::from_masks(grid.clone(), masks, segments))
    }

    /// What [`rasterize`](Self::rasterize) leaves out.
    pub(crate) fn open_structures(&self) -> Result<Vec<OpenStructure>> {
        let contours = self.contours_by_number()?;
        let mut names = self.names_by_number()?;
        for number in contours.keys() {
            names.entry(*number).or_insert_with(|| unnamed(*number));
        }
        let structures = names.into_iter().map(|(number, name)| {
            let contours = contours.get(&number).map_or(&[][..], Vec::as_slice);
            let open: Vec<&&InMemDicomObject> = contours.iter().filter(|it| !is_closed(it)).collect();
            let kinds = open.iter().map(|it| {
                it.text(tags::CONTOUR_GEOMETRIC_TYPE).unwrap_or_else(|| "of no geometric type".to_owned())
            });
            OpenStructure {
                name,
                num_open: open.len(),
                has_mask: open.len() < contours.len(),
                kinds: kinds.collect(),
            }
        });
        Ok(structures.filter(|structure| structure.num_open > 0 || !structure.has_mask).collect())
    }

    fn names_by_number(&self) -> Result<BTreeMap<i64, String>> {
        let items = self.object.items(tags::STRUCTURE_SET_ROI_SEQUENCE).iter();
        let names = items.map(|item| {
            let number = self.number(item, tags::ROI_NUMBER, "ROINumber")?;
            Ok((number, item.text(tags::ROI_NAME).unwrap_or_else(|| unnamed(number))))
        });
        names.collect()
    }

    fn contours_by_number(&self) -> Result<BTreeMap<i64, Vec<&InMemDicomObject>>> {
        let mut contours: BTreeMap<i64, Vec<&InMemDicomObject>> = BTreeMap::new();
        for item in self.object.items(tags::ROI_CONTOUR_SEQUENCE) {
            let number = self.number(item, tags::REFERENCED_ROI_NUMBER, "ReferencedROINumber")?;
            contours.entry(number).or_default().extend(item.items(tags::CONTOUR_SEQUENCE));
        }
        Ok(contours)
    }

    /// The names of all structures.
    pub(crate) fn names(&self) -> Vec<String> {
        let items = self.object.items(tags::STRUCTURE_SET_ROI_SEQUENCE).iter();
        items.filter_map(|item| item.text(tags::ROI_NAME)).collect()
    }

    /// The grid with as many more slices as contours reach beyond it.
    pub(crate) fn extended(&self, grid: &Grid) -> Result<Grid> {
        let to_voxel = grid.affine().try_inverse().expect("the grid of a series can be inverted");
        let contours = self.object.items(tags::ROI_CONTOUR_SEQUENCE).iter();
        let contours =
            contours.flat_map(|item| item.items(tags::CONTOUR_SEQUENCE)).filter(|contour| is_closed(contour));
        let (mut first, mut end) = (0.0_f64, grid.shape()[2] as f64);
        for contour in contours {
            for point in contour.numbers(tags::CONTOUR_DATA).unwrap_or_default().chunks_exact(3) {
                let slice = (to_voxel * Vector4::new(-point[0], -point[1], point[2], 1.0)).z.round();
                (first, end) = (first.min(slice), end.max(slice + 1.0));
            }
        }
        let [columns, rows, _] = grid.shape();
        let bounds =
            BoundingBox { start: [0, 0, first as isize], shape: [columns, rows, (end - first) as usize] };
        let extended = grid.cropped(&bounds);
        if extended.num_voxels().is_none_or(|count| count > MAX_VOXELS) {
            let reason = format!("{}: contours lie {} slices apart", self.label, end - first);
            return Err(Error::Unsuitable(reason));
        }
        Ok(extended)
    }

    fn number(&self, item: &InMemDicomObject, tag: Tag, name: &'static str) -> Result<i64> {
        match item.integer(tag) {
            Some(number @ 0..=65_535) => Ok(number),
            found => Err(Error::attribute(&self.label, name, format!("{found:?}"), "0 to 65535")),
        }
    }

    fn mask(&self, name: &str, contours: &[&InMemDicomObject], grid: &Grid) -> Result<Volume<bool>> {
        let [columns, rows, slices] = grid.shape();
        let to_voxel = grid.affine().try_inverse().expect("the grid of a series can be inverted");
        let mut polygons: BTreeMap<usize, Vec<Vec<[f64; 2]>>> = BTreeMap::new();
        for contour in contours {
            let data = contour.numbers(tags::CONTOUR_DATA).unwrap_or_default();
            if data.len() % 3 != 0 || data.is_empty() {
                let found = format!("{} numbers", data.len());
                return Err(Error::attribute(&self.label, "ContourData", found, "three numbers per point"));
            }
            let points: Vec<[f64; 3]> = data
                .chunks_exact(3)
                .map(|point| {
                    let voxel = to_voxel * Vector4::new(-point[0], -point[1], point[2], 1.0);
                    [voxel.x, voxel.y, voxel.z]
                })
                .collect();
            let slice = points[0][2].round();
            let is_planar = points.iter().all(|point| (point[2] - slice).abs() <= MAX_DISTANCE);
            if !is_planar {
                return Err(Error::Unsuitable(format!(
                    "{}: a contour of `{name}` does not lie on a slice of the series; it was drawn on another",
                    self.label
                )));
            }
            if !(0.0..slices as f64).contains(&slice) {
                return Err(Error::Unsuitable(format!(
                    "{}: a contour of `{name}` lies outside of the slices of the series",
                    self.label
                )));
            }
            let flat = points.iter().map(|[x, y, _]| [*x, *y]).collect();
            polygons.entry(slice as usize).or_default().push(flat);
        }
        let mut mask = Array3::from_elem(grid.shape(), false);
        for (slice, polygons) in polygons {
            let filled = fill(&polygons, [columns, rows]);
            for (pixel, _) in filled.iter().enumerate().filter(|(_, is_inside)| **is_inside) {
                mask[[pixel % columns, pixel / columns, slice]] = true;
            }
        }
        Ok(Volume::new(mask, grid.clone()))
    }
}

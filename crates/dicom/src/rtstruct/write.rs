//! Writes a structure set over its source series.

use bipvl_imaging::{BoundingBox, Segment, Volume};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use nalgebra::Vector3;
use ndarray::s;
use rayon::prelude::*;

use super::outline::outlines;
use crate::{
    Error, Object, Result,
    codes::display_rgb,
    derived::{Kind, Source},
    instance::STRUCTURE_SET,
    object::{self, Build},
};

const KIND: Kind = Kind { modality: "RTSTRUCT", description: "Contours", offset: 2 };
/// Detached Study Management, which structure sets name studies by.
const STUDY_CLASS: &str = "1.2.840.10008.3.1.2.3.1";
/// Coordinates are rounded to this many digits of a mm.
const DIGITS: usize = 3;

/// A structure set of masks on the grid of a series: contours on its slices, holes joined by keyholes, pieces apart. A
/// structure that is empty has no contours.
///
/// # Errors
///
/// When a mask is not on the grid of the source.
pub fn write_structure_set(
    source: &Source,
    segments: &[Segment],
    mask: &dyn Fn(usize) -> Volume<bool>,
) -> Result<Object> {
    let (date, time) = source.content_date_time();
    let mut object = source.data_set(KIND);
    source.add_frame_of_reference(&mut object);
    object
        .empty(tags::OPERATORS_NAME, VR::PN)
        .string(tags::STRUCTURE_SET_LABEL, VR::SH, "Segmentation")
        .string(tags::STRUCTURE_SET_DATE, VR::DA, date)
        .string(tags::STRUCTURE_SET_TIME, VR::TM, time)
        .sequence(tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE, vec![frame_of_reference(source)]);
    let (mut regions, mut contours, mut observations) = (Vec::new(), Vec::new(), Vec::new());
    for (index, segment) in segments.iter().enumerate() {
        let mask = mask(index);
        let fits = mask.grid().ensure_matches(&source.grid);
        fits.map_err(|error| Error::Unsuitable(format!("structure set: {error}")))?;
        regions.push(region(source, index, segment));
        contours.push(region_contours(source, index, &mask));
        observations.push(observation(index));
    }
    object
        .sequence(tags::STRUCTURE_SET_ROI_SEQUENCE, regions)
        .sequence(tags::ROI_CONTOUR_SEQUENCE, contours)
        .sequence(tags::RTROI_OBSERVATIONS_SEQUENCE, observations);
    object::implicit_file(object, STRUCTURE_SET, &source.derived_uid("structure set"))
}

fn frame_of_reference(source: &Source) -> InMemDicomObject {
    let mut series = InMemDicomObject::new_empty();
    series
        .string(tags::SERIES_INSTANCE_UID, VR::UI, source.uid_of(tags::SERIES_INSTANCE_UID))
        .sequence(tags::CONTOUR_IMAGE_SEQUENCE, source.instance_items());
    let mut study = InMemDicomObject::new_empty();
    study
        .string(tags::REFERENCED_SOP_CLASS_UID, VR::UI, STUDY_CLASS)
        .string(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, source.uid_of(tags::STUDY_INSTANCE_UID))
        .sequence(tags::RT_REFERENCED_SERIES_SEQUENCE, vec![series]);
    let mut frame = InMemDicomObject::new_empty();
    frame
        .string(tags::FRAME_OF_REFERENCE_UID, VR::UI, source.uid_of(tags::FRAME_OF_REFERENCE_UID))
        .sequence(tags::RT_REFERENCED_STUDY_SEQUENCE, vec![study]);
    frame
}

fn region(source: &Source, index: usize, segment: &Segment) -> InMemDicomObject {
    /// Letters of a name at most (LO).
    const MAX_NAME: usize = 64;
    let name: String =
        segment.name.chars().filter(|c| !c.is_control() && *c != '\\').take(MAX_NAME).collect();
    let mut item = InMemDicomObject::new_empty();
    item.is(tags::ROI_NUMBER, index as i64 + 1)
        .string(tags::REFERENCED_FRAME_OF_REFERENCE_UID, VR::UI, source.uid_of(tags::FRAME_OF_REFERENCE_UID))
        .string(tags::ROI_NAME, VR::LO, name)
        .string(tags::ROI_GENERATION_ALGORITHM, VR::CS, "AUTOMATIC")
        .string(tags::ROI_GENERATION_DESCRIPTION, VR::LO, &source.algorithm.name);
    item
}

fn observation(index: usize) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    item.is(tags::OBSERVATION_NUMBER, index as i64 + 1)
        .is(tags::REFERENCED_ROI_NUMBER, index as i64 + 1)
        .empty(tags::RTROI_INTERPRETED_TYPE, VR::CS)
        .empty(tags::ROI_INTERPRETER, VR::PN);
    item
}

fn region_contours(source: &Source, index: usize, mask: &Volume<bool>) -> InMemDicomObject {
    let planes = Planes::of(mask);
    let contours: Vec<Vec<InMemDicomObject>> = planes
        .pixels
        .par_iter()
        .enumerate()
        .map(|(slice, pixels)| {
            let moved =
                |[column, row]: [f64; 2]| [column + planes.first[0] as f64, row + planes.first[1] as f64];
            let outlines = outlines(pixels, planes.size);
            let outlines =
                outlines.iter().map(|points| points.iter().copied().map(moved).collect::<Vec<_>>());
            outlines.map(|points| contour(source, planes.first[2] + slice, &points)).collect()
        })
        .collect();
    let color = display_rgb(index).map(|value| value.to_string()).join("\\");
    let mut item = InMemDicomObject::new_empty();
    item.string(tags::ROI_DISPLAY_COLOR, VR::IS, color).is(tags::REFERENCED_ROI_NUMBER, index as i64 + 1);
    let contours = contours.concat();
    if !contours.is_empty() {
        item.sequence(tags::CONTOUR_SEQUENCE, contours);
    }
    item
}

/// The slices of a mask within its bounding box, rows after each other.
struct Planes {
    first: [usize; 3],
    size: [usize; 2],
    pixels: Vec<Vec<bool>>,
}

impl Planes {
    /// Gathered in the order of the voxels, of which those of a column are adjacent.
    fn of(mask: &Volume<bool>) -> Self {
        let Some(BoundingBox { start, shape }) = BoundingBox::of_mask(mask) else {
            return Self { first: [0; 3], size: [0; 2], pixels: Vec::new() };
        };
        let first = start.map(|index| index as usize);
        let [columns, rows, slices] = shape;
        let mut pixels = vec![vec![false; columns * rows]; slices];
        for row in 0..rows {
            for column in 0..columns {
                let at = s![first[0] + column, first[1] + row, first[2]..first[2] + slices];
                for (slice, is_inside) in mask.voxels().slice(at).iter().enumerate() {
                    pixels[slice][row * columns + column] = *is_inside;
                }
            }
        }
        Self { first, size: [columns, rows], pixels }
    }
}

fn contour(source: &Source, slice: usize, points: &[[f64; 2]]) -> InMemDicomObject {
    let first = &source.first;
    let origin = Vector3::from(source.slices[slice].position);
    let steps = [first.directions[0] * first.spacing[0], first.directions[1] * first.spacing[1]];
    let text = |[column, row]: &[f64; 2]| {
        let at = origin + steps[0] * *column + steps[1] * *row;
        format!("{:.DIGITS$}\\{:.DIGITS$}\\{:.DIGITS$}", at.x, at.y, at.z)
    };
    let coordinates: Vec<String> = points.iter().map(text).collect();
    let slice = &source.slices[slice];
    let mut image = InMemDicomObject::new_empty();
    image.string(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &slice.sop_class).string(
        tags::REFERENCED_SOP_INSTANCE_UID,
        VR::UI,
        &slice.sop_instance,
    );
    if let Some(frame) = slice.frame {
        image.is(tags::REFERENCED_FRAME_NUMBER, i64::from(frame));
    }
    let mut item = InMemDicomObject::new_empty();
    item.sequence(tags::CONTOUR_IMAGE_SEQUENCE, vec![image])
        .string(tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, "CLOSED_PLANAR")
        .is(tags::NUMBER_OF_CONTOUR_POINTS, points.len() as i64)
        .string(tags::CONTOUR_DATA, VR::DS, coordinates.join("\\"));
    item
}

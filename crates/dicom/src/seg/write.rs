//! Writes segmentations over their source series (PS3.3, A.51 and C.8.20).

use bipvl_imaging::{Code, Grid, LabelMap, QuantizedProbability, Segment, Volume};
use bipvl_text::Synonyms;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::frames::{Frames, Place};
use crate::{
    Error, Object, Result,
    codes::{SegmentCodes, cielab, dcm},
    derived::{Kind, Source},
    instance::{LABEL_MAP, SEGMENTATION},
    object::{self, Build, code_item},
};

const KIND: Kind = Kind { modality: "SEG", description: "Segmentation", offset: 1 };
const FRACTIONAL: Kind = Kind { modality: "SEG", description: "Segmentation, probabilities", offset: 4 };
/// What the UID of a binary segmentation follows from beside its source.
pub(crate) const BINARY_ROLE: &str = "binary segmentation";
/// The stored value of probability 1.
const FRACTIONAL_MAXIMUM: u16 = QuantizedProbability::STEPS as u16;

/// How voxels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentationKind {
    /// One bit per voxel and segment; segments may overlap.
    Binary,
    /// Probabilities in steps of 1/255.
    Fractional,
    /// One number per voxel (SOP class 1.2.840.10008.5.1.4.1.1.66.7).
    LabelMap,
}

/// Voxels of segments on the grid of the source.
pub enum SegmentVoxels<'a> {
    /// Exclusive: a voxel has the label of its segment, or 0.
    Labels(&'a LabelMap),
    /// The mask of a segment; masks may overlap.
    Masks(&'a dyn Fn(usize) -> Volume<bool>),
    /// From 0 to 1, a volume per segment.
    Probabilities(&'a [Volume<f32>]),
}

/// A DICOM segmentation of a series. Segments are numbered from 1 in their order; only frames with voxels are stored.
///
/// # Errors
///
/// When the voxels are not on the grid of the source, or the kind cannot hold them.
pub fn write_segmentation(
    source: &Source,
    segments: &[Segment],
    voxels: &SegmentVoxels<'_>,
    kind: SegmentationKind,
    synonyms: &Synonyms,
) -> Result<Object> {
    ensure_grid(source, segments, voxels)?;
    let frames = match (kind, voxels) {
        (SegmentationKind::Binary, SegmentVoxels::Labels(labels)) => Frames::binary_labels(segments, labels),
        (SegmentationKind::Binary, SegmentVoxels::Masks(mask)) => {
            Frames::binary_masks(source, segments.len(), mask)
        }
        (SegmentationKind::LabelMap, SegmentVoxels::Labels(labels)) => Frames::label_map(segments, labels),
        (SegmentationKind::Fractional, SegmentVoxels::Probabilities(volumes)) => Frames::fractional(volumes),
        _ => return Err(Error::Unsuitable(format!("a {kind:?} segmentation cannot hold these voxels"))),
    };
    let mut object = source.data_set(if kind == SegmentationKind::Fractional { FRACTIONAL } else { KIND });
    source.add_frame_of_reference(&mut object);
    source.add_references(&mut object);
    add_image(&mut object, source, kind, &frames);
    let algorithm = &source.algorithm.name;
    let mut described: Vec<InMemDicomObject> = segments
        .iter()
        .enumerate()
        .map(|(index, segment)| segment_item(index, segment, algorithm, synonyms))
        .collect();
    if kind == SegmentationKind::LabelMap {
        described.insert(0, background_item());
    }
    object.sequence(tags::SEGMENT_SEQUENCE, described);
    add_dimensions(&mut object, source, kind);
    object.sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared_groups(source)]);
    let groups = frames.places.iter().map(|place| frame_groups(source, kind, *place)).collect();
    object.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, groups);
    let vr = if frames.bits_allocated == 16 { VR::OW } else { VR::OB };
    object.put(DataElement::new(tags::PIXEL_DATA, vr, PrimitiveValue::from(frames.pixels)));
    let role = match kind {
        SegmentationKind::Binary => BINARY_ROLE,
        SegmentationKind::Fractional => "fractional segmentation",
        SegmentationKind::LabelMap => "label map segmentation",
    };
    let class = if kind == SegmentationKind::LabelMap { LABEL_MAP } else { SEGMENTATION };
    object::file(object, class, &source.derived_uid(role))
}

fn ensure_grid(source: &Source, segments: &[Segment], voxels: &SegmentVoxels<'_>) -> Result<()> {
    let fits = |grid: &Grid| {
        grid.ensure_matches(&source.grid).map_err(|error| Error::Unsuitable(format!("segmentation: {error}")))
    };
    if segments.is_empty() || segments.len() > usize::from(u16::MAX) {
        return Err(Error::Unsuitable(format!("{} segments; DICOM holds 1 to 65535", segments.len())));
    }
    match voxels {
        SegmentVoxels::Labels(labels) => fits(labels.grid()),
        SegmentVoxels::Probabilities(volumes) => volumes.iter().try_for_each(|volume| fits(volume.grid())),
        SegmentVoxels::Masks(_) => Ok(()),
    }
}

fn add_image(object: &mut InMemDicomObject, source: &Source, kind: SegmentationKind, frames: &Frames) {
    let (date, time) = source.content_date_time();
    let [columns, rows, _] = source.grid.shape();
    let bits = frames.bits_allocated;
    let kind_name = match kind {
        SegmentationKind::Binary => "BINARY",
        SegmentationKind::Fractional => "FRACTIONAL",
        SegmentationKind::LabelMap => "LABELMAP",
    };
    object
        .string(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY")
        .string(tags::CONTENT_DATE, VR::DA, date)
        .string(tags::CONTENT_TIME, VR::TM, time)
        .string(tags::CONTENT_LABEL, VR::CS, "SEGMENTATION")
        .string(tags::CONTENT_DESCRIPTION, VR::LO, "Automatic segmentation")
        .empty(tags::CONTENT_CREATOR_NAME, VR::PN)
        .us(tags::SAMPLES_PER_PIXEL, &[1])
        .string(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
        .is(tags::NUMBER_OF_FRAMES, frames.places.len() as i64)
        .us(tags::ROWS, &[rows as u16])
        .us(tags::COLUMNS, &[columns as u16])
        .us(tags::BITS_ALLOCATED, &[bits])
        .us(tags::BITS_STORED, &[bits])
        .us(tags::HIGH_BIT, &[bits - 1])
        .us(tags::PIXEL_REPRESENTATION, &[0])
        .string(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00")
        .string(tags::SEGMENTATION_TYPE, VR::CS, kind_name);
    match kind {
        SegmentationKind::Binary => object.string(tags::SEGMENTS_OVERLAP, VR::CS, "UNDEFINED"),
        SegmentationKind::LabelMap => {
            object.string(tags::SEGMENTS_OVERLAP, VR::CS, "NO").us(tags::PIXEL_PADDING_VALUE, &[0])
        }
        SegmentationKind::Fractional => object
            .string(tags::SEGMENTS_OVERLAP, VR::CS, "UNDEFINED")
            .string(tags::SEGMENTATION_FRACTIONAL_TYPE, VR::CS, "PROBABILITY")
            .us(tags::MAXIMUM_FRACTIONAL_VALUE, &[FRACTIONAL_MAXIMUM]),
    };
}

fn segment_item(index: usize, segment: &Segment, algorithm: &str, synonyms: &Synonyms) -> InMemDicomObject {
    /// Letters of a label at most (LO).
    const MAX_LABEL: usize = 64;
    let SegmentCodes { category, property_type, modifiers } = SegmentCodes::of(segment, synonyms);
    let mut property = code_item(&property_type);
    if !modifiers.is_empty() {
        let items = modifiers.iter().map(|modifier| code_item(&modifier.value)).collect();
        property.sequence(tags::SEGMENTED_PROPERTY_TYPE_MODIFIER_CODE_SEQUENCE, items);
    }
    let label: String =
        segment.name.chars().filter(|c| !c.is_control() && *c != '\\').take(MAX_LABEL).collect();
    let mut item = InMemDicomObject::new_empty();
    item.us(tags::SEGMENT_NUMBER, &[index as u16 + 1])
        .string(tags::SEGMENT_LABEL, VR::LO, label)
        .string(tags::SEGMENT_DESCRIPTION, VR::ST, &segment.name)
        .string(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "AUTOMATIC")
        .string(tags::SEGMENT_ALGORITHM_NAME, VR::LO, algorithm)
        .us(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE, &cielab(index))
        .code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, &category)
        .sequence(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, vec![property]);
    item
}

/// A label map describes its value 0, too.
fn background_item() -> InMemDicomObject {
    let background = dcm("125040", "Background");
    let mut item = InMemDicomObject::new_empty();
    item.us(tags::SEGMENT_NUMBER, &[0])
        .string(tags::SEGMENT_LABEL, VR::LO, "Background")
        .string(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "AUTOMATIC")
        .string(tags::SEGMENT_ALGORITHM_NAME, VR::LO, "none")
        .code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, &background)
        .code(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, &background);
    item
}

/// Frames are indexed by segment and position, label maps by position.
fn add_dimensions(object: &mut InMemDicomObject, source: &Source, kind: SegmentationKind) {
    let organization = source.derived_uid("dimension organization");
    let mut item = InMemDicomObject::new_empty();
    item.string(tags::DIMENSION_ORGANIZATION_UID, VR::UI, &organization);
    object.sequence(tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![item]);
    let index = |pointer: Tag, group: Tag, label: &str| {
        let mut item = InMemDicomObject::new_empty();
        item.string(tags::DIMENSION_ORGANIZATION_UID, VR::UI, &organization).string(
            tags::DIMENSION_DESCRIPTION_LABEL,
            VR::LO,
            label,
        );
        item.put(DataElement::new(tags::DIMENSION_INDEX_POINTER, VR::AT, PrimitiveValue::from(pointer)));
        item.put(DataElement::new(tags::FUNCTIONAL_GROUP_POINTER, VR::AT, PrimitiveValue::from(group)));
        item
    };
    let segment =
        index(tags::REFERENCED_SEGMENT_NUMBER, tags::SEGMENT_IDENTIFICATION_SEQUENCE, "Segment Number");
    let position =
        index(tags::IMAGE_POSITION_PATIENT, tags::PLANE_POSITION_SEQUENCE, "Image Position (Patient)");
    let indices = if kind == SegmentationKind::LabelMap { vec![position] } else { vec![segment, position] };
    object.sequence(tags::DIMENSION_INDEX_SEQUENCE, indices);
}

fn shared_groups(source: &Source) -> InMemDicomObject {
    let frame = &source.first;
    let step = source.grid.spacing()[2];
    let mut measures = InMemDicomObject::new_empty();
    let [between_columns, between_rows] = frame.spacing;
    measures
        .ds(tags::PIXEL_SPACING, &[between_rows, between_columns])
        .ds(tags::SLICE_THICKNESS, &[step])
        .ds(tags::SPACING_BETWEEN_SLICES, &[step]);
    let mut orientation = InMemDicomObject::new_empty();
    let directions: Vec<f64> =
        frame.directions.iter().flat_map(|direction| direction.iter().copied()).collect();
    orientation.ds(tags::IMAGE_ORIENTATION_PATIENT, &directions);
    let mut groups = InMemDicomObject::new_empty();
    groups
        .sequence(tags::PIXEL_MEASURES_SEQUENCE, vec![measures])
        .sequence(tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation]);
    groups
}

fn frame_groups(
    source: &Source,
    kind: SegmentationKind,
    Place { segment, slice }: Place,
) -> InMemDicomObject {
    let [segment_number, position_index] = [segment as u32 + 1, slice as u32 + 1];
    let mut content = InMemDicomObject::new_empty();
    let mut groups = InMemDicomObject::new_empty();
    if kind == SegmentationKind::LabelMap {
        content.ul(tags::DIMENSION_INDEX_VALUES, &[position_index]);
    } else {
        content.ul(tags::DIMENSION_INDEX_VALUES, &[segment_number, position_index]);
        let mut identification = InMemDicomObject::new_empty();
        identification.us(tags::REFERENCED_SEGMENT_NUMBER, &[segment_number as u16]);
        groups.sequence(tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![identification]);
    }
    let mut position = InMemDicomObject::new_empty();
    position.ds(tags::IMAGE_POSITION_PATIENT, &source.slices[slice].position);
    groups
        .sequence(tags::FRAME_CONTENT_SEQUENCE, vec![content])
        .sequence(tags::PLANE_POSITION_SEQUENCE, vec![position])
        .sequence(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation(source, slice)]);
    groups
}

fn derivation(source: &Source, slice: usize) -> InMemDicomObject {
    let purpose: Code = dcm("121322", "Source Image for Image Processing Operation");
    let slice = &source.slices[slice];
    let mut image = InMemDicomObject::new_empty();
    image
        .string(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &slice.sop_class)
        .string(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, &slice.sop_instance)
        .string(tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES")
        .code(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, &purpose);
    if let Some(frame) = slice.frame {
        image.is(tags::REFERENCED_FRAME_NUMBER, i64::from(frame));
    }
    let mut derivation = InMemDicomObject::new_empty();
    derivation
        .code(tags::DERIVATION_CODE_SEQUENCE, &dcm("113076", "Segmentation"))
        .sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![image]);
    derivation
}

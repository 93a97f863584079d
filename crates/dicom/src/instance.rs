//! The header of one DICOM object, and of each of its frames: what it takes to sort them into volumes.

use bipvl_imaging::Affine;
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, InMemDicomObject};
use nalgebra::{Matrix4, Vector3, Vector4};

use crate::{
    Error, Result,
    attributes::{Attributes, required, shown},
    guard::NativePixels,
    pixel_format::PixelFormat,
    source::ObjectFile,
};

/// Frames of an object at most; a claim beyond is damage.
const MAX_FRAMES: i64 = 1 << 20;
/// Spacings between pixels.
const MIN_SPACING_MM: f64 = 1e-3;
const MAX_SPACING_MM: f64 = 1e3;
/// Row and column directions must be perpendicular and of length 1 within this.
const DIRECTION_TOLERANCE: f64 = 1e-3;

/// What an object is to this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    /// Slices of a scan.
    Image,
    /// A DICOM segmentation (SEG) or label map.
    Segmentation,
    /// A radiotherapy structure set (RTSTRUCT).
    StructureSet,
    /// Anything else: reports, presentation states, directories.
    Other,
}

/// An object without its pixel data.
#[derive(Debug)]
#[allow(clippy::struct_field_names, reason = "DICOM's names")]
pub(crate) struct Instance {
    pub(crate) file: ObjectFile,
    pub(crate) kind: ObjectKind,
    pub(crate) sop_class: String,
    pub(crate) sop_instance: String,
    pub(crate) series_uid: String,
    /// Patient's id and name, study, frame of reference: slices of one volume have the same.
    pub(crate) owner: [String; 4],
    pub(crate) modality: String,
    pub(crate) description: String,
    pub(crate) instance_number: Option<i64>,
    pub(crate) is_localizer: bool,
    pub(crate) transfer_syntax: String,
    /// The frames of an image, or why they cannot be placed; those of others are not read here.
    pub(crate) frames: Result<Vec<Frame>>,
    /// Where native pixel data are in the file.
    pub(crate) pixels: Option<NativePixels>,
    /// How they are stored.
    pub(crate) format: Result<PixelFormat>,
}

/// One slice of one object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    /// Index among the frames of its object.
    pub(crate) index: u32,
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    /// Center of the first pixel in mm, LPS.
    pub(crate) position: Vector3<f64>,
    /// Direction along a row, and along a column.
    pub(crate) directions: [Vector3<f64>; 2],
    /// Between columns and between rows in mm: along the directions.
    pub(crate) spacing: [f64; 2],
    /// Of a single slice.
    pub(crate) thickness: Option<f64>,
    /// Intensity = stored value × slope + intercept.
    pub(crate) rescale: [f64; 2],
    /// Whether the header has a slope.
    pub(crate) is_rescaled: bool,
    /// What tells frames at the same place apart, by attribute.
    pub(crate) dimensions: Vec<(&'static str, String)>,
}

impl Frame {
    /// Voxel to RAS+ mm of a stack of slices like this: from one to the next by `step`, the first pixel of the first at
    /// `origin`, both LPS.
    pub(crate) fn affine(&self, step: Vector3<f64>, origin: Vector3<f64>) -> Affine {
        let [along_rows, along_columns] = [0, 1].map(|axis| self.directions[axis] * self.spacing[axis]);
        let mut affine = Affine::identity();
        for (axis, column) in [along_rows, along_columns, step, origin].iter().enumerate() {
            affine.fixed_view_mut::<3, 1>(0, axis).copy_from(column);
        }
        let lps_to_ras = Matrix4::from_diagonal(&Vector4::new(-1.0, -1.0, 1.0, 1.0));
        lps_to_ras * affine
    }

    /// The normal of the slice.
    pub(crate) fn normal(&self) -> Vector3<f64> {
        self.directions[0].cross(&self.directions[1])
    }
}

impl Instance {
    /// Of a header.
    pub(crate) fn new(file: ObjectFile, header: &DefaultDicomObject, pixels: Option<NativePixels>) -> Self {
        let text = |tag| header.text(tag).unwrap_or_default();
        let meta = header.meta();
        let or_of_meta = |own: String, meta: &str| {
            if own.is_empty() { meta.trim_end_matches(['\0', ' ']).to_owned() } else { own }
        };
        let sop_class = or_of_meta(text(tags::SOP_CLASS_UID), meta.media_storage_sop_class_uid());
        let modality = text(tags::MODALITY);
        let kind = match (sop_class.as_str(), modality.as_str()) {
            (SEGMENTATION | LABEL_MAP, _) => ObjectKind::Segmentation,
            (STRUCTURE_SET, _) => ObjectKind::StructureSet,
            (SECONDARY_CAPTURE, _) => ObjectKind::Other,
            (class, _) if IMAGES.contains(&class) => ObjectKind::Image,
            (_, "CT" | "MR" | "PT") if header.get(tags::ROWS).is_some() => ObjectKind::Image,
            _ => ObjectKind::Other,
        };
        let frames = if kind == ObjectKind::Image { frames(header, &file.label) } else { Ok(Vec::new()) };
        let image_type = text(tags::IMAGE_TYPE);
        Self {
            kind,
            sop_instance: or_of_meta(text(tags::SOP_INSTANCE_UID), meta.media_storage_sop_instance_uid()),
            owner: [
                tags::PATIENT_ID,
                tags::PATIENT_NAME,
                tags::STUDY_INSTANCE_UID,
                tags::FRAME_OF_REFERENCE_UID,
            ]
            .map(text),
            series_uid: text(tags::SERIES_INSTANCE_UID),
            description: text(tags::SERIES_DESCRIPTION),
            instance_number: header.integer(tags::INSTANCE_NUMBER),
            is_localizer: image_type.split('\\').any(|value| value.eq_ignore_ascii_case("LOCALIZER")),
            transfer_syntax: header.meta().transfer_syntax().trim_end_matches('\0').to_owned(),
            sop_class,
            modality,
            frames,
            pixels,
            format: PixelFormat::of(header, &file.label),
            file,
        }
    }
}

impl Instance {
    /// Whether both are copies of one file, as far as headers say.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let frames = [self, other].map(|instance| instance.frames.as_deref().ok());
        !self.sop_instance.is_empty() && self.sop_instance == other.sop_instance && frames[0] == frames[1]
    }
}

/// SEG.
pub(crate) const SEGMENTATION: &str = dicom_dictionary_std::uids::SEGMENTATION_STORAGE;
/// Label map segmentation.
pub(crate) const LABEL_MAP: &str = dicom_dictionary_std::uids::LABEL_MAP_SEGMENTATION_STORAGE;
/// Slices, whatever else their headers lack.
const IMAGES: [&str; 7] = [
    dicom_dictionary_std::uids::CT_IMAGE_STORAGE,
    dicom_dictionary_std::uids::MR_IMAGE_STORAGE,
    dicom_dictionary_std::uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
    dicom_dictionary_std::uids::ENHANCED_CT_IMAGE_STORAGE,
    dicom_dictionary_std::uids::ENHANCED_MR_IMAGE_STORAGE,
    dicom_dictionary_std::uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE,
    dicom_dictionary_std::uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE,
];
/// Pictures of a screen, which have no place in the patient.
const SECONDARY_CAPTURE: &str = dicom_dictionary_std::uids::SECONDARY_CAPTURE_IMAGE_STORAGE;
/// RTSTRUCT.
pub(crate) const STRUCTURE_SET: &str = dicom_dictionary_std::uids::RT_STRUCTURE_SET_STORAGE;

/// The places of all frames.
pub(crate) fn frames(header: &InMemDicomObject, label: &str) -> Result<Vec<Frame>> {
    let size = |tag, attribute| match header.integer(tag) {
        Some(size @ 1..=65_535) => Ok(size as u32),
        found => Err(Error::attribute(label, attribute, shown(found), "1 to 65535")),
    };
    let (rows, columns) = (size(tags::ROWS, "Rows")?, size(tags::COLUMNS, "Columns")?);
    let count = header.integer(tags::NUMBER_OF_FRAMES).unwrap_or(1);
    if !(1..=MAX_FRAMES).contains(&count) {
        return Err(Error::attribute(label, "NumberOfFrames", count.to_string(), "1 to 1 048 576"));
    }
    let own = header.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    if count > 1 && own.len() != count as usize {
        let found = format!("{} items for {count} frames", own.len());
        return Err(Error::attribute(label, "PerFrameFunctionalGroupsSequence", found, "one item per frame"));
    }
    let shared = header.first_item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
    (0..count as u32)
        .map(|index| {
            let groups = Groups { header, shared, own: own.get(index as usize) };
            groups.frame(index, [columns, rows], label)
        })
        .collect()
}

/// The attributes of a frame: in its own functional groups, those shared by all, or those of the object.
struct Groups<'a> {
    header: &'a InMemDicomObject,
    shared: Option<&'a InMemDicomObject>,
    own: Option<&'a InMemDicomObject>,
}

impl Groups<'_> {
    /// The item of a functional group; a single-frame object is one.
    fn group(&self, sequence: dicom_core::Tag) -> &InMemDicomObject {
        let mut groups = self.own.into_iter().chain(self.shared);
        groups.find_map(|groups| groups.first_item(sequence)).unwrap_or(self.header)
    }

    fn frame(&self, index: u32, [columns, rows]: [u32; 2], label: &str) -> Result<Frame> {
        let measures = self.group(tags::PIXEL_MEASURES_SEQUENCE);
        let position = self.group(tags::PLANE_POSITION_SEQUENCE).numbers(tags::IMAGE_POSITION_PATIENT);
        let orientation =
            self.group(tags::PLANE_ORIENTATION_SEQUENCE).numbers(tags::IMAGE_ORIENTATION_PATIENT);
        let spacing = measures.numbers(tags::PIXEL_SPACING);
        let [x, y, z] = required(position, label, "ImagePositionPatient", "three numbers")?;
        let directions = directions(orientation, label)?;
        let [between_rows, between_columns] =
            required::<2>(spacing, label, "PixelSpacing", "two positive numbers")?;
        if ![between_rows, between_columns].iter().all(|mm| (MIN_SPACING_MM..MAX_SPACING_MM).contains(mm)) {
            let found = format!("{between_rows}\\{between_columns}");
            return Err(Error::attribute(label, "PixelSpacing", found, "two numbers from 0.001 to 1000 mm"));
        }
        let rescale = self.group(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
        let slope = rescale_number(rescale, tags::RESCALE_SLOPE, 1.0, "RescaleSlope", label)?;
        let intercept = rescale_number(rescale, tags::RESCALE_INTERCEPT, 0.0, "RescaleIntercept", label)?;
        if slope == 0.0 {
            return Err(Error::attribute(label, "RescaleSlope", "0", "another number"));
        }
        let thickness = [tags::SPACING_BETWEEN_SLICES, tags::SLICE_THICKNESS]
            .into_iter()
            .find_map(|tag| measures.number(tag).filter(|mm| *mm > 0.0));
        Ok(Frame {
            index,
            columns,
            rows,
            position: Vector3::new(x, y, z),
            directions,
            spacing: [between_columns, between_rows],
            thickness,
            rescale: [slope, intercept],
            is_rescaled: rescale.get(tags::RESCALE_SLOPE).is_some(),
            dimensions: self.dimensions(),
        })
    }

    /// Echo, time and the like: attributes by which one series may hold several volumes.
    fn dimensions(&self) -> Vec<(&'static str, String)> {
        let content = self.group(tags::FRAME_CONTENT_SEQUENCE);
        let echo = self.group(tags::MR_ECHO_SEQUENCE);
        let diffusion = self.group(tags::MR_DIFFUSION_SEQUENCE);
        let image_type = [tags::CT_IMAGE_FRAME_TYPE_SEQUENCE, tags::MR_IMAGE_FRAME_TYPE_SEQUENCE]
            .into_iter()
            .find_map(|sequence| self.group(sequence).text(tags::FRAME_TYPE));
        let found = [
            ("TemporalPositionIndex", content.text(tags::TEMPORAL_POSITION_INDEX)),
            ("TemporalPositionIdentifier", self.header.text(tags::TEMPORAL_POSITION_IDENTIFIER)),
            ("EchoTime", echo.text(tags::EFFECTIVE_ECHO_TIME).or_else(|| self.header.text(tags::ECHO_TIME))),
            ("EchoNumbers", self.header.text(tags::ECHO_NUMBERS)),
            ("DiffusionBValue", diffusion.text(tags::DIFFUSION_B_VALUE)),
            ("AcquisitionNumber", self.header.text(tags::ACQUISITION_NUMBER)),
            ("TriggerTime", self.header.text(tags::TRIGGER_TIME)),
            ("ImageType", image_type.or_else(|| self.header.text(tags::IMAGE_TYPE))),
        ];
        found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Slope or intercept: absent, or a number that float32 holds.
fn rescale_number(
    group: &InMemDicomObject,
    tag: dicom_core::Tag,
    default: f64,
    attribute: &'static str,
    label: &str,
) -> Result<f64> {
    const MAX: f64 = 1e12;
    if group.text(tag).is_none() {
        return Ok(default);
    }
    match group.number(tag) {
        Some(number) if number.abs() <= MAX => Ok(number),
        found => {
            let found = found.map_or_else(|| "not a number".to_owned(), |number| number.to_string());
            Err(Error::attribute(label, attribute, found, "a number of at most 10¹²"))
        }
    }
}

fn directions(orientation: Option<Vec<f64>>, label: &str) -> Result<[Vector3<f64>; 2]> {
    const EXPECTED: &str = "two perpendicular directions of length 1";
    let [a, b, c, d, e, f] = required(orientation, label, "ImageOrientationPatient", EXPECTED)?;
    let [row, column] = [Vector3::new(a, b, c), Vector3::new(d, e, f)];
    let is_valid = (row.norm() - 1.0).abs() < DIRECTION_TOLERANCE
        && (column.norm() - 1.0).abs() < DIRECTION_TOLERANCE
        && row.dot(&column).abs() < DIRECTION_TOLERANCE;
    if is_valid {
        return Ok([row, column]);
    }
    let found = format!("{a}\\{b}\\{c}\\{d}\\{e}\\{f}");
    Err(Error::attribute(label, "ImageOrientationPatient", found, EXPECTED))
}

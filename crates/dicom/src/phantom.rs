//! DICOM series of volumes, for demos, tests and benchmarks.

use std::path::Path;

use bipvl_imaging::Volume;
use bipvl_io::{FileError, FileTransaction};
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use nalgebra::Vector3;

use crate::{
    Result,
    object::{self, Build},
    uid,
};

/// HU of the stored value 0.
const INTERCEPT: f64 = -1024.0;

/// Writes a volume as a CT series, a file per slice; intensities are rounded to whole HU. The patient is `Phantom^NAME`,
/// and all UIDs follow from the name.
///
/// # Errors
///
/// When the folder cannot be created or written to.
pub fn write_ct_series(folder: &Path, volume: &Volume<f32>, name: &str) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| FileError::new(folder, error))?;
    let mut staged = FileTransaction::default();
    for slice in 0..volume.grid().shape()[2] {
        let file = ct_slice(volume, name, slice)?;
        staged.stage_with(&folder.join(format!("CT{slice:05}.dcm")), |to| {
            file.write_all(to).map_err(std::io::Error::other)
        })?;
    }
    Ok(staged.commit()?)
}

fn ct_slice(volume: &Volume<f32>, name: &str, slice: usize) -> Result<crate::Object> {
    let grid = volume.grid();
    let ([columns, rows, _], [between_columns, between_rows, step]) = (grid.shape(), grid.spacing());
    let to_lps = |ras: Vector3<f64>| [-ras.x, -ras.y, ras.z];
    let direction = |axis: usize| to_lps(grid.affine().column(axis).xyz().normalize());
    let position = Vector3::from(grid.voxel_to_world([0.0, 0.0, slice as f64]));
    let [study, series, frame] =
        ["study", "series", "frame of reference"].map(|role| uid::derived(&[role, name]));
    let mut object = InMemDicomObject::new_empty();
    object
        .string(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL")
        .string(tags::PATIENT_NAME, VR::PN, format!("Phantom^{name}"))
        .string(tags::PATIENT_ID, VR::LO, format!("PHANTOM-{name}"))
        .empty(tags::PATIENT_BIRTH_DATE, VR::DA)
        .string(tags::PATIENT_SEX, VR::CS, "O")
        .string(tags::STUDY_INSTANCE_UID, VR::UI, study)
        .string(tags::STUDY_DATE, VR::DA, "20260101")
        .string(tags::STUDY_TIME, VR::TM, "120000")
        .empty(tags::REFERRING_PHYSICIAN_NAME, VR::PN)
        .string(tags::STUDY_ID, VR::SH, "1")
        .string(tags::STUDY_DESCRIPTION, VR::LO, "Phantom")
        .empty(tags::ACCESSION_NUMBER, VR::SH)
        .string(tags::MODALITY, VR::CS, "CT")
        .string(tags::SERIES_INSTANCE_UID, VR::UI, series)
        .is(tags::SERIES_NUMBER, 1)
        .string(tags::SERIES_DESCRIPTION, VR::LO, name)
        .string(tags::BODY_PART_EXAMINED, VR::CS, "ABDOMEN")
        .string(tags::FRAME_OF_REFERENCE_UID, VR::UI, frame)
        .empty(tags::POSITION_REFERENCE_INDICATOR, VR::LO)
        .string(tags::MANUFACTURER, VR::LO, "BiPVL-Seg in Rust")
        .is(tags::INSTANCE_NUMBER, slice as i64 + 1)
        .is(tags::ACQUISITION_NUMBER, 1)
        .ds(tags::KVP, &[120.0])
        .ds(tags::SLICE_THICKNESS, &[step])
        .ds(tags::PIXEL_SPACING, &[between_rows, between_columns])
        .ds(tags::IMAGE_ORIENTATION_PATIENT, &[direction(0), direction(1)].concat())
        .ds(tags::IMAGE_POSITION_PATIENT, &to_lps(position))
        .us(tags::SAMPLES_PER_PIXEL, &[1])
        .string(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
        .us(tags::ROWS, &[rows as u16])
        .us(tags::COLUMNS, &[columns as u16])
        .us(tags::BITS_ALLOCATED, &[16])
        .us(tags::BITS_STORED, &[16])
        .us(tags::HIGH_BIT, &[15])
        .us(tags::PIXEL_REPRESENTATION, &[1])
        .ds(tags::RESCALE_INTERCEPT, &[INTERCEPT])
        .ds(tags::RESCALE_SLOPE, &[1.0])
        .string(tags::RESCALE_TYPE, VR::LO, "HU");
    let plane = volume.voxels().index_axis(ndarray::Axis(2), slice);
    let stored = |hu: &f32| (f64::from(*hu) - INTERCEPT).round().clamp(-32768.0, 32767.0) as i16;
    let bytes: Vec<u8> = plane.t().iter().flat_map(|hu| stored(hu).to_le_bytes()).collect();
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::from(bytes)));
    object::file(object, uids::CT_IMAGE_STORAGE, &uid::derived(&["instance", name, &slice.to_string()]))
}

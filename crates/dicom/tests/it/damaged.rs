//! Damaged and hostile files give errors that say what is wrong.

use std::fs;

use bipvl_dicom::{Study, phantom::write_ct_series};
use dicom_core::VR;
use dicom_dictionary_std::tags;

use crate::scene::{Scene, put_text, volume};

#[test]
fn pixel_data_that_are_short_missing_or_of_unknown_encoding_are_errors() {
    let scene = Scene::new();
    let whole = fs::read(scene.slice(2)).unwrap();
    scene.change(2, |object| {
        object.remove_element(tags::PIXEL_DATA);
    });
    assert!(scene.problem().contains("CT00002.dcm: pixel data: missing"), "{}", scene.problem());
    fs::write(scene.slice(2), &whole).unwrap();
    scene.change(2, |object| {
        let short = dicom_core::PrimitiveValue::from(vec![0_u8; 100]);
        object.put(dicom_core::DataElement::new(tags::PIXEL_DATA, VR::OW, short));
    });
    assert!(scene.problem().contains("truncated: 100 of 126 bytes"), "{}", scene.problem());
    let mut private = whole.clone();
    // The transfer syntax UID, of the same length.
    let at = private.windows(19).position(|window| window == b"1.2.840.10008.1.2.1").unwrap();
    private[at..at + 19].copy_from_slice(b"1.2.840.99999.1.2.1");
    fs::write(scene.slice(2), private).unwrap();
    let study = scene.study();
    assert_eq!(study.skipped().damaged.len(), 1, "{:?}", study.skipped());
}

#[test]
fn geometry_that_cannot_be_right_is_named() {
    let cases = [
        (tags::PIXEL_SPACING, "0\\0.5", "PixelSpacing"),
        (tags::IMAGE_ORIENTATION_PATIENT, "1\\0\\0\\1\\0\\0", "ImageOrientationPatient"),
        (tags::IMAGE_POSITION_PATIENT, "1\\2", "ImagePositionPatient"),
    ];
    for (tag, value, name) in cases {
        let scene = Scene::new();
        scene.change(4, |object| put_text(object, tag, VR::DS, value));
        let problem = scene.problem();
        assert!(problem.contains("CT00004.dcm") && problem.contains(name), "{problem}");
    }
}

#[test]
fn claimed_sizes_are_not_allocated() {
    let scene = Scene::new();
    for slice in 0..6 {
        scene.change(slice, |object| {
            for tag in [tags::ROWS, tags::COLUMNS] {
                object.put(dicom_core::DataElement::new(
                    tag,
                    VR::US,
                    dicom_core::PrimitiveValue::from(60_000_u16),
                ));
            }
        });
    }
    assert!(scene.problem().contains("60000 columns"), "{}", scene.problem());
}

#[test]
fn truncated_files_never_panic() {
    let scene = Scene::new();
    let whole = fs::read(scene.slice(0)).unwrap();
    for length in (0..whole.len()).step_by(7) {
        fs::write(scene.slice(0), &whole[..length]).unwrap();
        let study = scene.study();
        // Without its pixel data the slice is named; without its header it is missing or damaged.
        let read = study.choose(None).and_then(|series| series.read());
        assert!(read.is_err() || study.volumes()[0].grid().unwrap().shape()[2] == 5, "{length} bytes");
    }
}

#[test]
fn an_archive_that_is_cut_or_a_folder_without_dicom_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let zip = folder.path().join("a.zip");
    fs::write(&zip, b"PK\x03\x04 and no more").unwrap();
    assert!(Study::open(&zip).unwrap_err().to_string().contains("truncated"));
    fs::remove_file(&zip).unwrap();
    fs::write(folder.path().join("a.txt"), "text").unwrap();
    let error = Study::open(folder.path()).unwrap().choose(None).unwrap_err().to_string();
    assert!(error.contains("no image series") && error.contains("1 files are not DICOM"), "{error}");
    write_ct_series(folder.path(), &volume(), "later").unwrap();
    assert!(Study::open(folder.path()).unwrap().choose(None).is_ok());
}

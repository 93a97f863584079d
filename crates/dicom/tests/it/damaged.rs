//! Damaged and hostile files give errors that say what is wrong.

use std::fs;

use bipvl_dicom::{Study, phantom::write_ct_series};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::scene::{Scene, put_text, segment, volume};

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
        let read = study.choose(None).and_then(bipvl_dicom::SeriesVolume::read);
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
    assert!(error.contains("no image series") && error.contains("files that are not DICOM: 1"), "{error}");
    write_ct_series(folder.path(), &volume(), "later").unwrap();
    assert!(Study::open(folder.path()).unwrap().choose(None).is_ok());
}

/// The bytes of a slice with others before its first element after the meta group.
fn with_elements(whole: &[u8], elements: &[u8]) -> Vec<u8> {
    // The first element is (0008,0005), the character set.
    let at = whole.windows(6).position(|window| window == [8, 0, 5, 0, b'C', b'S']).unwrap();
    [&whole[..at], elements, &whole[at..]].concat()
}

#[test]
fn nesting_and_claimed_lengths_are_limited() {
    let scene = Scene::new();
    let whole = fs::read(scene.slice(1)).unwrap();
    let sequence =
        [8, 0, 1, 0, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF];
    let claim = [8, 0, 1, 0, b'O', b'B', 0, 0, 0xF0, 0xFF, 0xFF, 0xFF];
    for (elements, expected) in
        [(sequence.repeat(100_000), "nested more than 64 deep"), (claim.to_vec(), "states 4294967280 bytes")]
    {
        fs::write(scene.slice(1), with_elements(&whole, &elements)).unwrap();
        let problem = scene.problem();
        assert!(
            problem.contains("damaged files: 1")
                && problem.contains("CT00001.dcm")
                && problem.contains(expected),
            "{problem}"
        );
    }
}

#[test]
fn a_damaged_file_beside_a_series_is_never_a_shorter_volume() {
    let scene = Scene::new();
    let whole = fs::read(scene.slice(5)).unwrap();
    for length in [600, 700, 900] {
        fs::write(scene.slice(5), &whole[..length]).unwrap();
        let problem = scene.problem();
        assert!(problem.contains("CT00005.dcm"), "{length}: {problem}");
    }
}

#[test]
fn slices_of_two_patients_are_never_one_volume() {
    for (tag, vr) in [
        (tags::PATIENT_ID, VR::LO),
        (tags::STUDY_INSTANCE_UID, VR::UI),
        (tags::FRAME_OF_REFERENCE_UID, VR::UI),
    ] {
        let scene = Scene::new();
        for slice in 3..6 {
            scene.change(slice, |object| put_text(object, tag, vr, "1.2.3"));
        }
        assert!(scene.problem().contains("2 image series"), "{}", scene.problem());
    }
}

#[test]
fn pixels_that_would_mean_something_else_are_refused() {
    let cases: [(_, _, &str, &str); 4] = [
        (tags::RESCALE_SLOPE, VR::DS, "0", "RescaleSlope is 0"),
        (tags::RESCALE_SLOPE, VR::DS, "", "have no RescaleSlope"),
        (tags::RESCALE_INTERCEPT, VR::DS, "abc", "RescaleIntercept is not a number"),
        (
            tags::PHOTOMETRIC_INTERPRETATION,
            VR::CS,
            "PALETTE COLOR",
            "PhotometricInterpretation is PALETTE COLOR",
        ),
    ];
    for (tag, vr, value, expected) in cases {
        let scene = Scene::new();
        scene.change(2, |object| {
            if value.is_empty() {
                object.remove_element(tag);
            } else {
                put_text(object, tag, vr, value);
            }
        });
        assert!(scene.problem().contains(expected), "{}", scene.problem());
    }
}

#[test]
fn compressed_images_of_another_size_are_refused_before_they_are_decoded() {
    let scene = Scene::new();
    let object = dicom_object::open_file(scene.slice(2)).unwrap();
    // Run lengths of two segments whose head is damaged: the decoder would allocate 4 GB for the first.
    let mut frame = vec![0_u8; 70];
    frame[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut inner = object.into_inner();
    let fragments = dicom_core::value::PixelFragmentSequence::new(vec![], vec![frame]);
    inner.put(dicom_core::DataElement::new(tags::PIXEL_DATA, VR::OB, fragments));
    let meta = dicom_object::FileMetaTableBuilder::new().transfer_syntax("1.2.840.10008.1.2.5");
    inner.with_meta(meta).unwrap().write_to_file(scene.slice(2)).unwrap();
    let problem = scene.problem();
    assert!(problem.contains("CT00002.dcm: pixel data: the head of the run lengths is damaged"), "{problem}");
}

#[test]
fn changed_bytes_never_panic() {
    const RUNS: u64 = 1500;
    let scene = Scene::new();
    let object = bipvl_dicom::write_structure_set(&scene.source(false), &[segment("a", 1)], &|_| {
        volume().map(|hu| *hu > 0.0)
    });
    object.unwrap().write_to_file(scene.path("contours.dcm")).unwrap();
    let wholes = [fs::read(scene.slice(1)).unwrap(), fs::read(scene.path("contours.dcm")).unwrap()];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for run in 0..RUNS {
        let mut bytes = wholes[run as usize % 2].clone();
        for _ in 0..rng.random_range(1..=8) {
            // Headers are what is parsed: their bytes are changed more often.
            let end = if rng.random_bool(0.8) { bytes.len().min(1500) } else { bytes.len() };
            let at = rng.random_range(132..end);
            bytes[at] = rng.random();
        }
        fs::write(scene.slice(1), bytes).unwrap();
        let study = scene.study();
        let _ = study.choose(None).and_then(bipvl_dicom::SeriesVolume::read);
        let _ = study.read_segmentation();
        let (labeled, _) = study.labeled_series();
        for series in labeled {
            drop(series.read_masks());
        }
    }
}

#[cfg(unix)]
#[test]
fn links_to_folders_above_are_followed_once() {
    let scene = Scene::new();
    for name in ["a", "b"] {
        std::os::unix::fs::symlink("..", scene.series().join(name)).unwrap();
    }
    assert_eq!(scene.study().choose(None).unwrap().read().unwrap().voxels(), volume().voxels());
}

//! Series are read to the right volume, or refused with the slices that are wrong.

use std::fs;

use bipvl_dicom::Study;
use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, open_file};

use crate::scene::{Scene, grid, put_text, volume};

/// Decimal strings hold ten digits of a position of 100 mm.
const TOLERANCE_MM: f64 = 1e-6;

fn position(object: &InMemDicomObject) -> Vec<f64> {
    object.element(tags::IMAGE_POSITION_PATIENT).unwrap().to_multi_float64().unwrap()
}

fn set_position(object: &mut InMemDicomObject, position: &[f64]) {
    let text: Vec<String> = position.iter().map(|value| format!("{value:.8}")).collect();
    put_text(object, tags::IMAGE_POSITION_PATIENT, VR::DS, &text.join("\\"));
}

#[test]
fn a_series_is_the_volume_it_was_written_from_whatever_its_file_names() {
    let scene = Scene::new();
    // Names say nothing: the first slice gets the last name.
    fs::rename(scene.slice(0), scene.series().join("z")).unwrap();
    fs::write(scene.series().join("notes.txt"), "not DICOM").unwrap();
    let study = scene.study();
    assert_eq!(study.skipped().not_dicom, 1);
    let read = study.choose(None).unwrap().read().unwrap();
    assert_eq!(read.voxels(), volume().voxels());
    let difference = (read.grid().affine() - grid().affine()).abs().max();
    assert!(difference < TOLERANCE_MM, "{difference}");
}

/// Where the data set of a file begins, after preamble and file meta information.
fn data_set_start(bytes: &[u8]) -> usize {
    const LENGTH_OF_META: usize = 140;
    let length: [u8; 4] = bytes[LENGTH_OF_META..LENGTH_OF_META + 4].try_into().unwrap();
    LENGTH_OF_META + 4 + u32::from_le_bytes(length) as usize
}

#[test]
fn files_without_file_meta_information_are_read() {
    let scene = Scene::new();
    scene.rewrite(|index, bytes| {
        let data_set = &bytes[data_set_start(&bytes)..];
        match index % 3 {
            0 => data_set.to_vec(),
            // The preamble alone, and the information without it.
            1 => [&bytes[..132], data_set].concat(),
            _ => bytes[132..].to_vec(),
        }
    });
    let read = scene.study().choose(None).unwrap().read().unwrap();
    assert_eq!(read.voxels(), volume().voxels());
}

#[test]
fn private_sequences_that_an_archive_did_not_know_are_passed_over() {
    let scene = Scene::new();
    // (0009,1001) UN of undefined length, with an item whose element is implicit; PS3.5, 6.2.2.
    let unknown = [
        &[9, 0, 1, 0x10][..],
        b"UN\0\0\xff\xff\xff\xff",
        b"\xfe\xff\x00\xe0\x10\0\0\0",
        b"\x08\x00\x50\x11\x08\0\0\x001.2.840\0",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
    ]
    .concat();
    // (0009,1000) SQ of a defined length, with an item that holds the same.
    let item = [&b"\xfe\xff\x00\xe0"[..], &(unknown.len() as u32).to_le_bytes(), &unknown].concat();
    let within = [&[9, 0, 0, 0x10][..], b"SQ\0\0", &(item.len() as u32).to_le_bytes(), &item].concat();
    // Against the standard, but written by some: explicit elements.
    let mut explicit = unknown.clone();
    let length_at = explicit.len() - 8 - 8 - 4;
    explicit.splice(length_at..length_at + 4, *b"UI\x08\0");
    scene.rewrite(|index, mut bytes| {
        let start = data_set_start(&bytes);
        let inserted = [&unknown, &within, &explicit][index % 3];
        bytes.splice(start..start, inserted.iter().copied());
        bytes
    });
    let read = scene.study().choose(None).unwrap().read().unwrap();
    assert_eq!(read.voxels(), volume().voxels());
}

#[test]
fn elements_that_the_parser_would_read_past_are_damage() {
    let scene = Scene::new();
    let whole = fs::read(scene.slice(0)).unwrap();
    let start = data_set_start(&whole);
    let problem = |inserted: &[u8], end: usize| {
        let bytes = [&whole[..start], inserted, &whole[start..end]].concat();
        fs::write(scene.slice(0), bytes).unwrap();
        scene.study().skipped().damaged[0].clone()
    };
    // A number of six bytes: the parser reads four and goes on in its middle.
    assert!(problem(b"\x09\0\x02\x10UL\x06\0abcdef", whole.len()).contains("has 6 bytes"));
    // A sequence without an end.
    let open = b"\x09\0\x01\x10UN\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0";
    assert!(problem(open, start).contains("the file ends within a sequence"));
}

#[test]
fn missing_slices_are_named() {
    let scene = Scene::new();
    fs::remove_file(scene.slice(2)).unwrap();
    let problem = scene.problem();
    assert!(
        problem.contains("missing slices: 1, at a step of 2.50 mm")
            && problem.contains("instance 2")
            && problem.contains("instance 4"),
        "{problem}"
    );
}

#[test]
fn copies_of_a_file_are_left_out_and_other_slices_at_the_same_place_are_refused() {
    let scene = Scene::new();
    fs::copy(scene.slice(3), scene.series().join("copy.dcm")).unwrap();
    let study = scene.study();
    let series = study.choose(None).unwrap();
    assert_eq!(series.read().unwrap().voxels(), volume().voxels());
    assert!(series.remarks()[0].contains("files that repeat others: 1"), "{:?}", series.remarks());

    let mut other = open_file(scene.slice(3)).unwrap();
    put_text(&mut other, tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4");
    other.write_to_file(scene.series().join("copy.dcm")).unwrap();
    let problem = scene.problem();
    assert!(problem.contains("at the place of another") && problem.contains("instance 4"), "{problem}");
}

#[test]
fn unequal_steps_and_sideways_shifts_are_refused() {
    let normal: Vec<f64> = {
        let axis = grid().affine().column(2).xyz().normalize();
        vec![-axis.x, -axis.y, axis.z]
    };
    let sideways: Vec<f64> = {
        let axis = grid().affine().column(0).xyz().normalize();
        vec![-axis.x, -axis.y, axis.z]
    };
    for (direction, expected) in [(normal, "not evenly spaced"), (sideways, "shifted sideways")] {
        let scene = Scene::new();
        scene.change(3, |object| {
            let moved: Vec<f64> =
                position(object).iter().zip(&direction).map(|(at, step)| at + 0.6 * step).collect();
            set_position(object, &moved);
        });
        let problem = scene.problem();
        assert!(problem.contains(expected) && problem.contains("instance 4"), "{problem}");
    }
}

#[test]
fn a_tilted_gantry_is_a_shear() {
    let scene = Scene::new();
    for slice in 0..6 {
        scene.change(slice, |object| {
            let mut moved = position(object);
            moved[1] += 0.4 * slice as f64;
            set_position(object, &moved);
        });
    }
    let study = scene.study();
    let series = study.choose(None).unwrap();
    assert!(series.remarks()[0].contains("gantry tilt"), "{:?}", series.remarks());
    let (first, second) = (grid().affine().column(2).xyz(), series.grid().unwrap().affine().column(2).xyz());
    // LPS to RAS changes the sign.
    assert!((second - first - nalgebra::Vector3::new(0.0, -0.4, 0.0)).norm() < TOLERANCE_MM);
}

#[test]
fn echoes_of_one_series_are_volumes_of_their_own() {
    let scene = Scene::new();
    for slice in 0..6 {
        scene.change(slice, |object| put_text(object, tags::ECHO_TIME, VR::DS, "10"));
        let mut other = open_file(scene.slice(slice)).unwrap();
        put_text(&mut other, tags::SOP_INSTANCE_UID, VR::UI, &format!("1.2.3.4.{slice}"));
        put_text(&mut other, tags::ECHO_TIME, VR::DS, "30");
        other.write_to_file(scene.series().join(format!("echo{slice}.dcm"))).unwrap();
    }
    let study = scene.study();
    let error = study.choose(None).unwrap_err().to_string();
    assert!(
        error.contains("2 image series") && error.contains("EchoTime 10") && error.contains("EchoTime 30"),
        "{error}"
    );
    assert!(!error.contains("2.25."), "a UID in a message: {error}");
    assert_eq!(study.choose(Some("2")).unwrap().read().unwrap().voxels(), volume().voxels());
    assert!(study.choose(Some("echotime 30")).unwrap().description.contains("30"));
    assert!(study.choose(Some("no such")).unwrap_err().to_string().contains("matches 0 image series"));
}

#[test]
fn a_study_in_a_zip_archive_is_the_same() {
    use std::io::Write as _;
    let scene = Scene::new();
    let path = scene.path("study.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for slice in 0..6 {
        // Names lead nowhere: nothing is unpacked to the disk.
        zip.start_file(format!("../../{slice}"), options).unwrap();
        zip.write_all(&fs::read(scene.slice(slice)).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    let study = Study::open(&path).unwrap();
    assert_eq!(study.choose(None).unwrap().read().unwrap().voxels(), volume().voxels());
}

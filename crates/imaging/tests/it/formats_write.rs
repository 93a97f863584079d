//! Round trips through every format that is written, and the choice of the format.

use std::path::Path;

use bipvl_imaging::formats::{output_ending, strip_ending};
use bipvl_imaging::{
    Affine, Compression, Error, Format, Grid, LabelMap, Orientation, Segment, Segmentation, Volume,
    WriteOptions, probe, read, read_labels, reorient, write, write_with,
};
use ndarray::Array3;
use proptest::prelude::*;
use tempfile::tempdir;

use crate::made_nifti::{MadeFile, MadeHeader};

const ENDINGS: [&str; 5] = [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"];

/// NRRD stores the affine, MetaImage spacing and directions in float64, NIfTI the affine in float32.
fn tolerance(ending: &str, affine: &Affine) -> f64 {
    let relative = match ending {
        ".nrrd" => 0.0,
        ".mha" | ".mhd" => 1e-15,
        _ => f64::from(f32::EPSILON),
    };
    relative * affine.amax()
}

#[test]
fn endings_are_stripped_in_any_case() {
    let strip = |name: &str| strip_ending(Path::new(name));
    assert_eq!(strip("scans/A2.NII.GZ"), Some(("A2".to_owned(), ".nii.gz")));
    assert_eq!(strip("1.2.840.Nii"), Some(("1.2.840".to_owned(), ".nii")));
    assert_eq!(strip("ü.nhdr"), Some(("ü".to_owned(), ".nhdr")));
    assert_eq!(strip("a.mhd"), Some(("a".to_owned(), ".mhd")));
    assert_eq!([strip("a.gz"), strip("a.img"), strip("nii"), strip("a.dcm")], [None, None, None, None]);
    assert_eq!([".hdr", ".nhdr", ".mha"].map(output_ending), [".nii", ".nrrd", ".mha"]);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf_8_are_read_and_written() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let folder = tempdir().unwrap();
    let path = folder.path().join(OsStr::from_bytes(b"M\xfcller.NII.gz"));
    let labels = LabelMap::new(Array3::ones([2, 3, 4]), Grid::with_spacing([2, 3, 4], [1.0; 3]));
    write(&path, &labels).unwrap();
    assert_eq!(read_labels(&path).unwrap(), labels);
    assert_eq!(strip_ending(&path).unwrap(), ("M\u{fffd}ller".to_owned(), ".nii.gz"));
}

#[test]
fn unknown_endings_and_contents_name_the_known_ones() {
    let folder = tempdir().unwrap();
    let labels = LabelMap::new(Array3::ones([2, 3, 4]), Grid::with_spacing([2, 3, 4], [1.0; 3]));
    let error = write(&folder.path().join("a.png"), &labels).unwrap_err();
    assert!(matches!(error, Error::UnknownEnding { .. }));
    assert!(error.to_string().ends_with("images are written as .nii.gz, .nii, .nrrd, .mha, .mhd"), "{error}");
    let error = read(&MadeFile::new("a.nii", b"\x89PNG\r\n\x1a\n").path).unwrap_err();
    assert!(matches!(error, Error::UnknownFormat { .. }));
    let known = "NIfTI (.nii.gz, .nii, .hdr, .hdr.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd)";
    assert!(error.to_string().ends_with(known), "{error}");
}

#[test]
fn the_content_decides_the_format() {
    let folder = tempdir().unwrap();
    let labels = LabelMap::new(Array3::ones([2, 3, 4]), Grid::with_spacing([2, 3, 4], [1.0; 3]));
    for ending in [".nrrd", ".mha"] {
        let path = folder.path().join(format!("a{ending}"));
        write(&path, &labels).unwrap();
        let renamed = folder.path().join("renamed.nii.gz");
        std::fs::rename(&path, &renamed).unwrap();
        assert_eq!(read_labels(&renamed).unwrap(), labels);
        assert_ne!(probe(&renamed).unwrap().format, Format::Nifti);
    }
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = tempdir().unwrap();
    let singular = Volume::new(Array3::<u16>::zeros([2, 2, 2]), Grid::new([2, 2, 2], Affine::zeros()));
    for ending in ENDINGS {
        let error = write(&folder.path().join(format!("a{ending}")), &singular).unwrap_err();
        assert!(matches!(error, Error::SingularAffine { .. }), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// P01q: qform and sform differ, or neither is set; the codes too must be those of the scan.
#[test]
fn qform_and_sform_of_the_scan_are_copied_to_the_mask() {
    let quaternion = [0.0, 0.0, 1.0, 7.0, 8.0, 9.0];
    for (qform_code, sform_code) in [(1, 4), (3, 0), (0, 2), (0, 0)] {
        let header = MadeHeader { qform_code, sform_code, quaternion, ..MadeHeader::u8() };
        let scan = MadeFile::new("scan.nii", &header.bytes(&[1; 12]));
        let image = read(&scan.path).unwrap();
        let mask = image.channels[0].map(|intensity| *intensity as u16);
        let segments = vec![Segment { name: "liver".to_owned(), label: 1, code: None }];
        let path = scan.path.with_file_name("mask.nii.gz");
        Segmentation::from_labels(mask, segments).with_reference(&image.header).write(&path).unwrap();
        let written = probe(&path).unwrap();
        assert_eq!(written.nifti_forms, image.header.nifti_forms);
        assert_eq!(written.grid, image.header.grid);
    }
}

#[test]
fn forms_of_another_grid_are_not_copied() {
    let scan = MadeFile::new("scan.nii", &MadeHeader::u8().bytes(&[1; 12]));
    let header = probe(&scan.path).unwrap();
    let other = LabelMap::new(Array3::zeros([3, 2, 2]), Grid::with_spacing([3, 2, 2], [1.0; 3]));
    let path = scan.path.with_file_name("other.nii");
    let options = WriteOptions { nifti_forms: header.nifti_forms.as_ref(), ..WriteOptions::default() };
    write_with(&path, &other, &options).unwrap();
    assert_eq!(&probe(&path).unwrap().grid, other.grid());
}

prop_compose! {
    fn grids()(
        shape in prop::array::uniform3(1_usize..6),
        spacing in prop::array::uniform3(0.1_f64..9.0),
        origin in prop::array::uniform3(-500.0_f64..500.0),
        angles in prop::array::uniform3(-3.0_f64..3.0),
        is_mirrored in any::<bool>(),
    ) -> Grid {
        let [x, y, z] = angles;
        let mut affine = nalgebra::Rotation3::from_euler_angles(x, y, z).to_homogeneous();
        affine *= Affine::from_diagonal(&[spacing[0], spacing[1], spacing[2], 1.0].into());
        if is_mirrored {
            affine.column_mut(0).neg_mut();
        }
        affine.fixed_view_mut::<3, 1>(0, 3).copy_from_slice(&origin);
        Grid::new(shape, affine)
    }
}

proptest! {
    #[test]
    fn labels_and_intensities_come_back_from_every_format(grid in grids(), highest in 1_u16.., is_raw in any::<bool>()) {
        let folder = tempdir().unwrap();
        let voxels = Array3::from_shape_fn(grid.shape(), |(x, y, z)| (x * 25 + y * 5 + z) as u16 % highest);
        let labels = LabelMap::new(voxels, grid.clone());
        let image = labels.map(|label| f32::from(*label) / 3.0 - 7.0);
        let compression = if is_raw { Compression::None } else { Compression::Deflate };
        let options = WriteOptions { compression, ..WriteOptions::default() };
        for ending in ENDINGS {
            let path = folder.path().join(format!("volume{ending}"));
            write_with(&path, &image, &options).unwrap();
            let back = read(&path).unwrap();
            prop_assert_eq!(back.channels[0].voxels(), image.voxels());
            let difference = (back.header.grid.affine() - grid.affine()).amax();
            prop_assert!(difference <= tolerance(ending, grid.affine()), "{}: {}", ending, difference);
            write_with(&path, &labels, &options).unwrap();
            let back = read_labels(&path).unwrap();
            prop_assert_eq!(back.voxels(), labels.voxels());
        }
    }

    #[test]
    fn orientation_survives_every_format(code in 0_usize..48) {
        let orientation = orientations()[code];
        let volume = Volume::new(Array3::from_elem([2, 3, 4], 1_u16), Grid::with_spacing([2, 3, 4], [1.0, 2.0, 3.0]));
        let volume = reorient(&volume, orientation);
        let folder = tempdir().unwrap();
        for ending in ENDINGS {
            let path = folder.path().join(format!("volume{ending}"));
            write(&path, &volume).unwrap();
            let back = read_labels(&path).unwrap();
            prop_assert_eq!(back.grid(), volume.grid());
        }
    }
}

fn orientations() -> Vec<Orientation> {
    let letters = ["RL", "AP", "SI"];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let codes = orders.into_iter().flat_map(|order| (0..8_usize).map(move |signs| (order, signs)));
    let code = |(order, signs): ([usize; 3], usize)| -> String {
        (0..3).map(|axis| letters[order[axis]].as_bytes()[signs >> axis & 1] as char).collect()
    };
    codes.map(|one| code(one).parse().unwrap()).collect()
}

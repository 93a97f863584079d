//! What is written comes back the same, under the requested name.

use bipvl_imaging::{Affine, Grid, LabelMap, Volume};
use ndarray::Array3;
use nifti::{NiftiHeader, NiftiObject, NiftiVolume, ReaderOptions, XForm};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::made_nifti::{MadeFile, MadeHeader};

/// A half turn has the fourth part of its quaternion at the square root of float32 rounding (3e-4); twice
/// that angle times a spacing of 3 mm.
const QFORM_TOLERANCE_MM: f64 = 2e-3;

fn labels_up_to(highest: u16) -> LabelMap {
    let grid = Grid::with_spacing([3, 4, 5], [1.0, 2.0, 3.0]);
    Volume::new(Array3::from_shape_fn([3, 4, 5], |(x, y, z)| highest.min((x + 3 * y + 12 * z) as u16)), grid)
        .map(|&label| if label == 59 { highest } else { label })
}

fn bits(affine: &Affine) -> Vec<u32> {
    affine.iter().map(|&value| (value as f32).to_bits()).collect()
}

#[test]
fn labels_come_back_and_take_the_bytes_they_need() {
    let folder = tempdir().unwrap();
    for (highest, bytes_per_voxel) in [(255, 1), (256, 2), (65535, 2)] {
        for name in ["labels.nii", "labels.nii.gz"] {
            let path = folder.path().join(name);
            let labels = labels_up_to(highest);
            bipvl_imaging::write(&path, &labels).unwrap();
            assert_eq!(bipvl_imaging::read_labels(&path).unwrap(), labels);
        }
        let length = std::fs::metadata(folder.path().join("labels.nii")).unwrap().len();
        assert_eq!(length, 352 + 60 * bytes_per_voxel);
    }
}

#[test]
fn intensities_come_back_to_the_last_bit() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("image.nii.gz");
    // More voxels on the third axis than are moved together in memory.
    let shape = [3, 2, 37];
    let voxels = Array3::from_shape_fn(shape, |(x, y, z)| (x as f32).exp() - y as f32 / 3.0 + z as f32 * 0.1);
    let image = Volume::new(voxels, Grid::with_spacing(shape, [0.7, 0.8, 2.5]));
    bipvl_imaging::write(&path, &image).unwrap();
    let back = bipvl_imaging::read(&path).unwrap().channels;
    assert_eq!(back[0].voxels(), image.voxels());
    assert_eq!(bits(back[0].grid().affine()), bits(image.grid().affine()));
}

#[test]
fn the_name_is_kept_and_nothing_else_is_left() {
    for name in ["1.2.840.113.nii", "1.2.840.113.nii.gz", "A.NII.GZ"] {
        let folder = tempdir().unwrap();
        bipvl_imaging::write(&folder.path().join(name), &labels_up_to(9)).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [name]);
        let start = std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(start.starts_with(&[0x1f, 0x8b]), name.to_lowercase().ends_with("gz"));
    }
}

#[test]
fn an_old_file_is_replaced() {
    let file = MadeFile::new("labels.nii", b"something else that is longer than nothing");
    bipvl_imaging::write(&file.path, &labels_up_to(9)).unwrap();
    assert_eq!(bipvl_imaging::read_labels(&file.path).unwrap(), labels_up_to(9));
}

#[test]
fn what_cannot_be_written_is_refused_and_leaves_nothing() {
    let folder = tempdir().unwrap();
    let refused = |name: &str, labels: &LabelMap| {
        let message = bipvl_imaging::write(&folder.path().join(name), labels).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    };
    let on = |shape: [usize; 3], affine| Volume::new(Array3::zeros(shape), Grid::new(shape, affine));
    refused("labels.png", &labels_up_to(9));
    refused("nowhere/labels.nii", &labels_up_to(9));
    refused("empty.nii", &on([3, 0, 2], Affine::identity()));
    refused("long.nii", &on([32768, 1, 1], Affine::identity()));
    refused("flat.nii", &on([3, 3, 2], Affine::zeros()));
    refused("nan.nii", &on([3, 3, 2], Affine::from_element(f64::NAN)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The `nifti` crate's own reader, which we do not use, is the witness.
#[test]
fn another_reader_sees_the_same_header() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("labels.nii");
    let affine = Affine::new(
        0.0, -2.0, 0.0, 5.0, //
        -1.5, 0.0, 0.0, 6.0, //
        0.0, 0.0, 3.0, 7.0, //
        0.0, 0.0, 0.0, 1.0,
    );
    bipvl_imaging::write(&path, &LabelMap::new(Array3::zeros([4, 5, 6]), Grid::new([4, 5, 6], affine)))
        .unwrap();
    let object = ReaderOptions::new().read_file(&path).unwrap();
    let header: &NiftiHeader = object.header();
    assert_eq!(object.volume().dim(), [4, 5, 6]);
    assert_eq!(header.sform().unwrap(), XForm::AlignedAnat);
    assert_eq!(header.qform().unwrap(), XForm::Unknown);
    assert_eq!(header.xyzt_units, 2);
    assert_eq!((header.scl_slope, header.scl_inter, header.vox_offset), (1.0, 0.0, 352.0));
    assert_eq!(header.pixdim[1..=3], [1.5, 2.0, 3.0]);
    assert_eq!(header.sform_affine::<f64>(), affine);
    // The qform stands beside it for readers that prefer it.
    let difference = header.qform_affine::<f64>() - affine;
    assert!(difference.amax() < QFORM_TOLERANCE_MM, "{difference}");
}

proptest! {
    #[test]
    fn the_affine_of_the_input_file_is_written_bit_for_bit(
        rows in prop::array::uniform3(prop::array::uniform4(-500.0_f32..500.0)),
        angles in prop::array::uniform3(-0.57_f32..0.57),
        is_sform in any::<bool>(),
    ) {
        let [b, c, d] = angles;
        let header = MadeHeader {
            sform_code: i16::from(is_sform),
            qform_code: 1,
            quaternion: [b, c, d, rows[0][3], rows[1][3], rows[2][3]],
            pixdim: [-1.0, 0.7, 0.9, 3.3],
            rows,
            ..MadeHeader::u8()
        };
        let input = MadeFile::new("input.nii", &header.bytes(&[0; 12]));
        let output = input.path.with_file_name("output.nii.gz");
        let labels = bipvl_imaging::read_labels(&input.path).unwrap();
        bipvl_imaging::write(&output, &labels).unwrap();
        prop_assert_eq!(bits(labels.grid().affine()), bits(bipvl_imaging::probe(&output).unwrap().grid.affine()));
    }
}

//! Faults that a check must find before a training does.

use std::fs;

use bipvl_data::{Dataset, Error, Intensity, PreprocessConfig, verify_cases};
use bipvl_imaging::{Affine, Grid, LabelMap, Volume, reorient};
use ndarray::Array3;

use crate::folder::{Folder, SHAPE, SPACING, image, labels};

fn preprocess(spacing: Option<[f64; 3]>) -> PreprocessConfig {
    PreprocessConfig { spacing, intensity: Intensity::ZScore, crop_foreground: false, patch_size: [4; 3] }
}

#[test]
fn a_sound_data_set_has_no_error() {
    let report = Folder::nnunet(5).report();
    assert_eq!((report.num_errors(), &report.warnings[..]), (0, &[][..]), "{report:?}");
    assert_eq!((report.classes[1].voxels, report.classes[1].cases), (5 * 4, 5));
}

#[test]
fn damaged_images_and_voxels_that_are_no_numbers_are_found() {
    let folder = Folder::nnunet(2);
    let path = folder.path("imagesTr/case_1_0000.nii.gz");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(folder.error().contains("case_1_0000.nii.gz"));
    let mut damaged = bytes.clone();
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 255;
    fs::write(&path, damaged).unwrap();
    assert!(folder.error().contains("case_1_0000.nii.gz"));
    for value in [f32::NAN, f32::INFINITY] {
        let mut image = image();
        image.voxels_mut()[[1, 2, 3]] = value;
        folder.write("imagesTr/case_1_0000.nii.gz", &image);
        assert!(folder.error().contains("case_1_0000.nii.gz"));
    }
}

#[test]
fn empty_label_maps_are_an_error() {
    let folder = Folder::nnunet(2);
    for case in 0..2 {
        folder.write(&format!("labelsTr/case_{case}.nii.gz"), &labels().map(|_| 0_u16));
    }
    assert!(folder.error().ends_with("no voxel of any class in the label maps of 2 cases"));
}

#[test]
fn labels_in_another_axis_order_are_reoriented_without_loss() {
    let folder = Folder::nnunet(2);
    let preprocess = preprocess(None);
    let prepare = |dataset: &Dataset| preprocess.prepare_case(dataset, &dataset.cases[1]).unwrap().1;
    let expected = prepare(&folder.open().unwrap());
    folder.write("labelsTr/case_1.nii.gz", &reorient(&labels(), "PIL".parse().unwrap()));
    assert_eq!(folder.report().num_errors(), 0);
    assert_eq!(prepare(&folder.open().unwrap()), expected);
}

#[test]
fn labels_turned_by_one_degree_are_refused_with_the_distance() {
    let folder = Folder::nnunet(2);
    let (sine, cosine) = 1_f64.to_radians().sin_cos();
    let mut rotation = Affine::identity();
    (rotation[(0, 0)], rotation[(1, 1)], rotation[(0, 1)], rotation[(1, 0)]) = (cosine, cosine, -sine, sine);
    let grid = Grid::new(SHAPE, rotation * Grid::with_spacing(SHAPE, SPACING).affine());
    folder.write("labelsTr/case_1.nii.gz", &LabelMap::new(labels().into_voxels(), grid));
    let error = folder.error();
    assert!(error.contains("not on the grid of") && error.contains("rotated by 1.00 degrees"), "{error}");
}

#[test]
fn a_spacing_that_would_blow_up_a_case_is_an_error_of_that_case() {
    let folder = Folder::nnunet(3);
    let grid = Grid::with_spacing(SHAPE, SPACING.map(|mm| mm * 1000.0));
    folder.write("imagesTr/case_1_0000.nii.gz", &Volume::new(image().into_voxels(), grid.clone()));
    folder.write("labelsTr/case_1.nii.gz", &LabelMap::new(labels().into_voxels(), grid));
    let dataset = folder.open().unwrap();
    let fine = preprocess(Some([1.0; 3]));
    let error = fine.prepare_case(&dataset, &dataset.cases[1]).unwrap_err();
    assert!(matches!(&error, Error::TooLarge { .. }), "{error}");
    assert!(fine.prepare_case(&dataset, &dataset.cases[0]).is_ok());
    let errors = verify_cases(&dataset, &fine, &dataset.cases, &|_| ());
    assert_eq!(errors.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["case_1"]);
    let kept = preprocess(None);
    assert!(verify_cases(&dataset, &kept, &dataset.cases, &|_| ()).is_empty(), "nothing is resampled");
}

#[test]
fn cases_are_verified_as_a_training_reads_them() {
    let folder = Folder::nnunet(4);
    let mut unknown = labels();
    unknown.voxels_mut()[[0, 0, 0]] = 7;
    folder.write("labelsTr/case_0.nii.gz", &unknown);
    fs::write(folder.path("imagesTr/case_2_0000.nii.gz"), "no image").unwrap();
    let dataset = folder.open().unwrap();
    fs::remove_file(folder.path("imagesTr/case_3_0000.nii.gz")).unwrap();
    let mut errors = verify_cases(&dataset, &preprocess(None), &dataset.cases, &|_| ());
    errors.sort_by(|one, other| one.0.cmp(&other.0));
    let ids: Vec<&str> = errors.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["case_0", "case_2", "case_3"]);
    assert!(matches!(errors[0].1, Error::UnknownLabel { label: 7, voxels: 1, .. }));
}

#[test]
fn faulty_descriptions_of_cases_are_found() {
    let folder = Folder::nnunet(1);
    fs::write(folder.path("descriptionsTr/case_9.toml"), "").unwrap();
    assert!(folder.error().ends_with("case_9.toml: no case has the id \"case_9\""));
}

#[test]
fn a_data_set_that_is_none_says_what_it_is() {
    let folder = Folder::nnunet(1);
    let open = |path: &str| Dataset::open(&folder.root().join(path)).unwrap_err();
    assert!(matches!(open("nowhere"), Error::NoFolder { .. }));
    assert!(matches!(open("dataset.json"), Error::NotAFolder { .. }));
    assert!(matches!(open("imagesTr"), Error::UnknownLayout { .. }));
}

#[test]
fn a_volume_of_another_number_of_channels_names_those_needed() {
    let folder = Folder::nnunet(1);
    let mut manifest = crate::folder::manifest();
    manifest["channel_names"] = serde_json::json!({ "0": "T1", "1": "T2" });
    folder.json("dataset.json", &manifest);
    let report = folder.report();
    assert_eq!(report.missing_files, [folder.path("imagesTr/case_0_0001.nii.gz")]);
    manifest["dataset"] = serde_json::json!({ "a": { "images": ["imagesTr/case_0_0000.nii.gz"], "label": "labelsTr/case_0.nii.gz" } });
    folder.json("dataset.json", &manifest);
    assert!(folder.error().ends_with("the case has 1 channels; it needs 2 (T1, T2)"));
}

#[test]
fn an_image_of_ones_has_a_count_for_every_voxel() {
    let folder = Folder::nnunet(1);
    folder.write(
        "labelsTr/case_0.nii.gz",
        &LabelMap::new(Array3::from_elem(SHAPE, 2), labels().grid().clone()),
    );
    assert_eq!(folder.report().classes[2].voxels, 6 * 5 * 4);
}

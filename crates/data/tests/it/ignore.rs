//! nnU-Net's ignore label: no class, no sampled patch, a reserved channel index.

use bipvl_data::{ClassLocations, IGNORE_INDEX, Intensity, PreprocessConfig, densest_patch_origin};

use crate::folder::{Folder, labels, manifest};

/// Liver, spleen, and voxels that are not annotated in the plane x = 5.
fn folder() -> Folder {
    let folder = Folder::nnunet(1);
    let mut manifest = manifest();
    manifest["labels"]["ignore"] = 3.into();
    folder.json("dataset.json", &manifest);
    let mut labels = labels();
    labels.voxels_mut().slice_mut(ndarray::s![5, .., ..]).fill(3);
    folder.write("labelsTr/case_0.nii.gz", &labels);
    folder
}

#[test]
fn the_ignore_label_is_reported_apart_from_classes() {
    let report = folder().report();
    assert_eq!((report.num_errors(), report.classes.len()), (0, 3), "{report:?}");
    let ignored = report.ignored.unwrap();
    assert_eq!((ignored.label, ignored.voxels), (3, 5 * 4));
}

#[test]
fn ignored_voxels_have_a_reserved_index_and_are_never_sampled() {
    let folder = folder();
    let dataset = folder.open().unwrap();
    let preprocess = PreprocessConfig {
        spacing: None,
        intensity: Intensity::ZScore,
        crop_foreground: false,
        patch_size: [1; 3],
    };
    let (prepared, indices) = preprocess.prepare_case(&dataset, &dataset.cases[0]).unwrap();
    assert_eq!(indices.iter().filter(|index| **index == IGNORE_INDEX).count(), 5 * 4);
    assert!(indices.slice(ndarray::s![5, .., ..]).iter().all(|index| *index == IGNORE_INDEX));
    let locations = ClassLocations::from_case(&prepared.image, &indices, dataset.label_schema.labels().len());
    let mut rng = rand::rng();
    for share in [0.0, 1.0] {
        for _ in 0..200 {
            let [x, ..] = locations.sample_patch_origin([1; 3], share, &mut rng);
            assert!(x < 5, "an ignored voxel was sampled");
        }
    }
    let [x, ..] = densest_patch_origin(&indices, [1, 5, 4]);
    assert!([1, 2].contains(&x), "ignored voxels are no foreground");
}

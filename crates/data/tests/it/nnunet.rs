//! nnU-Net's layout as its users write it.

use std::fs;

use bipvl_data::{Layout, Modality};
use bipvl_imaging::formats::ENDINGS;
use serde_json::json;

use crate::folder::{Folder, image, labels, manifest};

#[test]
fn files_are_in_any_format_and_case_that_the_manifest_names() {
    let single_files = |ending: &&str| [".nii", ".nii.gz", ".nrrd", ".mha"].contains(ending);
    for ending in ENDINGS.iter().map(|(ending, _)| *ending).filter(single_files) {
        let folder = Folder::nnunet(0);
        let mut manifest = manifest();
        manifest["file_ending"] = ending.into();
        folder.json("dataset.json", &manifest);
        folder.write(&format!("imagesTr/a_0000{ending}"), &image());
        folder.write(&format!("labelsTr/a{ending}"), &labels());
        let upper = ending.to_uppercase();
        folder.rename(&format!("labelsTr/a{ending}"), &format!("labelsTr/a{upper}"));
        let report = folder.report();
        assert_eq!((report.num_errors(), report.cases), (0, 1), "{ending}: {report:?}");
        assert_eq!(report.classes[1].voxels, 4, "{ending}");
    }
}

#[test]
fn a_manifest_may_begin_with_a_byte_order_mark() {
    let folder = Folder::nnunet(2);
    let path = folder.path("dataset.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("\u{feff}{text}")).unwrap();
    assert_eq!(folder.open().unwrap().cases.len(), 2);
}

#[test]
fn the_key_dataset_lists_files_anywhere() {
    let folder = Folder::nnunet(0);
    folder.write("elsewhere/scan.nii.gz", &image());
    folder.write("elsewhere/mask.nii.gz", &labels());
    let mut manifest = manifest();
    manifest["dataset"] =
        json!({ "one": { "images": ["elsewhere/scan.nii.gz"], "label": "./elsewhere/mask.nii.gz" } });
    folder.json("dataset.json", &manifest);
    let dataset = folder.open().unwrap();
    assert_eq!((dataset.layout, dataset.cases[0].id.as_str()), (Layout::Nnunet, "one"));
    assert_eq!(dataset.cases[0].labels, Some(folder.path("elsewhere/mask.nii.gz")));
    assert_eq!(folder.report().num_errors(), 0);
    manifest["dataset"] = json!({ "one": { "images": "scan.nii.gz" } });
    folder.json("dataset.json", &manifest);
    assert!(folder.open().unwrap_err().contains("`dataset` must be cases with `images`"));
}

#[test]
fn another_ending_than_announced_is_shown_with_the_endings_that_exist() {
    let folder = Folder::nnunet(2);
    let with_ending = |ending: &str| {
        let mut manifest = manifest();
        manifest["file_ending"] = ending.into();
        folder.json("dataset.json", &manifest);
        folder.open().unwrap_err()
    };
    assert!(with_ending(".nrrd").ends_with("no case found; there are files 4 × .nii.gz"));
    assert!(with_ending("nii.gz").contains("`file_ending` must be a file ending with its dot"));
    let mut manifest = manifest();
    manifest.as_object_mut().unwrap().remove("file_ending");
    folder.json("dataset.json", &manifest);
    assert!(folder.open().unwrap_err().ends_with("dataset.json: missing key `file_ending`"));
}

#[test]
fn images_without_labels_and_other_files_are_listed() {
    let folder = Folder::nnunet(3);
    fs::remove_file(folder.path("labelsTr/case_1.nii.gz")).unwrap();
    fs::write(folder.path("labelsTr/notes.txt"), "").unwrap();
    folder.write("imagesTr/case_0_0001.nii.gz", &image());
    let report = folder.report();
    assert_eq!((report.cases, report.num_errors()), (2, 0));
    assert_eq!(report.unlabeled_images, [folder.path("imagesTr/case_1_0000.nii.gz")]);
    let skipped = ["labelsTr/notes.txt", "imagesTr/case_0_0001.nii.gz"].map(|file| folder.path(file));
    assert_eq!(report.skipped_files, skipped);
    let text = report.to_string();
    assert!(
        text.contains("warning: image without labels: ") && text.contains("warning: not part of a case: ")
    );
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf_8_are_listed() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let folder = Folder::nnunet(1);
    let name = folder.path("labelsTr").join(OsStr::from_bytes(b"caf\xe9.nii.gz"));
    fs::write(&name, "").unwrap();
    assert_eq!(folder.open().unwrap().skipped, [name]);
}

#[test]
fn a_list_without_channel_numbers_is_shown_the_files_that_have_them() {
    let folder = Folder::nnunet(2);
    let pair = |case: usize| json!({ "image": format!("imagesTr/case_{case}.nii.gz"), "label": format!("labelsTr/case_{case}.nii.gz") });
    folder.json(
        "dataset.json",
        &json!({ "modality": { "0": "CT" }, "labels": { "0": "background", "1": "liver", "2": "spleen" },
            "training": [pair(0), pair(1)] }),
    );
    let error = folder.open().unwrap_err();
    assert!(
        error.contains("but the file is ") && error.contains("case_0_0000.nii.gz; list file names"),
        "{error}"
    );
    let report = folder.report();
    assert_eq!((report.missing_files.len(), report.errors.len()), (2, 1));
}

#[test]
fn ct_is_recognized_as_a_word_in_any_case() {
    let modality = |names: &[&str]| Modality::from_channels(names);
    for names in [&["CT"][..], &["ct_venous"], &["cta"], &["PET", "CT"], &["Computed Tomography"], &["CT1"]] {
        assert_eq!(modality(names), Modality::Ct, "{names:?}");
    }
    for names in [&["FAT_FRACTION", "WATER"][..], &["SPECT"], &["OCT"], &["T1"], &["tomography"]] {
        assert_eq!(modality(names), Modality::Mr, "{names:?}");
    }
}

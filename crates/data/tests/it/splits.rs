//! Splits that are recorded, and classes that they leave without a training case.

use std::path::Path;

use bipvl_data::{
    Fold, PreprocessConfig, Split, SplitConfig, SplitIds, SplitSize, build_cache, classes_without_voxels,
};

use crate::folder::{Folder, labels};

const FOLD: Fold = Fold { index: 0, count: 5 };

fn split(folder: &Folder, config: &SplitConfig) -> Split {
    Split::new(&folder.open().unwrap(), config, FOLD, 0, Path::new("config.toml")).unwrap()
}

#[test]
fn a_recorded_split_is_compared_case_by_case() {
    let folder = Folder::nnunet(10);
    let path = folder.path("splits.json");
    let recorded = split(&folder, &SplitConfig::default());
    recorded.ids().write(&path).unwrap();
    let ids = SplitIds::read(&path).unwrap();
    assert_eq!(ids, recorded.ids());
    recorded.ensure_matches(&ids, &path).unwrap();

    folder.write("imagesTr/case_00_0000.nii.gz", &crate::folder::image());
    folder.write("labelsTr/case_00.nii.gz", &labels());
    let error = split(&folder, &SplitConfig::default()).ensure_matches(&ids, &path).unwrap_err().to_string();
    assert!(
        error.contains("splits.json: the split has changed") && error.contains("\"case_00\" added"),
        "{error}"
    );
    let named = SplitConfig { val: Some(SplitSize::Cases(vec![ids.train[0].clone()])), test: None };
    let error = split(&folder, &named).ensure_matches(&ids, &path).unwrap_err().to_string();
    assert!(error.contains(&format!("{:?} moved from train to val", ids.train[0])), "{error}");
}

#[test]
fn a_class_in_no_training_case_is_named_with_the_fold() {
    let folder = Folder::nnunet(5);
    let first = split(&folder, &SplitConfig::default()).val[0].id.clone();
    for case in folder.open().unwrap().cases.iter().filter(|case| case.id != first) {
        let only_liver = labels().map(|label| if *label == 2 { 0 } else { *label });
        folder.write(&format!("labelsTr/{}.nii.gz", case.id), &only_liver);
    }
    let split = split(&folder, &SplitConfig::default());
    let mut report = folder.report();
    report.add_split(&split, FOLD);
    let warning = format!("class \"spleen\" is in no training case of fold 0/5, only in {first}");
    assert_eq!((report.split, &report.warnings[..]), (Some([4, 1, 0]), &[warning][..]));

    let dataset = folder.open().unwrap();
    let preprocess =
        PreprocessConfig { spacing: None, ..PreprocessConfig::for_modality(dataset.modality, [4; 3]) };
    let missing = |cases: &[bipvl_data::Case]| {
        let cached = build_cache(&folder.path("cache"), &preprocess, &dataset, cases, &|_| {
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        classes_without_voxels(&cached, &dataset.label_schema)
    };
    assert_eq!(missing(&split.train), ["spleen"]);
    assert!(missing(&split.val).is_empty());
}

#[test]
fn ids_that_share_a_patient_are_explained() {
    let folder = Folder::nnunet(0);
    for frame in 0..3 {
        folder.write(&format!("imagesTr/clip_frame{frame}_0000.nii.gz"), &crate::folder::image());
        folder.write(&format!("labelsTr/clip_frame{frame}.nii.gz"), &labels());
    }
    let report = folder.report();
    assert!(
        report.warnings[0].starts_with("3 cases are of 1 patient: ids that agree up to `_frame`"),
        "{report:?}"
    );
    let error = Split::new(&folder.open().unwrap(), &SplitConfig::default(), FOLD, 0, Path::new("c.toml"))
        .unwrap_err();
    let expected = "only 1 patient (3 labeled cases; ids that agree up to `_frame` are of one patient";
    assert!(error.to_string().contains(expected), "{error}");
}

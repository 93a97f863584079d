//! Data sets: both layouts, folds, and what is refused.

use std::{collections::BTreeSet, fs, path::Path};

use bipvl::data::{Case, Dataset, LabelSchema, Modality, fold};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::real_data;

fn touch(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
}

fn open(about: &Value, files: &[&str]) -> Result<Dataset, String> {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), files);
    fs::write(folder.path().join("dataset.json"), about.to_string()).unwrap();
    Dataset::open(folder.path()).map_err(|error| error.to_string())
}

fn decathlon() -> Value {
    json!({
        "name": "Organs",
        "modality": {"0": "CT"},
        "labels": {"10": "liver", "0": "background", "2": "spleen"},
        "training": [
            {"image": "./imagesTr/b.nii.gz", "label": "./labelsTr/b.nii.gz"},
            {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"},
        ],
    })
}

const DECATHLON_FILES: [&str; 4] =
    ["imagesTr/a.nii.gz", "imagesTr/b.nii.gz", "labelsTr/a.nii.gz", "labelsTr/b.nii.gz"];

fn nnunet() -> Value {
    json!({
        "channel_names": {"0": "FLAIR", "1": "T1w"},
        "labels": {"background": 0, "edema": 2, "core": 1},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    })
}

const NNUNET_FILES: [&str; 4] =
    ["imagesTr/p_1_0000.nii.gz", "imagesTr/p_1_0001.nii.gz", "labelsTr/p_1.nii.gz", "labelsTr/notes.txt"];

#[test]
fn a_decathlon_folder_is_listed_in_label_order_and_by_id() {
    let dataset = open(&decathlon(), &DECATHLON_FILES).unwrap();
    assert_eq!((dataset.name.as_str(), dataset.modality), ("Organs", Modality::Ct));
    assert_eq!(
        (dataset.label_schema.names(), dataset.label_schema.labels()),
        (vec!["spleen".to_owned(), "liver".to_owned()], &[2, 10][..])
    );
    let ids: Vec<&str> = dataset.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(dataset.cases[0].images, [dataset.root.join("imagesTr/a.nii.gz")]);
}

#[test]
fn an_nnunet_folder_has_one_file_per_channel() {
    let dataset = open(&nnunet(), &NNUNET_FILES).unwrap();
    assert_eq!(
        (dataset.modality, dataset.channels),
        (Modality::Mr, vec!["FLAIR".to_owned(), "T1w".to_owned()])
    );
    assert_eq!(dataset.label_schema, LabelSchema::exclusive([("core", 1), ("edema", 2)]).unwrap());
    assert_eq!(dataset.skipped, [dataset.root.join("labelsTr/notes.txt")]);
    let [case] = &dataset.cases[..] else { panic!("one case") };
    assert_eq!(case.id, "p_1");
    assert_eq!(case.images[1], dataset.root.join("imagesTr/p_1_0001.nii.gz"));
    assert_eq!(case.labels, Some(dataset.root.join("labelsTr/p_1.nii.gz")));
}

#[test]
fn faulty_data_sets_are_refused_by_name() {
    let refused = |about: Value, files: &[&str], words: &[&str]| {
        let message = open(&about, files).unwrap_err();
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
    };
    let with = |mut about: Value, key: &str, value: Value| {
        about[key] = value;
        about
    };
    refused(decathlon(), &DECATHLON_FILES[1..], &["dataset.json", "imagesTr/a.nii.gz"]);
    refused(nnunet(), &[&NNUNET_FILES[..1], &NNUNET_FILES[2..]].concat(), &["p_1_0001.nii.gz"]);
    refused(nnunet(), &[], &["labelsTr"]);
    refused(nnunet(), &["labelsTr/notes.txt"], &["no case found; there are files 1 × .txt"]);
    refused(json!({}), &[], &["missing key `modality`"]);
    refused(with(decathlon(), "labels", json!({"0": "background"})), &DECATHLON_FILES, &["no class"]);
    refused(
        with(decathlon(), "labels", json!({"x": "liver"})),
        &DECATHLON_FILES,
        &["`labels` must be", "not x"],
    );
    refused(with(decathlon(), "labels", json!({"1": "a", "2": "a"})), &DECATHLON_FILES, &["\"a\" and \"a\""]);
    refused(with(decathlon(), "labels", json!([])), &DECATHLON_FILES, &["`labels` must be an object"]);
    refused(
        with(decathlon(), "training", json!(["a.nii.gz"])),
        &DECATHLON_FILES,
        &["`training` must be cases with `image`"],
    );
    refused(with(decathlon(), "modality", json!({"1": "CT"})), &DECATHLON_FILES, &["`modality` must be"]);
    refused(
        with(nnunet(), "labels", json!({"whole": [1, 2]})),
        &NNUNET_FILES,
        &["`regions_class_order` must be"],
    );
    refused(
        with(nnunet(), "labels", json!({"one": 1, "same": 1})),
        &NNUNET_FILES,
        &["label 1 is that of two classes"],
    );
}

#[test]
fn a_folder_without_a_description_is_named() {
    let folder = TempDir::new().unwrap();
    let message = Dataset::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("no known data set layout"), "{message}");
    fs::write(folder.path().join("dataset.json"), "{").unwrap();
    let message = Dataset::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("dataset.json: invalid JSON"), "{message}");
}

fn cases(count: usize) -> Vec<Case> {
    (0..count).map(|case| Case { id: format!("{case:03}"), images: Vec::new(), labels: None }).collect()
}

fn ids(cases: &[Case]) -> BTreeSet<&str> {
    cases.iter().map(|case| case.id.as_str()).collect()
}

proptest! {
    #[test]
    fn folds_share_out_the_cases(count in 1_usize..60, num_folds in 1_usize..8, seed: u64) {
        let all = cases(count);
        let mut validated = Vec::new();
        for index in 0..num_folds {
            let split = fold(&all, index, num_folds, seed);
            prop_assert!(ids(&split.train).is_disjoint(&ids(&split.val)));
            prop_assert_eq!(split.train.len() + split.val.len(), count);
            prop_assert!(split.val.len().abs_diff(count / num_folds) <= 1);
            validated.extend(split.val);
        }
        prop_assert_eq!(validated.len(), count);
        prop_assert_eq!(ids(&validated), ids(&all));
    }

    #[test]
    fn a_fold_does_not_depend_on_the_order_of_listing(seed: u64) {
        let mut reversed = cases(20);
        reversed.reverse();
        prop_assert_eq!(fold(&reversed, 1, 4, seed), fold(&cases(20), 1, 4, seed));
    }
}

#[test]
fn another_seed_gives_another_fold() {
    assert_ne!(fold(&cases(40), 0, 4, 1), fold(&cases(40), 0, 4, 2));
}

#[test]
fn the_hippocampus_set_is_listed() {
    let Some(data) = real_data("msd-hippocampus") else { return };
    let dataset = Dataset::open(&data).unwrap();
    assert_eq!(
        (dataset.name.as_str(), dataset.modality, dataset.cases.len()),
        ("Hippocampus", Modality::Mr, 200)
    );
    assert_eq!(dataset.label_schema.names(), ["Anterior", "Posterior"]);
}

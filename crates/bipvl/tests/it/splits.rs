//! Which cases train, validate and test.

use std::{collections::BTreeSet, path::Path};

use bipvl::{
    config::SPLIT_SEED,
    data::{Case, Dataset, Fold, Split, SplitConfig, SplitSize, fold},
};
use proptest::prelude::*;

use crate::drawn;

const FIRST_OF_FIVE: Fold = Fold { index: 0, count: 5 };

fn case(id: &str) -> Case {
    Case { id: id.to_owned(), images: Vec::new(), labels: Some("there.nii".into()) }
}

/// Twenty patients of two frames.
fn frames() -> Vec<Case> {
    (1..=20)
        .flat_map(|patient| ["01", "12"].map(|frame| case(&format!("patient{patient:03}_frame{frame}"))))
        .collect()
}

fn with(cases: Vec<Case>, test: Vec<Case>) -> Dataset {
    Dataset { cases, test, ..drawn::dataset(1).1 }
}

fn split(dataset: &Dataset, config: &SplitConfig) -> Result<Split, String> {
    Split::new(dataset, config, FIRST_OF_FIVE, SPLIT_SEED, Path::new("config.toml"))
        .map_err(|error| error.to_string())
}

fn ids(cases: &[Case]) -> BTreeSet<&str> {
    cases.iter().map(|case| case.id.as_str()).collect()
}

fn patients(cases: &[Case]) -> BTreeSet<&str> {
    cases.iter().map(Case::patient).collect()
}

fn named(ids: &[&str]) -> SplitSize {
    SplitSize::Cases(ids.iter().map(|id| (*id).to_owned()).collect())
}

#[test]
fn the_split_of_the_paper_is_fourteen_two_and_four() {
    let names: Vec<String> = (1001..=1020).map(|number| format!("ct_train_{number}")).collect();
    let dataset = with(names.iter().map(|name| case(name)).collect(), Vec::new());
    let config = SplitConfig { val: Some(SplitSize::Count(2)), test: Some(SplitSize::Count(4)) };
    let drawn = split(&dataset, &config).unwrap();
    assert_eq!([&drawn.train, &drawn.val, &drawn.test].map(Vec::len), [14, 2, 4]);
    assert_eq!(drawn.evaluation_cases(), drawn.test);
    let (val, test) = (["ct_train_1006", "ct_train_1009"], ["ct_train_1001", "ct_train_1018"]);
    let listed = split(&dataset, &SplitConfig { val: Some(named(&val)), test: Some(named(&test)) }).unwrap();
    assert_eq!((ids(&listed.val), ids(&listed.test)), (val.into(), test.into()));
    assert_eq!(listed.train.len(), 16);
}

#[test]
fn a_data_set_may_put_its_own_cases_aside_and_the_fold_validates() {
    let dataset = with((0..10).map(|number| case(&format!("a_{number}"))).collect(), vec![case("b_1")]);
    let config = SplitConfig::default();
    let folds = split(&dataset, &config).unwrap();
    assert_eq!([&folds.train, &folds.val, &folds.test].map(Vec::len), [8, 2, 1]);
    assert_eq!(folds.val, fold(&dataset.cases, 0, 5, SPLIT_SEED).val);
    let none_aside = split(&with(dataset.cases.clone(), Vec::new()), &config).unwrap();
    assert_eq!(none_aside.evaluation_cases(), none_aside.val);
    let more = split(&dataset, &SplitConfig { test: Some(named(&["a_3"])), val: None }).unwrap();
    assert_eq!(ids(&more.test), ["a_3", "b_1"].into());
    assert_eq!(more.train.len() + more.val.len(), 9);
}

proptest! {
    #[test]
    fn no_patient_is_in_two_parts(val in 1_usize..12, test in 1_usize..12, seed: u64) {
        let dataset = with(frames(), Vec::new());
        let config = SplitConfig { val: Some(SplitSize::Count(val)), test: Some(SplitSize::Count(test)) };
        let Split { train, val: validate, test: tested } =
            Split::new(&dataset, &config, FIRST_OF_FIVE, seed, Path::new("config.toml")).unwrap();
        // Whole patients of two cases: an odd number is rounded up.
        prop_assert_eq!(validate.len(), val.next_multiple_of(2));
        prop_assert_eq!(tested.len(), test.next_multiple_of(2));
        prop_assert_eq!(train.len() + validate.len() + tested.len(), 40);
        prop_assert!(patients(&train).is_disjoint(&patients(&validate)));
        prop_assert!(patients(&train).is_disjoint(&patients(&tested)));
        prop_assert!(patients(&validate).is_disjoint(&patients(&tested)));
    }

    #[test]
    fn folds_keep_patients_together(index in 0_usize..5, seed: u64) {
        let Split { train, val, .. } = fold(&frames(), index, 5, seed);
        prop_assert_eq!((train.len(), val.len()), (32, 8));
        prop_assert!(patients(&train).is_disjoint(&patients(&val)));
    }
}

#[test]
fn impossible_parts_are_refused() {
    let dataset = with((0..6).map(|number| case(&format!("a_{number}"))).collect(), Vec::new());
    let refused = |val: Option<SplitSize>, test: Option<SplitSize>, words: &[&str]| {
        let message = split(&dataset, &SplitConfig { val, test }).unwrap_err();
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
    };
    refused(Some(named(&["a_9"])), None, &["config.toml", "data.split.val", "\"a_9\""]);
    refused(Some(named(&["a_1"])), Some(named(&["a_1"])), &["data.split.val", "\"a_1\""]);
    refused(Some(SplitSize::Count(6)), None, &["data.split.val", "takes 6 of the 6 labeled cases"]);
    refused(None, Some(SplitSize::Count(0)), &["data.split.test takes 0 of"]);
    let frames = with(["a_frame1", "a_frame2", "b_frame1"].map(case).into(), Vec::new());
    let message = split(&frames, &SplitConfig::default()).unwrap_err();
    assert!(message.contains("only 2 patients (3 labeled cases; ids that agree up to `_frame`"), "{message}");
    refused(
        None,
        Some(SplitSize::Count(3)),
        &["only 3 labeled cases for 5 folds; at most 3 are possible, as in fold 0/3"],
    );
}

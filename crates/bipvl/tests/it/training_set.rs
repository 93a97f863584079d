//! Which cases the patches of a partially labeled data set come from.

use std::ops::ControlFlow;

use bipvl::data::{Intensity, PreprocessConfig, build_cache};
use bipvl_prompts::{
    Knowledge,
    training_set::{TrainingCase, TrainingSet},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::drawn;

/// Of 600 patches half show each of two classes: five standard deviations.
const TOLERANCE: usize = 61;

#[test]
fn a_class_labeled_in_one_of_eight_cases_is_centered_on_as_often_as_the_other() {
    let (_folder, dataset) = drawn::dataset(8);
    let cache = TempDir::new().unwrap();
    let preprocess = PreprocessConfig {
        spacing: None,
        intensity: Intensity::ClipAndScale { a_min: 0.0, a_max: 2048.0 },
        crop_foreground: false,
        patch_size: [1; 3],
    };
    let go_on = |_| ControlFlow::Continue(());
    let cases = build_cache(cache.path(), &preprocess, &dataset, &dataset.cases, &go_on).unwrap();
    let with_knowledge = |(place, case)| {
        let of_second = if place == 3 { Knowledge::Labeled(vec![2]) } else { Knowledge::Unknown };
        TrainingCase { case, knowledge: vec![Knowledge::Labeled(vec![1]), of_second] }
    };
    let set = TrainingSet::new(cases.into_iter().enumerate().map(with_knowledge).collect());
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (mut centers, mut background) = ([0_usize; 3], 0);
    for _ in 0..600 {
        let (drawn, origin) = set.sample_patch([1; 3], 1.0, &mut rng);
        let class = drawn.case.crop(origin, [1; 3]).labels[[0, 0, 0]];
        centers[usize::from(class)] += 1;
        assert!(
            class != 2 || drawn.case.id() == "case_03",
            "{} does not label its second class",
            drawn.case.id()
        );
        let (drawn, origin) = set.sample_patch([1; 3], 0.0, &mut rng);
        background += usize::from(drawn.case.crop(origin, [1; 3]).labels[[0, 0, 0]] == 0);
    }
    assert!(centers[1].abs_diff(300) < TOLERANCE && centers[0] == 0, "{centers:?}");
    assert_eq!(background, 600);
}

//! Text sensitivity: results per prompt, their cache, and the summary.

use std::{fs, ops::ControlFlow, path::Path};

use bipvl::{
    data::{Case, Dataset},
    infer::{Predictor, ignore_progress},
    nn::bifusion::FusionDirection,
    probe::{
        CaseMeasurement, ProbeProgress, PromptResult, ResultCache, SensitivitySummary, TextSensitivity,
        TextSensitivityInput,
    },
    text::{
        Synonyms, TokenizedTexts,
        perturbations::{Perturbation, PerturbationContext, PerturbationSet},
    },
};
use bipvl_imaging::LabelMap;
use bipvl_metrics::bootstrap::Bootstrap;
use indexmap::IndexMap;
use tempfile::TempDir;

use crate::{
    drawn,
    untrained::{LABELS, Untrained, descriptions},
};

/// Voxels of 1 mm.
const VOXEL_ML: f64 = 0.001;
/// Voxels of the boxes that the references hold, counted by hand: 3 · 3 · 5 and 3 · 4 · 2.
const REFERENCE_VOXELS: [f64; 2] = [45.0, 24.0];
/// The whole network in float32, in another order of summation.
const TOLERANCE: f32 = 1e-4;

/// An untrained network with a text and its perturbations.
struct Scene {
    predictor: Predictor,
    labels: [Vec<u16>; 2],
    variants: PerturbationSet,
    tokens: Vec<TokenizedTexts>,
}

impl Scene {
    fn new() -> Self {
        let untrained = Untrained::new(FusionDirection::Bidirectional);
        let (predictor, tokenizer) = (untrained.predictor(), untrained.tokenizer);
        let synonyms = Synonyms::builtin();
        let kinds = Perturbation::ALL;
        let options = PerturbationContext { seed: 1, kinds: &kinds, paraphrases: &[], synonyms: &synonyms };
        let variants = PerturbationSet::new(&descriptions(), &options);
        let tokens = variants.texts.iter().map(|variant| tokenizer.encode(&variant.texts)).collect();
        Self { predictor, labels: LABELS.map(|label| vec![label]), variants, tokens }
    }

    fn sensitivity(&self, network: &str) -> TextSensitivity<'_> {
        TextSensitivity::new(TextSensitivityInput {
            predictor: &self.predictor,
            labels: &self.labels,
            remap: &[],
            variants: &self.variants.texts,
            tokens: &self.tokens,
            fingerprint: network.to_owned(),
        })
    }

    fn predict(&self, case: &Case) -> LabelMap {
        self.predictor.predict_files(&case.images, &mut ignore_progress).unwrap().into_label_map()
    }

    /// The results of a case with the cache in `file`, and the number of prompts in the progress.
    fn evaluate(&self, fingerprint: &str, case: &Case, file: &Path) -> (Vec<PromptResult>, usize) {
        let mut prompts = 0;
        let mut cache = ResultCache::open(file).unwrap();
        let on_progress = &mut |progress| {
            prompts += usize::from(progress == ProbeProgress::Prompt);
            ControlFlow::Continue(())
        };
        let results = self.sensitivity(fingerprint).evaluate(case, &mut cache, on_progress).unwrap();
        (results, prompts)
    }
}

fn drawn() -> (TempDir, Dataset) {
    drawn::dataset(2)
}

fn count(labels: &LabelMap, label: u16) -> usize {
    labels.voxels().iter().filter(|voxel| **voxel == label).count()
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[test]
fn the_text_as_trained_gives_the_same_label_map_as_a_prediction() {
    let (folder, dataset) = drawn();
    let scene = Scene::new();
    let expected = scene.predict(&dataset.cases[0]);
    assert!(LABELS.iter().any(|label| count(&expected, *label) > 0), "something is found");
    let (results, prompts) = scene.evaluate("n", &dataset.cases[0], &folder.path().join("results.jsonl"));
    assert_eq!((results.len(), prompts), (scene.variants.texts.len(), scene.variants.texts.len()));
    let trained = &results[0];
    assert_eq!((trained.variant.as_str(), trained.changed_ml), ("as trained", 0.0));
    for (class, label) in LABELS.into_iter().enumerate() {
        let found = trained.classes[class];
        assert!(close(found.predicted_ml, VOXEL_ML * count(&expected, label) as f64), "{found:?}");
        assert!(close(found.reference_ml, VOXEL_ML * REFERENCE_VOXELS[class]), "{found:?}");
        assert!(found.dice.is_some_and(|dice| (0.0..=1.0).contains(&dice)));
    }
    let described = scene.predictor.with_prompts(&scene.tokens[..1]);
    assert_eq!(
        described.predict_files(&dataset.cases[0].images, &mut ignore_progress).unwrap().into_label_map(),
        expected
    );
}

#[test]
fn cached_results_are_not_measured_again() {
    let (folder, dataset) = drawn();
    let scene = Scene::new();
    let file = folder.path().join("results.jsonl");
    let case = &dataset.cases[0];
    let (first, _) = scene.evaluate("n", case, &file);
    let (again, prompts) = scene.evaluate("n", case, &file);
    assert_eq!((again, prompts), (first.clone(), 0));

    // Stopped in the middle of a line.
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let kept = lines[..4].join("\n");
    fs::write(&file, format!("{kept}\n{}", &lines[4][..lines[4].len() / 2])).unwrap();
    let (resumed, _) = scene.evaluate("n", case, &file);
    assert_eq!(resumed, first);
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "line by line as if it had not been stopped");

    let (_, prompts) = scene.evaluate("other weights", case, &file);
    assert_eq!(prompts, first.len());
}

#[test]
fn a_case_without_a_reference_or_on_another_grid_is_refused_by_name() {
    let (folder, dataset) = drawn();
    let scene = Scene::new();
    let mut cache = ResultCache::open(&folder.path().join("results.jsonl")).unwrap();
    let mut refusal = |case: &Case| {
        scene
            .sensitivity("n")
            .evaluate(case, &mut cache, &mut |_| ControlFlow::Continue(()))
            .unwrap_err()
            .to_string()
    };
    let unlabeled = Case { labels: None, ..dataset.cases[0].clone() };
    assert_eq!(refusal(&unlabeled), "case case_00 has no reference labels");
    let moved = folder.path().join("moved.nii.gz");
    drawn::write_labels(&moved, drawn::labels(), [1.0, 1.0, 2.0]);
    let moved = Case { labels: Some(moved), ..dataset.cases[0].clone() };
    assert!(refusal(&moved).contains("moved.nii.gz: not on the grid of "));
    let none = Case { labels: Some(folder.path().join("none.nii.gz")), ..dataset.cases[0].clone() };
    assert!(refusal(&none).contains("none.nii.gz: "));
}

#[test]
fn classes_without_an_output_label_become_background_after_the_decision() {
    let (_folder, dataset) = drawn();
    let Scene { predictor, .. } = Scene::new();
    let predict = |predictor: &Predictor| {
        predictor.predict_files(&dataset.cases[0].images, &mut ignore_progress).unwrap().into_label_map()
    };
    let whole = predict(&predictor);
    assert!(LABELS.iter().all(|label| count(&whole, *label) > 0), "both classes are found");
    let only_plate = predict(&predictor.with_output_labels(vec![0, 9]));
    assert_eq!(only_plate, whole.map(|label| if *label == 4 { 9 } else { 0 }));
}

/// The texts of all classes are fused with the image together. As published, tokens do not identify their class, so
/// exchanging whole texts leaves the logits of every class unchanged; class scales distinguish them.
#[test]
fn only_class_scales_assign_texts_to_classes() {
    let (one, other) = ("A small block on the left.", "A thin slab behind it.");
    for class_scale in [false, true] {
        let [straight, exchanged, twice] = logits_of([[one, other], [other, one], [one, one]], class_scale);
        assert_eq!(largest_difference(&straight, &exchanged) > TOLERANCE, class_scale);
        assert!(largest_difference(&straight, &twice) > TOLERANCE);
    }
}

/// Logits of one untrained network for one image and each pair of texts.
fn logits_of<const N: usize>(texts: [[&str; 2]; N], class_scale: bool) -> [Vec<f32>; N] {
    let (_folder, dataset) = drawn();
    let mut untrained = Untrained::new(FusionDirection::Bidirectional);
    untrained.config.fusion.class_scale = class_scale;
    let (prepared, _) = untrained.predictor().prepare_files(&dataset.cases[0].images).unwrap();
    texts.map(|texts| untrained.logits(&prepared.image, &texts).into_iter().collect())
}

fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

fn found(dice: Option<f64>, predicted_ml: f64) -> CaseMeasurement {
    CaseMeasurement { dice, predicted_ml, reference_ml: 2.0 }
}

fn answer(changed_ml: f64, classes: [CaseMeasurement; 2]) -> PromptResult {
    PromptResult { case: String::new(), variant: String::new(), changed_ml, classes: classes.to_vec() }
}

/// Two cases, by hand. As trained the cases have mean Dice 0.75 and 0.5 (its reference lacks the second class);
/// the other text takes 0.25 from each.
#[test]
fn a_text_is_compared_with_the_trained_one_case_by_case() {
    let kinds = [Perturbation::Empty];
    let synonyms = Synonyms::builtin();
    let options = PerturbationContext { seed: 1, kinds: &kinds, paraphrases: &[], synonyms: &synonyms };
    let variants = PerturbationSet::new(&descriptions(), &options);
    let answers = [
        vec![
            answer(0.0, [found(Some(1.0), 3.0), found(Some(0.5), 1.0)]),
            answer(6.0, [found(Some(0.75), 2.0), found(Some(0.25), 0.0)]),
        ],
        vec![
            answer(0.0, [found(Some(0.5), 1.0), found(None, 1.0)]),
            answer(2.0, [found(Some(0.25), 0.0), found(None, 5.0)]),
        ],
    ];
    let classes = ["box".to_owned(), "plate".to_owned()];
    let summary =
        SensitivitySummary::new(&variants, &classes, &answers, Bootstrap::with_seed(4), &|texts| texts.len());
    assert_eq!(summary.cases, 2);
    let [trained, empty] = &summary.rows[..] else { panic!("two texts") };
    assert_eq!((trained.mean.dice, trained.mean.difference), (Some(0.625), None));
    assert_eq!((empty.variant.as_str(), empty.mean.dice, empty.changed_ml), ("empty text", Some(0.375), 4.0));
    let difference = empty.mean.difference.unwrap();
    assert_eq!(
        (difference.mean, difference.low, difference.high, difference.cases),
        (-0.25, -0.25, -0.25, 2)
    );
    let classes: IndexMap<_, _> = empty.classes.iter().map(|(name, row)| (name.as_str(), row)).collect();
    assert_eq!((classes["box"].dice.dice, classes["box"].predicted_ml), (Some(0.5), 1.0));
    assert_eq!((classes["plate"].dice.dice, classes["plate"].predicted_ml), (Some(0.25), 2.5));
    assert_eq!(classes["plate"].dice.difference.unwrap().cases, 1);
    assert_eq!((empty.truncated_texts, empty.texts.len()), (2, 2));
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<SensitivitySummary>(&text).unwrap(), summary);
}

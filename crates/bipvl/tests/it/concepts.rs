//! What a sentence does to the logits of its class: against two predictions of their own.

use bipvl::{
    data::{Case, Dataset, LabelSchema},
    infer::Predictor,
    infer::Result,
    nn::bifusion::FusionDirection,
    probe::ConceptOcclusion,
};
use ndarray::Axis;

use crate::{
    drawn,
    untrained::{LABELS, PATCH, Untrained, descriptions},
};

/// The same operations in the same order; only sums over voxels may be taken in another.
const ROUNDING: f64 = 1e-6;

fn occlusion_of<'a>(predictor: &'a Predictor, case: &Case) -> Result<Option<ConceptOcclusion<'a>>> {
    ConceptOcclusion::new(predictor, case, &LabelSchema::from_labels(&LABELS).unwrap())
}

fn drawn() -> (tempfile::TempDir, Dataset) {
    drawn::dataset(1)
}

#[test]
fn a_map_is_the_difference_of_two_predictions() {
    let (_folder, dataset) = drawn();
    let scene = Untrained::new(FusionDirection::TextToVision);
    let predictor = scene.predictor();
    let occlusion = occlusion_of(&predictor, &dataset.cases[0]).unwrap().unwrap();
    // The drawn case is smaller than a patch, so that the patch is all of it.
    let (prepared, _) = predictor.prepare_files(&dataset.cases[0].images).unwrap();
    let box_text = "The box in an MRI image. Shape: A small block. Location: On the left side.";
    let plate = "The plate in an MRI image. Shape: A thin slab with a long edge. \
                 Location: On the right side, behind the box.";
    let shorter = "The plate in an MRI image. Location: On the right side, behind the box.";
    let with = scene.logits(&prepared.image, &[box_text, plate]);
    let without = scene.logits(&prepared.image, &[box_text, shorter]);
    let expected = (with - without).index_axis(Axis(0), 2).to_owned();

    let texts = descriptions().prompts_without_concept(1, 0);
    let change = occlusion.occlude_concept(1, &[scene.tokenizer.encode(&texts)]);
    assert_eq!(change.logits.voxels(), &expected);
    assert!(expected.iter().any(|change| change.abs() > 1e-4), "the sentence changes the logits");
    // The plate has 3 · 4 · 2 voxels, counted in the drawing.
    let inside = occlusion.references[1].voxels().iter().zip(&expected).filter(|(is_class, _)| **is_class);
    let inside: Vec<f64> = inside.map(|(_, change)| f64::from(change.abs())).collect();
    assert_eq!(inside.len(), 24);
    let all: f64 = expected.iter().map(|change| f64::from(change.abs())).sum();
    let mean = inside.iter().sum::<f64>() / 24.0;
    assert!((change.inside.unwrap() - mean).abs() < ROUNDING, "{change:?}");
    let outside = (all - mean * 24.0) / (32.0 * 32.0 * 32.0 - 24.0);
    assert!((change.outside.unwrap() - outside).abs() < ROUNDING);
    assert_eq!(change.logits.grid().shape(), PATCH);
    assert!(occlusion.image.grid().approx_eq(&prepared.grid));
}

#[test]
fn a_class_that_the_reference_lacks_has_no_inside() {
    let (folder, dataset) = drawn();
    let path = folder.path().join("labelsTr/case_00.nii.gz");
    drawn::write_labels(&path, drawn::labels().mapv(|label| if label == 4 { 0 } else { label }), [1.0; 3]);
    let scene = Untrained::new(FusionDirection::Bidirectional);
    let predictor = scene.predictor();
    let occlusion = occlusion_of(&predictor, &dataset.cases[0]).unwrap().unwrap();
    let change = occlusion
        .occlude_concept(1, &[scene.tokenizer.encode(&descriptions().prompts_without_concept(1, 1))]);
    assert!(change.inside.is_none() && change.outside.is_some_and(|mean| mean > 0.0));
}

#[test]
fn where_no_text_reaches_the_logits_there_is_no_map() {
    let (_folder, dataset) = drawn();
    for (exchange, uses_text) in [
        (FusionDirection::None, false),
        (FusionDirection::VisionToText, false),
        (FusionDirection::LateOnly, true),
        (FusionDirection::Bidirectional, true),
    ] {
        let predictor = Untrained::new(exchange).predictor();
        let occlusion = occlusion_of(&predictor, &dataset.cases[0]).unwrap();
        assert_eq!(occlusion.is_some(), uses_text, "{exchange:?}");
    }
}

#[test]
fn a_case_without_a_reference_is_refused_by_name() {
    let (_folder, dataset) = drawn();
    let predictor = Untrained::new(FusionDirection::Bidirectional).predictor();
    let case = Case { labels: None, ..dataset.cases[0].clone() };
    let refusal = occlusion_of(&predictor, &case).unwrap_err().to_string();
    assert!(refusal == "case case_00 has no reference labels", "{refusal}");
}

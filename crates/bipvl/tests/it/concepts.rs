//! What a sentence does to the logits of its class: against two predictions of their own.

use bipvl::{
    data::{Case, Dataset, Intensity, Labeling, Recipe},
    error::Result,
    infer::{InferConfig, Predictor, PredictorInput},
    model::{
        BiPvlSeg, BiPvlSegConfig, ClassChannels, TextInput, TokenTensors, bifusion::Exchange,
        init::Initializer,
    },
    probe::ConceptProbe,
    text::{Concept, Description, Descriptions, Tokenizer},
};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array4, ArrayView4, Axis};

use crate::{drawn, model::narrow};

const PATCH: [usize; 3] = [32; 3];
const LABELS: [u16; 2] = [1, 4];
/// The same operations in the same order; only sums over voxels may be taken in another.
const ROUNDING: f64 = 1e-6;

fn descriptions() -> Descriptions {
    let class = |class: &str, shape: &str, location: &str| Description {
        class: class.to_owned(),
        title: format!("The {class} in an MRI image"),
        concepts: [("shape", shape), ("location", location)]
            .map(|(name, sentence)| Concept { name: name.to_owned(), sentence: sentence.to_owned() })
            .to_vec(),
    };
    let plate = class("plate", "A thin slab with a long edge.", "On the right side, behind the box.");
    Descriptions { classes: vec![class("box", "A small block.", "On the left side."), plate] }
}

/// An untrained network, its weights drawn from one seed.
struct Scene {
    config: BiPvlSegConfig,
    tokenizer: Tokenizer,
    device: Device,
}

impl Scene {
    fn new(exchange: Exchange) -> Self {
        let tokenizer = Tokenizer::built_in(&descriptions());
        let mut config = narrow();
        config.text.vocab_size = tokenizer.vocabulary_size();
        config.fusion.exchange = exchange;
        Self { config, tokenizer, device: Device::flex() }
    }

    fn model(&self) -> BiPvlSeg {
        self.config.init(
            ClassChannels::exclusive(LABELS.len()),
            PATCH,
            &mut Initializer::new(5, &self.device),
        )
    }

    fn predictor(&self) -> Predictor {
        Predictor::new(PredictorInput {
            model: self.model(),
            text: &TextInput::new(&self.tokenizer.encode_classes(&descriptions()), &self.device),
            recipe: Recipe {
                spacing: None,
                intensity: Intensity::ZScore,
                crop_foreground: false,
                patch: PATCH,
            },
            channels: 1,
            labeling: Labeling::Exclusive(LABELS.to_vec()),
            config: InferConfig::default(),
            device: self.device.clone(),
        })
    }

    /// Logits `[classes + 1, x, y, z]` of a patch under texts, by the network itself.
    fn logits(&self, patch: ArrayView4<f32>, texts: &[&str]) -> Array4<f32> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let (model, tokens) = (self.model(), TokenTensors::new(&self.tokenizer.encode(&texts), &self.device));
        let data = TensorData::new(patch.iter().copied().collect::<Vec<f32>>(), [1, 1, 32, 32, 32]);
        let logits = model.segment(Tensor::from_data(data, &self.device), &model.encode_full(&tokens, None));
        Array4::from_shape_vec((3, 32, 32, 32), logits.into_data().try_to_vec().unwrap()).unwrap()
    }
}

fn probe_of<'a>(predictor: &'a Predictor, case: &Case) -> Result<Option<ConceptProbe<'a>>> {
    ConceptProbe::new(predictor, case, (&LABELS, &Labeling::Exclusive(LABELS.to_vec()), &[]))
}

fn drawn() -> (tempfile::TempDir, Dataset) {
    drawn::dataset(1)
}

#[test]
fn a_map_is_the_difference_of_two_predictions() {
    let (_folder, dataset) = drawn();
    let scene = Scene::new(Exchange::TextToVision);
    let predictor = scene.predictor();
    let probe = probe_of(&predictor, &dataset.cases[0]).unwrap().unwrap();
    // The drawn case is smaller than a patch, so that the patch is all of it.
    let (prepared, _) = predictor.prepare_files(&dataset.cases[0].images).unwrap();
    let box_text = "The box in an MRI image. Shape: A small block. Location: On the left side.";
    let plate = "The plate in an MRI image. Shape: A thin slab with a long edge. \
                 Location: On the right side, behind the box.";
    let shorter = "The plate in an MRI image. Location: On the right side, behind the box.";
    let with = scene.logits(prepared.image.view(), &[box_text, plate]);
    let without = scene.logits(prepared.image.view(), &[box_text, shorter]);
    let expected = (with - without).index_axis(Axis(0), 2).to_owned();

    let texts = descriptions().full_texts_without(1, 0);
    let change = probe.change(1, &[scene.tokenizer.encode(&texts)]);
    assert_eq!(change.logits.voxels(), &expected);
    assert!(expected.iter().any(|change| change.abs() > 1e-4), "the sentence changes the logits");
    // The plate has 3 · 4 · 2 voxels, counted in the drawing.
    let inside = probe.references[1].voxels().iter().zip(&expected).filter(|(is_class, _)| **is_class);
    let inside: Vec<f64> = inside.map(|(_, change)| f64::from(change.abs())).collect();
    assert_eq!(inside.len(), 24);
    let all: f64 = expected.iter().map(|change| f64::from(change.abs())).sum();
    let mean = inside.iter().sum::<f64>() / 24.0;
    assert!((change.inside.unwrap() - mean).abs() < ROUNDING, "{change:?}");
    let outside = (all - mean * 24.0) / (32.0 * 32.0 * 32.0 - 24.0);
    assert!((change.outside.unwrap() - outside).abs() < ROUNDING);
    assert_eq!(change.logits.grid().shape(), PATCH);
    assert!(probe.image.grid().is_same_as(&prepared.grid));
}

#[test]
fn a_class_that_the_reference_lacks_has_no_inside() {
    let (folder, dataset) = drawn();
    let path = folder.path().join("labelsTr/case_00.nii.gz");
    drawn::write_labels(&path, drawn::labels().mapv(|label| if label == 4 { 0 } else { label }), [1.0; 3]);
    let scene = Scene::new(Exchange::BothWays);
    let predictor = scene.predictor();
    let probe = probe_of(&predictor, &dataset.cases[0]).unwrap().unwrap();
    let change = probe.change(1, &[scene.tokenizer.encode(&descriptions().full_texts_without(1, 1))]);
    assert!(change.inside.is_none() && change.outside.is_some_and(|mean| mean > 0.0));
}

#[test]
fn where_no_text_reaches_the_logits_there_is_no_map() {
    let (_folder, dataset) = drawn();
    for (exchange, heeds) in [
        (Exchange::None, false),
        (Exchange::VisionToText, false),
        (Exchange::Late, true),
        (Exchange::BothWays, true),
    ] {
        let predictor = Scene::new(exchange).predictor();
        let probe = probe_of(&predictor, &dataset.cases[0]).unwrap();
        assert_eq!(probe.is_some(), heeds, "{exchange:?}");
    }
}

#[test]
fn a_case_without_a_reference_is_refused_by_name() {
    let (_folder, dataset) = drawn();
    let predictor = Scene::new(Exchange::BothWays).predictor();
    let case = Case { labels: None, ..dataset.cases[0].clone() };
    let refusal = probe_of(&predictor, &case).unwrap_err().to_string();
    assert!(refusal.contains("case_00.nii.gz: expected a reference, found none"), "{refusal}");
}

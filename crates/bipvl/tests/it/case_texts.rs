//! Per-case texts: files, overrides, and the text of a batch.

use std::ops::ControlFlow;
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
    sync::Arc,
};

use bipvl::{
    data::{AugmentConfig, Dataset, Intensity, Loader, LoaderConfig, PreprocessConfig, build_cache},
    nn::{
        BiPvlSeg, HeadConfig, Output, TextInput,
        bifusion::FusionBlockKind,
        init::{DropoutRng, Initializer},
    },
    text::{CaseTexts, Descriptions, Tokenizer},
    train::loss::{LossConfig, alignment::alignment},
};
use burn::tensor::{Device, Tensor};
use ndarray::{Axis, s};
use tempfile::TempDir;

use crate::{
    drawn,
    model::{class_text, narrow},
};

/// The whole network in float32, with other padding.
const TOLERANCE: f32 = 1e-4;
const CLASSES: usize = 3;

/// Case `a` has the data set's text; `b` and `c` have longer ones of their own.
fn texts() -> CaseTexts {
    let own = [("b", class_text(11)), ("c", class_text(13))];
    CaseTexts {
        shared: class_text(9),
        per_case: HashMap::from(own.map(|(case, text)| (case.to_owned(), text))),
    }
}

#[test]
fn samples_with_the_same_text_share_its_encoding() {
    let texts = texts();
    assert_eq!(texts.batch(["a", "other", "a"]), class_text(9));
    assert_eq!(texts.batch(["c", "c"]), class_text(13));
}

#[test]
fn permuting_the_samples_permutes_their_texts() {
    let (texts, cases, order) = (texts(), ["a", "b", "c", "b"], [2, 0, 3, 1]);
    let before = texts.batch(cases);
    let after = texts.batch(order.map(|at: usize| cases[at]));
    assert_eq!((before.num_texts, after.num_texts), (4, 4));
    let parts =
        [(&before.prompts, &after.prompts, CLASSES), (&before.sentences, &after.sentences, CLASSES * 4)];
    for (before, after, rows) in parts {
        let expected: Vec<usize> = order.into_iter().flat_map(|at| at * rows..(at + 1) * rows).collect();
        assert_eq!(after.input_ids, before.input_ids.select(Axis(0), &expected));
        assert_eq!(after.attention_mask, before.attention_mask.select(Axis(0), &expected));
    }
    // Every text is there whole, and beyond it is padding.
    let part = before.prompts.input_ids.slice(s![..CLASSES, ..9]).to_owned();
    assert_eq!(part, class_text(9).prompts.input_ids);
    assert!(before.prompts.attention_mask.slice(s![..CLASSES, 9..]).iter().all(|real| !real));
}

#[test]
fn the_output_of_a_sample_does_not_depend_on_the_texts_of_others() {
    let device = Device::flex();
    let (texts, cases) = (texts(), ["b", "a", "c"]);
    let images = DropoutRng::new(2, 0).normal([cases.len(), 1, 32, 32, 32], &device);
    for form in [FusionBlockKind::TwoWay, FusionBlockKind::PreNorm] {
        let mut config = narrow();
        config.fusion.block = form;
        let model: BiPvlSeg =
            config.init(HeadConfig::exclusive(CLASSES), [32; 3], &mut Initializer::new(1, &device));
        let together = TextInput::new(&texts.batch(cases), &device);
        let together = model.forward(images.clone(), &together, None);
        let near =
            |one: Tensor<5>, other: Tensor<5>| (one - other).abs().max().into_scalar::<f32>() < TOLERANCE;
        for (at, case) in cases.into_iter().enumerate() {
            let image = images.clone().slice_dim(0, at..at + 1);
            let alone = model.forward(image, &TextInput::new(texts.for_case(case), &device), None);
            assert!(near(alone.logits, together.logits.clone().slice_dim(0, at..at + 1)), "{form:?}, {case}");
            let concepts = together.concept_embedding.clone().unwrap().slice_dim(0, at..at + 1);
            assert!(
                near(alone.concept_embedding.unwrap().unsqueeze(), concepts.unsqueeze()),
                "{form:?}, {case}"
            );
        }
    }
}

#[test]
fn logits_depend_on_the_text() {
    let device = Device::flex();
    let model = narrow().init(HeadConfig::exclusive(CLASSES), [32; 3], &mut Initializer::new(1, &device));
    let image: Tensor<5> = DropoutRng::new(2, 0).normal([1, 1, 32, 32, 32], &device);
    let [one, other] = [9, 11].map(|length| {
        let text = model.encode_text(&TextInput::new(&class_text(length), &device), None);
        model.segment(image.clone(), &text)
    });
    assert!((one - other).abs().max().into_scalar::<f32>() > TOLERANCE);
}

#[test]
fn the_alignment_loss_of_equal_texts_equals_that_of_a_shared_text() {
    let device = Device::flex();
    let mut noise = DropoutRng::new(1, 0);
    let vision: Tensor<3> = noise.normal([2, 4, 8], &device);
    let concepts: Tensor<4> = noise.normal([1, 4, 6, 8], &device);
    let align = |concepts: Tensor<4>| {
        let unread = Tensor::zeros([1; 5], &device);
        let output = Output {
            logits: unread.clone(),
            class_embedding: unread,
            vision_embedding: vision.clone(),
            concept_embedding: Some(concepts),
            fused_text_embedding: None,
            aux_logits: Vec::new(),
        };
        alignment(&output, &LossConfig::default(), None).unwrap().into_scalar::<f32>()
    };
    let (shared, each) = (align(concepts.clone()), align(concepts.repeat_dim(0, 2)));
    assert!((shared - each).abs() < 1e-5, "{shared}, {each}");
}

#[test]
fn a_sample_names_the_case_it_was_cropped_from() {
    let (folder, dataset) = drawn::dataset(4);
    let intensity = Intensity::ClipAndScale { a_min: 0.0, a_max: 2048.0 };
    let recipe = PreprocessConfig { spacing: None, intensity, crop_foreground: false, patch_size: [4, 4, 4] };
    let cache = folder.path().join("cache");
    let cases = Arc::new(
        build_cache(&cache, &recipe, &dataset, &dataset.cases, &|_| ControlFlow::Continue(())).unwrap(),
    );
    // The whole case is one patch, and its first voxel names the case.
    let config = LoaderConfig {
        patch_size: drawn::SHAPE,
        batch_size: 3,
        share: None,
        workers: 2,
        seed: 1,
        oversample_foreground: 0.5,
        augment: AugmentConfig::none(),
    };
    for sample in
        Loader::of_cases(Arc::clone(&cases), config.clone(), 0).take(4).flat_map(|(_, samples)| samples)
    {
        let case: usize = sample.case_id.strip_prefix("case_").unwrap().parse().unwrap();
        let first = drawn::intensities(case)[[0, 0, 0]];
        assert!((sample.image[[0, 0, 0, 0]] * 2048.0 - first).abs() < 1.0, "{}", sample.case_id);
    }
    // Turned patches are cut in another way.
    let config = LoaderConfig { augment: AugmentConfig::default(), ..config };
    let ids: BTreeSet<String> = Loader::of_cases(cases, config, 0)
        .take(4)
        .flat_map(|(_, samples)| samples)
        .map(|sample| sample.case_id)
        .collect();
    assert_eq!(ids, dataset.cases.iter().map(|case| case.id.clone()).collect());
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn class(name: &str, sentence: &str) -> String {
    format!(
        "[[class]]\nname = \"{name}\"\ntitle = \"The {name}\"\n[class.concepts]\nlocation = \"{sentence}\"\n"
    )
}

#[test]
fn case_descriptions_are_found_beside_the_image_folder() {
    let (folder, dataset) = drawn::dataset(2);
    assert_eq!(dataset.cases[0].descriptions_path(), None);
    write(folder.path(), "descriptionsTr/case_01.toml", &class("box", "Here."));
    let dataset = Dataset::open(&dataset.root).unwrap();
    assert_eq!(dataset.cases[0].descriptions_path(), None);
    let found = dataset.cases[1].descriptions_path().unwrap();
    assert!(found.ends_with("descriptionsTr/case_01.toml"), "{}", found.display());

    write(folder.path(), "descriptionsTr/case_1.toml", &class("box", "Here."));
    let message = Dataset::open(&dataset.root).unwrap_err().to_string();
    assert!(message.contains("case_1.toml: no case has the id"), "{message}");
}

#[test]
fn case_descriptions_override_only_the_described_classes() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    write(folder.path(), "all.toml", &(class("Box", "Anywhere.") + &class("plate", "Behind.")));
    write(folder.path(), "own.toml", &class("box", "On the left."));
    let common = Descriptions::read(&file("all.toml")).unwrap();
    let own = common.with_case_overrides(&file("own.toml")).unwrap();
    let said = |all: &Descriptions, at: usize| all.classes[at].concepts[0].sentence.clone();
    assert_eq!((said(&own, 0), own.classes[0].class.as_str()), ("On the left.".to_owned(), "Box"));
    assert_eq!(own.classes[1], common.classes[1]);

    let tokenizer = Tokenizer::from_descriptions(&own);
    let [common, own] = [common, own].map(|all| tokenizer.encode_classes(&all).prompts.input_ids);
    assert_ne!(common.row(0), own.row(0));

    let refused = |text: &str, words: &str| {
        write(folder.path(), "own.toml", text);
        let all = Descriptions::read(&file("all.toml")).unwrap();
        let message = all.with_case_overrides(&file("own.toml")).unwrap_err().to_string();
        assert!(message.contains("own.toml") && message.contains(words), "{message}");
    };
    refused(&class("bowl", "Here."), "`bowl` is not a class, the classes are: Box, plate");
    // The class of the file is named, not another one of the run.
    refused(&class("box", "Here.").replace("location", "shape"), "class `box` lacks the concept `location`");
    let extra = format!("{}shape = \"Thin.\"\n", class("plate", "Here."));
    refused(&extra, "class `plate` has the concept `shape`, the others have only: location");
    refused("", "class");
}

//! Trains the prompted network on bodies of many small organs and asks for phrases that training never used.
//!
//! ```sh
//! cargo run --release -p bipvl-prompts --example attribute_bodies -- DIR KINDS STEPS SEED
//! ```
//!
//! writes a data set of 48 or, without sizes, 24 KINDS into DIR, trains STEPS steps, probes new bodies, and prints one line per kind of prompt: trained
//! phrases, held-out phrases, kinds never shown, exchanged sides, absent kinds, nonsense, unions.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints")]

mod evaluation;
mod kinds;

use std::{
    env,
    error::Error,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use bipvl_data::{AugmentConfig, CachedCase, Intensity, PreprocessConfig, SplitConfig, build_cache};
use bipvl_imaging::{
    IGNORE_INDEX,
    formats::write,
    phantom::attributes::{Kind, draw_attributes},
};
use bipvl_infer::BlendMode;
use bipvl_nn::{BackboneConfig, BiPvlSegConfig, ModelSize};
use bipvl_prompts::{
    Knowledge, PromptPredictor, PromptSampler, PromptSampling, Vocabulary,
    config::{PartialLabels, SetConfig, SetsConfig, TextTraining},
    event::PromptEvent,
    loader::{PromptSource, TrainingCase},
    sets::{OpenSet, vocabulary},
    train::{PromptSetup, train},
    validate::ValidationCase,
};
use bipvl_text::{Concept, Description, Descriptions, Synonyms, Tokenizer, prompts::PromptConfig};
use bipvl_train::{
    Start, TrainConfig, activation_checkpointing::ActivationCheckpointing, loss::LossConfig,
    optimizer::AdamWConfig,
};
use burn::{module::Module, tensor::Device};

use kinds::Kinds;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SHAPE: [usize; 3] = [32; 3];
const SPACING: [f64; 3] = [6.0; 3];
const TRAIN_BODIES: u64 = 300;
const VAL_BODIES: u64 = 10;
const NEW_BODIES: u64 = 40;
/// Seeds of new bodies begin here.
const NEW: u64 = 10_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, dir, kinds, steps, seed] = &arguments[..] else {
        return Err("usage: attribute_bodies DIR KINDS STEPS SEED".into());
    };
    let dir = PathBuf::from(dir);
    let kinds: Kinds = kinds.parse()?;
    let (steps, seed): (usize, u64) = (steps.parse()?, seed.parse()?);
    write_data_set(&dir.join("train"), kinds, 0..TRAIN_BODIES + VAL_BODIES, |kind| !kinds.is_unseen(kind))?;
    write_data_set(&dir.join("new"), kinds, NEW..NEW + NEW_BODIES, |_| true)?;
    let device = Device::flex();
    let (setup, predictor_of) = set_up(&dir, kinds, steps, seed, &device)?;
    let mut log = |event: PromptEvent| {
        match event {
            PromptEvent::Step { step, loss, seconds, .. } if step % 50 == 0 => eprintln!(
                "step {step}: loss {:.3}, masks {:.3}, class {:.3}, align {:.3}, presence {:.3}, {seconds:.2} s",
                loss.total, loss.segmentation, loss.class_embedding, loss.alignment, loss.presence
            ),
            PromptEvent::Validation { step, mean_dice, false_alarms, .. } => {
                eprintln!("step {step}: mean Dice {mean_dice:.3}, false alarms {false_alarms:.3}");
            }
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let start = if setup.last.exists() { Start::Resume } else { Start::Fresh };
    let state = train(&setup, start, &mut log)?;
    let predictor = predictor_of(state.module.model);
    evaluation::evaluate(&dir, kinds, setup.source.sampler.vocabulary(), &predictor)
}

fn write_data_set(
    dir: &Path,
    kinds: Kinds,
    seeds: std::ops::Range<u64>,
    is_allowed: impl Fn(Kind) -> bool + Copy,
) -> Result<()> {
    if dir.join("dataset.json").exists() {
        return Ok(());
    }
    for folder in ["imagesTr", "labelsTr"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    let mut training = Vec::new();
    for seed in seeds {
        let phantom = draw_attributes(seed, |kind| kinds.contains(kind) && is_allowed(kind), SHAPE, SPACING);
        let [image, label] = ["imagesTr", "labelsTr"].map(|folder| format!("{folder}/body_{seed}.nii"));
        write(&dir.join(&image), &phantom.image)?;
        write(&dir.join(&label), &phantom.labels)?;
        training.push(serde_json::json!({ "image": image, "label": label }));
    }
    let mut labels = serde_json::Map::from_iter([("0".to_owned(), "background".into())]);
    for kind in kinds.all() {
        labels.insert(kind.label().to_string(), kinds.phrase(kind).into());
    }
    let about = serde_json::json!({
        "name": "attribute bodies", "modality": { "0": "CT" }, "labels": labels,
        "numTraining": training.len(), "training": training,
    });
    let mut wholes = Vec::new();
    for union in kinds.unions() {
        let of_union = kinds.all().filter(|kind| union.matches(*kind)).map(|kind| kinds.phrase(kind).into());
        let parts = of_union.collect::<Vec<toml::Value>>();
        let whole = [("name".to_owned(), union.to_string().into()), ("parts".to_owned(), parts.into())];
        wholes.push(toml::Value::Table(whole.into_iter().collect()));
    }
    let parts = toml::Table::from_iter([("whole".to_owned(), wholes.into())]);
    fs::write(dir.join("parts.toml"), parts.to_string())?;
    fs::write(dir.join("dataset.json"), serde_json::to_string_pretty(&about)?)?;
    Ok(())
}

/// A vocabulary of the words of all phrases.
fn tokenizer(vocabulary: &Vocabulary) -> Tokenizer {
    let of_phrase = |phrase: &String| Description {
        class: phrase.clone(),
        title: phrase.clone(),
        concepts: vec![Concept { name: "name".to_owned(), sentence: phrase.clone() }],
    };
    let phrases = vocabulary.concepts.iter().flat_map(|concept| &concept.texts.names);
    Tokenizer::from_descriptions(&Descriptions { classes: phrases.map(of_phrase).collect() })
}

fn preprocess() -> PreprocessConfig {
    PreprocessConfig {
        spacing: None,
        intensity: Intensity::ClipAndScale { a_min: -250.0, a_max: 250.0 },
        crop_foreground: false,
        patch_size: SHAPE,
    }
}

fn set_config(dir: &Path) -> SetConfig {
    SetConfig {
        name: "bodies".to_owned(),
        path: dir.join("train"),
        descriptions: None,
        modality: None,
        channel: None,
        partial_labels: PartialLabels::Unknown,
        split: SplitConfig::default(),
        rename: indexmap::IndexMap::new(),
        absent: Vec::new(),
        unknown: Vec::new(),
        preprocess: preprocess(),
    }
}

fn model_config(tokenizer: &Tokenizer) -> BiPvlSegConfig {
    let mut model = ModelSize::Tiny.prompted_config(1);
    let BackboneConfig::SwinUnetr(vision) = &mut model.vision;
    vision.feature_size = 8;
    vision.heads = [1, 2, 4, 8];
    model.text.stage_layers = vec![1; 4];
    model.text.vocab_size = tokenizer.vocab_size();
    model
}

fn train_config(steps: usize, seed: u64) -> TrainConfig {
    TrainConfig {
        seed,
        max_steps: steps,
        batch_size: 8,
        gradient_accumulation_steps: 1,
        learning_rate: 2e-3,
        warmup_steps: 50,
        val_every_n_steps: (steps / 5).max(1),
        patience: 0,
        activation_checkpointing: ActivationCheckpointing::default(),
        checkpoint_every_n_steps: 100,
        oversample_foreground: 0.5,
        optimizer: AdamWConfig { max_grad_norm: 1.0, ..AdamWConfig::default() },
        loss: LossConfig::default(),
        augment: AugmentConfig::none(),
    }
}

type MakePredictor = Box<dyn Fn(bipvl_nn::prompts::PromptSeg) -> PromptPredictor>;

fn set_up(
    dir: &Path,
    kinds: Kinds,
    steps: usize,
    seed: u64,
    device: &Device,
) -> Result<(PromptSetup, MakePredictor)> {
    let set = set_config(dir);
    let sets = SetsConfig {
        fold: "0/5".to_owned(),
        parts: Some(dir.join("train/parts.toml")),
        set: vec![set.clone()],
    };
    let open = OpenSet::open(&set)?;
    let vocabulary = vocabulary(std::slice::from_ref(&open), &sets, &Synonyms::builtin())?;
    let tokenizer = tokenizer(&vocabulary);
    let cases =
        build_cache(&dir.join("cache"), &set.preprocess, &open.dataset, &open.dataset.cases, &|_| {
            ControlFlow::Continue(())
        })?;
    let knowledge = vocabulary.knowledge(0, None);
    let (training, validation) = split(cases, &knowledge, &set.name)?;
    let sampling = PromptSampling {
        held_out: kinds.held_out(),
        text: PromptConfig { typo: 0.0, word_dropout: 0.0, ..PromptConfig::default() },
        ..PromptSampling::default()
    };
    let model = model_config(&tokenizer);
    let source = PromptSource {
        sets: vec![training],
        sampler: PromptSampler::new(vocabulary, sampling),
        patch_size: SHAPE,
        batch_size: 8,
        oversample_foreground: 0.5,
        augment: AugmentConfig::none(),
        seed,
    };
    let setup = PromptSetup {
        config: train_config(steps, seed),
        model,
        source: Arc::new(source),
        validation,
        tokenizer: tokenizer.clone(),
        pretrained: Vec::new(),
        initial: None,
        text: TextTraining::default(),
        ignore: IGNORE_INDEX,
        overlap: 0.5,
        last: dir.join(format!("last-{seed}.safetensors")),
        best: dir.join(format!("best-{seed}.safetensors")),
        time_budget: None,
        workers: 1,
        device: device.clone(),
    };
    let device = device.clone();
    let make = move |model: bipvl_nn::prompts::PromptSeg| {
        PromptPredictor::new(model.valid(), tokenizer.clone(), SHAPE, 0.5, BlendMode::Gaussian, &device)
    };
    Ok((setup, Box::new(make)))
}

/// The first bodies train, the others validate.
fn split(
    cases: Vec<CachedCase>,
    knowledge: &[Knowledge],
    set: &str,
) -> Result<(Vec<TrainingCase>, Vec<ValidationCase>)> {
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for case in cases {
        let number: u64 = case.id().trim_start_matches("body_").parse()?;
        let knowledge = knowledge.to_vec();
        if number < TRAIN_BODIES {
            training.push(TrainingCase { case, knowledge });
        } else {
            validation.push(ValidationCase { set: set.to_owned(), case, knowledge });
        }
    }
    Ok((training, validation))
}

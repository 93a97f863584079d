//! Trains the prompted network on bodies of many small organs and asks for phrases that training never used.
//!
//! ```sh
//! cargo run --release -p bipvl-prompts --example attribute_bodies -- DIR STEPS SEED
//! ```
//!
//! writes a data set into DIR, trains STEPS steps, and prints one line per test: trained phrases, held-out phrases, held-out
//! kinds, exchanged sides, absent kinds, nonsense, unions.

use std::{
    collections::HashSet,
    env,
    error::Error,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use bipvl_data::{AugmentConfig, Intensity, PreprocessConfig, build_cache};
use bipvl_imaging::{
    IGNORE_INDEX,
    formats::write,
    phantom::attributes::{Attributes, Kind, draw_attributes},
};
use bipvl_infer::BlendMode;
use bipvl_nn::{BackboneConfig, ModelSize};
use bipvl_prompts::{
    PromptPredictor, PromptSampler, PromptSampling, Vocabulary,
    config::{SetConfig, SetsConfig},
    event::PromptEvent,
    loader::{PromptSource, TrainingCase},
    sets::{OpenSet, vocabulary},
    train::{PromptSetup, train},
    validate::{MIN_FOUND_VOXELS, Overlap, ValidationCase, score},
};
use bipvl_text::{
    Concept, Description, Descriptions, Synonyms, Tokenizer,
    prompts::{PromptConfig, sample_negative},
};
use bipvl_train::{
    Start, TrainConfig, activation_checkpointing::ActivationCheckpointing, loss::LossConfig,
    optimizer::AdamWConfig,
};
use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SHAPE: [usize; 3] = [32; 3];
const SPACING: [f64; 3] = [6.0; 3];
const TRAIN_BODIES: u64 = 300;
const VAL_BODIES: u64 = 10;
const NEW_BODIES: u64 = 40;
/// Seeds of new bodies begin here.
const NEW: u64 = 10_000;

/// Six kinds that no training body shows; every pair of attributes still occurs.
fn is_unseen(kind: Kind) -> bool {
    let Kind { side, form, density, size } = kind;
    [(0, 0, 0, 0), (0, 2, 1, 1), (1, 1, 0, 1), (1, 3, 1, 0), (2, 0, 1, 1), (2, 2, 0, 0)]
        .contains(&(side, form, density, size))
}

/// Six kinds whose full phrase no training prompt uses; bodies show them, and shorter phrases name them.
fn is_held_out(kind: Kind) -> bool {
    let Kind { side, form, density, size } = kind;
    [(0, 1, 1, 0), (0, 3, 0, 1), (1, 0, 1, 1), (1, 2, 0, 0), (2, 1, 1, 1), (2, 3, 0, 0)]
        .contains(&(side, form, density, size))
}

/// A third of the shorter phrases is held out as well.
fn is_held_out_union(place: usize) -> bool {
    place % 3 == 0
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, dir, steps, seed] = &arguments[..] else {
        return Err("usage: attribute_bodies DIR STEPS SEED".into());
    };
    let dir = PathBuf::from(dir);
    let (steps, seed): (usize, u64) = (steps.parse()?, seed.parse()?);
    write_data_set(&dir.join("train"), 0..TRAIN_BODIES + VAL_BODIES, |kind| !is_unseen(kind))?;
    write_data_set(&dir.join("new"), NEW..NEW + NEW_BODIES, |_| true)?;
    let device = Device::flex();
    let (setup, predictor_of) = set_up(&dir, steps, seed, &device)?;
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
    evaluate(&dir, &predictor)
}

fn write_data_set(
    dir: &Path,
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
        let phantom = draw_attributes(seed, is_allowed, SHAPE, SPACING);
        let [image, label] = ["imagesTr", "labelsTr"].map(|folder| format!("{folder}/body_{seed}.nii"));
        write(&dir.join(&image), &phantom.image)?;
        write(&dir.join(&label), &phantom.labels)?;
        training.push(serde_json::json!({ "image": image, "label": label }));
    }
    let mut labels = serde_json::Map::from_iter([("0".to_owned(), "background".into())]);
    for kind in Kind::all() {
        labels.insert(kind.label().to_string(), kind.to_string().into());
    }
    let about = serde_json::json!({
        "name": "attribute bodies", "modality": { "0": "CT" }, "labels": labels,
        "numTraining": training.len(), "training": training,
    });
    let kinds: Vec<Kind> = Kind::all().collect();
    let mut parts = toml::Table::new();
    for union in Attributes::unions() {
        let of_union: Vec<toml::Value> =
            kinds.iter().filter(|kind| union.matches(**kind)).map(|kind| kind.to_string().into()).collect();
        parts.insert(union.to_string(), of_union.into());
    }
    fs::write(dir.join("parts.toml"), parts.to_string())?;
    fs::write(dir.join("dataset.json"), serde_json::to_string_pretty(&about)?)?;
    Ok(())
}

fn held_out() -> Vec<String> {
    let kinds =
        Kind::all().filter(|kind| is_held_out(*kind) || is_unseen(*kind)).map(|kind| kind.to_string());
    let unions = Attributes::unions()
        .enumerate()
        .filter(|(place, _)| is_held_out_union(*place))
        .map(|(_, union)| union.to_string());
    kinds.chain(unions).collect()
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

type MakePredictor = Box<dyn Fn(bipvl_nn::prompts::PromptSeg) -> PromptPredictor>;

fn set_up(dir: &Path, steps: usize, seed: u64, device: &Device) -> Result<(PromptSetup, MakePredictor)> {
    let preprocess = PreprocessConfig {
        spacing: None,
        intensity: Intensity::ClipAndScale { a_min: -250.0, a_max: 250.0 },
        crop_foreground: false,
        patch_size: SHAPE,
    };
    let set = SetConfig {
        name: "bodies".to_owned(),
        path: dir.join("train"),
        descriptions: None,
        modality: None,
        rename: indexmap::IndexMap::new(),
        absent: Vec::new(),
        unknown: Vec::new(),
        preprocess: preprocess.clone(),
    };
    let sets = SetsConfig {
        fold: "0/5".to_owned(),
        parts: Some(dir.join("train/parts.toml")),
        set: vec![set.clone()],
    };
    let open = OpenSet::open(&set)?;
    let vocabulary = vocabulary(std::slice::from_ref(&open), &sets, &Synonyms::builtin())?;
    let tokenizer = tokenizer(&vocabulary);
    let cases = build_cache(&dir.join("cache"), &preprocess, &open.dataset, &open.dataset.cases, &|_| {
        ControlFlow::Continue(())
    })?;
    let knowledge = vocabulary.knowledge(0, None);
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for case in cases {
        let number: u64 = case.id().trim_start_matches("body_").parse()?;
        let knowledge = knowledge.clone();
        if number < TRAIN_BODIES {
            training.push(TrainingCase { case, knowledge });
        } else {
            validation.push(ValidationCase { set: set.name.clone(), case, knowledge });
        }
    }
    let sampling = PromptSampling {
        held_out: held_out(),
        text: PromptConfig { typo: 0.0, word_dropout: 0.0, ..PromptConfig::default() },
        ..PromptSampling::default()
    };
    let mut model = ModelSize::Tiny.prompted_config(1);
    let BackboneConfig::SwinUnetr(vision) = &mut model.vision;
    vision.feature_size = 8;
    vision.heads = [1, 2, 4, 8];
    model.text.stage_layers = vec![1; 4];
    model.text.vocab_size = tokenizer.vocab_size();
    let augment = AugmentConfig::none();
    let source = PromptSource {
        sets: vec![training],
        sampler: PromptSampler::new(vocabulary, sampling),
        patch_size: SHAPE,
        batch_size: 8,
        oversample_foreground: 0.5,
        augment: augment.clone(),
        seed,
    };
    let every = (steps / 5).max(1);
    let config = TrainConfig {
        seed,
        max_steps: steps,
        batch_size: 8,
        gradient_accumulation_steps: 1,
        learning_rate: 2e-3,
        warmup_steps: 50,
        val_every_n_steps: every,
        patience: 0,
        activation_checkpointing: ActivationCheckpointing::default(),
        checkpoint_every_n_steps: 100,
        oversample_foreground: 0.5,
        optimizer: AdamWConfig { max_grad_norm: 1.0, ..AdamWConfig::default() },
        loss: LossConfig::default(),
        augment,
    };
    let setup = PromptSetup {
        config,
        model,
        source: Arc::new(source),
        validation,
        tokenizer: tokenizer.clone(),
        pretrained: Vec::new(),
        freeze_text_stage: false,
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
        use burn::module::Module;
        PromptPredictor::new(model.valid(), tokenizer.clone(), SHAPE, 0.5, BlendMode::Gaussian, &device)
    };
    Ok((setup, Box::new(make)))
}

/// Sums over prompts of one test.
#[derive(Default)]
struct Test {
    dice: f64,
    count: usize,
    empty: usize,
    absent: usize,
}

impl Test {
    fn add(&mut self, overlap: Overlap) {
        if overlap.reference > 0 {
            self.dice += overlap.dice().unwrap_or(0.0);
            self.count += 1;
        } else {
            self.absent += 1;
            self.empty += usize::from(overlap.found < MIN_FOUND_VOXELS);
        }
    }

    fn report(&self, name: &str) {
        let share = |sum: f64, count: usize| if count == 0 { f64::NAN } else { sum / count as f64 };
        println!(
            "{name}: Dice {:.3} ({} prompts), silent when absent {:.3} ({} prompts)",
            share(self.dice, self.count),
            self.count,
            share(self.empty as f64, self.absent),
            self.absent
        );
    }
}

fn evaluate(dir: &Path, predictor: &PromptPredictor) -> Result<()> {
    let preprocess = PreprocessConfig {
        spacing: None,
        intensity: Intensity::ClipAndScale { a_min: -250.0, a_max: 250.0 },
        crop_foreground: false,
        patch_size: SHAPE,
    };
    let dataset = bipvl_data::Dataset::open(&dir.join("new"))?;
    let cases = build_cache(&dir.join("cache-new"), &preprocess, &dataset, &dataset.cases, &|_| {
        ControlFlow::Continue(())
    })?;
    let kinds: Vec<Kind> = Kind::all().collect();
    let unions: Vec<Attributes> = Attributes::unions().collect();
    let mut tests: [Test; 6] = Default::default();
    let (mut swapped_in_twin, mut swapped_found) = (0, 0);
    let mut words = ChaCha8Rng::seed_from_u64(1);
    for case in &cases {
        let sample = case.crop([0; 3], case.grid().shape());
        let shown: HashSet<u8> = sample.labels.iter().copied().collect();
        let labels: Vec<Vec<u8>> = kinds.iter().map(|kind| vec![kind.label() as u8]).collect();
        let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        // Sixteen prompts a pass, as many shown as absent ones.
        for group in (0..kinds.len()).collect::<Vec<_>>().chunks(16) {
            let prompts: Vec<String> = group.iter().map(|kind| names[*kind].clone()).collect();
            let masks: Vec<&[u8]> = group.iter().map(|kind| labels[*kind].as_slice()).collect();
            let overlaps = score(predictor, &predictor.encode(&prompts), case, &masks, IGNORE_INDEX);
            for (kind, overlap) in group.iter().zip(overlaps) {
                let test = match kinds[*kind] {
                    kind if is_unseen(kind) => 2,
                    kind if is_held_out(kind) => 1,
                    _ => 0,
                };
                tests[test].add(overlap);
            }
        }
        for kind in kinds.iter().filter(|kind| kind.side != 1 && shown.contains(&(kind.label() as u8))) {
            let twin = Kind { side: 2 - kind.side, ..*kind };
            if is_unseen(twin) || !shown.contains(&(twin.label() as u8)) {
                continue;
            }
            let (twin_label, own_label) = ([twin.label() as u8], [kind.label() as u8]);
            let prompt = predictor.encode(&[twin.to_string()]);
            let own = score(predictor, &prompt, case, &[&own_label], IGNORE_INDEX)[0];
            let other = score(predictor, &prompt, case, &[&twin_label], IGNORE_INDEX)[0];
            swapped_found += own.found;
            swapped_in_twin += other.both;
        }
        for (place, union) in unions.iter().enumerate().filter(|(place, _)| place % 7 < 3) {
            let of_union: Vec<u8> =
                kinds.iter().filter(|kind| union.matches(**kind)).map(|kind| kind.label() as u8).collect();
            let overlap =
                score(predictor, &predictor.encode(&[union.to_string()]), case, &[&of_union], IGNORE_INDEX)
                    [0];
            tests[if is_held_out_union(place) { 4 } else { 3 }].add(overlap);
        }
        for _ in 0..2 {
            for text in [sample_negative(true, &mut words), sample_negative(true, &mut words)] {
                tests[5].add(score(predictor, &predictor.encode(&[text]), case, &[&[]], IGNORE_INDEX)[0]);
            }
        }
    }
    let titles = [
        "trained phrases",
        "held-out phrases",
        "held-out kinds",
        "trained unions",
        "held-out unions",
        "nonsense and other worlds",
    ];
    for (test, title) in tests.iter().zip(titles) {
        test.report(title);
    }
    println!(
        "side word exchanged, both there: {:.3} of {swapped_found} voxels lie in the twin",
        swapped_in_twin as f64 / swapped_found.max(1) as f64
    );
    Ok(())
}

//! Artificial readers that a probe must tell apart: one that reads, one that looks texts up, one that ignores them.

use std::{cell::RefCell, collections::HashMap, ops::ControlFlow};

use bipvl_imaging::{
    Grid,
    phantom::attributes::{Attributes, Kind, draw_attributes},
};
use bipvl_text::{ClassName, normalized_words};
use ndarray::{Array3, ArrayView4, Axis};

use super::{nearest::TrainedTexts, *};
use crate::{Concept, Knowledge, PromptTexts};

const SHAPE: [usize; 3] = [32; 3];
const CASES: u64 = 6;

/// Unions beside the kinds: `bright rings` and the like, the second held out.
fn unions() -> Vec<Attributes> {
    let of = |density, form| Attributes { density: Some(density), form: Some(form), ..Attributes::default() };
    vec![of(1, 0), of(0, 0), of(1, 1), of(0, 1), of(1, 2), of(1, 3)]
}

fn vocabulary() -> Vocabulary {
    let kinds: Vec<Kind> = Kind::all().collect();
    let concept = |name: String, parts, sets| Concept {
        texts: PromptTexts::from_names(vec![name.clone()]),
        name,
        parts,
        contralateral: None,
        sets,
    };
    let of_kind = |kind: &Kind| {
        concept(
            kind.to_string(),
            Vec::new(),
            vec![Knowledge::Labeled(vec![kind.label() as u8]), Knowledge::Unknown],
        )
    };
    let of_union = |union: &Attributes| {
        let parts = (0..kinds.len()).filter(|place| union.matches(kinds[*place])).collect();
        concept(union.to_string(), parts, vec![Knowledge::Unknown; 2])
    };
    let mut concepts: Vec<Concept> = kinds.iter().map(of_kind).collect();
    concepts.extend(unions().iter().map(of_union));
    concepts.push(concept(
        "liver".to_owned(),
        Vec::new(),
        vec![Knowledge::Unknown, Knowledge::Labeled(vec![1])],
    ));
    let names: Vec<ClassName> = concepts.iter().map(|concept| ClassName::parse(&concept.name)).collect();
    for (place, concept) in concepts.iter_mut().enumerate() {
        concept.contralateral = names.iter().position(|other| names[place].is_contralateral_to(other));
    }
    Vocabulary { sets: vec!["bodies".to_owned(), "livers".to_owned()], concepts }
}

/// Cases whose image shows the label of each voxel, so that a reader need not recognize anything.
fn cases(vocabulary: &Vocabulary) -> Vec<ProbeCase> {
    let case = |seed| {
        let labels: Array3<u8> =
            draw_attributes(seed, |_| true, SHAPE, [6.0; 3]).labels.voxels().mapv(|label| label as u8);
        ProbeCase {
            id: format!("body {seed}"),
            set: "bodies".to_owned(),
            grid: Grid::with_spacing(SHAPE, [6.0; 3]),
            image: labels.mapv(f32::from).insert_axis(Axis(0)),
            labels,
            knowledge: vocabulary.knowledge(0, None),
        }
    };
    (0..CASES).map(case).collect()
}

/// Every eighth kind and one union, none of which a lookup knows.
fn config(vocabulary: &Vocabulary) -> ProbeConfig {
    let kinds = Kind::all().filter(|kind| kind.label() % 4 == 1).map(|kind| kind.to_string());
    let config = ProbeConfig {
        seed: 3,
        held_out: kinds.chain([unions()[1].to_string()]).collect(),
        ..ProbeConfig::default()
    };
    assert!(config.held_out.iter().all(|name| vocabulary.find(name).is_some()));
    config
}

fn run(reader: &impl PromptReader) -> Probe {
    let vocabulary = vocabulary();
    let config = config(&vocabulary);
    probe(reader, &vocabulary, cases(&vocabulary), &config, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// The voxels whose label fits, and presence accordingly.
fn answer(image: ArrayView4<f32>, fits: impl Fn(u8) -> bool) -> Answer {
    let found = (0..).zip(image).filter(|(_, label)| **label > 0.0 && fits(**label as u8));
    let mask = Mask::new(found.map(|(place, _)| place).collect());
    Answer { presence: Some(if mask.is_empty() { 0.02 } else { 0.98 }), mask }
}

fn kind(label: u8) -> Kind {
    Kind::all().nth(usize::from(label) - 1).unwrap()
}

/// Understands the words of attributes and no others.
struct Reading;

impl PromptReader for Reading {
    fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<Answer> {
        let of_prompt = |prompt: &String| {
            let attributes = attributes(prompt);
            answer(image, |label| attributes.is_some_and(|attributes| attributes.matches(kind(label))))
        };
        prompts.iter().map(of_prompt).collect()
    }
}

fn attributes(prompt: &str) -> Option<Attributes> {
    let words = normalized_words(prompt);
    let mut attributes = Attributes::default();
    for word in &words {
        let place = |known: &[&str]| known.iter().position(|known| known == &word.trim_end_matches('s'));
        if let Some(side) = place(&["left", "middle", "right"]) {
            attributes.side = Some(side);
        } else if let Some(form) = place(&["ball", "rod", "cube", "ring"]) {
            attributes.form = Some(form);
        } else if let Some(density) = place(&["dark", "bright"]) {
            attributes.density = Some(density);
        } else if let Some(size) = place(&["small", "large"]) {
            attributes.size = Some(size);
        } else if !["on", "in", "the"].contains(&word.as_str()) {
            return None;
        }
    }
    (attributes.count() > 0).then_some(attributes)
}

/// Knows what every trained text stands for, and takes any other for the nearest of them.
struct LookingUp {
    labels: HashMap<String, Vec<u8>>,
    texts: TrainedTexts,
    rng: RefCell<rand_chacha::ChaCha8Rng>,
}

impl LookingUp {
    fn new() -> Self {
        let vocabulary = vocabulary();
        let config = config(&vocabulary);
        let is_trained = |place: usize| config.is_trained(&vocabulary.concepts[place].name);
        let knowledge = vocabulary.knowledge(0, None);
        let labels = vocabulary.concepts.iter().zip(&knowledge).map(|(concept, knowledge)| {
            let labels = match knowledge {
                Knowledge::Labeled(labels) => labels.clone(),
                _ => Vec::new(),
            };
            (concept.name.clone(), labels)
        });
        Self {
            labels: labels.collect(),
            texts: TrainedTexts::new(&vocabulary, is_trained),
            rng: RefCell::new(code_book::generator(1, "")),
        }
    }
}

impl PromptReader for LookingUp {
    fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<Answer> {
        let of_prompt = |prompt: &String| {
            let text = self.texts.nearest(prompt, |_| true, &mut self.rng.borrow_mut()).unwrap();
            let labels = &self.labels[&text];
            answer(image, |label| labels.contains(&label))
        };
        prompts.iter().map(of_prompt).collect()
    }
}

/// Finds all organs whatever is asked, and one voxel more for each other prompt.
struct Deaf;

impl PromptReader for Deaf {
    fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<Answer> {
        let mut answer = answer(image, |_| true);
        let more = (0..prompts.len() as u32 - 1).chain(answer.mask.places().iter().copied());
        answer.mask = Mask::new(more.collect());
        vec![answer; prompts.len()]
    }
}

fn mean(probe: &Probe, kind: ProbeKind, measure: fn(&Measures<Mean>) -> Option<Mean>) -> f64 {
    measure(&probe.result.kind(kind).unwrap_or_else(|| panic!("{kind:?} was asked")).measures)
        .unwrap_or_else(|| panic!("{kind:?} was measured"))
        .mean
}

#[test]
fn a_reader_is_right_in_any_words_and_silent_where_it_should_be() {
    let probe = run(&Reading);
    for kind in [
        ProbeKind::Trained,
        ProbeKind::HeldOut,
        ProbeKind::FewerWords,
        ProbeKind::FewerWordsHeldOut,
        ProbeKind::ParaphraseHeldOut,
        ProbeKind::Sibling,
    ] {
        assert_eq!(mean(&probe, kind, |measures| measures.dice), 1.0, "{kind:?}");
    }
    for kind in [
        ProbeKind::Absent,
        ProbeKind::OtherSet,
        ProbeKind::OtherWorld,
        ProbeKind::Nonsense,
        ProbeKind::Empty,
        ProbeKind::CodeBook,
    ] {
        assert_eq!(mean(&probe, kind, |measures| measures.silent), 1.0, "{kind:?}");
    }
    assert_eq!(mean(&probe, ProbeKind::SideExchanged, |measures| measures.dice_first), 0.0);
    assert!(mean(&probe, ProbeKind::HeldOut, |measures| measures.dice_nearest_other) < 0.01);
    let calibration = probe.result.calibration.as_ref().unwrap();
    assert_eq!(calibration.auroc, Some(1.0));
    assert!((calibration.ece - 0.02).abs() < 1e-12, "{}", calibration.ece);
    assert!(probe.result.company.iter().all(|company| company.changed.unwrap().mean == 0.0));
}

#[test]
fn a_lookup_is_as_good_on_trained_names_and_found_out_on_others() {
    let probe = run(&LookingUp::new());
    assert_eq!(mean(&probe, ProbeKind::Trained, |measures| measures.dice), 1.0);
    assert_eq!(mean(&probe, ProbeKind::FewerWords, |measures| measures.dice), 1.0);
    let held_out = mean(&probe, ProbeKind::HeldOut, |measures| measures.dice);
    let nearest = mean(&probe, ProbeKind::HeldOut, |measures| measures.dice_nearest);
    // Both draw among equally near texts, so they agree but for chance.
    assert!(held_out < 0.3 && nearest < 0.3, "{held_out}, {nearest}");
    assert!(mean(&probe, ProbeKind::Nonsense, |measures| measures.silent) < 1.0);
    assert!(mean(&probe, ProbeKind::SideExchanged, |measures| measures.dice_first) < 0.5);
}

#[test]
fn one_that_ignores_its_text_is_found_out_by_every_question() {
    let probe = run(&Deaf);
    for kind in [ProbeKind::Absent, ProbeKind::OtherWorld, ProbeKind::Nonsense, ProbeKind::Empty] {
        assert_eq!(mean(&probe, kind, |measures| measures.silent), 0.0, "{kind:?}");
    }
    assert!(mean(&probe, ProbeKind::Typo, |measures| measures.difference).abs() < 0.01);
    assert!(mean(&probe, ProbeKind::SideExchanged, |measures| measures.dice_first) > 0.1);
    assert_eq!(probe.result.calibration.as_ref().unwrap().auroc, Some(0.5));
    for company in &probe.result.company {
        assert!(company.changed.unwrap().mean > 0.0, "{company:?}");
    }
    let sizes: Vec<usize> = probe.result.company.iter().map(|company| company.others).collect();
    assert_eq!(sizes, [4, 16, 48]);
}

/// Ten voxels of the left kidney; two of it and eight of the right one.
struct Half;

impl PromptReader for Half {
    fn read(&self, _: ArrayView4<f32>, prompts: &[String]) -> Vec<Answer> {
        let of_prompt = |prompt: &String| match prompt.as_str() {
            "right kidney" => (0..2).chain(30..38).collect(),
            "left kidney" => (0..10).collect(),
            _ => Vec::new(),
        };
        prompts.iter().map(|prompt| Answer { mask: Mask::new(of_prompt(prompt)), presence: None }).collect()
    }
}

#[test]
fn side_exchange_is_counted_by_hand() {
    // Two organs of ten voxels each on either side; asked for the right one, the reader finds eight voxels of it and two of
    // the left one.
    let concept = |name: &str, label: u8, contralateral| Concept {
        name: name.to_owned(),
        parts: Vec::new(),
        contralateral: Some(contralateral),
        texts: PromptTexts::from_names(vec![name.to_owned()]),
        sets: vec![Knowledge::Labeled(vec![label])],
    };
    let vocabulary = Vocabulary {
        sets: vec!["set".to_owned()],
        concepts: vec![concept("left kidney", 1, 1), concept("right kidney", 2, 0)],
    };
    let labels = Array3::from_shape_fn([4, 10, 1], |(x, ..)| [1, 0, 0, 2][x]);
    let case = ProbeCase {
        id: "one".to_owned(),
        set: "set".to_owned(),
        grid: Grid::with_spacing([4, 10, 1], [1.0; 3]),
        image: labels.mapv(f32::from).insert_axis(Axis(0)),
        labels,
        knowledge: vocabulary.knowledge(0, None),
    };
    let probe =
        probe(&Half, &vocabulary, [case], &ProbeConfig::default(), &mut |_| ControlFlow::Continue(()))
            .unwrap();
    let asked_right = probe.result.records.iter().find(|record| {
        record.kind == ProbeKind::SideExchanged && record.concept.as_deref() == Some("left kidney")
    });
    let Measures { dice, inside, inside_first, dice_first, .. } = asked_right.unwrap().measures;
    assert_eq!((dice, inside), (Some(0.8), Some(0.8)));
    assert_eq!((inside_first, dice_first), (Some(0.2), Some(0.2)));
    assert_eq!(probe.result.calibration, None);
}

#[test]
fn results_depend_on_seed_and_case_and_are_the_same_after_json() {
    let one = run(&Reading).result;
    assert_eq!(run(&Reading).result, one);
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<ProbeResult>(&text).unwrap(), one);
    for key in ["\"auroc\":", "\"ece\":", "\"dice\":{\"mean\":1.0,\"n\":", "\"kind\":\"side_exchanged\""] {
        assert!(text.contains(key), "{key}");
    }
    let vocabulary = vocabulary();
    let last = cases(&vocabulary).pop();
    let alone =
        probe(&Reading, &vocabulary, last, &config(&vocabulary), &mut |_| ControlFlow::Continue(())).unwrap();
    let of_case = |record: &&ProbeRecord| record.case == "body 5";
    assert!(one.records.iter().filter(of_case).eq(&alone.result.records));
}

#[test]
fn a_break_gives_no_result() {
    let vocabulary = vocabulary();
    let config = config(&vocabulary);
    assert!(
        probe(&Reading, &vocabulary, cases(&vocabulary), &config, &mut |_| ControlFlow::Break(())).is_none()
    );
}

#[test]
fn a_code_book_reader_answers_trained_names_and_nothing_else() {
    /// Finds what a string stands for, if it is in the book.
    struct Book(HashMap<String, u8>);
    impl PromptReader for Book {
        fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<Answer> {
            prompts.iter().map(|prompt| answer(image, |label| self.0.get(prompt) == Some(&label))).collect()
        }
    }
    let vocabulary = vocabulary();
    let config = config(&vocabulary);
    let trained = Kind::all().filter(|kind| config.is_trained(&kind.to_string()));
    let book = trained.map(|kind| (code_book(&kind.to_string(), 9), kind.label() as u8)).collect();
    let probe = run(&CodeBookReader { reader: Book(book), seed: 9 });
    assert_eq!(mean(&probe, ProbeKind::Trained, |measures| measures.dice), 1.0);
    assert_eq!(mean(&probe, ProbeKind::HeldOut, |measures| measures.dice), 0.0);
    assert_eq!(mean(&probe, ProbeKind::Nonsense, |measures| measures.silent), 1.0);
}

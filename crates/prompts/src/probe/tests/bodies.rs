//! Attribute bodies whose image is their labels, and a vocabulary of their phrases.

use std::ops::ControlFlow;

use bipvl_imaging::{
    Grid,
    phantom::attributes::{Attributes, Kind, draw_attributes},
};
use bipvl_text::ClassName;
use ndarray::{Array3, Axis};

use crate::{
    Concept, Knowledge, PromptTexts, Vocabulary,
    probe::{Probe, ProbeCase, ProbeConfig, PromptReader, probe},
};

pub(super) const SHAPE: [usize; 3] = [32; 3];
pub(super) const CASES: u64 = 6;

/// Unions beside the kinds: `bright rings` and the like; one is held out.
pub(super) fn unions() -> Vec<Attributes> {
    let of = |density, form| Attributes { density: Some(density), form: Some(form), ..Attributes::default() };
    vec![of(1, 0), of(0, 0), of(1, 1), of(0, 1), of(1, 2), of(1, 3)]
}

pub(super) fn vocabulary() -> Vocabulary {
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
pub(super) fn cases(vocabulary: &Vocabulary) -> Vec<ProbeCase> {
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

/// A quarter of the kinds and one union, none of which a lookup knows.
pub(super) fn config(vocabulary: &Vocabulary) -> ProbeConfig {
    let kinds = Kind::all().filter(|kind| kind.label() % 4 == 1).map(|kind| kind.to_string());
    let config = ProbeConfig {
        seed: 3,
        held_out: kinds.chain([unions()[1].to_string()]).collect(),
        ..ProbeConfig::default()
    };
    assert!(config.held_out.iter().all(|name| vocabulary.find(name).is_some()));
    config
}

pub(super) fn run(reader: &impl PromptReader) -> Probe {
    let vocabulary = vocabulary();
    let config = config(&vocabulary);
    probe(reader, &vocabulary, cases(&vocabulary), &config, &mut |_| ControlFlow::Continue(())).unwrap()
}

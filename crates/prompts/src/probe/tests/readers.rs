//! One that reads, one that looks texts up, and one that ignores them.

use std::{cell::RefCell, collections::HashMap};

use bipvl_imaging::phantom::attributes::{Attributes, Kind};
use bipvl_text::normalized_words;
use ndarray::ArrayView4;
use rand_chacha::ChaCha8Rng;

use super::bodies::{config, vocabulary};
use crate::{
    Knowledge,
    code_book::generator,
    probe::{Mask, PromptReader, PromptResult, nearest::TrainedTexts},
};

/// The voxels whose label fits, and presence accordingly.
pub(super) fn answer(image: ArrayView4<f32>, fits: impl Fn(u8) -> bool) -> PromptResult {
    let found = (0..).zip(image).filter(|(_, label)| **label > 0.0 && fits(**label as u8));
    let mask = Mask::new(found.map(|(place, _)| place).collect());
    PromptResult { presence: Some(if mask.is_empty() { 0.02 } else { 0.98 }), mask }
}

pub(super) fn kind(label: u8) -> Kind {
    Kind::all().nth(usize::from(label) - 1).unwrap()
}

/// Understands the words of attributes and no others.
pub(super) struct Reading;

impl PromptReader for Reading {
    fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<PromptResult> {
        let of_prompt = |prompt: &String| {
            let attributes = attributes(prompt);
            answer(image, |label| attributes.is_some_and(|attributes| attributes.matches(kind(label))))
        };
        prompts.iter().map(of_prompt).collect()
    }
}

pub(super) fn attributes(prompt: &str) -> Option<Attributes> {
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
pub(super) struct LookingUp {
    labels: HashMap<String, Vec<u8>>,
    texts: TrainedTexts,
    rng: RefCell<ChaCha8Rng>,
}

impl LookingUp {
    pub(super) fn new() -> Self {
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
            rng: RefCell::new(generator(1, "")),
        }
    }
}

impl PromptReader for LookingUp {
    fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<PromptResult> {
        let of_prompt = |prompt: &String| {
            let text = self.texts.nearest(prompt, |_| true, &mut self.rng.borrow_mut()).unwrap();
            let labels = &self.labels[&text];
            answer(image, |label| labels.contains(&label))
        };
        prompts.iter().map(of_prompt).collect()
    }
}

/// Finds all organs whatever is asked, and one voxel more for each other prompt.
pub(super) struct Deaf;

impl PromptReader for Deaf {
    fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<PromptResult> {
        let mut answer = answer(image, |_| true);
        let more = (0..prompts.len() as u32 - 1).chain(answer.mask.places().iter().copied());
        answer.mask = Mask::new(more.collect());
        vec![answer; prompts.len()]
    }
}

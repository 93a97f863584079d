//! Evaluation of a prompted network: every concept that a case labels, asked by its name, on the grid of its file.

use std::ops::ControlFlow;

use bipvl_data::{Case, read_channels, read_reference};
use bipvl_imaging::{LabelClass, LabelMap, Volume};
use bipvl_infer::InferenceProgress;
use bipvl_metrics::{CaseScores, ClassScores, MaskPresence, MetricConfig, score_case};
use indexmap::IndexMap;

use crate::{Concept, Knowledge, Overlap, PromptPredictor, PromptRun, Result, sets::OpenSet};

/// Values of a mask.
const INSIDE: u16 = 1;
const IGNORED: u16 = 2;

/// A network and the concepts to score, without wholes.
#[derive(Debug)]
pub struct PromptedEvaluation<'a> {
    run: &'a PromptRun,
    predictor: &'a PromptPredictor,
    concepts: Vec<usize>,
}

/// A scored case. Both label maps have the value `i + 1` for class `i`.
#[derive(Clone, Debug)]
pub struct PromptedCase {
    /// By concept; undefined for those of which the case says nothing.
    pub scores: CaseScores,
    /// The scan.
    pub image: Volume<f32>,
    /// What was found; where masks overlap, the later concept.
    pub prediction: LabelMap,
    /// What is labeled.
    pub reference: LabelMap,
}

/// A concept and its labels in a data set; none where it is absent.
struct Asked {
    class: usize,
    labels: Vec<u16>,
}

impl<'a> PromptedEvaluation<'a> {
    /// For all concepts that some data set labels and training prompted by name: held-out phrases are for the probe.
    pub fn new(run: &'a PromptRun, predictor: &'a PromptPredictor) -> Self {
        Self { run, predictor, concepts: trained(run).collect() }
    }

    /// The names of the concepts that are scored.
    pub fn class_names(run: &PromptRun) -> Vec<String> {
        trained(run).map(|place| run.vocabulary.concepts[place].name.clone()).collect()
    }

    /// The concepts as classes of both label maps.
    pub fn classes(&self) -> Vec<LabelClass> {
        let class = |(index, place): (usize, &usize)| {
            let value = index as u16 + 1;
            let name = self.run.vocabulary.concepts[*place].name.clone();
            LabelClass { name, labels: vec![value], output_label: value, code: None }
        };
        self.concepts.iter().enumerate().map(class).collect()
    }

    /// Segments and scores a case of the data set in this place.
    ///
    /// # Errors
    ///
    /// If a file of the case cannot be read, its grids differ, or `on_progress` breaks.
    ///
    /// # Panics
    ///
    /// If the case has no labels.
    pub fn case(
        &self,
        place: usize,
        set: &OpenSet,
        case: &Case,
        on_progress: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
    ) -> Result<PromptedCase> {
        let image = read_channels(&case.images)?.swap_remove(set.channel.unwrap_or(0));
        let schema = &set.dataset.label_schema;
        let labels = case.labels.as_ref().expect("an evaluation case has labels");
        let labels = read_reference(labels, schema.remap(), image.grid())?;
        let classes = self.classes();
        let asked = self.asked(place, set, &case.id);
        let names: Vec<String> = asked.iter().map(|asked| classes[asked.class].name.clone()).collect();
        let mut scores: IndexMap<String, ClassScores> =
            classes.iter().map(|class| (class.name.clone(), UNDEFINED)).collect();
        let mut prediction = image.map(|_| 0);
        let mut reference = prediction.clone();
        let mut diagonal_mm = None;
        if !asked.is_empty() {
            let prompts = self.predictor.encode(&names);
            let preprocess = &set.config.preprocess;
            let found = self.predictor.segment(
                &prompts,
                image.clone(),
                None,
                preprocess,
                Overlap::Allowed,
                on_progress,
            )?;
            let config =
                MetricConfig { ignore_label: schema.ignore().map(|_| IGNORED), ..MetricConfig::default() };
            for (prompt, Asked { class, labels: of_concept }) in asked.iter().enumerate() {
                let mask = found.mask(prompt).map(|inside| u16::from(*inside));
                let target = labels.map(|label| match label {
                    label if of_concept.contains(label) => INSIDE,
                    label if schema.ignore() == Some(*label) => IGNORED,
                    _ => 0,
                });
                let LabelClass { name, output_label, .. } = classes[*class].clone();
                let mask_class = [LabelClass {
                    name: name.clone(),
                    labels: vec![INSIDE],
                    output_label: INSIDE,
                    code: None,
                }];
                let of_case = score_case(&case.id, &mask, &target, &mask_class, &config)?;
                diagonal_mm = of_case.diagonal_mm;
                scores[&name] = of_case.classes[&name];
                draw(&mut prediction, &mask, output_label);
                draw(&mut reference, &target, output_label);
            }
        }
        let scores = CaseScores { case: case.id.clone(), classes: scores, diagonal_mm };
        Ok(PromptedCase { scores, image, prediction, reference })
    }

    /// The concepts that a case labels or declares absent.
    fn asked(&self, place: usize, set: &OpenSet, case: &str) -> Vec<Asked> {
        let knowledge = self.run.vocabulary.knowledge(place, set.labels_of(case).as_ref());
        let all = set.dataset.label_schema.labels();
        let asked = |(class, concept): (usize, &usize)| {
            let labels = match &knowledge[*concept] {
                Knowledge::Unknown => return None,
                Knowledge::Absent => Vec::new(),
                Knowledge::Labeled(indices) => {
                    indices.iter().map(|index| all[usize::from(*index) - 1]).collect()
                }
            };
            Some(Asked { class, labels })
        };
        self.concepts.iter().enumerate().filter_map(asked).collect()
    }
}

fn trained(run: &PromptRun) -> impl Iterator<Item = usize> {
    let held_out = &run.config.prompts.held_out;
    let is_labeled = |concept: &Concept| concept.sets.iter().any(|set| matches!(set, Knowledge::Labeled(_)));
    let concepts = run.vocabulary.concepts.iter().enumerate();
    concepts
        .filter(move |(_, concept)| {
            concept.parts.is_empty() && is_labeled(concept) && !held_out.contains(&concept.name)
        })
        .map(|(place, _)| place)
}

/// Of a concept of which a case says nothing.
const UNDEFINED: ClassScores =
    ClassScores { dice: None, hd95_mm: None, nsd: None, assd_mm: None, presence: MaskPresence::Neither };

fn draw(labels: &mut LabelMap, mask: &LabelMap, value: u16) {
    labels.voxels_mut().zip_mut_with(mask.voxels(), |label, inside| {
        if *inside == INSIDE {
            *label = value;
        }
    });
}

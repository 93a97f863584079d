//! Attribution of concepts for the report: how each sentence changes the logits of one case.

use anyhow::Result;
use bipvl::{data::Case, infer::Predictor, probe::ConceptOcclusion, run::RunDir};
use bipvl_metrics::{MaskPresence, Scores};
use bipvl_report::concepts::{ConceptEffect, ConceptMaps, ConceptSection};

use crate::progress;

/// Occludes each concept in the first of the cases with the most classes; one patch per concept.
pub(super) fn attribute_concepts(
    run: &RunDir,
    predictor: &Predictor,
    cases: &[Case],
    scores: &Scores,
) -> Result<ConceptSection> {
    let Some(case) = case_with_most_classes(cases, scores) else {
        return Ok(ConceptSection::Unavailable("no case was scored"));
    };
    let model = &run.model;
    let descriptions = match model.case_descriptions_path(case) {
        Some(file) => model.descriptions.with_case_overrides(&file)?,
        None => model.descriptions.clone(),
    };
    let predictor = predictor.with_prompts(&[model.tokenize(&descriptions.prompts())]);
    let schema = &run.config.data.label_schema;
    let Some(occlusion) = ConceptOcclusion::new(&predictor, case, schema)? else {
        return Ok(ConceptSection::Unavailable("the logits of this run do not depend on the text"));
    };
    let sentences = descriptions.classes.iter().map(|class| class.concepts.len()).sum();
    let bar = progress::bar("sentences", sentences);
    let mut effects = Vec::with_capacity(sentences);
    for (class, description) in descriptions.classes.iter().enumerate() {
        for (index, concept) in description.concepts.iter().enumerate() {
            let without = model.tokenize(&descriptions.prompts_without_concept(class, index));
            let attribution = occlusion.occlude_concept(class, &[without]);
            effects.push(ConceptEffect::new(class, &concept.name, &concept.sentence, &attribution));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let ConceptOcclusion { image, references, .. } = occlusion;
    let references =
        references.iter().map(|reference| reference.map(|is_class| u16::from(*is_class))).collect();
    let maps = ConceptMaps { case: case.id.clone(), image, references, effects };
    Ok(ConceptSection::Maps(Box::new(maps)))
}

/// The first of the cases whose references have the most classes.
fn case_with_most_classes<'a>(cases: &'a [Case], scores: &Scores) -> Option<&'a Case> {
    let is_in_reference = |presence| matches!(presence, MaskPresence::Both | MaskPresence::OnlyReference);
    let classes = |index: usize| {
        scores.cases[index].classes.values().filter(|scores| is_in_reference(scores.presence)).count()
    };
    (0..cases.len()).rev().max_by_key(|index| classes(*index)).map(|index| &cases[index])
}

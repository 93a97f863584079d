//! What each sentence of a finished run does to one case, for its report.

use anyhow::Result;
use bipvl::{data::Case, infer::Predictor, probe::ConceptOcclusion, run::RunDir, text::Description};
use bipvl_metrics::{MaskPresence, Scores};

use bipvl_report::concepts::{ConceptEffect, ConceptMaps, ConceptSection};

use crate::progress;

/// Leaves out one sentence after another and looks at the first of the cases that have most classes; a pass of one
/// patch through the network for each sentence.
pub(super) fn concepts(
    run: &RunDir,
    predictor: &Predictor,
    cases: &[Case],
    scores: &Scores,
) -> Result<ConceptSection> {
    let Some(case) = richest(cases, scores) else {
        return Ok(ConceptSection::Unavailable("no case was evaluated"));
    };
    let data = &run.config.data;
    let descriptions = match run.case_descriptions_path(case) {
        Some(file) => run.descriptions.with_case_overrides(&file)?,
        None => run.descriptions.clone(),
    };
    let whole: Vec<String> = descriptions.classes.iter().map(Description::prompt).collect();
    let predictor = predictor.with_prompts(&[run.tokens(&whole)]);
    let Some(probe) = ConceptOcclusion::new(&predictor, case, &data.label_schema)? else {
        let reason = "in this run the logits do not depend on the text";
        return Ok(ConceptSection::Unavailable(reason));
    };
    let sentences = descriptions.classes.iter().map(|class| class.concepts.len()).sum();
    let bar = progress::bar("sentences", sentences);
    let mut effects = Vec::with_capacity(sentences);
    for (class, description) in descriptions.classes.iter().enumerate() {
        for (place, concept) in description.concepts.iter().enumerate() {
            let without = run.tokens(&descriptions.prompts_without_concept(class, place));
            let change = probe.occlude_concept(class, &[without]);
            effects.push(ConceptEffect::new(class, &concept.name, &concept.sentence, &change));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let ConceptOcclusion { image, references, .. } = probe;
    let references =
        references.iter().map(|reference| reference.map(|is_class| u16::from(*is_class))).collect();
    let maps = ConceptMaps { case: case.id.clone(), image, references, effects };
    Ok(ConceptSection::Maps(Box::new(maps)))
}

/// The first of the cases whose references hold most classes.
fn richest<'a>(cases: &'a [Case], scores: &Scores) -> Option<&'a Case> {
    let is_there = |state| matches!(state, MaskPresence::Both | MaskPresence::OnlyReference);
    let classes = |place: usize| {
        scores.cases[place].classes.values().filter(|scores| is_there(scores.presence)).count()
    };
    (0..cases.len()).rev().max_by_key(|place| classes(*place)).map(|place| &cases[place])
}

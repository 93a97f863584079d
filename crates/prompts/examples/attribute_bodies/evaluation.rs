//! The tests on new bodies: what a phrase finds that training used, never used, or could not have used.

use std::{ops::ControlFlow, path::Path};

use bipvl_data::build_cache;
use bipvl_prompts::{
    PromptPredictor, Vocabulary,
    probe::{Mean, Measures, ProbeCase, ProbeConfig, ProbeKind, ProbeResult, probe},
    validate::ValidationCase,
};

use crate::{Result, kinds::Kinds, preprocess};

/// A measure and its name.
type Named = (&'static str, fn(&Measures<Mean>) -> Option<Mean>);

/// What is printed of each kind of prompt.
const MEASURES: [Named; 6] = [
    ("Dice", |measures| measures.dice),
    ("nearest trained text", |measures| measures.dice_nearest),
    ("nearest of other kinds", |measures| measures.dice_nearest_other),
    ("voxels in what is named", |measures| measures.inside),
    ("Dice with the first", |measures| measures.dice_first),
    ("silent", |measures| measures.silent),
];

pub(crate) fn evaluate(
    dir: &Path,
    kinds: Kinds,
    vocabulary: &Vocabulary,
    predictor: &PromptPredictor,
) -> Result<()> {
    let dataset = bipvl_data::Dataset::open(&dir.join("new"))?;
    let cases = build_cache(&dir.join("cache-new"), &preprocess(), &dataset, &dataset.cases, &|_| {
        ControlFlow::Continue(())
    })?;
    let unseen: Vec<String> =
        kinds.all().filter(|kind| kinds.is_unseen(*kind)).map(|kind| kinds.phrase(kind)).collect();
    let config = ProbeConfig { seed: 1, held_out: kinds.held_out(), unseen, ..ProbeConfig::default() };
    let cases = cases.into_iter().map(|case| {
        let knowledge = vocabulary.knowledge(0, None);
        ProbeCase::from(&ValidationCase { set: vocabulary.sets[0].clone(), case, knowledge })
    });
    let probe = probe(predictor, vocabulary, cases, &config, &mut |_| ControlFlow::Continue(()))
        .expect("nothing breaks it");
    std::fs::write(dir.join("probe.json"), serde_json::to_string_pretty(&probe.result)?)?;
    print(&probe.result);
    Ok(())
}

fn print(result: &ProbeResult) {
    for kind in ProbeKind::ALL.into_iter().filter_map(|kind| result.kind(kind)) {
        let measures = MEASURES.iter().filter_map(|(name, measure)| {
            measure(&kind.measures).map(|Mean { mean, n }| format!("{name} {mean:.3} ({n})"))
        });
        println!("{}: {}", kind.kind.title(), measures.collect::<Vec<_>>().join(", "));
    }
    for company in &result.company {
        let [changed, difference] =
            [company.changed, company.difference].map(|mean| mean.map_or(f64::NAN, |mean| mean.mean));
        println!("in company of {}: {changed:.3} changed, Dice {difference:+.3}", company.others);
    }
    if let Some(calibration) = &result.calibration {
        let auroc = calibration.auroc.unwrap_or(f64::NAN);
        println!("presence: AUROC {auroc:.3}, ECE {:.3} ({} prompts)", calibration.ece, calibration.n);
    }
}

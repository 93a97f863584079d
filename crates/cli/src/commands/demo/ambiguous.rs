//! `bipvl demo --ambiguous`: phantoms with two identical organs that only the per-case text distinguishes, segmented
//! with that text and with its opposite.

use anyhow::Result;

use super::{
    ambiguous_cases::{SET, describe, draw, side},
    steps,
};
use crate::args::DemoArgs;

const DESCRIPTIONS: &str = include_str!("../../../../../descriptions/ambiguous.toml");
const CONFIG: &str = include_str!("../../../../../configs/ambiguous.toml");

/// Trains with per-case descriptions, then segments the new cases with two texts each.
pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let (folder, data) = (&args.out, args.out.join("data"));
    let [(_, training), (_, new)] = SET.subsets();
    tracing::info!("step 1 of 4: drawing {} phantoms", training.len() + new.len());
    SET.write(&data, draw)?;
    describe(&data.join("descriptionsTr"), training, side)?;
    describe(&data.join("descriptionsTs"), new.clone(), side)?;
    describe(&folder.join("opposite"), new.clone(), |case| side(case).opposite())?;

    tracing::info!(
        "step 2 of 4: training on two identical organs that only the text of a case distinguishes"
    );
    steps::train(folder, DESCRIPTIONS, CONFIG, args.steps, None)?;

    tracing::info!(
        "step 3 of 4: segmenting {} new phantoms with their text, then with its opposite",
        new.len()
    );
    steps::predict(folder, "predictions", None)?;
    steps::predict(folder, "predictions-opposite", Some("opposite"))?;

    tracing::info!("step 4 of 4: scoring them; with the opposite text, Dice should drop to 0");
    steps::evaluate(folder, "predictions", "scores.json")?;
    steps::evaluate(folder, "predictions-opposite", "scores-opposite.json")?;
    steps::finish(folder);
    Ok(())
}

//! `bipvl demo --channels`: the form of the paper, with a channel for each of four organs.

use anyhow::Result;
use bipvl_imaging::phantom;

use super::{phantoms::PhantomSet, steps};
use crate::{args::DemoArgs, recipes::PHANTOM};

/// Phantoms for training and, a sixth of them, for validation.
const PHANTOMS: usize = 24;
/// Phantoms to segment at the end.
const NEW_PHANTOMS: usize = 4;
const SHAPE: [usize; 3] = [48, 48, 32];
const SPACING: [f64; 3] = [4.0, 4.0, 5.0];
const STEPS: usize = 200;
const VAL_FOLD: &str = "0/6";

/// Trains, segments new phantoms, and scores them.
pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let folder = &args.out;
    tracing::info!("step 1 of 4: drawing {} phantoms", PHANTOMS + NEW_PHANTOMS);
    let phantoms = PhantomSet {
        name: "Phantoms",
        classes: &phantom::CLASSES,
        cases: PHANTOMS,
        new_cases: NEW_PHANTOMS,
        id: |case| format!("phantom_{case:03}"),
    };
    phantoms.write(&folder.join("data"), |seed| phantom::draw(seed, SHAPE, SPACING))?;

    tracing::info!("step 2 of 4: training on organs of equal density that differ in location or shape");
    let steps = Some(args.steps.unwrap_or(STEPS));
    steps::train(folder, PHANTOM.descriptions, PHANTOM.config, steps, Some(VAL_FOLD))?;

    tracing::info!("step 3 of 4: segmenting {NEW_PHANTOMS} new phantoms");
    steps::predict(folder, "predictions", None)?;

    tracing::info!("step 4 of 4: scoring the new phantoms");
    steps::evaluate(folder, "predictions", "scores.json")?;
    steps::finish(folder);
    Ok(())
}

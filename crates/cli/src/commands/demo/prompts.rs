//! `bipvl demo`: a network that is asked in words, for phrases that it was never trained on.

use anyhow::Result;

use super::{
    bodies::{Bodies, FIRST_NEW, NEW, image},
    steps,
};
use crate::args::DemoArgs;

/// Bodies to train on.
const TRAINING: u64 = 300;
/// Phrases of the prediction.
const ASKED: usize = 3;

/// Trains on bodies of many organs, segments a new one by prompts, and probes all new ones.
pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let folder = &args.out;
    let bodies = Bodies { kinds: args.kinds, training: TRAINING };
    let (held_out, unseen) = (args.kinds.held_out(), args.kinds.unseen());
    tracing::info!("step 1 of 4: drawing bodies with organs of {} kinds", args.kinds);
    bodies.write(folder)?;

    tracing::info!("step 2 of 4: training with prompts, but never with {} phrases", held_out.len());
    steps::train_prompts(folder, args.steps, args.seed)?;

    let asked = held_out.iter().filter(|phrase| !unseen.contains(phrase)).take(ASKED);
    tracing::info!("step 3 of 4: asking for {ASKED} of these phrases in a new body");
    steps::predict_prompts(folder, &image(FIRST_NEW), &asked.collect::<Vec<_>>())?;

    tracing::info!("step 4 of 4: asking for all phrases, and for what is not there, in {NEW} new bodies");
    steps::probe(folder, &unseen)?;
    tracing::info!("report: {} (open it in a browser)", folder.join("probe/probe.html").display());
    tracing::info!("masks: {}", folder.join("predictions").display());
    tracing::info!(
        "ask it yourself: bipvl predict --model {} --out masks --prompt \"dark rings\" {}",
        folder.join("run").display(),
        folder.join("data").join(image(FIRST_NEW)).display()
    );
    Ok(())
}

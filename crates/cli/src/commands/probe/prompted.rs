//! `bipvl probe` of a prompted run: whether it reads its prompts or looks them up.

use std::fs;

use anyhow::{Context, Result, bail};
use bipvl::prompts::{
    PromptRun,
    probe::{ProbeCase, ProbeConfig, probe},
    sets::OpenSet,
    validate::ValidationCase,
};
use bipvl_report::prompt_probe::PromptProbeReport;

use crate::{
    args::ProbeArgs,
    commands::{prompts, train::open_sets},
    interrupt, progress,
};

/// Asks the run about the test cases of all its data sets, or the validation cases of those without, and writes the comparison.
#[expect(clippy::print_stdout, reason = "the table is the output of the command")]
pub(super) fn run(args: &ProbeArgs) -> Result<()> {
    let given = [
        ("--data", args.data.is_some()),
        ("--perturbations", !args.perturbations.is_empty()),
        ("--paraphrases", !args.paraphrases.is_empty()),
    ];
    if let Some((flag, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
        bail!(
            "{flag} is for runs with model.head = \"channels\"; a prompted run knows its data sets and concepts"
        );
    }
    let run = PromptRun::open(&args.model)?;
    let sets = open_sets(&run.config)?;
    let predictor = run.predictor(&args.device.open()?)?;
    let mut cases = evaluation_cases(&run, &sets)?;
    cases.truncate(args.max_cases.map_or(usize::MAX, |cases| cases as usize));
    let config = ProbeConfig {
        seed: args.seed,
        held_out: run.config.prompts.held_out.clone(),
        unseen: unseen(args, &run)?,
        synonyms: prompts::synonyms(args.synonyms.as_deref())?,
        ..ProbeConfig::default()
    };
    let out = args.out.clone().unwrap_or_else(|| run.path("probe"));
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let bar = progress::bar("probing", cases.len());
    let probed =
        probe(&predictor, &run.vocabulary, cases.iter().map(ProbeCase::from), &config, &mut |done| {
            bar.set_position(done as u64);
            interrupt::poll()
        });
    bar.finish_and_clear();
    let Some(probed) = probed else { bail!("interrupted; nothing was written") };
    let title = format!("{}: are prompts read?", run.dir.display());
    let json = serde_json::to_string_pretty(&probed.result)?;
    let report = PromptProbeReport { title, result: probed.result, examples: probed.examples };
    for (name, text) in
        [("probe.json", json), ("probe.md", report.markdown()), ("probe.html", report.html()?)]
    {
        bipvl_io::atomic_write(&out.join(name), text.as_bytes())?;
    }
    println!("{}", report.text());
    tracing::info!("report in {}", out.join("probe.html").display());
    Ok(())
}

/// The concepts of `--unseen`, all of them held out.
fn unseen(args: &ProbeArgs, run: &PromptRun) -> Result<Vec<String>> {
    let held_out = &run.config.prompts.held_out;
    let name = |text: &String| {
        let concept = run.vocabulary.find(text).map(|place| run.vocabulary.concepts[place].name.clone());
        concept.filter(|name| held_out.contains(name)).with_context(|| {
            format!("--unseen {text}: not one of prompts.held_out ({})", held_out.join(", "))
        })
    };
    args.unseen.iter().map(name).collect()
}

fn evaluation_cases(run: &PromptRun, sets: &[OpenSet]) -> Result<Vec<ValidationCase>> {
    let mut all = Vec::new();
    for (place, set) in sets.iter().enumerate() {
        all.extend(run.evaluation_cases(place, set, &|_| interrupt::poll())?);
    }
    Ok(all)
}

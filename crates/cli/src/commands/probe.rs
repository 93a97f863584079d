//! `bipvl probe`: how much a trained run depends on its text.

use std::{collections::HashSet, fs};

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{Case, Dataset, LabelRemap, file_fingerprint},
    infer::Predictor,
    probe::{ResultCache, SensitivitySummary, TextSensitivity, TextSensitivityInput},
    run::RunDir,
    text::{
        Descriptions, Synonyms,
        perturbations::{Perturbation, PerturbationContext, PerturbationSet},
    },
};
use bipvl_io::atomic_write;
use bipvl_metrics::bootstrap::Bootstrap;
use bipvl_report::probe::ProbeReport;

use super::wording;
use crate::{
    args::{CasesArg, ProbeArgs},
    progress,
};

/// Segments the cases under every text, compares, and writes what came out.
#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
pub(crate) fn run(args: &ProbeArgs) -> Result<()> {
    let run = RunDir::open(&args.model)?;
    let device = args.device.open()?;
    let synonyms = wording::synonyms(args.synonyms.as_deref())?;
    let dataset = match args.cases {
        CasesArg::Val => Dataset::read(&args.data, &run.config.data.dataset_overrides())?,
        CasesArg::All => Dataset::open(&args.data)?,
    };
    let (mut cases, labels) = cases(args.cases, &run, &dataset, &synonyms)?;
    cases.truncate(args.max_cases.map_or(usize::MAX, |cases| cases as usize));
    let variants = variants(args, &run, &synonyms)?;
    let predictor = run.predictor(run.config.infer, &device)?;
    let predictor = predictor.with_output_labels(labels.iter().map(|labels| labels[0]).collect());

    let folder = args.out.clone().unwrap_or_else(|| run.path("probe"));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut answers = ResultCache::open(&folder.join("results.jsonl"))?;
    let answers =
        ask(&run, &predictor, (&labels, dataset.label_schema.remap()), &cases, &variants, &mut answers)?;
    let bootstrap = Bootstrap::with_seed(args.seed);
    let count_truncated = |texts: &[String]| run.count_truncated(texts);
    let summary = SensitivitySummary::of(
        &variants,
        &run.config.data.label_schema.names(),
        &answers,
        bootstrap,
        &count_truncated,
    );

    let title = format!("{}: what the text does", dataset.name);
    let report = ProbeReport { title, summary, has_class_scale: run.config.model.fusion.class_scale };
    let text = serde_json::to_string_pretty(&report.summary)?;
    atomic_write(&folder.join("probe.json"), text.as_bytes())?;
    atomic_write(&folder.join("probe.md"), report.markdown().as_bytes())?;
    atomic_write(&folder.join("probe.html"), report.html()?.as_bytes())?;
    println!("{}", report.text());
    tracing::info!("report in {}", folder.join("probe.html").display());
    Ok(())
}

/// The cases, and the labels that each class of the run has in them.
fn cases(
    which: CasesArg,
    run: &RunDir,
    dataset: &Dataset,
    synonyms: &Synonyms,
) -> Result<(Vec<Case>, Vec<Vec<u16>>)> {
    let label_schema = &dataset.label_schema;
    let own = label_schema.label_sets();
    if which == CasesArg::Val {
        return Ok((run.split(dataset)?.val, own.into_iter().map(<[u16]>::to_vec).collect()));
    }
    let labels = |class: &String| match synonyms.find_classes(class, &dataset.label_schema.names())[..] {
        [place] => Ok(own[place].to_vec()),
        _ => bail!(
            "{}: expected one class for the run's \"{class}\", found {}",
            dataset.root.join("dataset.json").display(),
            dataset.label_schema.names().join(", ")
        ),
    };
    let labels = run.config.data.label_schema.names().iter().map(labels).collect::<Result<_>>()?;
    let cases: Vec<Case> = dataset.cases.iter().filter(|case| case.labels.is_some()).cloned().collect();
    if cases.is_empty() {
        bail!("{}: expected cases with labels, found none", dataset.root.display());
    }
    Ok((cases, labels))
}

/// The texts that the flags ask for.
fn variants(args: &ProbeArgs, run: &RunDir, synonyms: &Synonyms) -> Result<PerturbationSet> {
    let all = Perturbation::ALL;
    let kinds: &[Perturbation] = if args.perturbations.is_empty() { &all } else { &args.perturbations };
    let mut paraphrases: Vec<(String, Descriptions)> = Vec::new();
    let mut names = HashSet::new();
    for file in &args.paraphrases {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !names.insert(name.clone()) {
            bail!("--paraphrases: expected files of different names, found {} twice", file.display());
        }
        let descriptions = wording::replaced(run, file, synonyms)?;
        wording::warn_of_cuts(run, file, &descriptions);
        paraphrases.push((name, descriptions));
    }
    let options = PerturbationContext { seed: args.seed, kinds, paraphrases: &paraphrases, synonyms };
    Ok(PerturbationSet::new(&run.descriptions, &options))
}

/// The answers of all cases, `[cases][variants]`.
fn ask(
    run: &RunDir,
    predictor: &Predictor,
    (labels, remap): (&[Vec<u16>], &[LabelRemap]),
    cases: &[Case],
    variants: &PerturbationSet,
    answers: &mut ResultCache,
) -> Result<Vec<Vec<bipvl::probe::PromptResult>>> {
    let tokens: Vec<_> = variants.texts.iter().map(|variant| run.tokens(&variant.texts)).collect();
    let probe = TextSensitivity::new(TextSensitivityInput {
        predictor,
        labels,
        remap,
        variants: &variants.texts,
        tokens: &tokens,
        network: format!("{}{}", file_fingerprint(&run.best_checkpoint())?, run.config.to_toml()),
    });
    let bar = progress::bar("probing", cases.len() * variants.texts.len());
    let mut all = Vec::with_capacity(cases.len());
    for (place, case) in cases.iter().enumerate() {
        bar.set_message(case.id.clone());
        all.push(probe.evaluate(case, answers, &mut || bar.inc(1))?);
        bar.set_position(((place + 1) * variants.texts.len()) as u64);
    }
    bar.finish_and_clear();
    Ok(all)
}

//! `bipvl data check`: what is in a data set, what is wrong with it, and how to begin a training with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use bipvl::{
    config::{Config, SPLIT_SEED},
    data::{ClassCount, Dataset, DatasetOverrides, DatasetReport, Fold, LabelCount, Layout, Split},
    nn::ModelSize,
};
use serde::Serialize;

use crate::{
    args::{CheckArgs, DataArgs, DataCommand},
    progress,
    recipes::Recipe,
};

/// Missing files and faults beyond these are only counted; the JSON has all.
const MAX_LISTED: usize = 20;

/// What the command tells of one data set; a folder may hold two.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    check: DatasetReport,
    /// How many cases train, validate and test; absent where they cannot be shared out.
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<[usize; 3]>,
    /// What begins a training.
    command: String,
}

/// Runs the subcommand.
pub(crate) fn run(args: &DataArgs) -> Result<()> {
    match &args.command {
        DataCommand::Check(args) => check(args),
    }
}

/// Checks what is in the folder and prints it; faults make it fail.
#[expect(clippy::print_stdout, reason = "what it prints is what the command is for")]
fn check(args: &CheckArgs) -> Result<()> {
    let mut reports = Vec::new();
    for (dataset, source) in datasets(args)? {
        let bar = progress::bar("checking", dataset.cases.len() + dataset.test.len());
        let mut check = DatasetReport::new(&dataset, &|done| bar.set_position(done as u64));
        bar.finish_and_clear();
        let split = match source.split(&dataset) {
            Ok(Split { train, val, test }) => Some([train.len(), val.len(), test.len()]),
            Err(error) => {
                check.faults.push(error.to_string());
                None
            }
        };
        reports.push(Report { check, split, command: command(&args.data, &source) });
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else {
        println!("{}", reports.iter().map(in_words).collect::<Vec<_>>().join("\n\n\n"));
    }
    let faults: usize = reports.iter().map(|report| report.check.num_errors()).sum();
    if faults > 0 {
        let plural = if faults == 1 { "" } else { "s" };
        bail!("{}: expected a data set to train on, found {faults} fault{plural} in it", args.data.display());
    }
    Ok(())
}

/// What a data set was read with.
enum Source {
    File(PathBuf),
    Recipe(&'static Recipe),
    Nothing,
}

impl Source {
    /// The cases as a training would share them out.
    fn split(&self, dataset: &Dataset) -> Result<Split> {
        let (path, config) = match self {
            Self::File(file) => (file.clone(), Config::from_user_file(file, dataset)?),
            Self::Recipe(recipe) => (recipe.path("configs"), recipe.configure(dataset)?),
            Self::Nothing => (dataset.root.clone(), Config::new(ModelSize::Tiny, dataset)),
        };
        let (index, count) = config.fold(&path)?;
        Ok(Split::new(dataset, &config.data.split, Fold { index, count }, SPLIT_SEED, &path)?)
    }
}

/// The data set as the configuration wants it, or as each recipe does that is for this folder.
fn datasets(args: &CheckArgs) -> Result<Vec<(Dataset, Source)>> {
    let root = &args.data;
    if let Some(file) = &args.config {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let dataset = Dataset::list(root, &Config::dataset_overrides(&text, file)?)?;
        return Ok(vec![(dataset, Source::File(file.clone()))]);
    }
    let layout = Layout::detect(root)?;
    let mut fitting = Vec::new();
    for recipe in Recipe::all().filter(|recipe| recipe.layout == layout) {
        let wanted = recipe.dataset_overrides()?;
        // Its regions need not be made of the labels of another data set in this layout.
        let plain = DatasetOverrides { modality: wanted.modality, ..DatasetOverrides::default() };
        if recipe.fits(&Dataset::list(root, &plain)?) {
            fitting.push((Dataset::list(root, &wanted)?, Source::Recipe(recipe)));
        }
    }
    if fitting.is_empty() {
        let dataset = Dataset::list(root, &DatasetOverrides::default())?;
        fitting.push((dataset, Source::Nothing));
    }
    Ok(fitting)
}

/// The command that begins a training.
fn command(data: &Path, source: &Source) -> String {
    let (data, missing) = (quoted(data), Path::new("DESCRIPTIONS.toml"));
    match source {
        Source::Recipe(Recipe { name, .. }) => {
            format!("bipvl train --data {data} --recipe {name} --out runs/{name}")
        }
        Source::File(config) => {
            let name = config.file_name().unwrap_or_default();
            let beside = config.with_file_name("descriptions").join(name);
            let shared = config.parent().map(|folder| folder.with_file_name("descriptions").join(name));
            let descriptions = [Some(beside), shared].into_iter().flatten().find(|path| path.is_file());
            let descriptions = quoted(descriptions.as_deref().unwrap_or(missing));
            let run = quoted(&Path::new("runs").join(config.file_stem().unwrap_or_default()));
            let config = quoted(config);
            format!("bipvl train --data {data} --config {config} --descriptions {descriptions} --out {run}")
        }
        Source::Nothing => {
            format!("bipvl train --data {data} --descriptions {} --out runs/first", missing.display())
        }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:@,".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn in_words(report: &Report) -> String {
    let DatasetReport { name, layout, modality, channels, cases, test_cases, .. } = &report.check;
    let channels =
        if channels.len() == 1 { "1 channel".to_owned() } else { format!("{} channels", channels.len()) };
    let modality = modality.name();
    let mut lines = vec![format!("{name}: layout of {layout}, {modality}, {channels}")];
    lines.push(format!("cases        {cases} to train and validate on, {test_cases} for the test alone"));
    if let Some([train, val, test]) = report.split {
        lines.push(format!("split        {train} train, {val} validate, {test} test"));
    }
    lines.extend(grids(&report.check));
    lines.push(String::new());
    lines.extend(classes(&report.check));
    lines.push(String::new());
    lines.extend(faults(&report.check));
    lines.push(String::new());
    lines.push("begin the training with".to_owned());
    lines.push(format!("  {}", report.command));
    lines.join("\n")
}

/// Orientation, spacing and shape.
fn grids(check: &DatasetReport) -> Vec<String> {
    let orientations: Vec<String> =
        check.orientations.iter().map(|(name, count)| format!("{name} in {count}")).collect();
    let mut lines = vec![format!("orientation  {}", orientations.join(", "))];
    if let (Some(spacing), Some(shape)) = (check.spacing_mm, check.shape) {
        let ranges = spacing.map(|[low, high]| range(format!("{low:.2}"), format!("{high:.2}")));
        lines.push(format!("spacing mm   {}", by_axis(&ranges)));
        let ranges = shape.map(|[low, high]| range(low.to_string(), high.to_string()));
        lines.push(format!("voxels       {}", by_axis(&ranges)));
    }
    lines
}

fn range(low: String, high: String) -> String {
    if low == high { low } else { format!("{low} to {high}") }
}

fn by_axis([x, y, z]: &[String; 3]) -> String {
    format!("x {x}, y {y}, z {z}")
}

/// The table of classes, and labels that count as others.
fn classes(check: &DatasetReport) -> Vec<String> {
    let all = check.cases + check.test_cases;
    let labels = |class: &ClassCount| class.labels.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let widest = |length: &dyn Fn(&ClassCount) -> usize| check.classes.iter().map(length).max().unwrap_or(0);
    let name_width = widest(&|class| class.name.chars().count());
    let label_width = widest(&|class| labels(class).len()).max("label".len());
    let row = |name: &str, labels: &str, voxels: &str, cases: &str| {
        format!("{name:<name_width$}  {labels:>label_width$}  {voxels:>14}  {cases:>5}")
    };
    let mut lines = vec![row("class", "label", "voxels", &format!("cases of {all}"))];
    for class in &check.classes {
        lines.push(row(&class.name, &labels(class), &class.voxels.to_string(), &class.cases.to_string()));
    }
    if check.classes.iter().any(|class| class.labels.len() > 1) {
        lines.push("classes overlap: a voxel counts for every class that has its label".to_owned());
    }
    for other in &check.relabeled {
        let class = other.counts_as.as_deref().unwrap_or("background");
        lines.push(format!("label {} counts as {class}: {}", other.label, occurrence(other)));
    }
    for class in check.empty_classes() {
        lines.push(format!("no case holds {}", class.name));
    }
    lines
}

/// Everything that would stop the training, each with its file.
fn faults(check: &DatasetReport) -> Vec<String> {
    let missing = check.missing.iter().map(|file| format!("missing: {}", file.display()));
    let unknown = check
        .unknown
        .iter()
        .map(|other| format!("label {} belongs to no class: {}", other.label, occurrence(other)));
    let all: Vec<String> = missing.chain(check.faults.iter().cloned()).chain(unknown).collect();
    match all.len() {
        0 => vec![
            "no fault found: every file is there, and labels lie on the grids of their volumes".to_owned(),
        ],
        count if count > MAX_LISTED => {
            let rest = format!("and {} more; --json lists all", count - MAX_LISTED);
            all.into_iter().take(MAX_LISTED).chain([rest]).collect()
        }
        _ => all,
    }
}

fn occurrence(label: &LabelCount) -> String {
    let shown = 3;
    let named = label.cases.iter().take(shown).cloned().collect::<Vec<_>>().join(", ");
    let others = label.cases.len().saturating_sub(shown);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("{} voxels in {named}{others}", label.voxels)
}

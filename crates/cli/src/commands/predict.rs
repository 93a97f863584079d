//! `bipvl predict`: segments scans with a trained model.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use bipvl::{
    data::case_descriptions_path,
    infer::{InferConfig, InferenceProgress, Predictor},
    run::{RunDir, run_dirs},
    text::{Description, Tokens},
};
use indexmap::IndexMap;
use indicatif::ProgressBar;

use super::wording;
use crate::{args::PredictArgs, interrupt, progress};

/// The label of what is no class.
const BACKGROUND: u16 = 0;

/// One scan to segment: its name, and its file or one file per channel.
type Inputs = IndexMap<String, Vec<PathBuf>>;

/// Segments every input; one that fails is told of and the others go on.
pub(crate) fn run(args: &PredictArgs) -> Result<()> {
    interrupt::install();
    args.precision.check(args.device)?;
    let folders = args.model.iter().map(|folder| run_dirs(folder)).collect::<Result<Vec<_>, _>>()?;
    let runs = folders.concat().iter().map(|folder| RunDir::open(folder)).collect::<Result<Vec<_>, _>>()?;
    let config = infer_config(args, &runs)?;
    let predictor = guided(args, &runs, RunDir::ensemble(&runs, config, &args.device.open()?)?)?;
    let inputs = gather(&args.inputs, runs[0].config.data.channels.len())?;
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;

    let texts = own_texts(&runs, args, &inputs)?;

    let bar = progress::bar("segmenting", inputs.len());
    let mut failed = 0;
    for (name, files) in &inputs {
        if interrupt::is_requested() {
            bail!("interrupted before {name}");
        }
        let path = args.out.join(format!("{name}.nii.gz"));
        let own = texts.get(name).map(|text| predictor.with_prompts(text));
        match segment(own.as_ref().unwrap_or(&predictor), name, files, &path, &bar) {
            Ok(InferenceProgress { reused: 0, .. }) => tracing::info!("{}", path.display()),
            Ok(InferenceProgress { reused, total, .. }) => {
                tracing::info!(
                    "{}: {reused} of {total} patches reused the logits of an equal one",
                    path.display()
                );
            }
            Err(error) => {
                failed += 1;
                bar.suspend(|| tracing::error!("{error:#}"));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failed > 0 {
        bail!("{failed} of {} scans could not be segmented", inputs.len());
    }
    Ok(())
}

/// The predictor with the text and the classes that the flags ask for.
fn guided(args: &PredictArgs, runs: &[RunDir], mut predictor: Predictor) -> Result<Predictor> {
    let synonyms = wording::synonyms(args.synonyms.as_deref())?;
    let (run, data) = (&runs[0], &runs[0].config.data);
    let classes = &data.label_schema.names();
    if let Some(file) = &args.descriptions {
        let descriptions = wording::replaced(run, file, &synonyms)?;
        let texts: Vec<String> = descriptions.classes.iter().map(Description::prompt).collect();
        let is_new = |class: &&Description| !run.descriptions.classes.contains(class);
        let new: Vec<&Description> = descriptions.classes.iter().filter(is_new).collect();
        let new = new.iter().map(|class| class.class.as_str()).collect::<Vec<_>>().join(", ");
        let new = if new.is_empty() { "no class otherwise than as trained" } else { &new };
        tracing::info!("{}: describes {new}; all else keeps its trained text", file.display());
        wording::warn_of_cuts(run, file, &descriptions);
        let tokens: Vec<_> = runs.iter().map(|run| run.tokens(&texts)).collect();
        predictor = predictor.with_prompts(&tokens);
    }
    if !args.classes.is_empty() {
        let mut labels = vec![BACKGROUND; classes.len()];
        for name in &args.classes {
            let found = synonyms.find_classes(name, classes);
            if found.is_empty() {
                bail!(
                    "--classes: expected {} or other names for these, found \"{name}\"",
                    classes.join(", ")
                );
            }
            for place in found {
                labels[place] = data.label_schema.classes()[place].output_label;
            }
        }
        let wanted = classes.iter().zip(&labels).filter(|(_, label)| **label != BACKGROUND);
        let wanted: Vec<&str> = wanted.map(|(class, _)| class.as_str()).collect();
        tracing::info!("only {}", wanted.join(", "));
        predictor = predictor.with_output_labels(labels);
    }
    Ok(predictor)
}

/// How volumes are covered: as the first run says, but for what the flags ask for.
fn infer_config(args: &PredictArgs, runs: &[RunDir]) -> Result<InferConfig> {
    let mut config = runs[0].config.infer;
    config.overlap = args.overlap.unwrap_or(config.overlap);
    config.blend_mode = args.blend_mode.map_or(config.blend_mode, Into::into);
    config.tta_mirror_axes = args.tta_mirror_axes.unwrap_or(config.tta_mirror_axes);
    config.keep_largest_component = args.keep_largest_component.unwrap_or(config.keep_largest_component);
    if args.no_skip_constant_patches {
        config.skip_constant_patches = false;
    }
    if !(0.0..1.0).contains(&config.overlap) {
        bail!("--overlap: expected at least 0 and below 1, found {}", config.overlap);
    }
    for run in runs {
        run.config.validate_mirroring(config.tta_mirror_axes, Path::new("--tta-mirror-axes"))?;
        run.config.validate_keep_largest_component(
            config.keep_largest_component,
            Path::new("--keep-largest-component"),
        )?;
    }
    let is_unseen =
        |axis: usize| runs.iter().any(|run| run.config.train.augment.flip_probability[axis] == 0.0);
    let unseen = config.tta_mirror_axes.axis_names(is_unseen);
    if !unseen.is_empty() {
        tracing::warn!(
            "--tta-mirror-axes: no training saw patches flipped along {unseen}; look whether it helps"
        );
    }
    Ok(config)
}

/// Writes the label map of one scan, and says how many patches that took.
fn segment(
    predictor: &Predictor,
    name: &str,
    files: &[PathBuf],
    path: &Path,
    bar: &ProgressBar,
) -> Result<InferenceProgress> {
    let mut watch = progress::patches(bar, name);
    let mut last = InferenceProgress::default();
    let labels = predictor.predict_files(files, &mut |progress| {
        last = progress;
        watch(progress);
    })?;
    bipvl_imaging::write(path, &labels)?;
    Ok(last)
}

/// The texts of the scans that have descriptions of their own, as each run reads them, in the folder asked for or
/// where they are by custom; none where one text is asked for all.
fn own_texts(runs: &[RunDir], args: &PredictArgs, inputs: &Inputs) -> Result<HashMap<String, Vec<Tokens>>> {
    let folder = args.case_descriptions.as_deref();
    let file_of = |name: &String, scan: &[PathBuf]| match folder {
        Some(folder) => Some(folder.join(format!("{name}.toml"))).filter(|file| file.is_file()),
        None => case_descriptions_path(&scan[0], name),
    };
    if let Some(given) = &args.descriptions {
        let unread: Vec<&str> = inputs
            .iter()
            .filter(|(name, scan)| file_of(name, scan).is_some())
            .map(|(name, _)| &**name)
            .collect();
        if !unread.is_empty() {
            let (given, names) = (given.display(), unread.join(", "));
            tracing::warn!(
                "{given}: holds for all scans; not read are the descriptions of their own of {names}"
            );
        }
        return Ok(HashMap::new());
    }
    let mut texts = HashMap::new();
    for (name, scan) in inputs {
        if let Some(file) = file_of(name, scan) {
            let of_run = |run: &RunDir| Ok(run.case_text(&file)?.full);
            texts.insert(name.clone(), runs.iter().map(of_run).collect::<Result<_>>()?);
        }
    }
    match folder {
        Some(folder) if texts.is_empty() => {
            bail!("{}: expected a file named after a scan, found none", folder.display())
        }
        _ if texts.is_empty() => {}
        _ => tracing::info!("{} of {} scans have descriptions of their own", texts.len(), inputs.len()),
    }
    Ok(texts)
}

/// Groups the files by the scan they belong to, in the order of their names.
fn gather(inputs: &[PathBuf], channels: usize) -> Result<Inputs> {
    let mut files = Vec::new();
    for input in inputs {
        if input.is_dir() {
            files.extend(scans_in(input)?);
        } else {
            files.push(input.clone());
        }
    }
    let mut gathered = Inputs::new();
    for file in files {
        let name = name_of(&file).with_context(|| {
            format!("{}: expected a scan named .nii or .nii.gz, found another name", file.display())
        })?;
        let name = match name.rsplit_once('_') {
            Some((case, channel)) if is_channel(channel, channels) => case.to_owned(),
            _ => name,
        };
        let files = gathered.entry(name).or_default();
        if channels == 1 && !files.is_empty() {
            bail!("{}: expected scans of different names, found the same name twice", file.display());
        }
        files.push(file);
    }
    for files in gathered.values_mut() {
        files.sort();
    }
    Ok(gathered)
}

/// Whether the end of a name is a channel number as nnU-Net writes it: `0000`, `0001`, …
fn is_channel(end: &str, channels: usize) -> bool {
    end.len() == 4 && end.parse::<usize>().is_ok_and(|channel| channel < channels)
}

fn scans_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && name_of(&path).is_some() {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("{}: expected scans named .nii or .nii.gz, found none", folder.display());
    }
    files.sort();
    Ok(files)
}

/// The file's name without `.nii` or `.nii.gz`.
pub(crate) fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".nii.gz").or_else(|| name.strip_suffix(".nii"))?;
    Some(stem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inputs: &[&str], channels: usize) -> Vec<String> {
        let paths: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
        gather(&paths, channels).unwrap().into_keys().collect()
    }

    #[test]
    fn channels_of_a_case_belong_together() {
        let files = ["a_0001.nii.gz", "a_0000.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"];
        assert_eq!(names(&files, 2), ["a", "b"]);
    }

    #[test]
    fn a_single_channel_loses_its_number_and_other_names_keep_theirs() {
        assert_eq!(
            names(&["a_0000.nii.gz", "scan_2024.nii", "1.2.840.nii"], 1),
            ["a", "scan_2024", "1.2.840"]
        );
    }
}

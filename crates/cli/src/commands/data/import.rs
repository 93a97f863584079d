//! `bipvl data import`: a data set from DICOM studies with segmentations or structure sets.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use bipvl_dicom::{LabeledSeries, LeftOut, Study};
use bipvl_imaging::{LabelMap, Volume, write};
use bipvl_io::{StagedFolder, atomic_write};
use ndarray::Array3;
use serde_json::json;

use crate::{args::DicomImportArgs, progress};

/// Structures of a case by name.
type Structures = Vec<(String, Volume<bool>)>;

/// Writes images, label maps, `dataset.json` and `labelled.json` in nnU-Net's layout.
pub(super) fn run(args: &DicomImportArgs) -> Result<()> {
    let study = Study::open(&args.path)?;
    let (labeled, mut left_out) = study.labeled_series();
    let labeled = of_modality(labeled, args.modality.as_ref(), &mut left_out);
    let modality = one_modality(&labeled, &left_out, &args.path, args.modality.as_ref())?;
    if args.out.exists() && !args.out.is_dir() {
        bail!("{}: not a folder; name a new one with --out", args.out.display());
    }
    if args.out.exists() && fs::read_dir(&args.out)?.next().is_some() {
        bail!("{}: the folder is not empty; name a new one with --out", args.out.display());
    }
    let out = StagedFolder::new(&args.out)?;
    let mut labels: BTreeMap<String, u16> = BTreeMap::new();
    let mut labeled_names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let bar = progress::bar("importing", labeled.len());
    for series in &labeled {
        let id = unused_id(series, &labeled_names);
        let read = structures(series, args, &id, &mut left_out);
        let read = read.and_then(|structures| Ok((structures, series.volume.read()?)));
        match read {
            Ok((structures, _)) if structures.is_empty() => {
                let reason = "none of its structures is wanted and has an area".to_owned();
                left_out.push(LeftOut { name: id, reason });
            }
            Ok((structures, image)) => {
                for (name, _) in &structures {
                    let next = labels.len() as u16 + 1;
                    labels.entry(name.clone()).or_insert(next);
                }
                write_case(out.path(), &id, &image, &structures, &labels)?;
                labeled_names.insert(id, structures.into_iter().map(|(name, _)| name).collect());
            }
            Err(error) => left_out.push(LeftOut { name: id, reason: format!("{error:#}") }),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if labeled_names.is_empty() {
        bail!("{}: no case could be imported: {}", args.path.display(), reasons(&left_out));
    }
    write_listing(out.path(), &modality, &labels, &labeled_names, &left_out)?;
    out.commit()?;
    tracing::info!("{}: cases: {}, classes: {}", args.out.display(), labeled_names.len(), labels.len());
    for rule in args.rename.iter().filter(|rule| !labels.contains_key(&rule.to)) {
        tracing::warn!("--rename {}={}: no structure has this name", rule.from, rule.to);
    }
    for LeftOut { name, reason } in &left_out {
        tracing::warn!("left out: {name}: {reason}");
    }
    tracing::info!("$ bipvl data check {}", args.out.display());
    Ok(())
}

fn reasons(left_out: &[LeftOut]) -> String {
    let reasons = left_out.iter().map(|LeftOut { name, reason }| format!("{name}: {reason}"));
    reasons.collect::<Vec<_>>().join("; ")
}

/// The series of the wanted modality, all without one; the others are left out.
fn of_modality<'a>(
    labeled: Vec<LabeledSeries<'a>>,
    wanted: Option<&String>,
    left_out: &mut Vec<LeftOut>,
) -> Vec<LabeledSeries<'a>> {
    let Some(wanted) = wanted else { return labeled };
    let (kept, others): (Vec<_>, Vec<_>) =
        labeled.into_iter().partition(|series| series.volume.modality.eq_ignore_ascii_case(wanted));
    left_out.extend(others.into_iter().map(|series| LeftOut {
        name: series.volume.label(),
        reason: format!("its modality is {}, not {wanted}", series.volume.modality),
    }));
    kept
}

/// A data set has one channel of one modality.
fn one_modality(
    labeled: &[LabeledSeries<'_>],
    left_out: &[LeftOut],
    path: &Path,
    modality: Option<&String>,
) -> Result<String> {
    let mut modalities: Vec<&str> = labeled.iter().map(|series| series.volume.modality.as_str()).collect();
    modalities.sort_unstable();
    modalities.dedup();
    match modalities[..] {
        [modality] => Ok(modality.to_owned()),
        [] if modality.is_none() && !left_out.is_empty() => {
            bail!("{}: no series can be imported: {}", path.display(), reasons(left_out))
        }
        [] => {
            let which =
                modality.as_ref().map_or_else(String::new, |modality| format!(" of modality {modality}"));
            bail!("{}: no series{which} with a segmentation or structure set", path.display())
        }
        _ => bail!("{}: series of {}; choose one with --modality", path.display(), modalities.join(" and ")),
    }
}

/// The folders of the segmentation below the path, joined; with a number where that is taken.
fn unused_id(series: &LabeledSeries<'_>, taken: &BTreeMap<String, Vec<String>>) -> String {
    let folders = Path::new(series.file_label()).parent().unwrap_or(Path::new(""));
    let folders: Vec<String> =
        folders.iter().map(|part| part.to_string_lossy().replace(['…', ' '], "_")).collect();
    let name = if folders.is_empty() { "case".to_owned() } else { folders.join("_") };
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !taken.contains_key(name)).expect("numbers do not end")
}

/// The wanted structures under the names that they get.
fn structures(
    series: &LabeledSeries<'_>,
    args: &DicomImportArgs,
    id: &str,
    left_out: &mut Vec<LeftOut>,
) -> Result<Structures> {
    let is_wanted =
        |name: &String| args.classes.is_empty() || args.classes.iter().any(|list| list.0.contains(name));
    let renamed = |name: &str| {
        let rule = args.rename.iter().find(|rule| rule.from == name.trim());
        rule.map_or_else(|| name.trim().to_owned(), |rule| rule.to.clone())
    };
    let labels = series.read_masks()?;
    for open in labels.open.iter().filter(|open| is_wanted(&renamed(&open.name))) {
        left_out.push(LeftOut { name: format!("{id}: `{}`", open.name.trim()), reason: open.to_string() });
    }
    let mut structures: Structures = Vec::new();
    for (segment, mask) in labels.masks {
        let name = renamed(&segment.name);
        if !is_wanted(&name) {
            continue;
        }
        match structures.iter_mut().find(|(other, _)| *other == name) {
            Some((_, whole)) => {
                tracing::warn!("{}: several structures are named `{name}`; joined", series.file_label());
                whole.voxels_mut().zip_mut_with(mask.voxels(), |all, one| *all |= *one);
            }
            None => structures.push((name, mask)),
        }
    }
    Ok(structures)
}

fn write_case(
    out: &Path,
    id: &str,
    image: &Volume<f32>,
    structures: &Structures,
    labels: &BTreeMap<String, u16>,
) -> Result<()> {
    let mut map = LabelMap::new(Array3::zeros(image.grid().shape()), image.grid().clone());
    let mut overlapping = 0;
    for (name, mask) in structures {
        let label = labels[name];
        map.voxels_mut().zip_mut_with(mask.voxels(), |voxel, is_inside| {
            if *is_inside {
                overlapping += usize::from(*voxel != 0);
                *voxel = label;
            }
        });
    }
    if overlapping > 0 {
        tracing::warn!("{id}: {overlapping} voxels belong to several structures; the later one has them");
    }
    for (folder, ending) in [("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")] {
        let folder = out.join(folder);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let path = folder.join(format!("{id}{ending}"));
        if ending == ".nii.gz" { write(&path, &map)? } else { write(&path, image)? }
    }
    Ok(())
}

fn write_listing(
    out: &Path,
    modality: &str,
    labels: &BTreeMap<String, u16>,
    labeled: &BTreeMap<String, Vec<String>>,
    left_out: &[LeftOut],
) -> Result<()> {
    let mut by_number: Vec<(&String, &u16)> = labels.iter().collect();
    by_number.sort_by_key(|(_, number)| **number);
    let mut named = serde_json::Map::from_iter([("background".to_owned(), json!(0))]);
    named.extend(by_number.into_iter().map(|(name, number)| (name.clone(), json!(number))));
    let dataset = json!({
        "channel_names": { "0": modality },
        "labels": named,
        "numTraining": labeled.len(),
        "file_ending": ".nii.gz",
    });
    let left_out: Vec<_> =
        left_out.iter().map(|LeftOut { name, reason }| json!({ "name": name, "reason": reason })).collect();
    let files =
        [("dataset.json", dataset), ("labelled.json", json!(labeled)), ("left_out.json", json!(left_out))];
    for (name, content) in files {
        atomic_write(&out.join(name), serde_json::to_string_pretty(&content)?.as_bytes())?;
    }
    Ok(())
}

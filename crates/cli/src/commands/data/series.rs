//! `bipvl data series`: the DICOM series below a path.

use anyhow::{Result, bail};
use bipvl_dicom::{SeriesVolume, Study};
use serde_json::json;

use crate::args::SeriesArgs;

/// Prints one line per volume, or JSON.
#[expect(clippy::print_stdout, reason = "printing is the purpose of the command")]
pub(super) fn list(args: &SeriesArgs) -> Result<()> {
    let study = Study::open(&args.path)?;
    if args.json {
        let volumes: Vec<_> = study.volumes().iter().map(entry).collect();
        let skipped = study.skipped();
        let skipped = json!({
            "not_dicom": skipped.not_dicom,
            "other_objects": skipped.other_objects,
            "damaged": skipped.damaged,
        });
        println!("{}", serde_json::to_string_pretty(&json!({ "series": volumes, "skipped": skipped }))?);
    } else {
        for volume in study.volumes() {
            println!("{volume}");
        }
        match study.num_segmentations() {
            0 => {}
            count => println!("{count} segmentations or structure sets"),
        }
        println!("{}", study.skipped());
    }
    if study.volumes().is_empty() {
        bail!("{}: no image series", args.path.display());
    }
    Ok(())
}

fn entry(volume: &SeriesVolume) -> serde_json::Value {
    let grid = volume.grid();
    json!({
        "number": volume.number,
        "series_instance_uid": volume.series_uid,
        "modality": volume.modality,
        "description": volume.description,
        "size": grid.as_ref().map(bipvl_imaging::Grid::shape),
        "spacing_mm": grid.as_ref().map(bipvl_imaging::Grid::spacing),
        "is_localizer": volume.is_localizer(),
        "is_readable": volume.ensure_readable().is_ok(),
        "remarks": volume.remarks(),
    })
}

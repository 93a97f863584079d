//! Series to volumes, label maps to segmentations, and back, for scripts that compare with other programs:
//!
//! - `dicom volume SERIES OUT.nii.gz [CHOICE]`
//! - `dicom seg|label-map|rtstruct SERIES LABELS.nii.gz OUT.dcm NAME...`, names in the order of the labels from 1
//! - `dicom overlapping SERIES OUT.dcm MASK.nii.gz...`
//! - `dicom series IMAGE.nii.gz OUT`
//! - `dicom phantom COLUMNS SLICES OUT`, `dicom time SERIES RUNS`
//! - `dicom sr SERIES OUT.dcm NAME...`
//! - `dicom labels SEGMENTATION.dcm OUT.nii.gz`

use std::{env, path::Path};

use bipvl_dicom::{
    Algorithm, Measurement, SegmentVoxels, SegmentationKind, Source, Study, write_report, write_segmentation,
    write_structure_set,
};
use bipvl_imaging::Segment;
use bipvl_text::Synonyms;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[expect(clippy::print_stdout, reason = "the time is what is asked for")]
fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["volume", series, out, choice @ ..] => {
            let study = Study::open(Path::new(series))?;
            let volume = study.choose(choice.first().copied())?.read()?;
            bipvl_imaging::write(Path::new(out), &volume)?;
        }
        ["labels", object, out] => {
            let segmentation = Study::open(Path::new(object))?.read_segmentation()?;
            bipvl_imaging::write(Path::new(out), &segmentation.to_label_map())?;
        }
        ["overlapping", series, out, masks @ ..] => {
            let read = |mask: usize| bipvl_imaging::read_labels(Path::new(masks[mask]));
            let mask = |index: usize| read(index).expect("a mask").map(|label| *label > 0);
            write(series, out, SegmentationKind::Binary, masks, &SegmentVoxels::Masks(&mask))?;
        }
        [kind @ ("seg" | "label-map"), series, labels, out, names @ ..] => {
            let labels = bipvl_imaging::read_labels(Path::new(labels))?;
            let kind = if *kind == "seg" { SegmentationKind::Binary } else { SegmentationKind::LabelMap };
            write(series, out, kind, names, &SegmentVoxels::Labels(&labels))?;
        }
        ["phantom", columns, slices, out] => {
            let shape = [columns.parse()?, columns.parse()?, slices.parse()?];
            let body = bipvl_imaging::phantom::draw(1, shape, [0.8, 0.8, 1.0]);
            bipvl_dicom::phantom::write_ct_series(Path::new(out), &body.image, "phantom")?;
        }
        ["series", image, out] => {
            let image = bipvl_imaging::read(Path::new(image))?;
            bipvl_dicom::phantom::write_ct_series(Path::new(out), &image.channels[0], "body")?;
        }
        ["time", series, runs] => {
            let mut seconds = Vec::new();
            for _ in 0..runs.parse()? {
                let began = std::time::Instant::now();
                Study::open(Path::new(series))?.choose(None)?.read()?;
                seconds.push(began.elapsed().as_secs_f64());
            }
            seconds.sort_by(f64::total_cmp);
            println!("{:.3} s", seconds[seconds.len() / 2]);
        }
        ["rtstruct", series, labels, out, names @ ..] => {
            let labels = bipvl_imaging::read_labels(Path::new(labels))?;
            let mask = |index: usize| labels.map(|label| usize::from(*label) == index + 1);
            let object = write_structure_set(&source(series)?, &segments(names), &mask)?;
            object.write_to_file(out)?;
        }
        ["sr", series, out, names @ ..] => {
            let found = Measurement { volume_ml: 12.5, mean: Some(-3.25) };
            let found = vec![found; names.len()];
            write_report(&source(series)?, &segments(names), &found, &Synonyms::builtin())?
                .write_to_file(out)?;
        }
        _ => return Err("see the head of this file for usage".into()),
    }
    Ok(())
}

fn source(series: &str) -> Result<Source> {
    let study = Study::open(Path::new(series))?;
    let algorithm = Algorithm { name: "example".to_owned(), version: "1".to_owned(), key: String::new() };
    Ok(Source::new(study.choose(None)?, algorithm, false)?)
}

fn segments(names: &[&str]) -> Vec<Segment> {
    let name = |name: &str| {
        Path::new(name).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    let segment =
        |(index, text): (usize, &&str)| Segment { name: name(text), label: index as u16 + 1, code: None };
    names.iter().enumerate().map(segment).collect()
}

fn write(
    series: &str,
    out: &str,
    kind: SegmentationKind,
    names: &[&str],
    voxels: &SegmentVoxels<'_>,
) -> Result<()> {
    let synonyms = Synonyms::builtin();
    write_segmentation(&source(series)?, &segments(names), voxels, kind, &synonyms)?.write_to_file(out)?;
    Ok(())
}

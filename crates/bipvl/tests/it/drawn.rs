//! Small data sets drawn on disk for the tests.

use std::{fs, path::Path};

use bipvl::data::{Dataset, LabelSchema};
use bipvl_imaging::{Grid, LabelMap, Volume};
use ndarray::Array3;
use tempfile::TempDir;

/// The shape of a drawn case, in voxels.
pub(crate) const SHAPE: [usize; 3] = [12, 10, 8];

/// Labels 1 and 4 are two boxes; everything else is background.
pub(crate) fn labels() -> Array3<u16> {
    Array3::from_shape_fn(SHAPE, |voxel| match voxel {
        (1..=3, 2..=4, 1..=5) => 1,
        (7..=9, 5..=8, 2..=3) => 4,
        _ => 0,
    })
}

/// Intensities that name their voxel and case, from 1 up.
pub(crate) fn intensities(case: usize) -> Array3<f32> {
    Array3::from_shape_fn(SHAPE, |(x, y, z)| 1.0 + (case * 7 + x * 80 + y * 8 + z) as f32)
}

/// A data set of `num_cases` cases in the layout of the Decathlon, one channel, two classes.
pub(crate) fn decathlon(root: &Path, num_cases: usize) -> Dataset {
    let names: Vec<String> = (0..num_cases).map(|case| format!("case_{case:02}.nii.gz")).collect();
    for folder in ["imagesTr", "labelsTr"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (case, name) in names.iter().enumerate() {
        write_image(&root.join("imagesTr").join(name), intensities(case), [1.0; 3]);
        write_labels(&root.join("labelsTr").join(name), labels(), [1.0; 3]);
    }
    let training: Vec<_> = names
        .iter()
        .map(|name| serde_json::json!({"image": format!("./imagesTr/{name}"), "label": format!("./labelsTr/{name}")}))
        .collect();
    let about = serde_json::json!({
        "name": "Drawn",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "box", "4": "plate"},
        "training": training,
    });
    fs::write(root.join("dataset.json"), about.to_string()).unwrap();
    Dataset::open(root).unwrap()
}

pub(crate) fn write_image(path: &Path, voxels: Array3<f32>, spacing: [f64; 3]) {
    let grid = Grid::with_spacing(voxels.dim().into(), spacing);
    bipvl_imaging::write(path, &Volume::new(voxels, grid)).unwrap();
}

pub(crate) fn write_labels(path: &Path, voxels: Array3<u16>, spacing: [f64; 3]) {
    let grid = Grid::with_spacing(voxels.dim().into(), spacing);
    bipvl_imaging::write(path, &LabelMap::new(voxels, grid)).unwrap();
}

/// A temporary folder with a drawn data set.
pub(crate) fn dataset(num_cases: usize) -> (TempDir, Dataset) {
    let folder = TempDir::new().unwrap();
    let dataset = decathlon(folder.path(), num_cases);
    (folder, dataset)
}

/// Overlapping classes named by their position.
pub(crate) fn overlapping(regions: &[&[u16]]) -> LabelSchema {
    let named =
        regions.iter().enumerate().map(|(index, labels)| (format!("region {index}"), labels.to_vec()));
    LabelSchema::overlapping(named).unwrap()
}

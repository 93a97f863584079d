//! Small data sets in temporary folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_data::{Dataset, DatasetOverrides, DatasetReport};
use bipvl_imaging::{Grid, LabelMap, Volume, write};
use ndarray::Array3;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Voxels per axis; unequal, so that swapped axes fail.
pub(crate) const SHAPE: [usize; 3] = [6, 5, 4];
/// Millimeters per voxel.
pub(crate) const SPACING: [f64; 3] = [1.0, 2.0, 3.0];

/// The manifest of an nnU-Net data set with liver 1 and spleen 2.
pub(crate) fn manifest() -> Value {
    json!({
        "channel_names": { "0": "CT" },
        "labels": { "background": 0, "liver": 1, "spleen": 2 },
        "file_ending": ".nii.gz",
    })
}

/// Labels: a bar of liver along z, beside it one of spleen.
pub(crate) fn labels() -> LabelMap {
    let mut voxels = Array3::zeros(SHAPE);
    voxels.slice_mut(ndarray::s![1, 1, ..]).fill(1);
    voxels.slice_mut(ndarray::s![2, 3, ..]).fill(2);
    LabelMap::new(voxels, Grid::with_spacing(SHAPE, SPACING))
}

/// An image in which every voxel differs.
pub(crate) fn image() -> Volume<f32> {
    let voxels = Array3::from_shape_fn(SHAPE, |(x, y, z)| (x * 100 + y * 10 + z) as f32);
    Volume::new(voxels, Grid::with_spacing(SHAPE, SPACING))
}

/// A data set in a folder that is removed when dropped.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// nnU-Net's layout with the cases `case_0` to `case_N`.
    pub(crate) fn nnunet(cases: usize) -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.json("dataset.json", &manifest());
        for case in 0..cases {
            folder.write(&format!("imagesTr/case_{case}_0000.nii.gz"), &image());
            folder.write(&format!("labelsTr/case_{case}.nii.gz"), &labels());
        }
        folder
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file, whose folder exists afterwards.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        let path = self.root().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn write<T: bipvl_imaging::Voxel>(&self, file: &str, volume: &Volume<T>) {
        write(&self.path(file), volume).unwrap();
    }

    pub(crate) fn json(&self, file: &str, value: &Value) {
        fs::write(self.path(file), value.to_string()).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn open(&self) -> Result<Dataset, String> {
        Dataset::open(self.root()).map_err(|error| error.to_string())
    }

    pub(crate) fn report(&self) -> DatasetReport {
        let dataset = Dataset::list(self.root(), &DatasetOverrides::default()).unwrap();
        DatasetReport::new(&dataset, None, &|_| ())
    }

    /// The only error of the report.
    pub(crate) fn error(&self) -> String {
        let report = self.report();
        assert_eq!(report.num_errors(), 1, "{report:?}");
        report.errors[0].clone()
    }
}

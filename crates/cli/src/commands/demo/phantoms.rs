//! A data set of phantoms in the layout of the Medical Segmentation Decathlon.

use std::{fs, ops::Range, path::Path};

use anyhow::{Context, Result};
use bipvl_imaging::phantom::Phantom;
use bipvl_io::atomic_write;
use serde_json::json;

/// A data set of phantoms, each drawn from its index as seed.
pub(super) struct PhantomSet<'a> {
    pub(super) name: &'a str,
    /// Names and labels of the classes.
    pub(super) classes: &'a [(&'a str, u16)],
    /// Number of training cases.
    pub(super) cases: usize,
    /// Number of test cases.
    pub(super) new_cases: usize,
    /// Case id of an index.
    pub(super) id: fn(usize) -> String,
}

impl PhantomSet<'_> {
    /// Writes images, labels and `dataset.json`.
    pub(super) fn write(&self, folder: &Path, draw: impl Fn(u64) -> Phantom) -> Result<()> {
        for (suffix, indices) in self.subsets() {
            let [images, labels] = ["images", "labels"].map(|kind| folder.join(format!("{kind}{suffix}")));
            for subfolder in [&images, &labels] {
                fs::create_dir_all(subfolder).with_context(|| subfolder.display().to_string())?;
            }
            for index in indices {
                let (phantom, name) = (draw(index as u64), format!("{}.nii.gz", (self.id)(index)));
                bipvl_imaging::write(&images.join(&name), &phantom.image)?;
                bipvl_imaging::write(&labels.join(&name), &phantom.labels)?;
            }
        }
        let text = serde_json::to_string_pretty(&self.dataset_json())?;
        Ok(atomic_write(&folder.join("dataset.json"), text.as_bytes())?)
    }

    /// Folder suffix and case indices of the training and test cases.
    pub(super) fn subsets(&self) -> [(&'static str, Range<usize>); 2] {
        [("Tr", 0..self.cases), ("Ts", self.cases..self.cases + self.new_cases)]
    }

    fn dataset_json(&self) -> serde_json::Value {
        let classes = self.classes.iter().map(|(name, label)| (label.to_string(), json!(name)));
        let labels: serde_json::Map<_, _> =
            std::iter::once(("0".to_owned(), json!("background"))).chain(classes).collect();
        let cases = (0..self.cases).map(|index| {
            let name = format!("{}.nii.gz", (self.id)(index));
            json!({ "image": format!("imagesTr/{name}"), "label": format!("labelsTr/{name}") })
        });
        json!({
            "name": self.name,
            "modality": { "0": "CT" },
            "labels": labels,
            "numTraining": self.cases,
            "training": cases.collect::<Vec<_>>(),
        })
    }
}

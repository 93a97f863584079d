//! A data set of bodies with many organs, and the configuration that trains a prompted network on it.

use std::{fs, ops::Range, path::Path};

use anyhow::{Context, Result};
use bipvl_imaging::{
    formats::write,
    phantom::attributes::{Kind, draw_attributes},
};
use bipvl_io::atomic_write;
use serde_json::json;
use toml::{Table, Value};

use super::Kinds;

const SHAPE: [usize; 3] = [32; 3];
const SPACING: [f64; 3] = [6.0; 3];
/// Bodies that choose the weights.
const VALIDATION: u64 = 10;
/// Bodies to ask about, with kinds that training does not show.
pub(super) const NEW: u64 = 40;
/// Their seeds begin here.
pub(super) const FIRST_NEW: u64 = 10_000;
const CONFIG: &str = include_str!("bodies.toml");

/// Bodies of some kinds.
pub(super) struct Bodies {
    pub(super) kinds: Kinds,
    /// Bodies to train on.
    pub(super) training: u64,
}

impl Bodies {
    fn seen(&self) -> Range<u64> {
        0..self.training + VALIDATION
    }

    fn new_bodies() -> Range<u64> {
        FIRST_NEW..FIRST_NEW + NEW
    }

    /// Writes images, labels, `dataset.json` into `data` and `parts.toml`, `config.toml` beside it.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let data = folder.join("data");
        for subfolder in ["imagesTr", "labelsTr"].map(|name| data.join(name)) {
            fs::create_dir_all(&subfolder).with_context(|| subfolder.display().to_string())?;
        }
        for seed in self.seen() {
            self.draw(&data, seed, |kind| !self.kinds.is_unseen(kind))?;
        }
        for seed in Self::new_bodies() {
            self.draw(&data, seed, |_| true)?;
        }
        let about = serde_json::to_string_pretty(&self.dataset_json())?;
        atomic_write(&data.join("dataset.json"), about.as_bytes())?;
        atomic_write(&folder.join("parts.toml"), self.parts().to_string().as_bytes())?;
        Ok(atomic_write(&folder.join("config.toml"), self.config()?.to_string().as_bytes())?)
    }

    fn draw(&self, data: &Path, seed: u64, is_shown: impl Fn(Kind) -> bool) -> Result<()> {
        let is_allowed = |kind| self.kinds.contains(kind) && is_shown(kind);
        let body = draw_attributes(seed, is_allowed, SHAPE, SPACING);
        write(&data.join(image(seed)), &body.image)?;
        Ok(write(&data.join(label(seed)), &body.labels)?)
    }

    fn dataset_json(&self) -> serde_json::Value {
        let classes = self.kinds.all().map(|kind| (kind.label().to_string(), self.kinds.phrase(kind).into()));
        let labels: serde_json::Map<_, _> =
            std::iter::once(("0".to_owned(), json!("background"))).chain(classes).collect();
        let cases = self.seen().chain(Self::new_bodies());
        let cases: Vec<_> = cases.map(|seed| json!({ "image": image(seed), "label": label(seed) })).collect();
        json!({
            "name": "bodies",
            "modality": { "0": "CT" },
            "labels": labels,
            "numTraining": cases.len(),
            "training": cases,
        })
    }

    /// The phrases of fewer words as wholes.
    fn parts(&self) -> Table {
        let whole = |(name, parts): (String, Vec<String>)| {
            Value::Table(Table::from_iter([
                ("name".to_owned(), name.into()),
                ("parts".to_owned(), parts.into()),
            ]))
        };
        let wholes: Vec<Value> = self.kinds.wholes().into_iter().map(whole).collect();
        Table::from_iter([("whole".to_owned(), wholes.into())])
    }

    /// The committed configuration with the cases and phrases of these bodies.
    fn config(&self) -> Result<Table> {
        let mut config: Table = CONFIG.parse()?;
        let validation: Vec<String> = (self.training..self.training + VALIDATION).map(id).collect();
        let split = [("val", validation), ("test", Self::new_bodies().map(id).collect())];
        let split = Table::from_iter(split.map(|(key, ids)| (key.to_owned(), ids.into())));
        let set = [("path", Value::from("data")), ("split", split.into())];
        let set = Table::from_iter(set.map(|(key, value)| (key.to_owned(), value)));
        let data = [("parts", Value::from("parts.toml")), ("set", Value::Array(vec![set.into()]))];
        config.insert(
            "data".to_owned(),
            Table::from_iter(data.map(|(key, value)| (key.to_owned(), value))).into(),
        );
        let prompts = config.entry("prompts").or_insert_with(|| Table::new().into());
        let prompts = prompts.as_table_mut().context("bodies.toml: `prompts` is no table")?;
        prompts.insert("held_out".to_owned(), self.kinds.held_out().into());
        Ok(config)
    }
}

/// The name of a body.
pub(super) fn id(seed: u64) -> String {
    format!("body_{seed:05}")
}

/// The image of a body within the data set.
pub(super) fn image(seed: u64) -> String {
    format!("imagesTr/{}.nii.gz", id(seed))
}

fn label(seed: u64) -> String {
    format!("labelsTr/{}.nii.gz", id(seed))
}

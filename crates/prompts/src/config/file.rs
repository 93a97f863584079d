//! Reads a user's configuration: its values on top of the defaults of its model size and of each data set.

use std::{
    fs,
    path::{Path, PathBuf, absolute},
};

use bipvl_data::{Dataset, DatasetOverrides, Modality, PreprocessConfig};
use bipvl_infer::InferConfig;
use bipvl_nn::{MODEL_SIZES, ModelSize};
use bipvl_train::{TrainConfig, config::merge_tables};
use toml::{Table, Value};

use super::{PromptConfig, TextTraining};
use crate::{Error, Result, sampler::PromptSampling};

/// A user's configuration and what it does not say.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    /// Where it was read, for messages; relative paths in it start from its folder.
    pub path: PathBuf,
    /// Its values.
    pub table: Table,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no TOML.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|reason| Error::io(path, reason))?;
        let table = toml::from_str(&text).map_err(|error| syntax_error(&error, &text, path))?;
        Ok(Self { path: path.to_owned(), table })
    }

    /// Adds a data set.
    pub fn push_set(&mut self, set: Table) {
        let data = self.table.entry("data").or_insert_with(|| Table::new().into());
        if let Some(data) = data.as_table_mut() {
            let sets = data.entry("set").or_insert_with(|| Value::Array(Vec::new()));
            if let Some(sets) = sets.as_array_mut() {
                sets.push(set.into());
            }
        }
    }

    /// Sets a value by its dotted key.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let mut keys: Vec<&str> = key.split('.').collect();
        let last = keys.pop().expect("a key is not empty");
        let mut table = &mut self.table;
        for key in keys {
            let inner = table.entry(key).or_insert_with(|| Table::new().into());
            if !inner.is_table() {
                *inner = Table::new().into();
            }
            table = inner.as_table_mut().expect("it was made one");
        }
        table.insert(last.to_owned(), value.into());
    }

    /// The whole configuration.
    ///
    /// # Errors
    ///
    /// When there is no data set, one cannot be read, keys are unknown, or a value is invalid.
    pub fn resolve(mut self) -> Result<PromptConfig> {
        let size = self.model_size()?;
        let common = self.table.remove("preprocess");
        let sets = self.take_sets()?;
        let sets = sets.into_iter().map(|set| self.resolve_set(set, common.as_ref(), size));
        let sets: Vec<Value> = sets.collect::<Result<_>>()?;
        let has_text = self.table.get("pretrained").is_some_and(|paths| paths.get("text_encoder").is_some());
        let text = if has_text { TextTraining::pretrained() } else { TextTraining::default() };
        let mut defaults = Table::new();
        defaults.insert("model_size".to_owned(), size.to_string().into());
        defaults.insert("data".to_owned(), Table::from_iter([("fold".to_owned(), "0/5".into())]).into());
        for (key, table) in [
            ("model", Table::try_from(size.prompted_config(1))),
            ("train", Table::try_from(TrainConfig::defaults(size))),
            ("prompts", Table::try_from(PromptSampling::default())),
            ("text", Table::try_from(text)),
            ("infer", Table::try_from(InferConfig::default())),
        ] {
            defaults.insert(key.to_owned(), table.expect("the defaults are valid TOML").into());
        }
        self.make_absolute("pretrained", &["text_encoder", "backbone"])?;
        self.make_absolute("data", &["parts"])?;
        self.set("data.set", sets);
        let Self { path, table } = self;
        let config: PromptConfig = Value::Table(merge_tables(defaults, table))
            .try_into()
            .map_err(|error| syntax_error(&error, "", &path))?;
        config.validate(&path)?;
        Ok(config)
    }

    fn model_size(&self) -> Result<ModelSize> {
        let name = self.table.get("model_size").and_then(Value::as_str).unwrap_or("tiny");
        name.parse().map_err(|_: String| {
            let requirement = format!("one of {}", MODEL_SIZES.join(", "));
            Error::config_value(&self.path, "model_size", format!("\"{name}\""), requirement)
        })
    }

    fn take_sets(&mut self) -> Result<Vec<Table>> {
        let sets =
            self.table.get_mut("data").and_then(Value::as_table_mut).and_then(|data| data.remove("set"));
        let requirement = "one table [[data.set]] per data set, each with a path";
        let invalid = |found: &str| Error::config_value(&self.path, "data.set", found, requirement);
        let Some(sets) = sets else { return Err(invalid("missing")) };
        let Value::Array(sets) = sets else { return Err(invalid("no list")) };
        if sets.is_empty() {
            return Err(invalid("empty"));
        }
        let as_table = |set: Value| match set {
            Value::Table(table) => Ok(table),
            _ => Err(invalid("a list of other values")),
        };
        sets.into_iter().map(as_table).collect()
    }

    /// The table of one data set with its defaults, which follow from its modality.
    fn resolve_set(&self, mut set: Table, common: Option<&Value>, size: ModelSize) -> Result<Value> {
        let Some(path) = set.get("path").and_then(Value::as_str) else {
            return Err(Error::config_value(
                &self.path,
                "data.set.path",
                "missing",
                "the folder of the data set",
            ));
        };
        let path = self.absolute(path)?;
        let modality: Option<Modality> = set.get("modality").and_then(|name| name.clone().try_into().ok());
        let dataset = Dataset::read(&path, &DatasetOverrides { modality, ..DatasetOverrides::default() })?;
        set.insert("path".to_owned(), path.to_string_lossy().into_owned().into());
        if let Some(file) = set.get("descriptions").and_then(Value::as_str) {
            let file = self.absolute(file)?.to_string_lossy().into_owned();
            set.insert("descriptions".to_owned(), file.into());
        }
        let mut defaults = Table::new();
        defaults.insert("name".to_owned(), dataset.name.clone().into());
        let preprocess = PreprocessConfig::for_modality(dataset.modality, size.patch());
        let mut preprocess = Table::try_from(preprocess).expect("the defaults are valid TOML");
        if let Some(Value::Table(common)) = common {
            preprocess = merge_tables(preprocess, common.clone());
        }
        defaults.insert("preprocess".to_owned(), preprocess.into());
        Ok(merge_tables(defaults, set).into())
    }

    fn make_absolute(&mut self, table: &str, keys: &[&str]) -> Result<()> {
        for key in keys {
            let value = self.table.get(table).and_then(|table| table.get(key)).and_then(Value::as_str);
            if let Some(file) = value.map(|file| self.absolute(file)).transpose()? {
                self.set(&format!("{table}.{key}"), file.to_string_lossy().into_owned());
            }
        }
        Ok(())
    }

    fn absolute(&self, path: &str) -> Result<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let path = folder.join(path);
        absolute(&path).map_err(|reason| Error::io(&path, reason))
    }
}

pub(super) fn syntax_error(error: &toml::de::Error, text: &str, path: &Path) -> Error {
    Error::Infer(bipvl_infer::Error::config_syntax(path, error, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_a_data_set_is_refused() {
        let error = ConfigFile::default().resolve().unwrap_err().to_string();
        assert!(error.contains("`data.set` is missing, but must be one table [[data.set]]"), "{error}");
    }

    #[test]
    fn dotted_keys_make_their_tables() {
        let mut file = ConfigFile::default();
        file.set("train.seed", 3);
        assert_eq!(file.table["train"]["seed"].as_integer(), Some(3));
    }
}

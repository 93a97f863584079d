//! The reference of the prompted configuration, `docs/src/reference/prompted-configuration.md`, against the defaults.
//! Keys that the page does not have are those of the other form, with its defaults.

use std::collections::BTreeMap;

use bipvl::prompts::config::ConfigFile;
use toml::{Table, Value};

use crate::{
    configuration_reference::{self, documented, flatten},
    drawn,
};

const PAGE: &str = "prompted-configuration.md";

/// Keys that are absent without a value.
const OPTIONAL: [&str; 18] = [
    "data.parts",
    "data.set.absent",
    "data.set.channel",
    "data.set.descriptions",
    "data.set.modality",
    "data.set.preprocess.spacing",
    "data.set.rename",
    "data.set.split.test",
    "data.set.split.val",
    "data.set.unknown",
    "model.prompts.bag_of_words",
    "model.prompts.context_dropout",
    "model.prompts.coordinates",
    "model.prompts.pooling",
    "model.prompts.presence",
    "model.prompts.state",
    "prompts.code_book",
    "prompts.held_out",
];

/// The default configuration with a drawn MR data set.
fn defaults() -> BTreeMap<String, Value> {
    let (_folder, dataset) = drawn::dataset(1);
    let mut file = ConfigFile::default();
    file.set("model.head", "prompts");
    file.push_set(Table::from_iter([("path".to_owned(), dataset.root.display().to_string().into())]));
    let table: Table = toml::from_str(&file.resolve().unwrap().to_toml()).unwrap();
    let mut values = BTreeMap::new();
    flatten(&table, "", &mut values);
    values
}

/// The keys of both pages; where both have one, this page decides.
fn documented_keys() -> BTreeMap<String, Option<Value>> {
    let mut keys = documented(configuration_reference::PAGE);
    keys.extend(documented(PAGE));
    keys
}

#[test]
fn every_prompted_key_is_documented_and_every_documented_key_exists() {
    let (defaults, own) = (defaults(), documented(PAGE));
    let all = documented_keys();
    let missing: Vec<&String> = defaults.keys().filter(|key| !all.contains_key(*key)).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    let missing: Vec<&&str> = OPTIONAL.iter().filter(|key| !own.contains_key(**key)).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    let is_known = |key: &str| defaults.contains_key(key) || OPTIONAL.contains(&key);
    let unknown: Vec<&String> = own.keys().filter(|key| !is_known(key.as_str())).collect();
    assert!(unknown.is_empty(), "documented, but no key: {unknown:?}");
}

#[test]
fn documented_defaults_are_those_of_a_prompted_run() {
    let documented = documented_keys();
    for (key, value) in defaults() {
        if let Some(Some(documented)) = documented.get(&key) {
            assert_eq!(&value, documented, "{key}");
        }
    }
}

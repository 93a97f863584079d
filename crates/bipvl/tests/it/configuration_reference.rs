//! The reference of the configuration, `docs/src/reference/configuration.md`, against the default configuration.

use std::{collections::BTreeMap, fs, path::Path};

use bipvl::{config::Config, nn::ModelSize};
use toml::{Table, Value};

use crate::drawn;

pub(crate) const PAGE: &str = "configuration.md";

/// A table whose keys are the names of the classes.
const CLASSES: &str = "data.label_schema.classes";

/// Keys that are absent without a value.
const OPTIONAL: [&str; 14] = [
    "data.label_schema.codes",
    "data.label_schema.ignore",
    "data.label_schema.labels",
    "data.label_schema.regions",
    "data.label_schema.remap",
    "data.source_schema",
    "data.split.test",
    "data.split.val",
    "infer.keep_largest_component",
    "infer.tta_mirror_axes",
    "model.head",
    "preprocess.spacing",
    "pretrained.backbone",
    "pretrained.text_encoder",
];

/// The values of the tables, by dotted key; of a list of tables, those of the first.
pub(crate) fn flatten(table: &Table, prefix: &str, values: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(inner) if key != CLASSES => flatten(inner, &format!("{key}."), values),
            Value::Array(tables) if tables.first().is_some_and(Value::is_table) => {
                flatten(tables[0].as_table().unwrap(), &format!("{key}."), values);
            }
            _ => {
                values.insert(key, value.clone());
            }
        }
    }
}

/// The default configuration of a drawn MR data set.
fn defaults() -> BTreeMap<String, Value> {
    let (_folder, dataset) = drawn::dataset(1);
    let table: Table = toml::from_str(&Config::new(ModelSize::Tiny, &dataset).to_toml()).unwrap();
    let mut values = BTreeMap::new();
    flatten(&table, "", &mut values);
    values
}

/// The documented keys, with the default if the page gives one value: rows of "| `key` | type | `default` | meaning |".
pub(crate) fn documented(page: &str) -> BTreeMap<String, Option<Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference");
    let page = fs::read_to_string(folder.join(page)).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (key, cells) = row.split_once('`').unwrap();
        let default = cells.split('|').nth(2).unwrap().trim();
        let code = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        (key.to_owned(), code.map(|code| parse(key, code)))
    })
    .collect()
}

fn parse(key: &str, code: &str) -> Value {
    let table = toml::from_str::<Table>(&format!("value = {code}"));
    table.unwrap_or_else(|error| panic!("{key}: {error}")).remove("value").unwrap()
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let (defaults, documented) = (defaults(), documented(PAGE));
    let missing: Vec<&String> = defaults.keys().filter(|key| !documented.contains_key(*key)).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    let missing: Vec<&&str> = OPTIONAL.iter().filter(|key| !documented.contains_key(**key)).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    let is_known = |key: &str| defaults.contains_key(key) || OPTIONAL.contains(&key);
    let unknown: Vec<&String> = documented.keys().filter(|key| !is_known(key.as_str())).collect();
    assert!(unknown.is_empty(), "documented, but no key: {unknown:?}");
}

#[test]
fn documented_defaults_are_those_of_the_smallest_model() {
    let defaults = defaults();
    for (key, documented) in documented(PAGE) {
        if let Some(documented) = documented {
            assert_eq!(defaults.get(&key), Some(&documented), "{key}");
        }
    }
}

//! Every experiment has its configuration and its descriptions, and both are what they should be.

use toml::{Table, Value};

use crate::repository::{names_in, read};

#[test]
fn every_configuration_says_what_it_is_for_and_has_descriptions() {
    let described = names_in("descriptions");
    for name in names_in("configs") {
        let text = read(&format!("configs/{name}.toml"));
        assert!(text.starts_with("# "), "configs/{name}.toml: a first line that says what it is for");
        parse(&text, &name);
        assert!(described.contains(&name), "descriptions/{name}.toml: there is none for configs/{name}.toml");
    }
}

#[test]
fn every_class_is_described_by_the_same_concepts() {
    for name in names_in("descriptions") {
        let table = parse(&read(&format!("descriptions/{name}.toml")), &name);
        let classes = table["class"].as_array().expect("a list of classes");
        let concepts = |class: &Value| {
            let concepts = class["concepts"].as_table().expect("a table of concepts");
            assert!(concepts.values().all(Value::is_str), "{name}: a sentence for every concept");
            concepts.keys().cloned().collect::<Vec<_>>()
        };
        for class in classes {
            assert!(class["name"].is_str() && class["title"].is_str(), "{name}: a name and a title");
            assert_eq!(concepts(class), concepts(&classes[0]), "{name}");
        }
    }
}

fn parse(text: &str, name: &str) -> Table {
    text.parse().unwrap_or_else(|error| panic!("{name}.toml: {error}"))
}

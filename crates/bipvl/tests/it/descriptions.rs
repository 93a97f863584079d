//! Descriptions: both file forms, their order, and what is refused.

use std::path::{Path, PathBuf};

use bipvl::text::Descriptions;
use tempfile::TempDir;

const TWO_CLASSES: &str = r#"
[[class]]
name = "ball"
title = "Ball in a CT image"
[class.concepts]
shape = "Round."
location = "In front."

[[class]]
name = "rod"
title = "Rod in a CT image"
[class.concepts]
location = "Behind."
shape = "Long."
"#;

const TABLE: &str = "\
Title,Shape,Location,Appearance/Density,Contour/Symmetry,Internal Texture
Right Kidney in a CT Image,\"Bean, large\",Right,Bright,Smooth,Even
Heart in an MRI Image,Cone,Middle,Gray,Rounded,Striped
";

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn read(name: &str, text: &str) -> Result<Descriptions, String> {
    let folder = TempDir::new().unwrap();
    Descriptions::read(&file(&folder, name, text)).map_err(|error| error.to_string())
}

fn refused(name: &str, text: &str, words: &[&str]) {
    let message = read(name, text).unwrap_err();
    for word in words.iter().chain(&[name]) {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn names(descriptions: &Descriptions) -> Vec<&str> {
    descriptions.classes.iter().map(|class| class.class.as_str()).collect()
}

#[test]
fn concepts_stand_in_the_order_of_the_first_class() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    for class in &descriptions.classes {
        let names: Vec<&str> = class.concepts.iter().map(|concept| concept.name.as_str()).collect();
        assert_eq!(names, ["shape", "location"]);
    }
    assert_eq!(descriptions.classes[1].concepts[0].sentence, "Long.");
}

#[test]
fn a_class_reads_as_one_text_and_as_sentences() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    let ball = &descriptions.classes[0];
    assert_eq!(ball.prompt(), "Ball in a CT image. Shape: Round. Location: In front.");
    assert_eq!(ball.sentences(), ["Ball in a CT image", "Shape: Round.", "Location: In front."]);
}

#[test]
fn a_table_names_classes_by_title_and_concepts_by_column() {
    let descriptions = read("table.csv", TABLE).unwrap();
    assert_eq!(names(&descriptions), ["right kidney", "heart"]);
    let concepts = &descriptions.classes[0].concepts;
    let concept_names: Vec<&str> = concepts.iter().map(|concept| concept.name.as_str()).collect();
    assert_eq!(concept_names, ["shape", "location", "appearance", "contour", "texture"]);
    assert_eq!(concepts[0].sentence, "Bean, large");
    assert_eq!(descriptions.classes[1].title, "Heart in an MRI Image");
}

#[test]
fn a_byte_order_mark_and_moved_columns_do_not_matter() {
    let moved = "\u{feff}Location,Title,Shape\r\nRight,Liver in a CT Image,Wedge\r\n";
    let descriptions = read("moved.csv", moved).unwrap();
    assert_eq!(descriptions.classes[0].prompt(), "Liver in a CT Image. Location: Right Shape: Wedge");
}

#[test]
fn what_is_saved_is_read_back() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    let text = toml::to_string(&descriptions).unwrap();
    assert_eq!(read("saved.toml", &text).unwrap(), descriptions);
    let text = serde_json::to_string(&descriptions).unwrap();
    assert_eq!(serde_json::from_str::<Descriptions>(&text).unwrap(), descriptions);
}

#[test]
fn faulty_descriptions_are_refused_by_name() {
    refused("none.toml", "class = []", &["at least one class"]);
    refused("other.toml", &TWO_CLASSES.replace("location = \"Behind.\"", ""), &["rod", "location"]);
    refused("more.toml", &format!("{TWO_CLASSES}texture = \"Even.\""), &["rod", "texture"]);
    refused("twice.toml", &TWO_CLASSES.replace("\"rod\"", "\"Ball\""), &["Ball", "twice"]);
    refused("empty.toml", &TWO_CLASSES.replace("Round.", " "), &["shape", "ball", "empty"]);
    refused("key.toml", &TWO_CLASSES.replace("name = \"rod\"", "nam = \"rod\""), &["line ", "nam"]);
    refused("kind.toml", &TWO_CLASSES.replace("\"Long.\"", "1"), &["line "]);
    refused("title.csv", &TABLE.replace("Title", "Name"), &["\"Title\"", "name"]);
    refused("short.csv", "Title,Shape\nLiver in a CT Image\n", &["table"]);
    refused("bare.csv", "Title\nLiver in a CT Image\n", &["concepts", "liver"]);
}

#[test]
fn a_missing_file_is_named() {
    let message = Descriptions::read(Path::new("nowhere.toml")).unwrap_err().to_string();
    assert!(message.starts_with("nowhere.toml: "), "{message}");
}

#[test]
fn descriptions_follow_the_classes_of_the_data_set() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    let ordered = descriptions.for_classes(Path::new("two.toml"), &owned(&["Rod", "Ball"])).unwrap();
    assert_eq!(names(&ordered), ["Rod", "Ball"]);
    assert_eq!(ordered.classes[0].title, "Rod in a CT image");
}

#[test]
fn a_class_without_description_and_the_reverse_are_refused() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    let refusal = |classes: &[&str]| {
        descriptions.for_classes(Path::new("two.toml"), &owned(classes)).unwrap_err().to_string()
    };
    assert!(refusal(&["rod", "ball", "cube"]).contains("\"cube\""));
    assert!(refusal(&["rod", "cube"]).contains("\"cube\""));
    assert!(refusal(&["rod"]).contains("\"ball\""));
}

#[test]
fn rows_of_a_table_are_matched_by_name_and_else_in_order() {
    let table = read("table.csv", TABLE).unwrap();
    let titles = |classes: &[&str]| {
        let ordered = table.for_classes(Path::new("table.csv"), &owned(classes)).unwrap();
        let pairs = ordered.classes.into_iter().map(|class| (class.class, class.title));
        pairs.collect::<Vec<_>>()
    };
    let heart = "Heart in an MRI Image".to_owned();
    assert_eq!(titles(&["HEART", "right kidney"])[0], ("HEART".to_owned(), heart.clone()));
    assert_eq!(titles(&["kidney", "myocardium"])[1], ("myocardium".to_owned(), heart));
    assert!(table.for_classes(Path::new("table.csv"), &owned(&["kidney"])).is_err());
}

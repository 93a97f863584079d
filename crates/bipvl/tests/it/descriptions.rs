//! Descriptions: TOML and CSV, class and concept order, typed errors.

use std::path::{Path, PathBuf};

use bipvl::text::{Descriptions, Error};
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

fn read(name: &str, text: &str) -> Result<Descriptions, Error> {
    let folder = TempDir::new().unwrap();
    Descriptions::read(&file(&folder, name, text))
}

/// The error, whose message must contain the parts and the file name.
#[track_caller]
fn error(name: &str, text: &str, parts: &[&str]) -> Error {
    let error = read(name, text).unwrap_err();
    let message = error.to_string();
    for part in parts.iter().chain(&[name]) {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    error
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn names(descriptions: &Descriptions) -> Vec<&str> {
    descriptions.classes.iter().map(|class| class.class.as_str()).collect()
}

#[test]
fn concepts_follow_the_order_of_the_first_class() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    for class in &descriptions.classes {
        let names: Vec<&str> = class.concepts.iter().map(|concept| concept.name.as_str()).collect();
        assert_eq!(names, ["shape", "location"]);
    }
    assert_eq!(descriptions.classes[1].concepts[0].sentence, "Long.");
}

#[test]
fn a_description_has_a_prompt_and_sentences() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    let ball = &descriptions.classes[0];
    assert_eq!(ball.prompt(), "Ball in a CT image. Shape: Round. Location: In front.");
    assert_eq!(ball.sentences(), ["Ball in a CT image", "Shape: Round.", "Location: In front."]);
}

#[test]
fn a_table_has_classes_by_title_and_concepts_by_column() {
    let descriptions = read("table.csv", TABLE).unwrap();
    assert_eq!(names(&descriptions), ["right kidney", "heart"]);
    let concepts = &descriptions.classes[0].concepts;
    let concept_names: Vec<&str> = concepts.iter().map(|concept| concept.name.as_str()).collect();
    assert_eq!(concept_names, ["shape", "location", "appearance", "contour", "texture"]);
    assert_eq!(concepts[0].sentence, "Bean, large");
    assert_eq!(descriptions.classes[1].title, "Heart in an MRI Image");
}

#[test]
fn a_byte_order_mark_and_the_column_order_are_ignored() {
    let moved = "\u{feff}Location,Title,Shape\r\nRight,Liver in a CT Image,Wedge\r\n";
    let descriptions = read("moved.csv", moved).unwrap();
    assert_eq!(descriptions.classes[0].prompt(), "Liver in a CT Image. Location: Right Shape: Wedge");
}

#[test]
fn descriptions_round_trip() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    let text = toml::to_string(&descriptions).unwrap();
    assert_eq!(read("saved.toml", &text).unwrap(), descriptions);
    let text = serde_json::to_string(&descriptions).unwrap();
    assert_eq!(serde_json::from_str::<Descriptions>(&text).unwrap(), descriptions);
}

#[test]
fn faulty_descriptions_are_typed_errors() {
    assert!(matches!(error("none.toml", "class = []", &[]), Error::NoClasses { .. }));
    let missing =
        error("other.toml", &TWO_CLASSES.replace("location = \"Behind.\"", ""), &["rod", "location"]);
    assert!(
        matches!(missing, Error::MissingConcept { class, concept, .. } if (&*class, &*concept) == ("rod", "location"))
    );
    let unknown =
        error("more.toml", &format!("{TWO_CLASSES}texture = \"Even.\""), &["rod", "shape, location"]);
    assert!(matches!(unknown, Error::UnknownConcept { concept, .. } if concept == "texture"));
    let twice = error("twice.toml", &TWO_CLASSES.replace("\"rod\"", "\"Ball \""), &["Ball", "twice"]);
    assert!(matches!(twice, Error::DuplicateClass { .. }));
    let empty = error("empty.toml", &TWO_CLASSES.replace("Round.", " "), &["shape", "ball", "empty"]);
    assert!(matches!(empty, Error::EmptyText { field, .. } if field == "shape"));
    error("key.toml", &TWO_CLASSES.replace("name = \"rod\"", "nam = \"rod\""), &["line 10", "nam"]);
    error("kind.toml", &TWO_CLASSES.replace("\"Long.\"", "1"), &["line 14"]);
    let title = error("title.csv", &TABLE.replace("Title", "Name"), &["`Title`", "Name, Shape"]);
    assert!(matches!(title, Error::NoTitleColumn { columns, .. } if columns.len() == 6));
    assert!(matches!(error("short.csv", "Title,Shape\nLiver in a CT Image\n", &[]), Error::Csv { .. }));
    let bare = error("bare.csv", "Title\nLiver in a CT Image\n", &["liver"]);
    assert!(matches!(bare, Error::NoConcepts { .. }));
}

#[test]
fn the_class_that_deviates_from_the_others_is_named() {
    let text =
        format!("{TWO_CLASSES}\n{}", TWO_CLASSES.replace("ball", "cube").split("\n\n").next().unwrap());
    read("three.toml", &text).unwrap();
    let missing = error("three.toml", &text.replacen("shape = \"Round.\"", "", 1), &["ball", "shape"]);
    assert!(matches!(missing, Error::MissingConcept { class, .. } if class == "ball"));
}

#[test]
fn two_columns_of_one_concept_are_an_error() {
    let table = "Title,Shape,Appearance/Density,Appearance with contrast\nLiver,Wedge,Bright,Brighter\n";
    let duplicate =
        error("twice.csv", table, &["Appearance/Density", "Appearance with contrast", "`appearance`"]);
    assert!(matches!(duplicate, Error::DuplicateConcept { concept, .. } if concept == "appearance"));
    assert!(matches!(
        error("same.csv", "Title,Shape,Shape\nLiver,A,B\n", &[]),
        Error::DuplicateConcept { .. }
    ));
}

#[test]
fn tables_of_spreadsheets_may_be_separated_by_semicolons_or_tabs() {
    let expected = read("table.csv", TABLE).unwrap();
    let quoted = TABLE.replace("\"Bean, large\"", "Bean| large");
    for delimiter in [";", "\t"] {
        let table = quoted.replace(',', delimiter).replace('|', ",");
        assert_eq!(read("other.csv", &table).unwrap(), expected);
        let excel = format!("\u{feff}{}", table.replace('\n', "\r\n"));
        assert_eq!(read("excel.csv", &excel).unwrap(), expected);
        assert_eq!(read("sep.csv", &format!("sep={delimiter}\r\n{table}")).unwrap(), expected);
    }
}

#[test]
fn a_file_that_is_not_utf_8_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("latin1.csv");
    std::fs::write(&path, b"Title,Shape\nLiver,Gro\xdf\n").unwrap();
    let error = Descriptions::read(&path).unwrap_err();
    assert!(matches!(error, Error::Encoding { offset: 21, .. }), "{error}");
    read("bom.toml", &format!("\u{feff}{TWO_CLASSES}")).unwrap();
}

#[test]
fn an_error_names_a_missing_file() {
    let message = Descriptions::read(Path::new("nowhere.toml")).unwrap_err().to_string();
    assert!(message.starts_with("nowhere.toml: "), "{message}");
}

#[test]
fn descriptions_are_reordered_for_the_classes_of_the_data_set() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    let ordered = descriptions.for_classes(Path::new("two.toml"), &owned(&["Rod", "Ball"])).unwrap();
    assert_eq!(names(&ordered), ["Rod", "Ball"]);
    assert_eq!(ordered.classes[0].title, "Rod in a CT image");
}

#[test]
fn missing_and_unknown_classes_are_errors() {
    let descriptions = read("two.toml", TWO_CLASSES).unwrap();
    let error =
        |classes: &[&str]| descriptions.for_classes(Path::new("two.toml"), &owned(classes)).unwrap_err();
    assert!(
        matches!(error(&["rod", "ball", "cube"]), Error::MissingDescription { class, .. } if class == "cube")
    );
    assert!(matches!(error(&["rod", "cube"]), Error::MissingDescription { class, .. } if class == "cube"));
    assert!(matches!(error(&["rod"]), Error::UnknownClass { class, .. } if class == "ball"));
}

#[test]
fn rows_of_a_table_match_by_name_or_by_order() {
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

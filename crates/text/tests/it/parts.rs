//! Parts and wholes: prompts resolved to classes of public data sets.

use bipvl_text::{Error, Parts, Synonyms, Union};

fn classes(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn resolve(prompt: &str, names: &[&str]) -> Result<Vec<usize>, Error> {
    Parts::builtin().resolve(prompt, &classes(names), &Synonyms::builtin())
}

const ABDOMEN: [&str; 4] = ["liver", "kidney_right", "left kidney", "spleen"];
const ACDC: [&str; 3] = ["RV", "MYO", "LV"];
const HIPPOCAMPUS: [&str; 2] = ["Anterior", "Posterior"];
const BRATS: [&str; 3] = ["edema", "non-enhancing tumor", "enhancing tumour"];
const TOTAL: [&str; 5] = [
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
];

#[test]
fn prompts_resolve_to_classes_synonyms_and_unions() {
    for (prompt, names, expected) in [
        ("Liver", &ABDOMEN[..], &[0][..]),
        ("the hepar", &ABDOMEN, &[0]),
        ("kidney, left", &ABDOMEN, &[2]),
        ("kidneys", &ABDOMEN, &[1, 2]),
        ("both kidneys.", &ABDOMEN, &[1, 2]),
        ("left and right kidney", &ABDOMEN, &[1, 2]),
        ("spleen and liver", &ABDOMEN, &[0, 3]),
        ("liver, spleen, both kidneys", &ABDOMEN, &[0, 1, 2, 3]),
        ("both ventricles", &ACDC, &[0, 2]),
        ("left ventricle", &ACDC, &[2]),
        ("hippocampus", &HIPPOCAMPUS, &[0, 1]),
        ("whole tumor", &BRATS, &[0, 1, 2]),
        ("tumor core", &BRATS, &[1, 2]),
        ("brain tumour", &BRATS, &[0, 1, 2]),
        ("left lung", &TOTAL, &[0, 1]),
        ("lungs", &TOTAL, &[0, 1, 2, 3, 4]),
        ("right upper lobe", &TOTAL, &[2]),
    ] {
        assert_eq!(resolve(prompt, names).unwrap(), expected, "{prompt}");
    }
}

#[test]
fn a_part_of_a_class_is_an_explained_error() {
    for (prompt, names, whole) in [
        ("left kidney", &["kidney"][..], "kidney"),
        ("anterior hippocampus", &["hippocampus"], "hippocampus"),
        ("left upper lobe", &["lung"], "lung"),
        ("enhancing tumor", &["whole tumor"], "whole tumor"),
    ] {
        let error = resolve(prompt, names).unwrap_err();
        assert!(matches!(&error, Error::PartOfClass { class, .. } if class == whole), "{prompt}: {error}");
    }
}

#[test]
fn a_whole_without_all_parts_names_the_missing_ones() {
    let error = resolve("kidneys", &["left kidney", "liver"]).unwrap_err();
    assert!(
        matches!(&error, Error::IncompleteWhole { missing, .. } if missing == &["right kidney"]),
        "{error}"
    );
    let error = resolve("liver and car", &ABDOMEN).unwrap_err();
    assert_eq!(error.to_string(), "`liver and car` is incomplete, there is no class for: car");
    for prompt in ["car", "left liver", "", "and", "both"] {
        let error = resolve(prompt, &ABDOMEN).unwrap_err();
        assert!(
            matches!(&error, Error::UnknownPrompt { .. } | Error::IncompleteWhole { .. }),
            "{prompt}: {error}"
        );
    }
    assert!(matches!(resolve("heart", &ABDOMEN), Err(Error::UnknownPrompt { .. })));
}

#[test]
fn unions_list_the_wholes_of_a_data_set() {
    let unions = |names: &[&str]| Parts::builtin().unions(&classes(names), &Synonyms::builtin());
    assert_eq!(unions(&ABDOMEN), [Union { names: vec!["kidney".to_owned()], classes: vec![1, 2] }]);
    let brats: Vec<Vec<usize>> = unions(&BRATS).into_iter().map(|union| union.classes).collect();
    assert_eq!(brats, [vec![0, 1, 2], vec![1, 2]]);
    assert!(unions(&["liver", "spleen"]).is_empty());
    // No table has it; both sides are one all the same.
    let putamen = Union { names: vec!["putamen".to_owned()], classes: vec![0, 1] };
    assert_eq!(unions(&["right putamen", "putamen_left", "brain stem"]), [putamen]);
}

#[test]
fn a_user_file_adds_wholes_and_may_be_cyclic() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("parts.toml");
    let text = "[[whole]]\nname = \"twins\"\nparts = [\"right twin\", \"left twin\"]\n\
                [[whole]]\nname = \"foo\"\nparts = [\"bar\"]\n[[whole]]\nname = \"bar\"\nparts = [\"foo\"]\n";
    std::fs::write(&path, text).unwrap();
    let parts = Parts::with_file(&path).unwrap();
    let classes = classes(&["left twin", "rod", "right twin"]);
    assert_eq!(parts.resolve("twins", &classes, &Synonyms::builtin()).unwrap(), [0, 2]);
    assert!(parts.resolve("bar", &classes, &Synonyms::builtin()).is_err());
    std::fs::write(&path, "[[whole]]\nnam = \"x\"\n").unwrap();
    assert!(matches!(Parts::with_file(&path), Err(Error::Toml { line: 2, .. })));
}

#[test]
fn a_file_adds_names_to_a_union_and_its_other_wholes_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parts.toml");
    let whole = |name: &str, synonyms: &str, parts: &str| {
        format!("[[whole]]\nname = \"{name}\"\nsynonyms = [{synonyms}]\nparts = [{parts}]\n")
    };
    let both = "\"left kidney\", \"right kidney\"";
    let text = whole("renal pair", "\"nephric pair\"", both) + &whole("shelf", "", "\"liver\", \"bookend\"");
    std::fs::write(&path, text).unwrap();
    let (parts, synonyms) = (Parts::with_file(&path).unwrap(), Synonyms::builtin());
    let unions = parts.unions(&classes(&ABDOMEN), &synonyms);
    let names = ["renal pair", "nephric pair", "kidney"].map(str::to_owned);
    assert_eq!(unions, [Union { names: names.into(), classes: vec![1, 2] }]);
    let unresolved = parts.unresolved(&classes(&ABDOMEN), &synonyms);
    assert_eq!(unresolved.len(), 1);
    assert_eq!(unresolved[0].0, "shelf");
    assert!(unresolved[0].1.contains("bookend"), "{}", unresolved[0].1);
}

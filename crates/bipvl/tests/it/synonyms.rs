//! Synonyms: class names of public data sets, composed sides, user files, description overrides.

use std::path::PathBuf;

use bipvl::text::{Descriptions, Error, Synonyms};
use tempfile::TempDir;

/// The classes of AMOS22 in the order of their labels, as its `dataset.json` spells them, and what they are.
const AMOS22: [(&str, &str); 15] = [
    ("spleen", "spleen"),
    ("right kidney", "right kidney"),
    ("left kidney", "left kidney"),
    ("gall bladder", "gallbladder"),
    ("esophagus", "esophagus"),
    ("liver", "liver"),
    ("stomach", "stomach"),
    ("arota", "aorta"),
    ("postcava", "inferior vena cava"),
    ("pancreas", "pancreas"),
    ("right adrenal gland", "right adrenal gland"),
    ("left adrenal gland", "left adrenal gland"),
    ("duodenum", "duodenum"),
    ("bladder", "urinary bladder"),
    ("prostate/uterus", "prostate or uterus"),
];

/// Classes of MM-WHS, MSD, ACDC and `TotalSegmentator`, and what they are.
const OTHERS: [(&str, &str); 24] = [
    ("myocardium of the left ventricle", "left ventricular myocardium"),
    ("left atrium blood cavity", "left atrium"),
    ("right ventricle blood cavity", "right ventricle"),
    ("pulmonary artery", "pulmonary artery"),
    ("MYO", "left ventricular myocardium"),
    ("RV", "right ventricle"),
    ("Anterior", "anterior hippocampus"),
    ("non-enhancing tumor", "non-enhancing tumor"),
    ("enhancing tumour", "enhancing tumor"),
    ("edema", "edema"),
    ("kidney_right", "right kidney"),
    ("kidney_cyst_left", "left kidney cyst"),
    ("lung_upper_lobe_left", "left upper lung lobe"),
    ("lung_middle_lobe_right", "right middle lung lobe"),
    ("heart_atrium_left", "left atrium"),
    ("iliac_vena_left", "left iliac vein"),
    ("vertebrae_T12", "vertebra T12"),
    ("rib_left_7", "left rib 7"),
    ("hip_left", "left hip bone"),
    ("clavicula_right", "right clavicle"),
    ("autochthon_left", "left autochthonous back muscle"),
    ("gluteus_maximus_left", "left gluteus maximus"),
    ("portal_vein_and_splenic_vein", "portal vein and splenic vein"),
    ("costal_cartilages", "costal cartilage"),
];

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn class_names_of_public_data_sets_have_a_canonical_name() {
    let synonyms = Synonyms::builtin();
    for (name, organ) in AMOS22.into_iter().chain(OTHERS) {
        assert_eq!(synonyms.canonical(name), Some(organ), "{name}");
        assert_eq!(synonyms.canonical(organ), Some(organ), "{organ}");
    }
}

#[test]
fn no_two_classes_of_a_data_set_share_an_organ() {
    let synonyms = Synonyms::builtin();
    let classes = owned(&AMOS22.map(|(name, _)| name));
    for (place, class) in classes.iter().enumerate() {
        assert_eq!(synonyms.find_classes(class, &classes), [place], "{class}");
    }
}

#[test]
fn sides_are_composed_in_any_order_and_language() {
    let synonyms = Synonyms::builtin();
    for name in ["left kidney", "Kidney, left", "kidney_L", "lt kidney", "ren sinister", "LK", "left kidneys"]
    {
        assert_eq!(synonyms.canonical(name), Some("left kidney"), "{name}");
    }
    assert_eq!(synonyms.canonical("left liver"), None, "there is one liver");
    assert_eq!(synonyms.canonical("left right kidney"), None);
    assert_eq!(synonyms.canonical("left"), None);
    assert_eq!(synonyms.canonical(""), None);
}

#[test]
fn a_paired_organ_without_a_side_matches_both() {
    let synonyms = Synonyms::builtin();
    let classes = owned(&["spleen", "kidney_right", "left kidney", "Hepar"]);
    assert_eq!(synonyms.find_classes("kidneys", &classes), [1, 2]);
    assert_eq!(synonyms.find_classes("ren dexter", &classes), [1]);
    assert_eq!(synonyms.find_classes("liver", &classes), [3]);
    assert_eq!(synonyms.find_classes("heart", &classes), [0; 0]);
    let own = owned(&["kidney", "left kidney"]);
    assert_eq!(synonyms.find_classes("Kidney", &own), [0], "the very name comes first");
}

#[test]
fn unknown_organs_match_by_class_name() {
    let classes = owned(&["right twin", "Left Twin"]);
    assert_eq!(Synonyms::builtin().find_classes("left_twin", &classes), [1]);
}

#[test]
fn a_user_file_extends_the_table_unless_it_contradicts_itself() {
    let folder = TempDir::new().unwrap();
    let names = "[single]\n\"liver\" = [\"Leber\"]\n\"left twin\" = [\"L2\"]\n[paired]\n\"ren\" = [\"Niere\"]\n\"gizmo\" = []\n";
    let synonyms = Synonyms::with_file(&write(&folder, "names.toml", names)).unwrap();
    assert_eq!(synonyms.canonical("leber"), Some("liver"));
    assert_eq!(synonyms.canonical("hepar"), Some("liver"), "the built-in names stay");
    assert_eq!(synonyms.canonical("Niere links"), None, "sides are English or Latin");
    assert_eq!(synonyms.canonical("Niere, left"), Some("left kidney"));
    assert_eq!(synonyms.canonical("R gizmo"), Some("right gizmo"));
    assert_eq!(synonyms.canonical("l2"), Some("left twin"), "the user's names come first");

    let refusal = |text: &str| {
        let error = Synonyms::with_file(&write(&folder, "bad.toml", text)).unwrap_err().to_string();
        assert!(error.contains("bad.toml: "), "{error}");
        error
    };
    let twice = refusal("[single]\n\"a\" = [\"x\"]\n\"b\" = [\"X\"]\n");
    assert!(twice.contains("`X` stands for both `a` and `b`"), "{twice}");
    assert!(refusal("[single]\n\"a\" = 3\n").contains("line 2"));
    assert!(refusal("[pairs]\n").contains("pairs"));
    assert!(
        Synonyms::with_file(&folder.path().join("none.toml")).unwrap_err().to_string().contains("none.toml")
    );
}

fn described(class: &str, concept: &str) -> String {
    format!(
        "[[class]]\nname = \"{class}\"\ntitle = \"Title of {class}\"\n[class.concepts]\n{concept} = \"As {class} is.\"\n"
    )
}

#[test]
fn descriptions_override_those_of_matching_classes() {
    let folder = TempDir::new().unwrap();
    let read = |name: &str, text: &str| Descriptions::read(&write(&folder, name, text)).unwrap();
    let trained = read("trained.toml", &(described("kidney_left", "shape") + &described("liver", "shape")));
    let synonyms = Synonyms::builtin();
    let path = folder.path().join("new.toml");

    let part = read("new.toml", &described("Hepar", "texture"));
    let replaced = trained.override_with(&path, &part, &synonyms).unwrap();
    assert_eq!(replaced.classes[0], trained.classes[0], "what is not described keeps its text");
    assert_eq!(replaced.classes[1].class, "liver");
    assert_eq!(replaced.classes[1].prompt(), "Title of Hepar. Texture: As Hepar is.");

    let refusal = |text: &str| trained.override_with(&path, &read("new.toml", text), &synonyms).unwrap_err();
    let unknown = refusal(&described("spleen", "shape"));
    assert!(
        matches!(&unknown, Error::UnknownClass { class, classes, .. } if class == "spleen" && classes[1] == "liver"),
        "{unknown}"
    );
    let twice = refusal(&(described("hepar", "shape") + &described("liver", "shape")));
    assert!(
        matches!(&twice, Error::ConflictingDescriptions { class, first, .. } if (&**class, &**first) == ("liver", "hepar")),
        "{twice}"
    );
    let pair = read("pair.toml", &(described("left kidney", "shape") + &described("right kidney", "shape")));
    let both = pair.override_with(&path, &read("new.toml", &described("kidney", "shape")), &synonyms);
    assert!(
        matches!(both, Err(Error::AmbiguousClass { matches, .. }) if matches == ["left kidney", "right kidney"])
    );
}

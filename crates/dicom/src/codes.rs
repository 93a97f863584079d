//! What a segment is, in codes: SNOMED CT for structures that are known, else an explicit private code.

use std::{collections::BTreeMap, sync::LazyLock};

use bipvl_imaging::{Code, Segment};
use bipvl_text::{ClassName, Laterality, Synonyms};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Coding scheme of classes without a code; schemes that begin with 99 are private (PS3.3, 8.2).
pub(crate) const PRIVATE_SCHEME: &str = "99BIPVL";
/// Letters of a code value and of a code meaning at most (SH, LO).
const MAX_VALUE: usize = 16;
const MAX_MEANING: usize = 64;

/// Category, type and side of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentCodes {
    /// `SegmentedPropertyCategoryCodeSequence`.
    pub(crate) category: Code,
    /// `SegmentedPropertyTypeCodeSequence`.
    pub(crate) property_type: Code,
    /// `SegmentedPropertyTypeModifierCodeSequence`: its side, and which part of a structure it is.
    pub(crate) modifiers: Vec<Modifier>,
}

/// What a code says of a structure beside its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Modifier {
    /// Which property it is, as a report names it.
    pub(crate) concept: Code,
    /// Its value.
    pub(crate) value: Code,
}

#[derive(Deserialize)]
struct Table {
    structures: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default = "snomed_scheme")]
    scheme: String,
    value: String,
    meaning: String,
    #[serde(default)]
    category: Category,
    /// Value and meaning, SNOMED CT.
    modifier: Option<[String; 2]>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Category {
    #[default]
    Anatomy,
    Morphology,
}

static TABLE: LazyLock<BTreeMap<String, Row>> = LazyLock::new(|| {
    toml::from_str::<Table>(include_str!("codes.toml")).expect("the table is part of the program").structures
});

fn snomed_scheme() -> String {
    "SCT".to_owned()
}

/// A SNOMED CT code.
pub(crate) fn snomed(value: &str, meaning: &str) -> Code {
    Code { scheme: snomed_scheme(), value: value.to_owned(), meaning: meaning.to_owned() }
}

/// A code of DICOM's own terminology (PS3.16, annex D).
pub(crate) fn dcm(value: &str, meaning: &str) -> Code {
    Code { scheme: "DCM".to_owned(), value: value.to_owned(), meaning: meaning.to_owned() }
}

impl SegmentCodes {
    /// By the code of the segment, else by its name in words: with its side, or a synonym.
    pub(crate) fn of(segment: &Segment, synonyms: &Synonyms) -> Self {
        let structure = snomed("123037004", "Anatomical Structure");
        if let Some(code) = &segment.code {
            return Self { category: structure, property_type: code.clone(), modifiers: Vec::new() };
        }
        let name = segment.name.as_str();
        let side = ClassName::parse(name).body_side();
        let known = candidates(name, side, synonyms).into_iter().find_map(|name| TABLE.get(&name));
        let side = side.map(|side| Modifier {
            concept: snomed("272741003", "Laterality"),
            value: match side {
                Laterality::Left => snomed("7771000", "Left"),
                Laterality::Right => snomed("24028007", "Right"),
            },
        });
        let Some(row) = known else {
            let modifiers = side.into_iter().collect();
            return Self { category: structure, property_type: private(name), modifiers };
        };
        let category = match row.category {
            Category::Anatomy => structure,
            Category::Morphology => snomed("49755003", "Morphologically Abnormal Structure"),
        };
        let part = row.modifier.as_ref().map(|[value, meaning]| Modifier {
            concept: snomed("106233006", "Topographical modifier"),
            value: snomed(value, meaning),
        });
        let Row { scheme, value, meaning, .. } = row;
        let property_type = Code { scheme: scheme.clone(), value: value.clone(), meaning: meaning.clone() };
        Self { category, property_type, modifiers: side.into_iter().chain(part).collect() }
    }
}

/// Names under which a class may be in the table.
fn candidates(name: &str, side: Option<Laterality>, synonyms: &Synonyms) -> Vec<String> {
    let mut names = vec![ClassName::parse(name).to_phrase().to_lowercase()];
    names.extend(synonyms.canonical(name).map(str::to_owned));
    if let Some(side) = side {
        let words = |name: &String| {
            let others = name.split(' ').filter(|word| *word != side.as_str());
            others.collect::<Vec<_>>().join(" ")
        };
        let without: Vec<String> = names.iter().map(words).collect();
        names.extend(without);
    }
    names
}

/// The same name gives the same code.
fn private(name: &str) -> Code {
    let hash = Sha256::digest(name.to_lowercase().as_bytes());
    let digits = format!("{hash:X}")[..MAX_VALUE].to_owned();
    let meaning: String = name.chars().take(MAX_MEANING).collect();
    Code { scheme: PRIVATE_SCHEME.to_owned(), value: digits, meaning }
}

/// Lightness, and a and b, of the color of a segment: hues in steps of the golden angle, so that neighbors differ.
fn color(index: usize) -> [f64; 3] {
    const GOLDEN_ANGLE_DEGREES: f64 = 137.508;
    let (lightness, chroma) = (65.0, 60.0);
    let hue = (index as f64 * GOLDEN_ANGLE_DEGREES).to_radians();
    [lightness, chroma * hue.cos(), chroma * hue.sin()]
}

/// The color of a segment as `RecommendedDisplayCIELabValue` stores it (PS3.3, C.10.7.1.1): L from 0 to 100, a and b from
/// −128 to 127, each onto 16 bits.
pub(crate) fn cielab(index: usize) -> [u16; 3] {
    let [lightness, a, b] = color(index);
    let scaled = |value: f64, low: f64, width: f64| ((value - low) / width * 65_535.0).round() as u16;
    [scaled(lightness, 0.0, 100.0), scaled(a, -128.0, 255.0), scaled(b, -128.0, 255.0)]
}

/// The same color in sRGB, as `ROIDisplayColor` has it: `CIELab` of illuminant D50 through CIE XYZ.
pub(crate) fn display_rgb(index: usize) -> [u8; 3] {
    const WHITE: [f64; 3] = [0.9642, 1.0, 0.8249];
    /// XYZ of D50 to linear sRGB, with Bradford's adaptation.
    const TO_RGB: [[f64; 3]; 3] =
        [[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]];
    let [lightness, a, b] = color(index);
    let y = (lightness + 16.0) / 116.0;
    let linear =
        |t: f64| if t > 6.0 / 29.0 { t.powi(3) } else { 3.0 * (6.0_f64 / 29.0).powi(2) * (t - 4.0 / 29.0) };
    let xyz = [linear(y + a / 500.0) * WHITE[0], linear(y) * WHITE[1], linear(y - b / 200.0) * WHITE[2]];
    TO_RGB.map(|row| {
        let value: f64 = row.iter().zip(xyz).map(|(factor, value)| factor * value).sum();
        let gamma = if value <= 0.003_130_8 { 12.92 * value } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        (gamma.clamp(0.0, 1.0) * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(name: &str) -> SegmentCodes {
        let segment = Segment { name: name.to_owned(), label: 1, code: None };
        SegmentCodes::of(&segment, &Synonyms::builtin())
    }

    fn modifiers(codes: &SegmentCodes) -> Vec<&str> {
        codes.modifiers.iter().map(|modifier| modifier.value.value.as_str()).collect()
    }

    #[test]
    fn known_structures_have_snomed_codes_and_their_side_as_a_modifier() {
        let kidney = codes("left kidney");
        assert_eq!((kidney.property_type.value.as_str(), modifiers(&kidney)), ("64033007", vec!["7771000"]));
        // A chamber has its side in its name.
        let ventricle = codes("left ventricle");
        assert_eq!((ventricle.property_type.value.as_str(), modifiers(&ventricle)), ("87878005", vec![]));
        assert_eq!(codes("hepar").property_type.meaning, "Liver");
        assert_eq!(codes("liver tumor").category.value, "49755003");
        let hippocampus = codes("posterior hippocampus");
        assert_eq!(hippocampus.property_type, codes("hippocampus").property_type);
        assert_eq!(modifiers(&hippocampus), ["255551008"]);
        assert_eq!(codes("enhancing tumor").property_type.scheme, "NCIt");
    }

    #[test]
    fn other_classes_have_a_private_code() {
        let code = codes("the bright ring on the left").property_type;
        assert_eq!(
            (code.scheme.as_str(), code.meaning.as_str()),
            (PRIVATE_SCHEME, "the bright ring on the left")
        );
        assert!(code.value.len() <= 16 && code != codes("the dark ring").property_type);
    }
}

//! Regions of several labels: what nnU-Net's `dataset.json` says of them, and whether they fit together.

use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::{Error, Result};

/// The labels of each class by its name, the one that it writes first, in the order of writing: a class that
/// holds another comes before it, because later ones write over earlier ones.
pub type Regions = IndexMap<String, Vec<u16>>;

/// Whether regions can be told from label maps with these `labels`, and written into one.
///
/// # Errors
///
/// When a region has no label, one twice, or one that is not among `labels`; when a region lies in one that
/// comes later and would write over it; or when its first label is a later region's though another is its own.
/// `path` is named.
pub fn check_regions(path: &Path, regions: &Regions, labels: &[u16]) -> Result<()> {
    for (index, (name, region)) in regions.iter().enumerate() {
        let refuse = |expected: String, found: String| Err(Error::content(path, expected, found));
        let is_new = |(at, label): (usize, &u16)| labels.contains(label) && !region[..at].contains(label);
        if region.is_empty() || !region.iter().enumerate().all(is_new) {
            let expected = format!("labels of the region \"{name}\" among {labels:?}, each once");
            return refuse(expected, format!("{region:?}"));
        }
        let later = || regions.iter().skip(index + 1);
        if let Some((whole, _)) = later().find(|(_, other)| region.iter().all(|label| other.contains(label)))
        {
            let expected = format!("the region \"{whole}\" before \"{name}\", over all of which it writes");
            return refuse(expected, "it behind".to_owned());
        }
        let is_own = |label: &&u16| later().all(|(_, other)| !other.contains(label));
        if let Some(own) = region.iter().find(is_own)
            && *own != region[0]
        {
            let expected =
                format!("the label {own} first in the region \"{name}\", which no later region holds");
            return refuse(expected, region[0].to_string());
        }
    }
    Ok(())
}

/// What of nnU-Net's `dataset.json` depends on the order of its keys, which the region order follows.
#[derive(Deserialize)]
struct InOrder {
    labels: IndexMap<String, OneOrSeveral>,
    regions_class_order: Option<Vec<u16>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(u16),
    Several(Vec<u16>),
}

impl OneOrSeveral {
    fn into_vec(self) -> Vec<u16> {
        match self {
            Self::One(label) => vec![label],
            Self::Several(labels) => labels,
        }
    }
}

/// The regions that the text of an nnU-Net `dataset.json` declares: in the order of `labels`, each writing its
/// entry of `regions_class_order`.
///
/// # Errors
///
/// When labels are malformed, the order is missing or has another length, or [`check_regions`] refuses them.
pub(super) fn nnunet_regions(path: &Path, text: &str) -> Result<Regions> {
    let malformed = |error: serde_json::Error| {
        Error::content(path, "a label from 0 to 65535 or a list of such for every class", error.to_string())
    };
    let InOrder { labels, regions_class_order } = serde_json::from_str(text).map_err(malformed)?;
    let mut regions: Regions = labels.into_iter().map(|(name, labels)| (name, labels.into_vec())).collect();
    regions.retain(|_, region| *region != [0]);
    let order = regions_class_order.unwrap_or_default();
    if order.len() != regions.len() {
        let expected = format!("\"regions_class_order\" with a label for each of {} regions", regions.len());
        return Err(Error::content(path, expected, format!("{order:?}")));
    }
    for ((name, region), written) in regions.iter_mut().zip(order) {
        let Some(place) = region.iter().position(|label| *label == written) else {
            let expected = format!("a label of the region \"{name}\" in \"regions_class_order\"");
            return Err(Error::content(path, expected, written.to_string()));
        };
        region[..=place].rotate_right(1);
    }
    check_regions(path, &regions, &labels_of(&regions))?;
    Ok(regions)
}

/// Every label of the regions, once, ascending; the background is none.
pub(super) fn labels_of(regions: &Regions) -> Vec<u16> {
    let mut labels: Vec<u16> = regions.values().flatten().copied().filter(|label| *label != 0).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(of: &[(&str, &[u16])]) -> Regions {
        of.iter().map(|(name, labels)| ((*name).to_owned(), labels.to_vec())).collect()
    }

    fn check(of: &[(&str, &[u16])]) -> String {
        let found = check_regions(Path::new("brain.toml"), &regions(of), &[1, 2, 3]);
        found.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn nested_and_merely_overlapping_regions_fit_together() {
        assert_eq!(check(&[("WT", &[1, 2, 3]), ("TC", &[2, 3]), ("ET", &[3])]), "");
        assert_eq!(check(&[("a", &[1, 2]), ("b", &[2, 3])]), "");
        // The whole is no more than its parts: it has no label of its own to write.
        assert_eq!(check(&[("gland", &[1, 2]), ("zone", &[1]), ("other zone", &[2])]), "");
    }

    #[test]
    fn regions_that_would_be_lost_are_refused() {
        for (of, expected, found) in [
            (
                &[("TC", &[2, 3][..]), ("WT", &[1, 2, 3]), ("ET", &[3])][..],
                "the region \"WT\" before \"TC\", over all of which it writes",
                "it behind",
            ),
            (
                &[("kidney", &[1, 2, 3]), ("masses", &[2, 3]), ("tumor", &[2])],
                "the label 3 first in the region \"masses\", which no later region holds",
                "2",
            ),
            (&[("WT", &[1, 4])], "labels of the region \"WT\" among [1, 2, 3], each once", "[1, 4]"),
            (&[("WT", &[1, 1])], "labels of the region \"WT\" among [1, 2, 3], each once", "[1, 1]"),
            (&[("WT", &[])], "labels of the region \"WT\" among [1, 2, 3], each once", "[]"),
        ] {
            assert_eq!(check(of), format!("brain.toml: expected {expected}, found {found}"));
        }
    }

    #[test]
    fn an_nnunet_file_gives_order_and_written_labels() {
        // The orders of its documentation (brain) and of its KiTS 2023 set; the keys do not stand in the order
        // of the alphabet.
        let read = |text: &str| nnunet_regions(Path::new("dataset.json"), text).map_err(|e| e.to_string());
        let brain = r#"{"labels": {"background": 0, "whole_tumor": [1, 2, 3], "tumor_core": [2, 3],
            "enhancing_tumor": 3}, "regions_class_order": [1, 2, 3]}"#;
        let expected: [(&str, &[u16]); 3] =
            [("whole_tumor", &[1, 2, 3]), ("tumor_core", &[2, 3]), ("enhancing_tumor", &[3])];
        assert!(read(brain).unwrap().iter().eq(regions(&expected).iter()));
        let kits = r#"{"labels": {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2},
            "regions_class_order": [1, 3, 2]}"#;
        let expected: [(&str, &[u16]); 3] = [("kidney", &[1, 2, 3]), ("masses", &[3, 2]), ("tumor", &[2])];
        assert!(read(kits).unwrap().iter().eq(regions(&expected).iter()));
        for (old, new, words) in [
            (
                r#", "regions_class_order": [1, 2, 3]"#,
                "",
                "\"regions_class_order\" with a label for each of 3",
            ),
            ("[1, 2, 3]}", "[1, 2]}", "found [1, 2]"),
            ("[1, 2, 3]}", "[1, 1, 3]}", "a label of the region \"tumor_core\""),
            ("[2, 3]", "[2, \"x\"]", "a list of such for every class"),
            ("[2, 3]", "[0, 2, 3]", "\"tumor_core\" among [1, 2, 3]"),
        ] {
            let error = read(&brain.replacen(old, new, 1)).unwrap_err();
            assert!(error.contains(words), "{words} is not in {error}");
        }
    }
}

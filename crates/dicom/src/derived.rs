//! What every object made from a series has in common with it: patient, study, frame of reference, and who made it.

use bipvl_imaging::Grid;
use dicom_core::{Tag, VR, header::HasLength};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::{Error, Result, SeriesVolume, attributes::Attributes, instance::Frame, object::Build, uid};

/// Patient and study modules (PS3.3, C.7.1.1, C.7.2.1, C.7.2.2), copied from the source; those in the first list must be
/// there, and are empty where the source has none.
const REQUIRED: [(Tag, VR); 9] = [
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::STUDY_ID, VR::SH),
    (tags::ACCESSION_NUMBER, VR::SH),
];
const OPTIONAL: [Tag; 9] = [
    tags::ISSUER_OF_PATIENT_ID,
    tags::PATIENT_COMMENTS,
    tags::STUDY_DESCRIPTION,
    tags::PATIENT_AGE,
    tags::PATIENT_SIZE,
    tags::PATIENT_WEIGHT,
    tags::PATIENT_IDENTITY_REMOVED,
    tags::DEIDENTIFICATION_METHOD,
    tags::CLINICAL_TRIAL_SUBJECT_ID,
];
/// A date or time that must be there and is not to be known.
const NO_DATE: &str = "19000101";
const NO_TIME: &str = "000000";
/// Letters of a short string (SH).
const MAX_SHORT: usize = 16;
/// Series numbers of results begin here, above those of scanners.
const FIRST_SERIES_NUMBER: i64 = 9000;

/// What made an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// For `SegmentAlgorithmName` and the like.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// Tells models, prompts and settings apart: the same source and key give the same UIDs.
    pub key: String,
}

/// A series that objects are derived from.
#[derive(Debug)]
pub struct Source {
    pub(crate) header: InMemDicomObject,
    pub(crate) grid: Grid,
    pub(crate) slices: Vec<OwnedSlice>,
    /// Size, directions and spacing of all slices.
    pub(crate) first: Frame,
    /// What tells it from all other sources, whatever its headers lack.
    identity: String,
    pub(crate) algorithm: Algorithm,
    is_deidentified: bool,
}

/// The object, and of objects with several frames the frame from 1, of a slice of the source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnedSlice {
    pub(crate) sop_class: String,
    pub(crate) sop_instance: String,
    pub(crate) frame: Option<u32>,
    /// Center of its first pixel in mm, LPS.
    pub(crate) position: [f64; 3],
}

/// One kind of derived object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) modality: &'static str,
    pub(crate) description: &'static str,
    /// Added to the first series number.
    pub(crate) offset: i64,
}

impl Source {
    /// The series of a volume, for results of an algorithm. Without identity, derived objects have no patient, dates or
    /// UIDs of the source (basic profile of PS3.15, annex E). UIDs are replaced, the same by the same, so that objects of
    /// several runs belong together; who has the source's can compute them.
    ///
    /// # Errors
    ///
    /// When the series cannot be read.
    pub fn new(volume: &SeriesVolume, algorithm: Algorithm, is_deidentified: bool) -> Result<Self> {
        volume.ensure_readable()?;
        let mut header = volume.header()?;
        header.convert_to_utf8();
        let grid = volume.grid().expect("a readable series has slices");
        let first = volume.first_frame().clone();
        let slices: Vec<String> =
            volume.sources().map(|slice| format!("{} {:?}", slice.sop_instance, slice.position)).collect();
        let identity = slices.join(" ");
        let mut source =
            Self { header, grid, slices: Vec::new(), first, identity, algorithm, is_deidentified };
        if let Some(missing) = volume.sources().position(|slice| !uid::is_valid(slice.sop_instance)) {
            return Err(Error::Unsuitable(format!(
                "{}: slice {} has no valid SOPInstanceUID, which DICOM results would refer to; write files instead",
                volume.label(),
                missing + 1
            )));
        }
        source.slices = volume
            .sources()
            .map(|slice| OwnedSlice {
                sop_class: slice.sop_class.to_owned(),
                sop_instance: source.shown(slice.sop_instance),
                frame: slice.frame,
                position: slice.position,
            })
            .collect();
        Ok(source)
    }

    /// The grid of the source; results are on it.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// A UID of the source as derived objects show it.
    pub(crate) fn shown(&self, uid: &str) -> String {
        if self.is_deidentified { uid::derived(&["de-identified", uid]) } else { uid.to_owned() }
    }

    /// A UID of the source as derived objects show it; where the source has none, one that follows from its slices.
    pub(crate) fn uid_of(&self, tag: Tag) -> String {
        let own = self.header.text(tag).filter(|uid| uid::is_valid(uid));
        self.shown(&own.unwrap_or_else(|| uid::derived(&["missing", &tag.to_string(), &self.identity])))
    }

    /// A UID that follows from source, algorithm and role.
    pub(crate) fn derived_uid(&self, role: &str) -> String {
        let Algorithm { name, version, key } = &self.algorithm;
        let deidentified = if self.is_deidentified { "de-identified" } else { "" };
        uid::derived(&[role, &self.identity, name, version, key, deidentified])
    }

    /// Date and time of the content: those of the source, because the same source gives the same object.
    pub(crate) fn content_date_time(&self) -> (String, String) {
        let first = |tags: [Tag; 3], default: &str| {
            let found = tags.into_iter().find_map(|tag| self.header.text(tag));
            found.filter(|_| !self.is_deidentified).unwrap_or_else(|| default.to_owned())
        };
        (
            first([tags::CONTENT_DATE, tags::SERIES_DATE, tags::STUDY_DATE], NO_DATE),
            first([tags::CONTENT_TIME, tags::SERIES_TIME, tags::STUDY_TIME], NO_TIME),
        )
    }

    /// A data set with patient, study, series and equipment.
    pub(crate) fn data_set(&self, kind: Kind) -> InMemDicomObject {
        let mut object = InMemDicomObject::new_empty();
        for (tag, vr) in REQUIRED {
            match self.header.text(tag).filter(|_| !self.is_deidentified).and_then(readable) {
                // Some archives send longer ones than the standard allows.
                Some(text) if vr == VR::SH => {
                    object.string(tag, vr, text.chars().take(MAX_SHORT).collect::<String>())
                }
                Some(text) => object.string(tag, vr, text),
                None => object.empty(tag, vr),
            };
        }
        for tag in OPTIONAL.into_iter().filter(|_| !self.is_deidentified) {
            if let Some(element) = self.header.get(tag).filter(|element| !element.is_empty()) {
                object.put(element.clone());
            }
        }
        if self.is_deidentified {
            object.string(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES").string(
                tags::DEIDENTIFICATION_METHOD,
                VR::LO,
                "PS3.15 basic profile, derived object",
            );
        }
        let number = self.header.integer(tags::SERIES_NUMBER).unwrap_or(0).clamp(0, 999);
        object
            .string(tags::STUDY_INSTANCE_UID, VR::UI, self.uid_of(tags::STUDY_INSTANCE_UID))
            .string(tags::MODALITY, VR::CS, kind.modality)
            .string(tags::SERIES_INSTANCE_UID, VR::UI, self.derived_uid(&format!("{} series", kind.modality)))
            .is(tags::SERIES_NUMBER, FIRST_SERIES_NUMBER + 10 * number.min(99) + kind.offset)
            .string(tags::SERIES_DESCRIPTION, VR::LO, kind.description)
            .string(tags::MANUFACTURER, VR::LO, "BiPVL-Seg in Rust")
            .string(tags::MANUFACTURER_MODEL_NAME, VR::LO, &self.algorithm.name)
            .string(tags::DEVICE_SERIAL_NUMBER, VR::LO, "0")
            .string(tags::SOFTWARE_VERSIONS, VR::LO, &self.algorithm.version)
            .is(tags::INSTANCE_NUMBER, 1);
        object
    }

    /// The frame of reference module.
    pub(crate) fn add_frame_of_reference(&self, object: &mut InMemDicomObject) {
        object
            .string(tags::FRAME_OF_REFERENCE_UID, VR::UI, self.uid_of(tags::FRAME_OF_REFERENCE_UID))
            .empty(tags::POSITION_REFERENCE_INDICATOR, VR::LO);
    }

    /// One item per object of the source: class and instance.
    pub(crate) fn instance_items(&self) -> Vec<InMemDicomObject> {
        let mut items: Vec<InMemDicomObject> = Vec::new();
        let mut last = "";
        for slice in &self.slices {
            if slice.sop_instance != last {
                last = &slice.sop_instance;
                let mut item = InMemDicomObject::new_empty();
                item.string(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &slice.sop_class).string(
                    tags::REFERENCED_SOP_INSTANCE_UID,
                    VR::UI,
                    &slice.sop_instance,
                );
                items.push(item);
            }
        }
        items
    }

    /// The common instance reference module.
    pub(crate) fn add_references(&self, object: &mut InMemDicomObject) {
        let mut series = InMemDicomObject::new_empty();
        series
            .string(tags::SERIES_INSTANCE_UID, VR::UI, self.uid_of(tags::SERIES_INSTANCE_UID))
            .sequence(tags::REFERENCED_INSTANCE_SEQUENCE, self.instance_items());
        object.sequence(tags::REFERENCED_SERIES_SEQUENCE, vec![series]);
    }
}

/// Text in letters that could be decoded: of a name in several scripts, the first that is (PS3.5, 6.2.1).
fn readable(text: String) -> Option<String> {
    if !text.contains(char::is_control) {
        return Some(text);
    }
    text.split('=').find(|group| !group.is_empty() && !group.contains(char::is_control)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_the_script_that_could_be_decoded() {
        let readable = |text: &str| readable(text.to_owned());
        assert_eq!(readable("Yamada^Tarou=\u{1b}$B;3ED\u{1b}(B^").as_deref(), Some("Yamada^Tarou"));
        assert_eq!(readable("Müller^Änne").as_deref(), Some("Müller^Änne"));
        assert_eq!(readable("\u{1b}$B;3ED\u{1b}(B"), None);
    }
}

//! Writes a structured report of measurements: TID 1500 "Measurement Report" with a measurement group per segment
//! (PS3.16, TID 1411), as Comprehensive 3D SR.

use bipvl_imaging::{Code, Segment};
use bipvl_text::Synonyms;
use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use crate::{
    Object, Result,
    attributes::Attributes,
    codes::{Modifier, SegmentCodes, dcm, snomed},
    derived::{Kind, Source},
    instance::SEGMENTATION,
    object::{self, Build},
    seg::BINARY_ROLE,
    uid,
};

const KIND: Kind = Kind { modality: "SR", description: "Measurements", offset: 3 };

/// What was measured of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// In ml.
    pub volume_ml: f64,
    /// Mean intensity, in HU of a CT; `None` for an empty segment.
    pub mean: Option<f64>,
}

/// A report on the segments of the binary segmentation of the same source, one measurement each.
///
/// # Errors
///
/// When the file meta information cannot be made.
///
/// # Panics
///
/// When the numbers of segments and measurements differ.
pub fn write_report(
    source: &Source,
    segments: &[Segment],
    measurements: &[Measurement],
    synonyms: &Synonyms,
) -> Result<Object> {
    assert_eq!(segments.len(), measurements.len(), "one measurement per segment");
    let (date, time) = source.content_date_time();
    let mut object = source.data_set(KIND);
    object
        .sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Vec::new())
        .string(tags::COMPLETION_FLAG, VR::CS, "COMPLETE")
        .string(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED")
        .string(tags::CONTENT_DATE, VR::DA, date)
        .string(tags::CONTENT_TIME, VR::TM, time)
        .sequence(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, Vec::new())
        .sequence(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, vec![evidence(source)]);
    add_container(&mut object, &dcm("126000", "Imaging Measurement Report"));
    let mut template = InMemDicomObject::new_empty();
    template.string(tags::MAPPING_RESOURCE, VR::CS, "DCMR").string(tags::TEMPLATE_IDENTIFIER, VR::CS, "1500");
    object.sequence(tags::CONTENT_TEMPLATE_SEQUENCE, vec![template]);
    let groups = segments.iter().zip(measurements).enumerate();
    let groups =
        groups.map(|(index, (segment, found))| group(source, index, segment, found, synonyms)).collect();
    let english =
        Code { scheme: "RFC5646".to_owned(), value: "en".to_owned(), meaning: "English".to_owned() };
    object.sequence(
        tags::CONTENT_SEQUENCE,
        vec![
            code("HAS CONCEPT MOD", &dcm("121049", "Language of Content Item and Descendants"), &english),
            code("HAS OBS CONTEXT", &dcm("121005", "Observer Type"), &dcm("121007", "Device")),
            uid_reference(
                &dcm("121012", "Device Observer UID"),
                &uid::derived(&["device", &source.algorithm.name, &source.algorithm.version]),
            ),
            text(&dcm("121013", "Device Observer Name"), &source.algorithm.name),
            code(
                "HAS CONCEPT MOD",
                &dcm("121058", "Procedure reported"),
                &snomed("363679005", "Imaging procedure"),
            ),
            container(&dcm("126010", "Imaging Measurements"), groups),
        ],
    );
    object::file(object, uids::COMPREHENSIVE3_DSR_STORAGE, &source.derived_uid("measurement report"))
}

fn group(
    source: &Source,
    index: usize,
    segment: &Segment,
    found: &Measurement,
    synonyms: &Synonyms,
) -> InMemDicomObject {
    let SegmentCodes { property_type, modifiers, .. } = SegmentCodes::of(segment, synonyms);
    let mut finding = code("CONTAINS", &dcm("121071", "Finding"), &property_type);
    if !modifiers.is_empty() {
        let item = |Modifier { concept, value }: &Modifier| code("HAS CONCEPT MOD", concept, value);
        finding.sequence(tags::CONTENT_SEQUENCE, modifiers.iter().map(item).collect());
    }
    let tracking = source.derived_uid(&format!("tracking {index} {}", segment.name));
    let mut items = vec![
        text(&dcm("112039", "Tracking Identifier"), &segment.name),
        uid_reference(&dcm("112040", "Tracking Unique Identifier"), &tracking),
        finding,
        referenced_segment(source, index),
        source_series(source),
        number(&snomed("118565006", "Volume"), found.volume_ml, ("ml", "milliliter"), None),
    ];
    let mean = snomed("373098007", "Mean");
    match (found.mean, source.header.text(tags::MODALITY).as_deref()) {
        (Some(value), Some("CT")) => items.push(number(
            &dcm("112031", "Attenuation Coefficient"),
            value,
            ("[hnsf'U]", "Hounsfield unit"),
            Some(&mean),
        )),
        (Some(value), Some("MR")) => {
            items.push(number(&dcm("110852", "MR signal intensity"), value, ("1", "no units"), Some(&mean)));
        }
        _ => {}
    }
    container(&dcm("125007", "Measurement Group"), items)
}

fn item(relationship: &str, value_type: &str, concept: &Code) -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    item.string(tags::RELATIONSHIP_TYPE, VR::CS, relationship)
        .string(tags::VALUE_TYPE, VR::CS, value_type)
        .code(tags::CONCEPT_NAME_CODE_SEQUENCE, concept);
    item
}

fn add_container(object: &mut InMemDicomObject, concept: &Code) {
    object
        .string(tags::VALUE_TYPE, VR::CS, "CONTAINER")
        .code(tags::CONCEPT_NAME_CODE_SEQUENCE, concept)
        .string(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
}

fn container(concept: &Code, items: Vec<InMemDicomObject>) -> InMemDicomObject {
    let mut container = item("CONTAINS", "CONTAINER", concept);
    container.string(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE").sequence(tags::CONTENT_SEQUENCE, items);
    container
}

fn code(relationship: &str, concept: &Code, value: &Code) -> InMemDicomObject {
    let mut item = item(relationship, "CODE", concept);
    item.code(tags::CONCEPT_CODE_SEQUENCE, value);
    item
}

fn text(concept: &Code, value: &str) -> InMemDicomObject {
    let mut item = item("HAS OBS CONTEXT", "TEXT", concept);
    item.string(tags::TEXT_VALUE, VR::UT, value);
    item
}

fn uid_reference(concept: &Code, uid: &str) -> InMemDicomObject {
    let mut item = item("HAS OBS CONTEXT", "UIDREF", concept);
    item.string(tags::UID, VR::UI, uid);
    item
}

fn number(concept: &Code, value: f64, unit: (&str, &str), derivation: Option<&Code>) -> InMemDicomObject {
    let unit = Code { scheme: "UCUM".to_owned(), value: unit.0.to_owned(), meaning: unit.1.to_owned() };
    let mut measured = InMemDicomObject::new_empty();
    measured.ds(tags::NUMERIC_VALUE, &[value]).code(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, &unit);
    let mut item = item("CONTAINS", "NUM", concept);
    item.sequence(tags::MEASURED_VALUE_SEQUENCE, vec![measured]);
    if let Some(derivation) = derivation {
        item.sequence(
            tags::CONTENT_SEQUENCE,
            vec![code("HAS CONCEPT MOD", &dcm("121401", "Derivation"), derivation)],
        );
    }
    item
}

fn referenced_segment(source: &Source, index: usize) -> InMemDicomObject {
    let mut reference = InMemDicomObject::new_empty();
    reference
        .string(tags::REFERENCED_SOP_CLASS_UID, VR::UI, SEGMENTATION)
        .string(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, source.derived_uid(BINARY_ROLE))
        .us(tags::REFERENCED_SEGMENT_NUMBER, &[index as u16 + 1]);
    let mut item = item("CONTAINS", "IMAGE", &dcm("121191", "Referenced Segment"));
    item.sequence(tags::REFERENCED_SOP_SEQUENCE, vec![reference]);
    item
}

fn source_series(source: &Source) -> InMemDicomObject {
    let mut item = item("CONTAINS", "UIDREF", &dcm("121232", "Source series for segmentation"));
    item.string(tags::UID, VR::UI, source.uid_of(tags::SERIES_INSTANCE_UID));
    item
}

/// All objects that the report refers to, and the slices of the source.
fn evidence(source: &Source) -> InMemDicomObject {
    let series = |uid: String, instances: Vec<InMemDicomObject>| {
        let mut series = InMemDicomObject::new_empty();
        series
            .string(tags::SERIES_INSTANCE_UID, VR::UI, uid)
            .sequence(tags::REFERENCED_SOP_SEQUENCE, instances);
        series
    };
    let mut segmentation = InMemDicomObject::new_empty();
    segmentation.string(tags::REFERENCED_SOP_CLASS_UID, VR::UI, SEGMENTATION).string(
        tags::REFERENCED_SOP_INSTANCE_UID,
        VR::UI,
        source.derived_uid(BINARY_ROLE),
    );
    let mut study = InMemDicomObject::new_empty();
    study.string(tags::STUDY_INSTANCE_UID, VR::UI, source.uid_of(tags::STUDY_INSTANCE_UID)).sequence(
        tags::REFERENCED_SERIES_SEQUENCE,
        vec![
            series(source.derived_uid("SEG series"), vec![segmentation]),
            series(source.uid_of(tags::SERIES_INSTANCE_UID), source.instance_items()),
        ],
    );
    study
}

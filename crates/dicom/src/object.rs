//! Writing of data sets: short names for what PS3.5 calls a data element of a value representation.

use bipvl_imaging::Code;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value, value::DataSetSequence};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

use crate::{Error, Result};

/// The UID of this implementation, `2.25.` and a UUID that was drawn once (PS3.7, D.3.3.2).
const IMPLEMENTATION_UID: &str = "2.25.262461293872930947318463291763892841027";
/// Explicit VR Little Endian.
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Implicit VR Little Endian.
const IMPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";

/// Builds a data set element by element.
pub(crate) trait Build {
    fn string(&mut self, tag: Tag, vr: VR, value: impl Into<String>) -> &mut Self;
    fn empty(&mut self, tag: Tag, vr: VR) -> &mut Self;
    fn us(&mut self, tag: Tag, values: &[u16]) -> &mut Self;
    fn ul(&mut self, tag: Tag, values: &[u32]) -> &mut Self;
    fn ds(&mut self, tag: Tag, values: &[f64]) -> &mut Self;
    fn is(&mut self, tag: Tag, value: i64) -> &mut Self;
    fn sequence(&mut self, tag: Tag, items: Vec<InMemDicomObject>) -> &mut Self;
    fn code(&mut self, tag: Tag, code: &Code) -> &mut Self;
}

impl Build for InMemDicomObject {
    fn string(&mut self, tag: Tag, vr: VR, value: impl Into<String>) -> &mut Self {
        self.put(DataElement::new(tag, vr, PrimitiveValue::from(value.into())));
        self
    }

    fn empty(&mut self, tag: Tag, vr: VR) -> &mut Self {
        self.put(DataElement::new(tag, vr, PrimitiveValue::Empty));
        self
    }

    fn us(&mut self, tag: Tag, values: &[u16]) -> &mut Self {
        self.put(DataElement::new(tag, VR::US, PrimitiveValue::U16(values.into())));
        self
    }

    fn ul(&mut self, tag: Tag, values: &[u32]) -> &mut Self {
        self.put(DataElement::new(tag, VR::UL, PrimitiveValue::U32(values.into())));
        self
    }

    fn ds(&mut self, tag: Tag, values: &[f64]) -> &mut Self {
        let values: Vec<String> = values.iter().map(|value| decimal_string(*value)).collect();
        self.put(DataElement::new(tag, VR::DS, PrimitiveValue::Strs(values.into())));
        self
    }

    fn is(&mut self, tag: Tag, value: i64) -> &mut Self {
        self.put(DataElement::new(tag, VR::IS, dicom_value!(Str, value.to_string())));
        self
    }

    fn sequence(&mut self, tag: Tag, items: Vec<InMemDicomObject>) -> &mut Self {
        self.put(InMemElement::new(tag, VR::SQ, DataSetSequence::from(items)));
        self
    }

    fn code(&mut self, tag: Tag, code: &Code) -> &mut Self {
        self.sequence(tag, vec![code_item(code)])
    }
}

/// An item of a code sequence.
pub(crate) fn code_item(code: &Code) -> InMemDicomObject {
    /// Longer values need another attribute.
    const MAX_SHORT: usize = 16;
    let mut item = InMemDicomObject::new_empty();
    let value = if code.value.len() <= MAX_SHORT {
        (tags::CODE_VALUE, VR::SH)
    } else {
        (tags::LONG_CODE_VALUE, VR::UC)
    };
    item.string(value.0, value.1, &code.value)
        .string(tags::CODING_SCHEME_DESIGNATOR, VR::SH, &code.scheme)
        .string(tags::CODE_MEANING, VR::LO, &code.meaning);
    item
}

/// A number in at most 16 bytes, as exact as they allow.
fn decimal_string(value: f64) -> String {
    const MAX: usize = 16;
    let shortest = format!("{value}");
    if shortest.len() <= MAX {
        return shortest;
    }
    (0..MAX)
        .rev()
        .flat_map(|digits| [format!("{value:.digits$}"), format!("{value:.digits$e}")])
        .filter(|text| text.len() <= MAX)
        .min_by(|a, b| {
            let error =
                |text: &String| text.parse::<f64>().map_or(f64::INFINITY, |parsed| (parsed - value).abs());
            error(a).total_cmp(&error(b))
        })
        .unwrap_or_else(|| format!("{value:.8e}"))
}

/// The object with its file meta information.
pub(crate) fn file(object: InMemDicomObject, sop_class: &str, sop_instance: &str) -> Result<crate::Object> {
    with_syntax(object, sop_class, sop_instance, EXPLICIT_LITTLE_ENDIAN)
}

/// [`file()`] without value representations, whose text values may be longer than 64 kB: contours are.
pub(crate) fn implicit_file(
    object: InMemDicomObject,
    sop_class: &str,
    sop_instance: &str,
) -> Result<crate::Object> {
    with_syntax(object, sop_class, sop_instance, IMPLICIT_LITTLE_ENDIAN)
}

fn with_syntax(
    mut object: InMemDicomObject,
    sop_class: &str,
    sop_instance: &str,
    transfer_syntax: &str,
) -> Result<crate::Object> {
    object
        .string(tags::SOP_CLASS_UID, VR::UI, sop_class)
        .string(tags::SOP_INSTANCE_UID, VR::UI, sop_instance)
        .string(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(sop_class)
        .media_storage_sop_instance_uid(sop_instance)
        .transfer_syntax(transfer_syntax)
        .implementation_class_uid(IMPLEMENTATION_UID)
        .implementation_version_name(format!("BIPVL_{}", env!("CARGO_PKG_VERSION").replace('.', "_")));
    object.with_meta(meta).map_err(|error| Error::Unsuitable(format!("DICOM file meta information: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_strings_fit_and_are_nearest() {
        for value in [0.1 + 0.2, -0.000_012_345_678_901_234, 123_456_789.123_456_79, -1.0 / 3.0, 1e-12, 0.0] {
            let text = decimal_string(value);
            assert!(text.len() <= 16, "{text}");
            // Sixteen bytes hold ten significant digits beside sign, point and exponent.
            assert!((text.parse::<f64>().unwrap() - value).abs() <= value.abs() * 1e-9, "{text} for {value}");
        }
    }
}

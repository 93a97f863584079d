//! Typed access to the attributes of an object, with errors that name them.

use dicom_core::Tag;
use dicom_object::InMemDicomObject;

use crate::{Error, Result};

/// A number of a list, a string of one, or an item of a sequence; absent and empty are the same.
pub(crate) trait Attributes {
    fn text(&self, tag: Tag) -> Option<String>;
    fn integer(&self, tag: Tag) -> Option<i64>;
    fn numbers(&self, tag: Tag) -> Option<Vec<f64>>;
    fn number(&self, tag: Tag) -> Option<f64>;
    fn items(&self, tag: Tag) -> &[InMemDicomObject];
    fn first_item(&self, tag: Tag) -> Option<&InMemDicomObject>;
}

impl Attributes for InMemDicomObject {
    fn text(&self, tag: Tag) -> Option<String> {
        let text = self.get(tag)?.to_str().ok()?;
        let text = text.trim_matches(['\0', ' ']);
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn integer(&self, tag: Tag) -> Option<i64> {
        self.get(tag)?.to_int().ok()
    }

    fn numbers(&self, tag: Tag) -> Option<Vec<f64>> {
        let numbers = self.get(tag)?.to_multi_float64().ok()?;
        (!numbers.is_empty() && numbers.iter().all(|number| number.is_finite())).then_some(numbers)
    }

    fn number(&self, tag: Tag) -> Option<f64> {
        self.numbers(tag)?.first().copied()
    }

    fn items(&self, tag: Tag) -> &[InMemDicomObject] {
        self.get(tag).and_then(|element| element.items()).unwrap_or_default()
    }

    fn first_item(&self, tag: Tag) -> Option<&InMemDicomObject> {
        self.items(tag).first()
    }
}

/// `count` numbers of an attribute that must be there.
pub(crate) fn required<const N: usize>(
    values: Option<Vec<f64>>,
    object: &str,
    attribute: &'static str,
    expected: &'static str,
) -> Result<[f64; N]> {
    let Some(values) = values else {
        return Err(Error::attribute(object, attribute, "missing", expected));
    };
    let found = || format!("{values:?}");
    values.as_slice().try_into().map_err(|_| Error::attribute(object, attribute, found(), expected))
}

/// A number for a message.
pub(crate) fn shown(number: Option<i64>) -> String {
    number.map_or_else(|| "missing".to_owned(), |number| number.to_string())
}

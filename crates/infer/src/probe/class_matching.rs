//! Classes of a model in a data set that it was not trained on.

use bipvl_data::Dataset;
use bipvl_text::Synonyms;

use crate::{Error, Result};

/// The labels of each class in the references of a data set; classes are matched by name and synonyms.
///
/// # Errors
///
/// [`Error::UnmatchedClass`] if a class has no counterpart, or several.
pub fn match_classes(classes: &[String], dataset: &Dataset, synonyms: &Synonyms) -> Result<Vec<Vec<u16>>> {
    let schema = &dataset.label_schema;
    let names = schema.names();
    let labels = |class: &String| match synonyms.find_classes(class, &names)[..] {
        [index] => Ok(schema.classes()[index].labels.clone()),
        _ => Err(Error::UnmatchedClass {
            path: dataset.layout.manifest_path(&dataset.root),
            class: class.clone(),
            found: names.clone(),
        }),
    };
    classes.iter().map(labels).collect()
}

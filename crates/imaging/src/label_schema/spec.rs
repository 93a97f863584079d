//! A label schema in a configuration file, whole or in part.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{LabelRemap, LabelSchema, LabelSchemaError};
use crate::Code;

/// The keys of a label schema; in a user's configuration, what is absent follows from the data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelSchemaSpec {
    /// Classes that exclude each other: `name = label`.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub classes: IndexMap<String, u16>,
    /// Classes that overlap: `name = [labels]`, the label to write first, in the order of writing.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub regions: IndexMap<String, Vec<u16>>,
    /// With regions: all foreground labels, where label maps hold more than those of the regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<u16>>,
    /// The label of voxels that are not annotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore: Option<u16>,
    /// Labels that count as others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remap: Vec<LabelRemap>,
    /// Classes in a terminology, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub codes: IndexMap<String, Code>,
}

impl LabelSchemaSpec {
    /// The schema, with classes and the ignore label of `source` where the specification has none. Regions may be
    /// made of any label of `source`.
    ///
    /// # Errors
    ///
    /// When the parts contradict each other or the source.
    pub fn resolve(self, source: &LabelSchema) -> Result<LabelSchema, LabelSchemaError> {
        let Self { classes, regions, labels, ignore, remap, codes } = self;
        let schema = match (classes.is_empty(), regions.is_empty()) {
            (false, false) => return Err(LabelSchemaError::ClassesAndRegions),
            (false, true) => LabelSchema::exclusive(classes)?,
            (true, false) => {
                let labels = labels.unwrap_or_else(|| source.labels.clone());
                LabelSchema::overlapping(regions)?.with_labels(labels)?
            }
            (true, true) => LabelSchema { ignore: None, remap: Vec::new(), ..source.clone() },
        };
        let ignore = ignore.or(source.ignore.filter(|label| !schema.labels.contains(label)));
        schema.with_ignore(ignore)?.with_remap(remap)?.with_codes(codes)
    }

    /// Whether nothing is specified.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl LabelSchema {
    /// The same with codes of a terminology, by class name.
    ///
    /// # Errors
    ///
    /// When there is no class of a name.
    pub fn with_codes(mut self, codes: IndexMap<String, Code>) -> Result<Self, LabelSchemaError> {
        for (name, code) in codes {
            match self.classes.iter_mut().find(|class| class.name == name) {
                Some(class) => class.code = Some(code),
                None => return Err(LabelSchemaError::UnknownCode { class: name }),
            }
        }
        Ok(self)
    }
}

impl TryFrom<LabelSchemaSpec> for LabelSchema {
    type Error = LabelSchemaError;

    fn try_from(spec: LabelSchemaSpec) -> Result<Self, LabelSchemaError> {
        let LabelSchemaSpec { classes, regions, labels, ignore, remap, codes } = spec;
        let schema = match (classes.is_empty(), regions.is_empty()) {
            (false, false) => return Err(LabelSchemaError::ClassesAndRegions),
            (_, true) => Self::exclusive(classes)?,
            (true, false) => {
                let schema = Self::overlapping(regions)?;
                match labels {
                    Some(labels) => schema.with_labels(labels)?,
                    None => schema,
                }
            }
        };
        schema.with_ignore(ignore)?.with_remap(remap)?.with_codes(codes)
    }
}

impl From<LabelSchema> for LabelSchemaSpec {
    fn from(schema: LabelSchema) -> Self {
        let mut spec = Self { ignore: schema.ignore, remap: schema.remap.clone(), ..Self::default() };
        if schema.is_overlapping() {
            let mut known: Vec<u16> = schema.label_sets().concat();
            known.sort_unstable();
            known.dedup();
            spec.labels = (schema.labels != known).then(|| schema.labels.clone());
        }
        let is_overlapping = schema.is_overlapping();
        for class in schema.classes {
            if let Some(code) = class.code {
                spec.codes.insert(class.name.clone(), code);
            }
            if is_overlapping {
                spec.regions.insert(class.name, class.labels);
            } else {
                spec.classes.insert(class.name, class.labels[0]);
            }
        }
        spec
    }
}

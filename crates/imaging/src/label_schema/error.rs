//! What makes a label schema inconsistent.

use super::{ClassRelation, LabelSchema, MAX_LABELS};

/// Why classes and labels do not form a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelSchemaError {
    /// Neither classes nor regions.
    #[error("no class is defined")]
    NoClasses,
    /// Classes and regions at once.
    #[error("both classes and regions are defined; use regions if classes overlap, else classes")]
    ClassesAndRegions,
    /// More labels than a byte can index.
    #[error("{count} labels are defined, at most {MAX_LABELS} are supported")]
    TooManyLabels {
        /// How many.
        count: usize,
    },
    /// A class without a name.
    #[error("the class with label {label} has an empty name")]
    EmptyName {
        /// Its first label.
        label: u16,
    },
    /// Two classes whose names differ at most in case and blanks.
    #[error("class names {first:?} and {second:?} differ at most in case and blanks")]
    DuplicateName {
        /// The class listed first.
        first: String,
        /// The class listed second.
        second: String,
    },
    /// A class with the label of the background.
    #[error("label 0 is reserved for the background and cannot be that of a class")]
    BackgroundLabel,
    /// A label of two exclusive classes.
    #[error("label {label} is that of two classes; classes that overlap are defined as regions")]
    DuplicateLabel {
        /// The label.
        label: u16,
    },
    /// A region with no label, one twice, or one that label maps do not have.
    #[error("region {region:?} has the labels {labels:?}; it needs labels among {known:?}, each once")]
    RegionLabels {
        /// The region.
        region: String,
        /// Its labels.
        labels: Vec<u16>,
        /// The labels to choose from.
        known: Vec<u16>,
    },
    /// A region that a later one would write over.
    #[error("region {container:?} must be listed before {region:?}, which it contains")]
    RegionOrder {
        /// The region listed first.
        region: String,
        /// The later region that contains it.
        container: String,
    },
    /// A region that writes a label of a later region.
    #[error("region {region:?} must list label {own} first: no later region has it, unlike {output_label}")]
    RegionOutput {
        /// The region.
        region: String,
        /// The label that it lists first.
        output_label: u16,
        /// A label that no later region has.
        own: u16,
    },
    /// An ignore label that means something else as well.
    #[error("ignore label {label} is also that of the background or a class")]
    IgnoreLabel {
        /// The label.
        label: u16,
    },
    /// A label with two rules.
    #[error("label {label} is remapped twice")]
    DuplicateRemap {
        /// The label.
        label: u16,
    },
    /// A rule for a label that has a meaning.
    #[error("label {label} cannot be remapped: it is that of the background, a class or the ignore label")]
    RemapSource {
        /// The label.
        label: u16,
    },
    /// A rule that leads to no class.
    #[error("label {from} is remapped to {to}, which is neither 0 nor the label of a class")]
    RemapTarget {
        /// The label in the file.
        from: u16,
        /// What it should count as.
        to: u16,
    },
    /// A code for a class that does not exist.
    #[error("a code is given for {class:?}, which is no class")]
    UnknownCode {
        /// The name.
        class: String,
    },
}

impl LabelSchema {
    /// The schema, if it is consistent.
    pub(super) fn validated(self) -> Result<Self, LabelSchemaError> {
        if self.classes.is_empty() {
            return Err(LabelSchemaError::NoClasses);
        }
        self.validate_names()?;
        self.validate_labels()?;
        if self.relation == ClassRelation::Overlapping {
            self.validate_regions()?;
        }
        self.validate_remap()?;
        Ok(self)
    }

    fn validate_names(&self) -> Result<(), LabelSchemaError> {
        let normalized: Vec<String> = self.classes.iter().map(|class| normalized(&class.name)).collect();
        for (index, (class, name)) in self.classes.iter().zip(&normalized).enumerate() {
            if name.is_empty() {
                return Err(LabelSchemaError::EmptyName { label: class.output_label });
            }
            if let Some(first) = normalized[..index].iter().position(|other| other == name) {
                let first = self.classes[first].name.clone();
                return Err(LabelSchemaError::DuplicateName { first, second: class.name.clone() });
            }
        }
        Ok(())
    }

    fn validate_labels(&self) -> Result<(), LabelSchemaError> {
        let count = self.labels.len();
        if count > MAX_LABELS {
            return Err(LabelSchemaError::TooManyLabels { count });
        }
        if self.labels.contains(&0) {
            return Err(LabelSchemaError::BackgroundLabel);
        }
        if let Some(label) = duplicate(&self.labels) {
            return Err(LabelSchemaError::DuplicateLabel { label });
        }
        match self.ignore.filter(|label| *label == 0 || self.labels.contains(label)) {
            Some(label) => Err(LabelSchemaError::IgnoreLabel { label }),
            None => Ok(()),
        }
    }

    fn validate_regions(&self) -> Result<(), LabelSchemaError> {
        for (index, class) in self.classes.iter().enumerate() {
            let (region, labels) = (class.name.clone(), &class.labels);
            let is_known = |label: &u16| self.labels.contains(label);
            if labels.is_empty() || !labels.iter().all(is_known) || duplicate(labels).is_some() {
                let (labels, known) = (labels.clone(), self.labels.clone());
                return Err(LabelSchemaError::RegionLabels { region, labels, known });
            }
            let later = &self.classes[index + 1..];
            let contains = |other: &&super::LabelClass| labels.iter().all(|l| other.labels.contains(l));
            if let Some(other) = later.iter().find(contains) {
                return Err(LabelSchemaError::RegionOrder { region, container: other.name.clone() });
            }
            let is_own = |label: &&u16| later.iter().all(|other| !other.labels.contains(label));
            if let Some(own) = labels.iter().find(is_own)
                && *own != labels[0]
            {
                return Err(LabelSchemaError::RegionOutput { region, output_label: labels[0], own: *own });
            }
        }
        Ok(())
    }

    fn validate_remap(&self) -> Result<(), LabelSchemaError> {
        let from: Vec<u16> = self.remap.iter().map(|rule| rule.from).collect();
        if let Some(label) = duplicate(&from) {
            return Err(LabelSchemaError::DuplicateRemap { label });
        }
        for rule in &self.remap {
            if self.contains(rule.from) {
                return Err(LabelSchemaError::RemapSource { label: rule.from });
            }
            if rule.to != 0 && !self.labels.contains(&rule.to) {
                return Err(LabelSchemaError::RemapTarget { from: rule.from, to: rule.to });
            }
        }
        Ok(())
    }
}

/// Lower case, with single blanks and none around.
fn normalized(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn duplicate(labels: &[u16]) -> Option<u16> {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    sorted.array_windows().find(|[first, second]| first == second).map(|[label, _]| *label)
}

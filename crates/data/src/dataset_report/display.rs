//! A data set report as text.

use std::fmt::{self, Display, Formatter};

use super::{ClassCount, DatasetReport, LabelCount};

/// Errors, warnings and files beyond these are only counted; the JSON form has all.
const MAX_LISTED: usize = 20;
/// Cases that are named per label.
const MAX_CASES: usize = 3;

impl Display for DatasetReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, layout, modality, channels, cases, test_cases, .. } = self;
        let channels = match channels.len() {
            1 => "1 channel".to_owned(),
            count => format!("{count} channels"),
        };
        writeln!(f, "{name}: layout of {layout}, {}, {channels}", modality.name())?;
        writeln!(f, "cases        {cases} to train and validate on, {test_cases} for the test alone")?;
        if let Some([train, val, test]) = self.split {
            writeln!(f, "split        {train} train, {val} validate, {test} test")?;
        }
        for section in [self.grids(), self.class_table(), self.findings()] {
            for line in section {
                writeln!(f, "{line}")?;
            }
        }
        Ok(())
    }
}

impl DatasetReport {
    /// Orientation, spacing and shape.
    fn grids(&self) -> Vec<String> {
        let orientations: Vec<String> =
            self.orientations.iter().map(|(name, count)| format!("{name} in {count}")).collect();
        let mut lines = vec![format!("orientation  {}", orientations.join(", "))];
        if let (Some(spacing), Some(shape)) = (self.spacing_mm, self.shape) {
            let ranges = spacing.map(|[low, high]| range(&format!("{low:.2}"), &format!("{high:.2}")));
            lines.push(format!("spacing mm   {}", by_axis(&ranges)));
            let ranges = shape.map(|[low, high]| range(&low.to_string(), &high.to_string()));
            lines.push(format!("voxels       {}", by_axis(&ranges)));
        }
        lines.push(String::new());
        lines
    }

    /// A row per class, and labels that count as others.
    fn class_table(&self) -> Vec<String> {
        let all = self.cases + self.test_cases;
        let labels =
            |class: &ClassCount| class.labels.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let width =
            |length: &dyn Fn(&ClassCount) -> usize| self.classes.iter().map(length).max().unwrap_or(0);
        let name_width = width(&|class| class.name.chars().count());
        let label_width = width(&|class| labels(class).len()).max("label".len());
        let row = |name: &str, labels: &str, voxels: &str, cases: &str| {
            format!("{name:<name_width$}  {labels:>label_width$}  {voxels:>14}  {cases:>5}")
        };
        let mut lines = vec![row("class", "label", "voxels", &format!("cases of {all}"))];
        for class in &self.classes {
            let (voxels, cases) = (class.voxels.to_string(), class.cases.to_string());
            lines.push(row(&class.name, &labels(class), &voxels, &cases));
        }
        if self.classes.iter().any(|class| class.labels.len() > 1) {
            lines.push("classes overlap: a voxel counts for every class that has its label".to_owned());
        }
        for other in &self.remapped_labels {
            let class = other.counts_as.as_deref().unwrap_or("background");
            lines.push(format!("label {} counts as {class}: {}", other.label, occurrence(other)));
        }
        if let Some(ignored) = &self.ignored {
            lines.push(format!("label {} is ignored: {}", ignored.label, occurrence(ignored)));
        }
        for class in self.empty_classes() {
            lines.push(format!("no case has {}", class.name));
        }
        lines.push(String::new());
        lines
    }

    /// Errors first, then warnings.
    fn findings(&self) -> Vec<String> {
        let missing = self.missing_files.iter().map(|file| format!("missing: {}", file.display()));
        let unknown = self
            .unknown_labels
            .iter()
            .map(|other| format!("label {} is that of no class: {}", other.label, occurrence(other)));
        let errors = missing.chain(self.errors.iter().cloned()).chain(unknown).collect();
        let mut lines = at_most(errors, "errors");
        if lines.is_empty() {
            lines.push(
                "no error found: every file exists and can be read, and labels are on the grids of their images"
                    .to_owned(),
            );
        }
        let mut warnings: Vec<String> =
            self.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
        let unlabeled = self.unlabeled_images.iter();
        warnings.extend(unlabeled.map(|file| format!("warning: image without labels: {}", file.display())));
        let skipped = self.skipped_files.iter();
        warnings.extend(skipped.map(|file| format!("warning: not part of a case: {}", file.display())));
        lines.extend(at_most(warnings, "warnings"));
        lines
    }
}

/// The first lines, and how many are left out.
fn at_most(mut lines: Vec<String>, what: &str) -> Vec<String> {
    if lines.len() > MAX_LISTED {
        let rest = format!("and {} more {what}", lines.len() - MAX_LISTED);
        lines.truncate(MAX_LISTED);
        lines.push(rest);
    }
    lines
}

fn range(low: &str, high: &str) -> String {
    if low == high { low.to_owned() } else { format!("{low} to {high}") }
}

fn by_axis([x, y, z]: &[String; 3]) -> String {
    format!("x {x}, y {y}, z {z}")
}

fn occurrence(label: &LabelCount) -> String {
    let named = label.cases.iter().take(MAX_CASES).cloned().collect::<Vec<_>>().join(", ");
    let others = label.cases.len().saturating_sub(MAX_CASES);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("{} voxels in {named}{others}", label.voxels)
}

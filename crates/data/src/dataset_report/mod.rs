//! What a data set contains and what is wrong with it (nnU-Net `verify_dataset_integrity`), before a training.

mod display;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use bipvl_imaging::{Grid, LabelMap, Orientation, read, read_labels, reorient_like};
use rayon::prelude::*;
use serde::Serialize;

use super::{
    Case, Dataset, Fold, Layout, Modality, PreprocessConfig, Split, case_descriptions,
    preprocess::{ensure_channel_count, ensure_same_grid, read_case_labels},
};
use crate::{Error, Result};

/// The content of a data set, every error that would stop its training, and warnings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetReport {
    /// The data set's name.
    pub name: String,
    /// The arrangement of its files.
    pub layout: Layout,
    /// The imaging modality.
    pub modality: Modality,
    /// The names of the channels.
    pub channels: Vec<String>,
    /// Number of cases to train and validate on.
    pub cases: usize,
    /// Number of test cases of the data set itself.
    pub test_cases: usize,
    /// Files of cases that do not exist.
    pub missing_files: Vec<PathBuf>,
    /// Images without labels.
    pub unlabeled_images: Vec<PathBuf>,
    /// Files that belong to no case.
    pub skipped_files: Vec<PathBuf>,
    /// What else would stop the training, each with its file.
    pub errors: Vec<String>,
    /// What may be a mistake.
    pub warnings: Vec<String>,
    /// Number of cases per orientation.
    pub orientations: BTreeMap<String, usize>,
    /// Smallest and largest spacing in mm along x, y, z (RAS).
    pub spacing_mm: Option<[[f64; 2]; 3]>,
    /// Smallest and largest number of voxels along x, y, z (RAS).
    pub shape: Option<[[usize; 2]; 3]>,
    /// The background and all classes; if classes overlap, a voxel counts for each that has its label.
    pub classes: Vec<ClassCount>,
    /// Labels that count as others.
    pub remapped_labels: Vec<LabelCount>,
    /// Labels that are not defined.
    pub unknown_labels: Vec<LabelCount>,
    /// Voxels with the ignore label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored: Option<LabelCount>,
    /// Numbers of training, validation and test cases; absent if there is no valid split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<[usize; 3]>,
    /// The classes of each case, as indices.
    #[serde(skip)]
    classes_of: BTreeMap<String, BTreeSet<usize>>,
}

/// The frequency of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// The class.
    pub name: String,
    /// Its labels in the files, the one to write first.
    pub labels: Vec<u16>,
    /// Voxels of all cases, remapped ones included.
    pub voxels: u64,
    /// Number of cases with at least one.
    pub cases: usize,
}

/// The frequency of a label that is not that of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelCount {
    /// The label in the files.
    pub label: u16,
    /// The classes it counts as, or background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_as: Option<String>,
    /// Voxels of all cases.
    pub voxels: u64,
    /// The cases with at least one.
    pub cases: Vec<String>,
}

/// What one case contains.
#[derive(Default)]
struct CaseContent {
    grid: Option<Grid>,
    labels: BTreeMap<u16, u64>,
    errors: Vec<Error>,
}

impl DatasetReport {
    /// Reads all images and label maps. With `preprocess`, checks also that cases are not too large after resampling.
    /// `progress` is called after each case with the number of finished ones.
    pub fn new(
        dataset: &Dataset,
        preprocess: Option<&PreprocessConfig>,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Self {
        let done = AtomicUsize::new(0);
        let cases: Vec<&Case> = dataset.cases.iter().chain(&dataset.test).collect();
        let read = |case: &&Case| {
            let content = CaseContent::read(case, dataset, preprocess);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            content
        };
        let contents: Vec<CaseContent> = cases.par_iter().map(read).collect();
        let mut report = Self {
            name: dataset.name.clone(),
            layout: dataset.layout,
            modality: dataset.modality,
            channels: dataset.channels.clone(),
            cases: dataset.cases.len(),
            test_cases: dataset.test.len(),
            missing_files: dataset.missing_files().into_iter().map(PathBuf::from).collect(),
            unlabeled_images: dataset.unlabeled.clone(),
            skipped_files: dataset.skipped.clone(),
            errors: contents.iter().flat_map(|content| &content.errors).map(Error::to_string).collect(),
            warnings: Vec::new(),
            orientations: BTreeMap::new(),
            spacing_mm: None,
            shape: None,
            classes: Vec::new(),
            remapped_labels: Vec::new(),
            unknown_labels: Vec::new(),
            ignored: None,
            split: None,
            classes_of: BTreeMap::new(),
        };
        report.summarize_grids(&contents);
        report.count_labels(dataset, &cases, &contents);
        report.check_dataset(dataset);
        report
    }

    /// Classes without a voxel in any case.
    pub fn empty_classes(&self) -> impl Iterator<Item = &ClassCount> {
        self.classes.iter().filter(|class| class.cases == 0)
    }

    /// Number of errors that would stop a training.
    pub fn num_errors(&self) -> usize {
        self.missing_files.len() + self.errors.len() + self.unknown_labels.len()
    }

    /// Adds the sizes of a split, and warns of classes without a training case.
    pub fn add_split(&mut self, split: &Split, fold: Fold) {
        self.split = Some([split.train.len(), split.val.len(), split.test.len()]);
        let cases_of = |class: usize, cases: &[Case]| -> Vec<String> {
            let has = |id: &String| self.classes_of.get(id).is_some_and(|classes| classes.contains(&class));
            cases.iter().map(|case| case.id.clone()).filter(has).collect()
        };
        let Fold { index, count } = fold;
        // The first is the background.
        for (class, ClassCount { name, .. }) in self.classes.iter().skip(1).enumerate() {
            let held_out = [cases_of(class, &split.val), cases_of(class, &split.test)].concat();
            if cases_of(class, &split.train).is_empty() && !held_out.is_empty() {
                self.warnings.push(format!(
                    "class {name:?} is in no training case of fold {index}/{count}, only in {}",
                    held_out.join(", ")
                ));
            }
        }
    }

    /// Orientation, spacing and shape of all grids.
    fn summarize_grids(&mut self, contents: &[CaseContent]) {
        for grid in contents.iter().filter_map(|content| content.grid.as_ref()) {
            let orientation = Orientation::of(grid);
            *self.orientations.entry(orientation.to_string()).or_insert(0) += 1;
            let axes = orientation.world_axes();
            widen(self.spacing_mm.get_or_insert([[f64::INFINITY, 0.0]; 3]), axes, grid.spacing());
            widen(self.shape.get_or_insert([[usize::MAX, 0]; 3]), axes, grid.shape());
        }
    }

    /// The frequency of each class and of all other labels.
    fn count_labels(&mut self, dataset: &Dataset, cases: &[&Case], contents: &[CaseContent]) {
        let schema = &dataset.label_schema;
        let in_classes = schema.label_sets().concat();
        let counts_as = |label: u16| {
            let rule = schema.remap().iter().find(|rule| rule.from == label);
            let label = rule.map_or(label, |rule| rule.to);
            let is_unused = schema.labels().contains(&label) && !in_classes.contains(&label);
            if is_unused { 0 } else { label }
        };
        let names =
            std::iter::once("background").chain(schema.classes().iter().map(|class| class.name.as_str()));
        let labels = std::iter::once(&[0_u16][..]).chain(schema.label_sets());
        for (row, (name, labels)) in names.zip(labels).enumerate() {
            let own = |(label, _): &(&u16, &u64)| labels.contains(&counts_as(**label));
            let voxels = |content: &CaseContent| -> u64 {
                content.labels.iter().filter(own).map(|(_, voxels)| voxels).sum()
            };
            let voxels: Vec<u64> = contents.iter().map(voxels).collect();
            for (case, _) in cases.iter().zip(&voxels).filter(|(_, voxels)| row > 0 && **voxels > 0) {
                self.classes_of.entry(case.id.clone()).or_default().insert(row - 1);
            }
            self.classes.push(ClassCount {
                name: name.to_owned(),
                labels: labels.to_vec(),
                cases: voxels.iter().filter(|voxels| **voxels > 0).count(),
                voxels: voxels.iter().sum(),
            });
        }
        let names_of = |label: u16| {
            let classes = self.classes.iter().filter(|class| class.labels.contains(&label));
            let names: Vec<&str> = classes.map(|class| class.name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let mut others: BTreeMap<u16, LabelCount> = BTreeMap::new();
        for (case, content) in cases.iter().zip(contents) {
            for (label, voxels) in content.labels.iter().filter(|(label, _)| names_of(**label).is_none()) {
                let other = others.entry(*label).or_insert_with(|| {
                    let counts_as = names_of(counts_as(*label));
                    LabelCount { label: *label, counts_as, voxels: 0, cases: Vec::new() }
                });
                other.voxels += voxels;
                other.cases.push(case.id.clone());
            }
        }
        self.ignored = schema.ignore().and_then(|ignore| others.remove(&ignore));
        (self.remapped_labels, self.unknown_labels) =
            others.into_values().partition(|other| other.counts_as.is_some());
    }

    /// What concerns all cases at once.
    fn check_dataset(&mut self, dataset: &Dataset) {
        let manifest = dataset.layout.manifest_path(&dataset.root);
        let cases = dataset.ensure_cases().err();
        let descriptions = case_descriptions::check(&dataset.root, &dataset.cases).err();
        // Missing files are listed one by one; only a systematic cause is worth an error of its own.
        let files =
            dataset.ensure_files().err().filter(|error| matches!(error, Error::ListedWithoutChannel { .. }));
        let labeled = dataset.cases.iter().filter(|case| case.labels.is_some()).count();
        let is_empty = labeled > 0
            && self.missing_files.is_empty()
            && self.errors.is_empty()
            && self.classes.iter().skip(1).all(|class| class.voxels == 0);
        let foreground = is_empty.then_some(Error::NoForeground { path: manifest, cases: labeled });
        self.errors.extend(
            [cases, descriptions, files, foreground].into_iter().flatten().map(|error| error.to_string()),
        );
        let patients: BTreeSet<&str> = dataset.cases.iter().map(Case::patient).collect();
        if patients.len() < dataset.cases.len() && dataset.layout != Layout::Acdc {
            self.warnings.push(format!(
                "{} cases are of {}: ids that agree up to `_frame` are of one patient, who is in one part of \
                 a split",
                dataset.cases.len(),
                if patients.len() == 1 {
                    "1 patient".to_owned()
                } else {
                    format!("{} patients", patients.len())
                }
            ));
        }
    }
}

impl CaseContent {
    /// Reads the files of a case that exist.
    fn read(case: &Case, dataset: &Dataset, preprocess: Option<&PreprocessConfig>) -> Self {
        let mut content = Self::default();
        if let Err(error) = content.read_images(case, &dataset.channels, preprocess) {
            content.errors.push(error);
        }
        if let Err(error) = content.read_labels(case) {
            content.errors.push(error);
        }
        content
    }

    fn read_images(
        &mut self,
        case: &Case,
        channels: &[String],
        preprocess: Option<&PreprocessConfig>,
    ) -> Result<()> {
        if !case.images.iter().all(|image| image.is_file()) {
            return Ok(());
        }
        let mut found = 0;
        for path in &case.images {
            let image = read(path)?;
            found += image.channels.len();
            let grid = self.grid.get_or_insert(image.header.grid.clone());
            ensure_same_grid(path, &image.header.grid, &case.images[0], grid)?;
        }
        ensure_channel_count(case, found, channels)?;
        match (preprocess, &self.grid) {
            (Some(preprocess), Some(grid)) => preprocess.ensure_size(&case.images[0], grid),
            _ => Ok(()),
        }
    }

    fn read_labels(&mut self, case: &Case) -> Result<()> {
        let Some(path) = case.labels.as_ref().filter(|path| path.is_file()) else { return Ok(()) };
        let labels = read_labels(path)?;
        self.labels = histogram(&labels);
        match &self.grid {
            Some(grid) if reorient_like(&labels, grid).is_err() => {
                ensure_same_grid(path, labels.grid(), &case.images[0], grid)
            }
            _ => Ok(()),
        }
    }
}

/// Reads the files of cases as a training would, so that a faulty one is found before anything is written. Returns the
/// errors by case id. `progress` is called after each case with the number of finished ones.
pub fn verify_cases(
    dataset: &Dataset,
    preprocess: &PreprocessConfig,
    cases: &[Case],
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<(String, Error)> {
    let done = AtomicUsize::new(0);
    let verify = |case: &Case| {
        let mut content = CaseContent::default();
        let result = content.read_images(case, &dataset.channels, Some(preprocess)).and_then(|()| {
            match (&content.grid, &case.labels) {
                (Some(grid), Some(_)) => read_case_labels(case, grid, &dataset.label_schema).map(|_| ()),
                (None, _) => ensure_exists(&case.images),
                _ => Ok(()),
            }
        });
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        result.err().map(|error| (case.id.clone(), error))
    };
    cases.par_iter().filter_map(verify).collect()
}

fn ensure_exists(images: &[PathBuf]) -> Result<()> {
    let missing = |path: &PathBuf| -> Result<()> {
        std::fs::metadata(path).map(|_| ()).map_err(|source| Error::io(Path::new(path), source))
    };
    images.iter().try_for_each(missing)
}

fn histogram(labels: &LabelMap) -> BTreeMap<u16, u64> {
    let mut counts = vec![0_u64; usize::from(u16::MAX) + 1];
    for label in labels.voxels() {
        counts[usize::from(*label)] += 1;
    }
    let present = (0..=u16::MAX).zip(counts).filter(|(_, count)| *count > 0);
    present.collect()
}

/// Widens ranges along world axes by values along voxel axes.
fn widen<T: PartialOrd + Copy>(ranges: &mut [[T; 2]; 3], axes: [usize; 3], values: [T; 3]) {
    for (axis, value) in axes.into_iter().zip(values) {
        let [smallest, largest] = &mut ranges[axis];
        if value < *smallest {
            *smallest = value;
        }
        if value > *largest {
            *largest = value;
        }
    }
}

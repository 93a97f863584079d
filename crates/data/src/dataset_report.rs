//! What is in a data set and what is wrong with it: files, grids and labels, before a training finds out.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use bipvl_imaging::{Grid, LabelMap, Orientation, probe, read_labels};
use rayon::prelude::*;
use serde::Serialize;

use super::{Case, Dataset, Layout, Modality, preprocess::ensure_same_grid};
use crate::{Error, Result};

/// What a data set is, and every fault that would stop its training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetReport {
    /// The data set's name.
    pub name: String,
    /// How its files are arranged.
    pub layout: Layout,
    /// What the volumes were taken with.
    pub modality: Modality,
    /// The names of the channels.
    pub channels: Vec<String>,
    /// Cases to train and validate on.
    pub cases: usize,
    /// Cases that the data set itself puts aside for the test.
    pub test_cases: usize,
    /// Files that should be there.
    pub missing: Vec<PathBuf>,
    /// What else would stop the training, each with its file.
    pub faults: Vec<String>,
    /// Volumes stored in each orientation.
    pub orientations: BTreeMap<String, usize>,
    /// Smallest and largest millimeters per voxel along x, y, z of the body.
    pub spacing_mm: Option<[[f64; 2]; 3]>,
    /// Smallest and largest number of voxels along x, y, z of the body.
    pub shape: Option<[[usize; 2]; 3]>,
    /// The background and all classes; where these overlap, a voxel counts for each that has its label.
    pub classes: Vec<ClassCount>,
    /// Labels that count as others.
    pub relabeled: Vec<LabelCount>,
    /// Labels that belong to no class.
    pub unknown: Vec<LabelCount>,
}

/// How often a class occurs, in voxels of the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// The class.
    pub name: String,
    /// Its label in the files; of a region all, the one first that a prediction writes.
    pub labels: Vec<u16>,
    /// Voxels of all cases, relabeled ones among them.
    pub voxels: u64,
    /// Cases with at least one.
    pub cases: usize,
}

/// How often a label occurs that is no class's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelCount {
    /// The label in the files.
    pub label: u16,
    /// What it counts as: a class, the background, or regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_as: Option<String>,
    /// Voxels of all cases.
    pub voxels: u64,
    /// The cases with at least one.
    pub cases: Vec<String>,
}

/// What one case holds.
#[derive(Default)]
struct Found {
    grid: Option<Grid>,
    labels: BTreeMap<u16, u64>,
    faults: Vec<Error>,
}

impl DatasetReport {
    /// Reads the headers of all volumes and the voxels of all label maps; after each case `progress` hears
    /// how many are done.
    pub fn new(dataset: &Dataset, progress: &(dyn Fn(usize) + Sync)) -> Self {
        let done = AtomicUsize::new(0);
        let cases: Vec<&Case> = dataset.cases.iter().chain(&dataset.test).collect();
        let look = |case: &&Case| {
            let found = Found::in_case(case, dataset.channels.len());
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            found
        };
        let found: Vec<Found> = cases.par_iter().map(look).collect();
        let mut check = Self {
            name: dataset.name.clone(),
            layout: dataset.layout,
            modality: dataset.modality,
            channels: dataset.channels.clone(),
            cases: dataset.cases.len(),
            test_cases: dataset.test.len(),
            missing: dataset.missing().into_iter().map(PathBuf::from).collect(),
            faults: found.iter().flat_map(|found| &found.faults).map(Error::to_string).collect(),
            orientations: BTreeMap::new(),
            spacing_mm: None,
            shape: None,
            classes: Vec::new(),
            relabeled: Vec::new(),
            unknown: Vec::new(),
        };
        if dataset.cases.is_empty() {
            let none = Error::content(&dataset.layout.index(&dataset.root), "at least one case", "none");
            check.faults.push(none.to_string());
        }
        check.measure(&found);
        check.count(dataset, &cases, &found);
        check
    }

    /// Classes that no case holds.
    pub fn empty_classes(&self) -> impl Iterator<Item = &ClassCount> {
        self.classes.iter().filter(|class| class.cases == 0)
    }

    /// How many faults would stop a training.
    pub fn num_errors(&self) -> usize {
        self.missing.len() + self.faults.len() + self.unknown.len()
    }

    /// Orientation, spacing and shape of all grids.
    fn measure(&mut self, found: &[Found]) {
        for grid in found.iter().filter_map(|found| found.grid.as_ref()) {
            let orientation = Orientation::of(grid);
            *self.orientations.entry(orientation.to_string()).or_insert(0) += 1;
            let axes = orientation.world_axes();
            widen(self.spacing_mm.get_or_insert([[f64::INFINITY, 0.0]; 3]), axes, grid.spacing());
            widen(self.shape.get_or_insert([[usize::MAX, 0]; 3]), axes, grid.shape());
        }
    }

    /// How often each label occurs, and as what.
    fn count(&mut self, dataset: &Dataset, cases: &[&Case], found: &[Found]) {
        let labeling = dataset.labeling();
        let in_classes = labeling.classes().concat();
        let counts_as = |label: u16| {
            let rule = dataset.relabel.iter().find(|rule| rule.from == label);
            let label = rule.map_or(label, |rule| rule.to);
            let is_left_out = dataset.labels.contains(&label) && !in_classes.contains(&label);
            if is_left_out { 0 } else { label }
        };
        let names = std::iter::once("background").chain(dataset.classes.iter().map(String::as_str));
        let labels = std::iter::once(&[0_u16][..]).chain(labeling.classes());
        let count = |(name, labels): (&str, &[u16])| {
            let own = |(label, _): &(&u16, &u64)| labels.contains(&counts_as(**label));
            let voxels =
                |found: &Found| found.labels.iter().filter(own).map(|(_, voxels)| voxels).sum::<u64>();
            let voxels: Vec<u64> = found.iter().map(voxels).collect();
            let cases = voxels.iter().filter(|voxels| **voxels > 0).count();
            ClassCount { name: name.to_owned(), labels: labels.to_vec(), voxels: voxels.iter().sum(), cases }
        };
        self.classes = names.zip(labels).map(count).collect();
        let names_of = |label: u16| {
            let classes = self.classes.iter().filter(|class| class.labels.contains(&label));
            let names: Vec<&str> = classes.map(|class| class.name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let mut others: BTreeMap<u16, LabelCount> = BTreeMap::new();
        for (case, found) in cases.iter().zip(found) {
            for (label, voxels) in found.labels.iter().filter(|(label, _)| names_of(**label).is_none()) {
                let other = others.entry(*label).or_insert_with(|| {
                    let counts_as = names_of(counts_as(*label));
                    LabelCount { label: *label, counts_as, voxels: 0, cases: Vec::new() }
                });
                other.voxels += voxels;
                other.cases.push(case.id.clone());
            }
        }
        (self.relabeled, self.unknown) = others.into_values().partition(|other| other.counts_as.is_some());
    }
}

impl Found {
    /// Looks at a case as far as its files are there.
    fn in_case(case: &Case, num_channels: usize) -> Self {
        let mut found = Self::default();
        if let Err(error) = found.look_at_images(case, num_channels) {
            found.faults.push(error);
        }
        if let Err(error) = found.look_at_labels(case) {
            found.faults.push(error);
        }
        found
    }

    fn look_at_images(&mut self, case: &Case, num_channels: usize) -> Result<()> {
        if !case.images.iter().all(|image| image.is_file()) {
            return Ok(());
        }
        let (mut channels, first) = (0, &case.images[0]);
        for image in &case.images {
            let header = probe(image)?;
            let grid = header.grid;
            channels += header.num_channels;
            ensure_same_grid((image, &grid), (first, self.grid.get_or_insert(grid.clone())))?;
        }
        if channels != num_channels {
            return Err(Error::content(first, format!("{num_channels} channels"), channels.to_string()));
        }
        Ok(())
    }

    fn look_at_labels(&mut self, case: &Case) -> Result<()> {
        let Some(path) = case.labels.as_ref().filter(|path| path.is_file()) else { return Ok(()) };
        let labels = read_labels(path)?;
        self.labels = histogram(&labels);
        match &self.grid {
            Some(grid) => ensure_same_grid((path, labels.grid()), (&case.images[0], grid)),
            None => Ok(()),
        }
    }
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

//! Slices into volumes: sorted along their normal, checked for gaps, split where a series holds several volumes.
//!
//! Neither file names nor instance numbers say where a slice is; its position does (PS3.3, C.7.6.2). A volume is at least
//! as regular as 1 % of its step, or there is a problem that names the slices.

use std::collections::HashMap;

use bipvl_imaging::Grid;
use nalgebra::Vector3;

use crate::instance::{Frame, Instance};

/// Steps between slices may differ by this part of the step …
const STEP_TOLERANCE: f64 = 0.01;
/// … or by this, in mm, which scanners round to, but at most a fifth of the step.
const ROUNDING_MM: f64 = 0.1;
const MAX_ROUNDING: f64 = 0.2;
/// Slices nearer than this, in mm, are at the same place.
const SAME_PLACE_MM: f64 = 0.01;
/// Directions and spacings that differ by less are the same.
const SAME: f64 = 1e-3;
/// A smaller angle between normal and stack is rounding, in degrees.
const MIN_TILT_DEGREES: f64 = 0.1;
/// So many slices beside a larger stack are localizers.
const MAX_LOCALIZER_SLICES: usize = 3;
/// Problems name this many places.
const MAX_PLACES: usize = 3;

/// One volume of a series.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// What tells it from others of its series, such as `EchoTime 30`.
    pub(crate) distinction: Option<String>,
    /// From the lowest slice along the normal.
    pub(crate) slices: Vec<Slice>,
    /// What is unusual, for a person to know.
    pub(crate) remarks: Vec<String>,
    /// Why it is no volume, and what to do.
    pub(crate) problem: Option<String>,
}

/// A frame of one of the instances of its series.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) instance: usize,
    pub(crate) frame: Frame,
}

impl Stack {
    /// The volumes of a series.
    pub(crate) fn split(instances: &[Instance]) -> Vec<Self> {
        let mut slices = Vec::new();
        let mut repeated = 0;
        let mut first_of = HashMap::new();
        for (index, instance) in instances.iter().enumerate() {
            // Anonymized slices may all have the same UID, or none.
            let first = *first_of.entry(&instance.sop_instance).or_insert(index);
            if first != index && instance.is_same_as(&instances[first]) {
                repeated += 1;
                continue;
            }
            let frames = instance.frames.iter().flatten();
            slices.extend(frames.map(|frame| Slice { instance: index, frame: frame.clone() }));
        }
        let mut stacks: Vec<Self> =
            orientations(slices).into_iter().flat_map(|slices| volumes(slices, instances)).collect();
        if let Some(largest) = stacks.iter().map(|stack| stack.slices.len()).max()
            && largest > MAX_LOCALIZER_SLICES
        {
            let is_small = |stack: &Self| stack.slices.len() <= MAX_LOCALIZER_SLICES;
            let left_out: Vec<String> = stacks
                .iter()
                .filter(|stack| is_small(stack))
                .flat_map(|stack| (0..stack.slices.len()).map(|index| stack.name(index, instances)))
                .collect();
            stacks.retain(|stack| !is_small(stack));
            if !left_out.is_empty() {
                let remark = format!(
                    "left out, of another orientation, size or spacing: {}",
                    listed(&(0..left_out.len()).collect::<Vec<_>>(), |index| left_out[index].clone())
                );
                for stack in &mut stacks {
                    if let Some(problem) = &mut stack.problem {
                        *problem = format!("{problem}; {remark}");
                    }
                    stack.remarks.push(remark.clone());
                }
            }
        }
        for stack in &mut stacks {
            if repeated > 0 {
                stack.remarks.push(format!("files that repeat others: {repeated}"));
            }
        }
        stacks
    }

    fn new(slices: Vec<Slice>, distinction: Option<String>, instances: &[Instance]) -> Self {
        let mut stack = Self { distinction, slices, remarks: Vec::new(), problem: None };
        stack.problem = stack.unscaled(instances).or_else(|| stack.irregularity(instances));
        if stack.problem.is_none() {
            let tilt = stack.tilt_degrees();
            if tilt > MIN_TILT_DEGREES {
                stack.remarks.push(format!("gantry tilt of {tilt:.1} degrees, kept as a shear of the grid"));
            }
            if stack.slices.len() == 1 && stack.slices[0].frame.thickness.is_none() {
                stack.remarks.push("one slice without thickness, taken as 1 mm".to_owned());
            }
        }
        stack
    }

    /// From one slice to the next, in mm, LPS.
    fn step(&self) -> Vector3<f64> {
        let [first, last] = [&self.slices[0].frame, &self.slices[self.slices.len() - 1].frame];
        match self.slices.len() {
            1 => first.normal() * first.thickness.unwrap_or(1.0),
            count => (last.position - first.position) / (count - 1) as f64,
        }
    }

    fn tilt_degrees(&self) -> f64 {
        self.step().angle(&self.slices[0].frame.normal()).to_degrees()
    }

    /// Shape and affine; a tilted gantry is a shear.
    pub(crate) fn grid(&self) -> Grid {
        let frame = &self.slices[0].frame;
        let shape = [frame.columns as usize, frame.rows as usize, self.slices.len()];
        Grid::new(shape, frame.affine(self.step(), frame.position))
    }

    /// Slices without the rescale slope that others have.
    fn unscaled(&self, instances: &[Instance]) -> Option<String> {
        let without: Vec<usize> =
            (0..self.slices.len()).filter(|index| !self.slices[*index].frame.is_rescaled).collect();
        (!without.is_empty() && without.len() < self.slices.len()).then(|| {
            let places = listed(&without, |index| self.name(index, instances));
            format!("{} slices have no RescaleSlope and the others have: {places}", without.len())
        })
    }

    /// Gaps, unequal steps, slices that are shifted sideways.
    fn irregularity(&self, instances: &[Instance]) -> Option<String> {
        let normal = self.slices[0].frame.normal();
        let along: Vec<f64> = self.slices.iter().map(|slice| normal.dot(&slice.frame.position)).collect();
        let steps: Vec<f64> = along.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let usual = median(&steps)?;
        let tolerance = (usual * STEP_TOLERANCE).max(ROUNDING_MM.min(usual * MAX_ROUNDING));
        let place = |index: usize| {
            let name = |index: usize| self.name(index, instances);
            format!("{} and {} ({:.2} mm)", name(index), name(index + 1), steps[index])
        };
        let odd = |is_odd: &dyn Fn(f64) -> bool| -> Vec<usize> {
            (0..steps.len()).filter(|index| is_odd(steps[*index])).collect()
        };
        let same_place = odd(&|step| step < SAME_PLACE_MM);
        if !same_place.is_empty() {
            return Some(format!(
                "{} slices lie at the place of another, such as {}, and nothing in their headers tells them apart; remove one of each",
                same_place.len(),
                listed(&same_place, place)
            ));
        }
        let uneven = odd(&|step| (step - usual).abs() > tolerance);
        if uneven.is_empty() {
            return self.sideways(instances);
        }
        let missing: f64 = uneven.iter().map(|index| (steps[*index] / usual).round() - 1.0).sum();
        let is_gap = |index: &usize| {
            let multiple = steps[*index] / usual;
            multiple > 1.5 && (multiple - multiple.round()).abs() * usual <= tolerance * multiple.round()
        };
        let places = listed(&uneven, place);
        Some(if uneven.iter().all(is_gap) {
            format!(
                "missing slices: {missing}, at a step of {usual:.2} mm: between {places}; send the series again"
            )
        } else {
            format!(
                "slices are not evenly spaced, mostly {usual:.2} mm: between {places}; resample the series, or remove what does not belong"
            )
        })
    }

    /// Slices off the line from the first to the last.
    fn sideways(&self, instances: &[Instance]) -> Option<String> {
        let (first, step) = (self.slices[0].frame.position, self.step());
        let smallest = self.slices[0].frame.spacing.into_iter().fold(f64::INFINITY, f64::min);
        let tolerance = (smallest * STEP_TOLERANCE).max(ROUNDING_MM);
        let distance =
            |(index, slice): (usize, &Slice)| (slice.frame.position - first - step * index as f64).norm();
        let off: Vec<usize> = self
            .slices
            .iter()
            .enumerate()
            .filter(|(index, slice)| distance((*index, slice)) > tolerance)
            .map(|(index, _)| index)
            .collect();
        (!off.is_empty()).then(|| {
            let places = listed(&off, |index| self.name(index, instances));
            format!("{} slices are shifted sideways: {places}; remove what does not belong", off.len())
        })
    }

    /// A slice for a person: its instance number, and where it is.
    fn name(&self, index: usize, instances: &[Instance]) -> String {
        let Slice { instance, frame } = &self.slices[index];
        // Without the sign of a zero.
        let [x, y, z]: [f64; 3] = frame.position.map(|mm| (mm * 10.0).round() / 10.0 + 0.0).into();
        let number = instances[*instance].instance_number.map_or("?".to_owned(), |number| number.to_string());
        let frame = if instances[*instance].frames.as_ref().is_ok_and(|frames| frames.len() > 1) {
            format!(" frame {}", frame.index + 1)
        } else {
            String::new()
        };
        format!("instance {number}{frame} at ({x:.1}, {y:.1}, {z:.1})")
    }
}

fn listed(indices: &[usize], name: impl Fn(usize) -> String) -> String {
    let mut names: Vec<String> = indices.iter().take(MAX_PLACES).map(|index| name(*index)).collect();
    if indices.len() > MAX_PLACES {
        names.push(format!("{} more", indices.len() - MAX_PLACES));
    }
    names.join("; ")
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Slices of the same size, directions and spacing, in order of their first.
fn orientations(slices: Vec<Slice>) -> Vec<Vec<Slice>> {
    let is_same = |a: &Frame, b: &Frame| {
        (a.columns, a.rows) == (b.columns, b.rows)
            && (0..2).all(|axis| (a.directions[axis] - b.directions[axis]).norm() < SAME)
            && (0..2).all(|axis| (a.spacing[axis] - b.spacing[axis]).abs() < SAME * a.spacing[axis])
    };
    let mut groups: Vec<Vec<Slice>> = Vec::new();
    for slice in slices {
        match groups.iter_mut().find(|group| is_same(&group[0].frame, &slice.frame)) {
            Some(group) => group.push(slice),
            None => groups.push(vec![slice]),
        }
    }
    groups
}

/// One volume, or several where slices lie at the same place and an attribute tells them apart.
fn volumes(mut slices: Vec<Slice>, instances: &[Instance]) -> Vec<Stack> {
    let normal = slices[0].frame.normal();
    slices.sort_by(|a, b| normal.dot(&a.frame.position).total_cmp(&normal.dot(&b.frame.position)));
    let names: Vec<&'static str> = slices[0].frame.dimensions.iter().map(|(name, _)| *name).collect();
    if has_repeated_places(&slices) {
        for name in names {
            let parts = by_attribute(&slices, name);
            if parts.len() > 1 && parts.iter().all(|(_, part)| !has_repeated_places(part)) {
                return parts
                    .into_iter()
                    .map(|(value, part)| Stack::new(part, Some(format!("{name} {value}")), instances))
                    .collect();
            }
        }
    }
    vec![Stack::new(slices, None, instances)]
}

fn has_repeated_places(sorted: &[Slice]) -> bool {
    sorted.windows(2).any(|pair| (pair[1].frame.position - pair[0].frame.position).norm() < SAME_PLACE_MM)
}

fn by_attribute(slices: &[Slice], name: &str) -> Vec<(String, Vec<Slice>)> {
    let mut parts: Vec<(String, Vec<Slice>)> = Vec::new();
    for slice in slices {
        let value = slice.frame.dimensions.iter().find(|(other, _)| *other == name);
        let value = value.map_or("missing", |(_, value)| value);
        match parts.iter_mut().find(|(other, _)| other == value) {
            Some((_, part)) => part.push(slice.clone()),
            None => parts.push((value.to_owned(), vec![slice.clone()])),
        }
    }
    parts
}

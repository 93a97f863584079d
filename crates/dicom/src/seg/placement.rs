//! Where the frames of a segmentation lie. Slices without voxels have no frame, so what lies between two frames is a multiple
//! of the step.

use bipvl_imaging::{Grid, MAX_VOXELS};
use nalgebra::Vector3;

use crate::{Error, Result, instance::Frame};

/// Positions that differ by less, in mm, are the same slice.
const SAME_PLACE_MM: f64 = 0.01;
/// Frames may be off their place by this part of the step.
const STEP_TOLERANCE: f64 = 0.01;
/// Directions that differ by less are the same.
const SAME_DIRECTION: f64 = 1e-3;

/// The grid of all frames, and the slice of each.
pub(super) struct Placement {
    pub(super) grid: Grid,
    pub(super) slices: Vec<usize>,
}

impl Placement {
    /// Of at least one frame.
    pub(super) fn of(frames: &[Frame], label: &str) -> Result<Self> {
        let wrong =
            |attribute, found: String, expected| Err(Error::attribute(label, attribute, found, expected));
        let first = &frames[0];
        let is_parallel = |frame: &Frame| {
            (0..2).all(|axis| (frame.directions[axis] - first.directions[axis]).norm() < SAME_DIRECTION)
        };
        if !frames.iter().all(is_parallel) {
            return wrong("ImageOrientationPatient", "different among frames".to_owned(), "the same for all");
        }
        let stack = Stack::of(frames);
        let shape = [first.columns as usize, first.rows as usize, stack.gaps as usize + 1];
        if stack.gaps >= MAX_VOXELS as f64 || shape.iter().product::<usize>() > MAX_VOXELS {
            return wrong("ImagePositionPatient", format!("{shape:?} voxels"), "at most 2³¹ voxels");
        }
        let tolerance = stack.through.norm() * STEP_TOLERANCE + SAME_PLACE_MM;
        let is_in_place = |frame: &Frame| {
            (frame.position - stack.lowest - stack.through * stack.slice(frame)).norm() < tolerance
        };
        if !frames.iter().all(is_in_place) {
            let found = format!("not at multiples of {:.3} mm, one above the other", stack.through.norm());
            return wrong("ImagePositionPatient", found, "evenly spaced slices");
        }
        let slices = frames.iter().map(|frame| stack.slice(frame) as usize).collect();
        Ok(Self { grid: Grid::new(shape, first.affine(stack.through, stack.lowest)), slices })
    }
}

/// Parallel slices from the lowest to the highest.
struct Stack {
    normal: Vector3<f64>,
    lowest: Vector3<f64>,
    /// From one slice to the next.
    through: Vector3<f64>,
    /// Steps from the lowest to the highest.
    gaps: f64,
}

impl Stack {
    fn of(frames: &[Frame]) -> Self {
        let normal = frames[0].normal();
        let along = |frame: &Frame| normal.dot(&frame.position);
        let mut sorted: Vec<&Frame> = frames.iter().collect();
        sorted.sort_by(|a, b| along(a).total_cmp(&along(b)));
        let (lowest, highest) = (sorted[0], sorted[sorted.len() - 1]);
        let steps = sorted.windows(2).map(|pair| along(pair[1]) - along(pair[0]));
        let smallest = steps.filter(|step| *step > SAME_PLACE_MM).fold(f64::INFINITY, f64::min);
        if smallest.is_infinite() {
            let through = normal * lowest.thickness.unwrap_or(1.0);
            return Self { normal, lowest: lowest.position, through, gaps: 0.0 };
        }
        let gaps = ((along(highest) - along(lowest)) / smallest).round();
        let through = (highest.position - lowest.position) / gaps;
        Self { normal, lowest: lowest.position, through, gaps }
    }

    /// The nearest slice of a frame.
    fn slice(&self, frame: &Frame) -> f64 {
        (self.normal.dot(&(frame.position - self.lowest)) / self.normal.dot(&self.through)).round()
    }
}

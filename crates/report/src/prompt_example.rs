//! Pictures of single prompts: the reference beside the answer.

use bipvl_imaging::{LabelMap, to_ras};
use bipvl_prompts::probe::ProbeExample;
use ndarray::{Axis, s};

use crate::Result;
use crate::display_range::robust_range;
use crate::raster::{RgbImage, png_data_uri};
use crate::rows::format_score;
use crate::slice::{PLANES, extract_slice, fill_classes, outline_class, panel_within, render_gray};

/// Largest width and height of a panel in pixels.
const PANEL_SHAPE: [f64; 2] = [230.0, 230.0];
/// Pixels between the panels.
const GAP: usize = 6;
/// Palette places of what was found and of the reference, counted from 1 as labels are.
const FOUND: u16 = 1;
const REFERENCE: u16 = 3;

/// Data of the template.
pub(crate) struct ExampleFigure<'a> {
    pub(crate) kind: &'static str,
    pub(crate) prompt: &'a str,
    pub(crate) case: &'a str,
    /// Dice, or how much was found.
    pub(crate) result: String,
    /// Both panels as a data URI.
    pub(crate) png: String,
}

impl<'a> ExampleFigure<'a> {
    /// # Errors
    ///
    /// If the picture cannot be encoded.
    pub(crate) fn new(example: &'a ProbeExample) -> Result<Self> {
        let found = example.found.voxels().iter().filter(|label| **label > 0).count();
        let result = match example.dice {
            Some(dice) => format!("Dice {}", format_score(Some(dice), 3)),
            None if found == 0 => "nothing found".to_owned(),
            None => format!("{found} voxels found"),
        };
        Ok(Self {
            kind: example.kind.title(),
            prompt: &example.prompt,
            case: &example.case,
            result,
            png: png_data_uri(&panels(example))?,
        })
    }
}

/// Left the reference, right the answer, each on the axial slice where it is largest, or on that of the other where it
/// is nothing. What an exchanged prompt named before is outlined in white.
fn panels(example: &ProbeExample) -> RgbImage {
    let (image, found) = (to_ras(&example.image), to_ras(&example.found));
    let nothing = found.map(|_| 0);
    let in_ras = |labels: &Option<LabelMap>| labels.as_ref().map_or_else(|| nothing.clone(), to_ras);
    let (reference, first) = (in_ras(&example.reference), in_ras(&example.first));
    let axial = PLANES[0];
    let middle = image.grid().shape()[axial.normal_axis] / 2;
    let slice_of = |one: &LabelMap, other: &LabelMap| {
        let largest = |labels| fullest_slice(labels, axial.normal_axis);
        largest(one).or_else(|| largest(other)).or_else(|| largest(&first)).unwrap_or(middle)
    };
    let shape = panel_within(PANEL_SHAPE, axial, image.grid().shape(), image.grid().spacing());
    let range = robust_range(image.voxels().iter().copied()).unwrap_or(0.0..1.0);
    let panel = |labels: &LabelMap, other: &LabelMap, color: u16| {
        let index = slice_of(labels, other);
        let mut panel = render_gray(&extract_slice(&image, axial, index), &range, shape);
        fill_classes(&mut panel, &extract_slice(labels, axial, index).mapv(|label| label * color));
        outline_class(&mut panel, &extract_slice(&first, axial, index), 1);
        panel
    };
    let [width, height] = shape.map(|pixels| pixels as usize);
    let mut both = RgbImage::from_elem((height, 2 * width + GAP), [0; 3]);
    both.slice_mut(s![.., ..width]).assign(&panel(&reference, &found, REFERENCE));
    both.slice_mut(s![.., width + GAP..]).assign(&panel(&found, &reference, FOUND));
    both
}

/// The slice with most labeled voxels; `None` without any.
fn fullest_slice(labels: &LabelMap, axis: usize) -> Option<usize> {
    let counts =
        labels.voxels().axis_iter(Axis(axis)).map(|slice| slice.iter().filter(|&&label| label > 0).count());
    let (index, count) = counts.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    (count > 0).then_some(index)
}

#[cfg(test)]
pub(crate) mod tests {
    use bipvl_imaging::{Grid, Volume};
    use bipvl_prompts::probe::ProbeKind;
    use ndarray::Array3;

    use super::*;
    use crate::palette;

    /// 8 × 8 × 4 voxels; the twin at low x in slice 2, the first at high x, the answer on the twin or nowhere.
    pub(crate) fn example(kind: ProbeKind, is_found: bool) -> ProbeExample {
        let shape = [8, 8, 4];
        let grid = Grid::with_spacing(shape, [2.0; 3]);
        let labels = |fits: fn(usize) -> bool, is_drawn: bool| {
            let label = |(x, y, z)| u16::from(is_drawn && fits(x) && (2..6).contains(&y) && z == 2);
            Volume::new(Array3::from_shape_fn(shape, label), grid.clone())
        };
        ProbeExample {
            kind,
            case: "case <1>".to_owned(),
            prompt: "right & <ring>".to_owned(),
            dice: is_found.then_some(1.0),
            image: Volume::new(Array3::from_shape_fn(shape, |(x, y, z)| (x + y + z) as f32), grid.clone()),
            found: labels(|x| x < 3, is_found),
            reference: Some(labels(|x| x < 3, is_found)),
            first: Some(labels(|x| x > 5, true)),
        }
    }

    #[test]
    fn the_reference_is_beside_the_answer() {
        let image = panels(&example(ProbeKind::SideExchanged, true));
        assert_eq!(image.dim(), (230, 2 * 230 + GAP));
        // Low x is on the right of each panel: voxel 1 of 8 from the right, in the middle of the height.
        let [reference, answer] = [200, 230 + GAP + 200].map(|column| image[[115, column]]);
        let excess = |pixel: [u8; 3], color: u16| {
            let [red, _, blue] = palette::color(usize::from(color) - 1).map(i32::from);
            (i32::from(pixel[0]) - i32::from(pixel[2])).signum() == (red - blue).signum()
        };
        assert!(excess(reference, REFERENCE) && excess(answer, FOUND), "{reference:?} {answer:?}");
        // The first, high x, is outlined in both: voxel 6 of 8 begins at 2 · 230 / 8 from the left.
        assert_eq!(image[[115, 56]], [255; 3]);
        assert_eq!(image[[115, 230 + GAP + 56]], [255; 3]);
    }

    #[test]
    fn silence_is_said() {
        let silent = example(ProbeKind::Nonsense, false);
        assert_eq!(ExampleFigure::new(&silent).unwrap().result, "nothing found");
        assert_eq!(ExampleFigure::new(&example(ProbeKind::HeldOut, true)).unwrap().result, "Dice 1.000");
    }
}

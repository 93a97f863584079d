//! One plane through a case, drawn as radiologists hang it.

use std::ops::Range;

use bipvl_imaging::Volume;
use image::{Rgb, RgbImage};
use ndarray::{Array2, Axis, s};

use crate::letters::{LETTER_SHAPE, draw_letter};
use crate::palette;

/// The largest panel, in pixels.
const PANEL_SHAPE: [f64; 2] = [400.0, 480.0];

/// How much of a filled class hides the image below it.
const FILL_OPACITY: f32 = 0.45;

/// What the logits of a class take where they rise most and where they fall most: two of Okabe and Ito's hues.
pub(crate) const RISE: [u8; 3] = [213, 94, 0];
pub(crate) const FALL: [u8; 3] = [0, 114, 178];

/// How much of the image the largest change hides.
const CHANGE_OPACITY: f32 = 0.9;

/// Pixels between a letter and the edge of its panel.
const LETTER_MARGIN: u32 = 6;

/// A plane of an RAS volume and how it hangs: the patient faces the reader, or lies on the back and
/// is seen from the feet, or looks to the left. In all three, rising voxel indices run to the left
/// and upward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane {
    /// The axis of the volume that runs across the picture.
    across: usize,
    /// The axis that runs down.
    down: usize,
    /// The axis that the plane cuts.
    pub(crate) through: usize,
    /// Where the left, right, upper and lower edge point.
    letters: [char; 4],
}

/// Axial, coronal, sagittal.
pub(crate) const PLANES: [Plane; 3] = [
    Plane { across: 0, down: 1, through: 2, letters: ['R', 'L', 'A', 'P'] },
    Plane { across: 0, down: 2, through: 1, letters: ['R', 'L', 'S', 'I'] },
    Plane { across: 1, down: 2, through: 0, letters: ['A', 'P', 'S', 'I'] },
];

/// Pixels of a panel, width and height: as large as [`PANEL_SHAPE`] allows, in true proportion.
pub(crate) fn panel_shape(plane: Plane, shape: [usize; 3], spacing: [f64; 3]) -> [u32; 2] {
    panel_within(PANEL_SHAPE, plane, shape, spacing)
}

/// Pixels of a panel, width and height: as large as `limit` allows, in true proportion.
pub(crate) fn panel_within(limit: [f64; 2], plane: Plane, shape: [usize; 3], spacing: [f64; 3]) -> [u32; 2] {
    let extent = [plane.across, plane.down].map(|axis| shape[axis] as f64 * spacing[axis]);
    let scale = (limit[0] / extent[0]).min(limit[1] / extent[1]);
    extent.map(|mm| (mm * scale).round().max(1.0) as u32)
}

/// The voxels of `volume` in `plane` at `index`, `[row, column]` as they hang.
pub(crate) fn cut<T: Copy>(volume: &Volume<T>, plane: Plane, index: usize) -> Array2<T> {
    let section = volume.voxels().index_axis(Axis(plane.through), index);
    section.slice(s![..;-1, ..;-1]).reversed_axes().to_owned()
}

/// Draws a section of the image in gray, intensities of `window` from black to white.
pub(crate) fn draw_gray(section: &Array2<f32>, window: &Range<f32>, [width, height]: [u32; 2]) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let intensity = interpolate(section, [x, y], [width, height]);
        let gray = ((intensity - window.start) / (window.end - window.start)).clamp(0.0, 1.0) * 255.0;
        Rgb([gray as u8; 3])
    })
}

/// Covers each pixel of a class with the class's color; 0 stays free, 1 is the first class.
pub(crate) fn fill_classes(panel: &mut RgbImage, section: &Array2<u16>) {
    let shape = [panel.width(), panel.height()];
    for (x, y, pixel) in panel.enumerate_pixels_mut() {
        if let Some(class_index) = nearest(section, [x, y], shape).checked_sub(1) {
            cover(pixel, palette::color(class_index.into()), FILL_OPACITY);
        }
    }
}

/// Covers each pixel with [`RISE`] or [`FALL`], the more the larger the change; `largest` covers most.
pub(crate) fn fill_changes(panel: &mut RgbImage, section: &Array2<f32>, largest: f32) {
    let shape = [panel.width(), panel.height()];
    for (x, y, pixel) in panel.enumerate_pixels_mut() {
        let change = interpolate(section, [x, y], shape);
        let share = if largest > 0.0 { (change.abs() / largest).min(1.0) } else { 0.0 };
        cover(pixel, if change > 0.0 { RISE } else { FALL }, share * CHANGE_OPACITY);
    }
}

fn cover(pixel: &mut Rgb<u8>, color: [u8; 3], opacity: f32) {
    for (channel, color) in pixel.0.iter_mut().zip(color) {
        let mixed = f32::from(*channel) * (1.0 - opacity) + f32::from(color) * opacity;
        *channel = mixed as u8;
    }
}

/// Draws the border of one class in white, just inside it and a pixel wide.
pub(crate) fn outline_class(panel: &mut RgbImage, section: &Array2<u16>, class: u16) {
    let shape = [panel.width(), panel.height()];
    let is_inside = |[x, y]: [u32; 2]| nearest(section, [x, y], shape) == class;
    for (x, y, pixel) in panel.enumerate_pixels_mut() {
        let [right, below] = [(x + 1).min(shape[0] - 1), (y + 1).min(shape[1] - 1)];
        let around = [[x.saturating_sub(1), y], [right, y], [x, y.saturating_sub(1)], [x, below]];
        if is_inside([x, y]) && !around.into_iter().all(is_inside) {
            *pixel = Rgb([255; 3]);
        }
    }
}

/// Draws the border of each class, just inside it.
pub(crate) fn outline_classes(panel: &mut RgbImage, section: &Array2<u16>) {
    const REACH: [[i64; 2]; 8] = [[-2, 0], [2, 0], [0, -2], [0, 2], [-1, -1], [-1, 1], [1, -1], [1, 1]];
    let shape = [panel.width(), panel.height()];
    for (x, y, pixel) in panel.enumerate_pixels_mut() {
        let class = nearest(section, [x, y], shape);
        let Some(class_index) = class.checked_sub(1) else { continue };
        let is_border = REACH.iter().any(|[right, down]| {
            let x = (i64::from(x) + right).clamp(0, i64::from(shape[0]) - 1) as u32;
            let y = (i64::from(y) + down).clamp(0, i64::from(shape[1]) - 1) as u32;
            nearest(section, [x, y], shape) != class
        });
        if is_border {
            *pixel = Rgb(palette::color(class_index.into()));
        }
    }
}

/// Writes where the edges point.
pub(crate) fn draw_letters(panel: &mut RgbImage, plane: Plane) {
    let [width, height] = [panel.width(), panel.height()];
    let middle = [0, 1].map(|side| ([width, height][side].saturating_sub(LETTER_SHAPE[side])) / 2);
    let right = width.saturating_sub(LETTER_SHAPE[0] + LETTER_MARGIN);
    let bottom = height.saturating_sub(LETTER_SHAPE[1] + LETTER_MARGIN);
    let corners =
        [[LETTER_MARGIN, middle[1]], [right, middle[1]], [middle[0], LETTER_MARGIN], [middle[0], bottom]];
    for (letter, corner) in plane.letters.into_iter().zip(corners) {
        draw_letter(panel, letter, corner);
    }
}

/// The voxel below a pixel.
fn nearest(section: &Array2<u16>, pixel: [u32; 2], shape: [u32; 2]) -> u16 {
    let [column, row] = [0, 1].map(|side| {
        let voxels = section.len_of(Axis(1 - side));
        (2 * pixel[side] as usize + 1) * voxels / (2 * shape[side] as usize)
    });
    section[[row, column]]
}

/// The intensity at the middle of a pixel, linear between the middles of voxels.
fn interpolate(section: &Array2<f32>, pixel: [u32; 2], shape: [u32; 2]) -> f32 {
    let [across, down] = [0, 1].map(|side| {
        let last = section.len_of(Axis(1 - side)) - 1;
        let place = (f64::from(pixel[side]) + 0.5) * (last + 1) as f64 / f64::from(shape[side]) - 0.5;
        let place = place.clamp(0.0, last as f64);
        let before = place as usize;
        (before, (before + 1).min(last), (place - before as f64) as f32)
    });
    let along =
        |row: usize| section[[row, across.0]] * (1.0 - across.2) + section[[row, across.1]] * across.2;
    along(down.0) * (1.0 - down.2) + along(down.1) * down.2
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::Grid;
    use ndarray::{Array3, arr2};

    use super::*;

    fn numbered(shape: [usize; 3]) -> Volume<u16> {
        let voxels = Array3::from_shape_fn(shape, |(x, y, z)| (100 * x + 10 * y + z) as u16);
        Volume::new(voxels, Grid::with_spacing(shape, [1.0; 3]))
    }

    #[test]
    fn sections_hang_as_radiologists_hang_them() {
        let volume = numbered([2, 3, 4]);
        let [axial, coronal, sagittal] = PLANES.map(|plane| cut(&volume, plane, 1));
        // The patient's right, the highest x, is at the left; anterior, the highest y, is above.
        assert_eq!(axial, arr2(&[[121, 21], [111, 11], [101, 1]]));
        assert_eq!(coronal, arr2(&[[113, 13], [112, 12], [111, 11], [110, 10]]));
        assert_eq!(sagittal, arr2(&[[123, 113, 103], [122, 112, 102], [121, 111, 101], [120, 110, 100]]));
    }

    #[test]
    fn panels_keep_the_proportions_of_the_body() {
        let (shape, spacing) = ([100, 100, 20], [1.0, 1.0, 5.0]);
        assert_eq!(panel_shape(PLANES[0], shape, spacing), [400, 400]);
        assert_eq!(panel_shape(PLANES[1], shape, spacing), [400, 400]);
        assert_eq!(panel_shape(PLANES[2], [100, 100, 40], spacing), [240, 480]);
    }

    #[test]
    fn a_fill_and_an_outline_take_the_color_of_the_class() {
        let section = arr2(&[[0, 0, 0], [0, 2, 0], [0, 0, 0]]);
        let mut panel = RgbImage::new(30, 30);
        outline_classes(&mut panel, &section);
        assert_eq!(panel.get_pixel(10, 15).0, palette::color(1));
        assert_eq!(panel.get_pixel(15, 15).0, [0; 3]);
        assert_eq!(panel.get_pixel(9, 15).0, [0; 3]);
        fill_classes(&mut panel, &section);
        assert_eq!(panel.get_pixel(15, 15).0, palette::color(1).map(|c| (f32::from(c) * FILL_OPACITY) as u8));
        assert_eq!(panel.get_pixel(9, 15).0, [0; 3]);
    }

    #[test]
    fn changes_are_covered_by_their_share_of_the_largest_and_their_sign() {
        let gray = |x: u32| RgbImage::from_pixel(x, 1, Rgb([100; 3]));
        let mut panel = gray(3);
        fill_changes(&mut panel, &arr2(&[[2.0, 0.0, -1.0]]), 2.0);
        // Red of the first: 100 · 0.1 + 213 · 0.9; of the last, half as much covered: 100 · 0.55 + 0 · 0.45.
        let red: Vec<u8> = panel.pixels().map(|pixel| pixel.0[0]).collect();
        assert!(red[0].abs_diff(201) <= 1 && red[1] == 100 && red[2].abs_diff(55) <= 1, "{red:?}");
        let mut panel = gray(1);
        fill_changes(&mut panel, &arr2(&[[0.0]]), 0.0);
        assert_eq!(panel, gray(1));
    }

    #[test]
    fn a_window_runs_from_black_to_white() {
        let panel = draw_gray(&arr2(&[[-10.0, 0.0], [5.0, 20.0]]), &(0.0..10.0), [2, 2]);
        assert_eq!(panel.pixels().map(|pixel| pixel.0[0]).collect::<Vec<_>>(), [0, 0, 127, 255]);
        let flat = draw_gray(&arr2(&[[3.0]]), &(3.0..3.0), [1, 1]);
        assert_eq!(flat.get_pixel(0, 0).0, [0; 3]); // not a number becomes black
    }
}

//! Orthogonal slices through a volume, rendered in the radiological display convention.

use std::ops::Range;

use bipvl_imaging::Volume;
use ndarray::{Array2, Axis, s};

use crate::palette;
use crate::raster::RgbImage;

/// Largest width and height of a panel in pixels.
const PANEL_SHAPE: [f64; 2] = [400.0, 480.0];

/// Opacity of class colors over the image.
const FILL_OPACITY: f32 = 0.45;

/// Heatmap colors of positive and negative differences (Okabe and Ito).
pub(crate) const POSITIVE: [u8; 3] = [213, 94, 0];
pub(crate) const NEGATIVE: [u8; 3] = [0, 114, 178];

/// Opacity of the largest difference over the image.
const HEATMAP_OPACITY: f32 = 0.9;

/// An anatomical plane of an RAS volume. In all three, voxel indices increase to the left and upward on the screen: the
/// patient faces the viewer, is seen from the feet, or looks to the left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane {
    /// Anatomical name.
    pub(crate) name: &'static str,
    /// Volume axis along the width of the image.
    horizontal_axis: usize,
    /// Volume axis along the height of the image.
    vertical_axis: usize,
    /// Volume axis perpendicular to the plane.
    pub(crate) normal_axis: usize,
    /// Orientation labels of the left, right, upper and lower edge.
    pub(crate) edges: [char; 4],
}

/// Axial, coronal, sagittal.
pub(crate) const PLANES: [Plane; 3] = [
    Plane {
        name: "axial",
        horizontal_axis: 0,
        vertical_axis: 1,
        normal_axis: 2,
        edges: ['R', 'L', 'A', 'P'],
    },
    Plane {
        name: "coronal",
        horizontal_axis: 0,
        vertical_axis: 2,
        normal_axis: 1,
        edges: ['R', 'L', 'S', 'I'],
    },
    Plane {
        name: "sagittal",
        horizontal_axis: 1,
        vertical_axis: 2,
        normal_axis: 0,
        edges: ['A', 'P', 'S', 'I'],
    },
];

/// Width and height of a panel in pixels: as large as [`PANEL_SHAPE`] allows with isotropic pixels.
pub(crate) fn panel_shape(plane: Plane, shape: [usize; 3], spacing: [f64; 3]) -> [u32; 2] {
    panel_within(PANEL_SHAPE, plane, shape, spacing)
}

/// Width and height of a panel in pixels: as large as `limit` allows with isotropic pixels.
pub(crate) fn panel_within(limit: [f64; 2], plane: Plane, shape: [usize; 3], spacing: [f64; 3]) -> [u32; 2] {
    let extent = [plane.horizontal_axis, plane.vertical_axis].map(|axis| shape[axis] as f64 * spacing[axis]);
    let scale = (limit[0] / extent[0]).min(limit[1] / extent[1]);
    extent.map(|mm| (mm * scale).round().max(1.0) as u32)
}

/// The voxels of `volume` in `plane` at `index`, `[row, column]` as displayed.
pub(crate) fn extract_slice<T: Copy>(volume: &Volume<T>, plane: Plane, index: usize) -> Array2<T> {
    let slice = volume.voxels().index_axis(Axis(plane.normal_axis), index);
    slice.slice(s![..;-1, ..;-1]).reversed_axes().to_owned()
}

/// Renders a slice in gray; `display_range` maps to black and white.
pub(crate) fn render_gray(
    slice: &Array2<f32>,
    display_range: &Range<f32>,
    [width, height]: [u32; 2],
) -> RgbImage {
    RgbImage::from_shape_fn((height as usize, width as usize), |(y, x)| {
        let intensity = interpolate_linear(slice, [x, y], [width as usize, height as usize]);
        let scaled = (intensity - display_range.start) / (display_range.end - display_range.start);
        [(scaled.clamp(0.0, 1.0) * 255.0) as u8; 3]
    })
}

/// Blends each class pixel with the color of its class; 0 is background, 1 the first class.
pub(crate) fn fill_classes(panel: &mut RgbImage, slice: &Array2<u16>) {
    let shape = [panel.ncols(), panel.nrows()];
    for ((y, x), pixel) in panel.indexed_iter_mut() {
        if let Some(class_index) = nearest(slice, [x, y], shape).checked_sub(1) {
            blend(pixel, palette::color(class_index.into()), FILL_OPACITY);
        }
    }
}

/// Blends each pixel with [`POSITIVE`] or [`NEGATIVE`] in proportion to its difference; `largest` is the most opaque.
pub(crate) fn fill_differences(panel: &mut RgbImage, slice: &Array2<f32>, largest: f32) {
    let shape = [panel.ncols(), panel.nrows()];
    for ((y, x), pixel) in panel.indexed_iter_mut() {
        let difference = interpolate_linear(slice, [x, y], shape);
        let magnitude = if largest > 0.0 { (difference.abs() / largest).min(1.0) } else { 0.0 };
        blend(pixel, if difference > 0.0 { POSITIVE } else { NEGATIVE }, magnitude * HEATMAP_OPACITY);
    }
}

fn blend(pixel: &mut [u8; 3], color: [u8; 3], opacity: f32) {
    for (channel, color) in pixel.iter_mut().zip(color) {
        *channel = (f32::from(*channel) * (1.0 - opacity) + f32::from(color) * opacity) as u8;
    }
}

/// Draws the inner boundary of one class in white, one pixel wide.
pub(crate) fn outline_class(panel: &mut RgbImage, slice: &Array2<u16>, class: u16) {
    const NEIGHBORS: [[isize; 2]; 4] = [[-1, 0], [1, 0], [0, -1], [0, 1]];
    let shape = [panel.ncols(), panel.nrows()];
    for ((y, x), pixel) in panel.indexed_iter_mut() {
        let is_inside = |position: [usize; 2]| nearest(slice, position, shape) == class;
        if is_inside([x, y]) && !NEIGHBORS.iter().all(|offset| is_inside(shifted([x, y], *offset, shape))) {
            *pixel = [255; 3];
        }
    }
}

/// Draws the inner boundary of each class in its color.
pub(crate) fn outline_classes(panel: &mut RgbImage, slice: &Array2<u16>) {
    const NEIGHBORS: [[isize; 2]; 8] = [[-2, 0], [2, 0], [0, -2], [0, 2], [-1, -1], [-1, 1], [1, -1], [1, 1]];
    let shape = [panel.ncols(), panel.nrows()];
    for ((y, x), pixel) in panel.indexed_iter_mut() {
        let class = nearest(slice, [x, y], shape);
        let Some(class_index) = class.checked_sub(1) else { continue };
        let is_other = |offset: &[isize; 2]| nearest(slice, shifted([x, y], *offset, shape), shape) != class;
        if NEIGHBORS.iter().any(is_other) {
            *pixel = palette::color(class_index.into());
        }
    }
}

/// A pixel position moved by `offset`, clamped to the image.
fn shifted(position: [usize; 2], offset: [isize; 2], shape: [usize; 2]) -> [usize; 2] {
    [0, 1].map(|axis| position[axis].saturating_add_signed(offset[axis]).min(shape[axis] - 1))
}

/// The voxel at the center of a pixel `[x, y]`.
fn nearest(slice: &Array2<u16>, pixel: [usize; 2], shape: [usize; 2]) -> u16 {
    let [column, row] =
        [0, 1].map(|axis| (2 * pixel[axis] + 1) * slice.len_of(Axis(1 - axis)) / (2 * shape[axis]));
    slice[[row, column]]
}

/// Bilinear interpolation at the center of a pixel `[x, y]`.
fn interpolate_linear(slice: &Array2<f32>, pixel: [usize; 2], shape: [usize; 2]) -> f32 {
    let [x, y] = [0, 1].map(|axis| {
        let last = slice.len_of(Axis(1 - axis)) - 1;
        let position = (pixel[axis] as f64 + 0.5) * (last + 1) as f64 / shape[axis] as f64 - 0.5;
        let position = position.clamp(0.0, last as f64);
        let lower = position as usize;
        (lower, (lower + 1).min(last), (position - lower as f64) as f32)
    });
    let in_row = |row: usize| slice[[row, x.0]] * (1.0 - x.2) + slice[[row, x.1]] * x.2;
    in_row(y.0) * (1.0 - y.2) + in_row(y.1) * y.2
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
    fn slices_follow_the_radiological_convention() {
        let volume = numbered([2, 3, 4]);
        let [axial, coronal, sagittal] = PLANES.map(|plane| extract_slice(&volume, plane, 1));
        // The patient's right, the highest x, is on the left; anterior, the highest y, is at the top.
        assert_eq!(axial, arr2(&[[121, 21], [111, 11], [101, 1]]));
        assert_eq!(coronal, arr2(&[[113, 13], [112, 12], [111, 11], [110, 10]]));
        assert_eq!(sagittal, arr2(&[[123, 113, 103], [122, 112, 102], [121, 111, 101], [120, 110, 100]]));
    }

    #[test]
    fn panels_have_isotropic_pixels() {
        let (shape, spacing) = ([100, 100, 20], [1.0, 1.0, 5.0]);
        assert_eq!(panel_shape(PLANES[0], shape, spacing), [400, 400]);
        assert_eq!(panel_shape(PLANES[1], shape, spacing), [400, 400]);
        assert_eq!(panel_shape(PLANES[2], [100, 100, 40], spacing), [240, 480]);
    }

    #[test]
    fn a_fill_and_an_outline_take_the_color_of_the_class() {
        let slice = arr2(&[[0, 0, 0], [0, 2, 0], [0, 0, 0]]);
        let mut panel = RgbImage::from_elem((30, 30), [0; 3]);
        outline_classes(&mut panel, &slice);
        assert_eq!(panel[[15, 10]], palette::color(1));
        assert_eq!(panel[[15, 15]], [0; 3]);
        assert_eq!(panel[[15, 9]], [0; 3]);
        fill_classes(&mut panel, &slice);
        assert_eq!(panel[[15, 15]], palette::color(1).map(|c| (f32::from(c) * FILL_OPACITY) as u8));
        assert_eq!(panel[[15, 9]], [0; 3]);
    }

    #[test]
    fn the_heatmap_shows_sign_and_relative_magnitude() {
        let gray = |width: usize| RgbImage::from_elem((1, width), [100; 3]);
        let mut panel = gray(3);
        fill_differences(&mut panel, &arr2(&[[2.0, 0.0, -1.0]]), 2.0);
        // Red of the first: 100 · 0.1 + 213 · 0.9; of the last, half as opaque: 100 · 0.55 + 0 · 0.45.
        let red: Vec<u8> = panel.iter().map(|pixel| pixel[0]).collect();
        assert!(red[0].abs_diff(201) <= 1 && red[1] == 100 && red[2].abs_diff(55) <= 1, "{red:?}");
        let mut panel = gray(1);
        fill_differences(&mut panel, &arr2(&[[0.0]]), 0.0);
        assert_eq!(panel, gray(1));
    }

    #[test]
    fn the_display_range_maps_to_black_and_white() {
        let panel = render_gray(&arr2(&[[-10.0, 0.0], [5.0, 20.0]]), &(0.0..10.0), [2, 2]);
        assert_eq!(panel.iter().map(|pixel| pixel[0]).collect::<Vec<_>>(), [0, 0, 127, 255]);
        let flat = render_gray(&arr2(&[[3.0]]), &(3.0..3.0), [1, 1]);
        assert_eq!(flat[[0, 0]], [0; 3]); // NaN is black
    }
}

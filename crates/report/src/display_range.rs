//! The intensities that a figure shows from black to white.

use std::ops::Range;

use bipvl_imaging::Volume;
use ndarray::Array3;

/// Fraction of voxels clipped to black, and to white.
const CLIPPED: f64 = 0.005;

/// Extension of the display range beyond the intensities of the classes, as a fraction of their range.
const DISPLAY_MARGIN: f32 = 0.5;

/// The intensities of the classes with a margin, so that air and table do not reduce the contrast of organs; those of
/// the whole volume if the classes have no contrast.
pub(crate) fn display_range(
    image: &Volume<f32>,
    prediction: &Array3<u16>,
    reference: &Array3<u16>,
) -> Range<f32> {
    let voxels = image.voxels().iter().zip(prediction).zip(reference);
    let of_classes = voxels
        .filter(|((_, predicted), expected)| **predicted > 0 || **expected > 0)
        .map(|((voxel, _), _)| *voxel);
    match robust_range(of_classes) {
        Some(Range { start, end }) if start < end => {
            let margin = (end - start) * DISPLAY_MARGIN;
            start - margin..end + margin
        }
        _ => robust_range(image.voxels().iter().copied()).unwrap_or(0.0..1.0),
    }
}

/// From the 0.5th to the 99.5th percentile of the finite intensities; `None` without any.
pub(crate) fn robust_range(intensities: impl Iterator<Item = f32>) -> Option<Range<f32>> {
    let mut finite: Vec<f32> = intensities.filter(|intensity| intensity.is_finite()).collect();
    let last = finite.len().checked_sub(1)?;
    let [low, high] = [CLIPPED, 1.0 - CLIPPED].map(|fraction| {
        let rank = (fraction * last as f64).round() as usize;
        *finite.select_nth_unstable_by(rank, f32::total_cmp).1
    });
    Some(low..high)
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::Grid;

    use super::*;

    #[test]
    fn the_display_range_is_that_of_the_volume_without_class_contrast() {
        let shape = [10, 10, 10];
        let voxels = Array3::from_shape_fn(shape, |(x, y, z)| (100 * x + 10 * y + z) as f32);
        let mut image = Volume::new(voxels, Grid::with_spacing(shape, [1.0; 3]));
        let none = Array3::zeros(shape);
        assert_eq!(display_range(&image, &none, &none), 5.0..994.0); // ranks 0.5 % and 99.5 % of 999
        image.voxels_mut().fill(f32::NAN);
        assert_eq!(display_range(&image, &none, &none), 0.0..1.0);
    }
}

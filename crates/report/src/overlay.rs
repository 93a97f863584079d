//! Three planes through a case as a PNG: the image above, prediction and reference on it below.

use std::io::Cursor;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use bipvl_imaging::{LabelMap, Volume, to_ras};
use bipvl_metrics::ClassLabels;
use image::{ImageFormat, Rgb, RgbImage, imageops};
use ndarray::{Array3, Axis};

use crate::section::{PLANES, cut, draw_gray, draw_letters, fill_classes, outline_classes, panel_shape};

/// Pixels between panels.
const GAP: u32 = 8;

/// What lies around the panels.
const BACKGROUND: Rgb<u8> = Rgb([0, 0, 0]);

/// The share of voxels left darker than black, and brighter than white.
const CLIPPED: f64 = 0.005;

/// How far black and white lie beyond the classes' own intensities, in shares of their span.
const WINDOW_MARGIN: f32 = 0.5;

/// What an overlay is drawn from; the three volumes share one grid, in any orientation.
pub struct OverlayCase<'a> {
    /// The case's id.
    pub case: &'a str,
    /// Intensities.
    pub image: &'a Volume<f32>,
    /// Ours.
    pub prediction: &'a LabelMap,
    /// The expert's.
    pub reference: &'a LabelMap,
    /// The classes to draw, in the order of the report.
    pub classes: &'a [ClassLabels],
}

/// A drawn case.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// The case's id.
    pub case: String,
    /// The picture's file content.
    pub png: Vec<u8>,
}

impl Overlay {
    /// Draws the axial, coronal and sagittal planes with the largest disagreement, or, where there is
    /// none, with most of the reference: the image alone, and below it the prediction filled and the
    /// reference outlined. The patient's right is at the left, the axial plane is seen from the feet.
    ///
    /// # Errors
    ///
    /// When the volumes are empty or do not share one grid.
    pub fn draw(case: &OverlayCase<'_>) -> Result<Self> {
        let mut png = Cursor::new(Vec::new());
        picture(case)?
            .write_to(&mut png, ImageFormat::Png)
            .with_context(|| format!("case {}: the overlay cannot be encoded", case.case))?;
        Ok(Self { case: case.case.to_owned(), png: png.into_inner() })
    }
}

fn picture(case: &OverlayCase<'_>) -> Result<RgbImage> {
    check(case)?;
    let image = to_ras(case.image);
    let prediction = to_ras(&classes_of(case.prediction, case.classes));
    let reference = to_ras(&classes_of(case.reference, case.classes));
    let slices = slices_to_show(prediction.voxels(), reference.voxels());
    let window = intensity_window(&image, prediction.voxels(), reference.voxels());
    let columns = PLANES.map(|plane| {
        let index = slices[plane.through];
        let shape = panel_shape(plane, image.grid().shape(), image.grid().spacing());
        let mut plain = draw_gray(&cut(&image, plane, index), &window, shape);
        let mut judged = plain.clone();
        fill_classes(&mut judged, &cut(&prediction, plane, index));
        outline_classes(&mut judged, &cut(&reference, plane, index));
        draw_letters(&mut plain, plane);
        draw_letters(&mut judged, plane);
        [plain, judged]
    });
    Ok(mount(&columns))
}

fn check(case: &OverlayCase<'_>) -> Result<()> {
    let grid = case.reference.grid();
    for (name, other) in [("image", case.image.grid()), ("prediction", case.prediction.grid())] {
        ensure!(
            other.approx_eq(grid),
            "case {}: expected {name} and reference on one grid, found shapes {:?} and {:?}, spacings {:?} and {:?} mm",
            case.case,
            other.shape(),
            grid.shape(),
            other.spacing(),
            grid.spacing(),
        );
    }
    ensure!(
        !grid.shape().contains(&0),
        "case {}: expected voxels, found shape {:?}",
        case.case,
        grid.shape()
    );
    Ok(())
}

/// 1 for the first class, 2 for the second, 0 for all else; of classes that overlap, the last, which lies inside
/// the others.
fn classes_of(labels: &LabelMap, classes: &[ClassLabels]) -> LabelMap {
    let number = |label: &u16| classes.iter().rposition(|class| class.labels.contains(label));
    labels.map(|label| number(label).map_or(0, |class_index| class_index as u16 + 1))
}

/// For each axis the index with most disagreement, or most reference, or the middle.
fn slices_to_show(prediction: &Array3<u16>, reference: &Array3<u16>) -> [usize; 3] {
    std::array::from_fn(|axis| {
        let sections = || prediction.axis_iter(Axis(axis)).zip(reference.axis_iter(Axis(axis)));
        let disagreement =
            sections().map(|(ours, theirs)| ours.iter().zip(theirs).filter(|(a, b)| a != b).count());
        let presence = sections().map(|(_, theirs)| theirs.iter().filter(|&&class| class > 0).count());
        first_largest(disagreement)
            .or_else(|| first_largest(presence))
            .unwrap_or(reference.len_of(Axis(axis)) / 2)
    })
}

/// The index of the first of the largest counts, if any is above zero.
fn first_largest(counts: impl Iterator<Item = usize>) -> Option<usize> {
    let (index, count) = counts.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    (count > 0).then_some(index)
}

/// The intensities to draw black and white: those of the classes and somewhat beyond, so that air and
/// table do not eat the contrast of the organs; those of the volume where no class stands out.
fn intensity_window(image: &Volume<f32>, prediction: &Array3<u16>, reference: &Array3<u16>) -> Range<f32> {
    let classes = image.voxels().iter().zip(prediction).zip(reference);
    let of_classes =
        classes.filter(|((_, ours), theirs)| **ours > 0 || **theirs > 0).map(|((voxel, _), _)| *voxel);
    match usual_intensities(of_classes) {
        Some(Range { start: low, end: high }) if low < high => {
            let margin = (high - low) * WINDOW_MARGIN;
            low - margin..high + margin
        }
        _ => usual_intensities(image.voxels().iter().copied()).unwrap_or(0.0..1.0),
    }
}

/// All but the darkest and the brightest, or `None` of nothing.
pub(crate) fn usual_intensities(intensities: impl Iterator<Item = f32>) -> Option<Range<f32>> {
    let mut finite: Vec<f32> = intensities.filter(|intensity| intensity.is_finite()).collect();
    let last = finite.len().checked_sub(1)?;
    let [low, high] = [CLIPPED, 1.0 - CLIPPED].map(|share| {
        let rank = (share * last as f64).round() as usize;
        *finite.select_nth_unstable_by(rank, f32::total_cmp).1
    });
    Some(low..high)
}

/// Puts the columns side by side, each panel in the middle of its place.
fn mount(columns: &[[RgbImage; 2]; 3]) -> RgbImage {
    let row = columns.iter().map(|[plain, _]| plain.height()).max().unwrap_or(0);
    let width = columns.iter().map(|[plain, _]| plain.width() + GAP).sum::<u32>() - GAP;
    let mut picture = RgbImage::from_pixel(width, 2 * row + GAP, BACKGROUND);
    let mut left = 0;
    for panels in columns {
        for (panel, top) in panels.iter().zip([0, row + GAP]) {
            let top = top + (row - panel.height()) / 2;
            imageops::replace(&mut picture, panel, left.into(), top.into());
        }
        left += panels[0].width() + GAP;
    }
    picture
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::{Grid, Orientation, reorient};
    use ndarray::s;

    use super::*;
    use crate::{example, palette};

    fn draw(image: &Volume<f32>, prediction: &LabelMap, reference: &LabelMap) -> RgbImage {
        let classes = example::classes();
        let case = OverlayCase { case: "drawn", image, prediction, reference, classes: &classes };
        picture(&case).unwrap()
    }

    fn cube(low: [usize; 3]) -> Array3<u16> {
        let mut labels = Array3::zeros([10, 10, 10]);
        let [x, y, z] = low;
        labels.slice_mut(s![x..x + 2, y..y + 2, z..z + 2]).fill(1);
        labels
    }

    #[test]
    fn a_case_looks_the_same_in_any_orientation() {
        let example = example::case(3);
        let upright = draw(&example.image, &example.prediction, &example.reference);
        for orientation in ["LPS", "PIR", "SAR", "IRP"] {
            let orientation: Orientation = orientation.parse().unwrap();
            let turned = draw(
                &reorient(&example.image, orientation),
                &reorient(&example.prediction, orientation),
                &reorient(&example.reference, orientation),
            );
            assert_eq!(turned, upright, "{orientation}");
        }
    }

    #[test]
    fn the_picture_is_kept_as_a_png() {
        let grid = Grid::with_spacing([4, 4, 4], [1.0; 3]);
        let (image, labels) =
            (Volume::new(Array3::zeros([4; 3]), grid.clone()), Volume::new(Array3::zeros([4; 3]), grid));
        let case =
            OverlayCase { case: "a", image: &image, prediction: &labels, reference: &labels, classes: &[] };
        let overlay = Overlay::draw(&case).unwrap();
        let decoded = image::load_from_memory_with_format(&overlay.png, ImageFormat::Png).unwrap();
        assert_eq!(decoded.into_rgb8(), picture(&case).unwrap());
    }

    #[test]
    fn the_patients_right_is_at_the_left() {
        let grid = Grid::with_spacing([10; 3], [1.0; 3]);
        let image = Volume::new(Array3::zeros([10; 3]), grid.clone());
        let labels = Volume::new(cube([8, 4, 4]), grid); // high x is the patient's right
        let picture = draw(&image, &labels, &labels);
        let axial = imageops::crop_imm(&picture, 0, 400 + GAP, 400, 400).to_image();
        let colored = axial.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 == palette::color(0));
        let columns: Vec<u32> = colored.map(|(column, _, _)| column).collect();
        assert!(
            !columns.is_empty() && columns.iter().all(|&column| column < 80),
            "two of ten voxels, from the left"
        );
    }

    #[test]
    fn slices_follow_disagreement_then_reference_then_the_middle() {
        let empty = Array3::zeros([10, 10, 10]);
        let (here, there) = (cube([1, 2, 3]), cube([6, 7, 8]));
        assert_eq!(slices_to_show(&here, &here), [1, 2, 3]);
        assert_eq!(slices_to_show(&empty, &there), [6, 7, 8]);
        assert_eq!(slices_to_show(&empty, &empty), [5, 5, 5]);
        let mut both = cube([1, 2, 3]);
        both[[6, 7, 8]] = 1;
        assert_eq!(slices_to_show(&both, &here), [6, 7, 8]);
    }

    #[test]
    fn black_and_white_lie_around_the_intensities_of_the_classes() {
        let grid = Grid::with_spacing([10; 3], [1.0; 3]);
        let mut image = Volume::new(Array3::from_elem([10; 3], -1000.0), grid);
        let (labels, none) = (cube([4, 4, 4]), Array3::zeros([10, 10, 10]));
        image.voxels_mut().slice_mut(s![4..6, 4..6, 4]).fill(40.0);
        image.voxels_mut().slice_mut(s![4..6, 4..6, 5]).fill(60.0);
        assert_eq!(intensity_window(&image, &labels, &none), 30.0..70.0); // half of 20 on each side
        assert_eq!(intensity_window(&image, &none, &labels), 30.0..70.0);
    }

    #[test]
    fn the_volume_sets_black_and_white_where_no_class_stands_out() {
        let shape = [10, 10, 10];
        let voxels = Array3::from_shape_fn(shape, |(x, y, z)| (100 * x + 10 * y + z) as f32);
        let mut image = Volume::new(voxels, Grid::with_spacing(shape, [1.0; 3]));
        let none = Array3::zeros(shape);
        assert_eq!(intensity_window(&image, &none, &none), 5.0..994.0); // ranks 0.5 % and 99.5 % of 999
        image.voxels_mut().fill(f32::NAN);
        assert_eq!(intensity_window(&image, &none, &none), 0.0..1.0);
    }

    #[test]
    fn labels_are_numbered_in_the_order_of_the_classes() {
        let grid = Grid::with_spacing([4, 1, 1], [1.0; 3]);
        let labels = Volume::new(Array3::from_shape_vec([4, 1, 1], vec![0, 7, 3, 9]).unwrap(), grid);
        let numbers = |classes: &[(&str, &[u16])]| {
            let class = |(name, labels): &(&str, &[u16])| ClassLabels {
                name: (*name).to_owned(),
                labels: labels.to_vec(),
            };
            let classes: Vec<ClassLabels> = classes.iter().map(class).collect();
            classes_of(&labels, &classes).into_voxels().into_raw_vec_and_offset().0
        };
        assert_eq!(numbers(&[("a", &[7]), ("b", &[3])]), [0, 1, 2, 0]);
        assert_eq!(numbers(&[("a", &[7, 3, 9]), ("b", &[3])]), [0, 1, 2, 1]);
    }

    #[test]
    fn volumes_on_other_grids_are_refused() {
        let example = example::case(3);
        let other = Volume::new(Array3::zeros([3, 4, 5]), Grid::with_spacing([3, 4, 5], [1.0; 3]));
        let classes = example::classes();
        let case = OverlayCase {
            case: "heart_07",
            image: &example.image,
            prediction: &other,
            reference: &example.reference,
            classes: &classes,
        };
        let error = Overlay::draw(&case).unwrap_err().to_string();
        assert!(
            error.contains("heart_07") && error.contains("prediction") && error.contains("[3, 4, 5]"),
            "{error}"
        );
        let none = Volume::new(Array3::zeros([0, 4, 5]), Grid::with_spacing([0, 4, 5], [1.0; 3]));
        let image = none.map(|_| 0.0);
        let case = OverlayCase { image: &image, prediction: &none, reference: &none, ..case };
        assert!(Overlay::draw(&case).unwrap_err().to_string().contains("[0, 4, 5]"));
    }
}

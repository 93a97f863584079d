//! Overlay figures: three slices of a case with prediction and reference, as SVG.

use bipvl_imaging::{LabelClass, LabelMap, Volume, to_ras};
use ndarray::{Array3, Axis, s};

use crate::display_range::display_range;
use crate::legend::Legend;
use crate::raster::{RgbImage, png_data_uri};
use crate::slice::{PLANES, Plane, extract_slice, fill_classes, outline_classes, panel_shape, render_gray};
use crate::svg::{escape, text_element};
use crate::{Error, Result};

/// Pixels between panels.
const GAP: usize = 8;
/// Pixels above, between and below the panels for text.
const TEXT_ROW: usize = 26;
const FONT_SIZE: usize = 14;
const EDGE_FONT_SIZE: usize = 16;
/// Pixels between an orientation label and the edge of its panel.
const EDGE_MARGIN: usize = 8;

const BACKGROUND: [u8; 3] = [0, 0, 0];

/// The volumes of an overlay, all on one grid of any orientation.
#[derive(Clone, Copy)]
pub struct OverlayCase<'a> {
    /// Case id.
    pub case: &'a str,
    /// Intensities.
    pub image: &'a Volume<f32>,
    /// Predicted labels.
    pub prediction: &'a LabelMap,
    /// Reference labels.
    pub reference: &'a LabelMap,
    /// Classes to show, in the order of the report.
    pub classes: &'a [LabelClass],
}

/// The overlay figure of one case.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// Case id.
    pub case: String,
    /// Self-contained SVG with the slices as an embedded PNG.
    pub svg: String,
}

impl Overlay {
    /// Renders the axial, coronal and sagittal slice with the largest disagreement, or with most of the reference if
    /// there is none: above the image, below it the prediction filled and the reference outlined. Radiological
    /// convention: the patient's right is on the left.
    ///
    /// # Errors
    ///
    /// If the volumes are empty or not on the same grid.
    pub fn draw(case: &OverlayCase<'_>) -> Result<Self> {
        let Panels { image, columns } = panels(case)?;
        Ok(Self { case: case.case.to_owned(), svg: figure(&png_data_uri(&image)?, &image, &columns, case) })
    }
}

/// All panels in one image.
struct Panels {
    image: RgbImage,
    columns: Vec<Column>,
}

/// Two panels of one plane, one above the other.
struct Column {
    plane: Plane,
    slice_index: usize,
    /// Upper left corners in the image, `[x, y]`.
    corners: [[usize; 2]; 2],
    /// Width and height.
    shape: [usize; 2],
}

fn panels(case: &OverlayCase<'_>) -> Result<Panels> {
    ensure_same_grid(case)?;
    let image = to_ras(case.image);
    let prediction = to_ras(&class_numbers(case.prediction, case.classes));
    let reference = to_ras(&class_numbers(case.reference, case.classes));
    let slices = most_informative_slices(prediction.voxels(), reference.voxels());
    let display_range = display_range(&image, prediction.voxels(), reference.voxels());
    let rendered = PLANES.map(|plane| {
        let index = slices[plane.normal_axis];
        let shape = panel_shape(plane, image.grid().shape(), image.grid().spacing());
        let plain = render_gray(&extract_slice(&image, plane, index), &display_range, shape);
        let mut annotated = plain.clone();
        fill_classes(&mut annotated, &extract_slice(&prediction, plane, index));
        outline_classes(&mut annotated, &extract_slice(&reference, plane, index));
        [plain, annotated]
    });
    Ok(mount(&rendered, slices))
}

fn ensure_same_grid(case: &OverlayCase<'_>) -> Result<()> {
    let grid = case.reference.grid();
    for (volume, other) in [("image", case.image.grid()), ("prediction", case.prediction.grid())] {
        other.ensure_matches(grid).map_err(|mismatch| Error::GridMismatch {
            case: case.case.to_owned(),
            volume,
            mismatch,
        })?;
    }
    if grid.shape().contains(&0) {
        return Err(Error::EmptyVolume { case: case.case.to_owned(), shape: grid.shape() });
    }
    Ok(())
}

/// 1 for the first class, 2 for the second, 0 for background; of overlapping classes the last, which is innermost.
fn class_numbers(labels: &LabelMap, classes: &[LabelClass]) -> LabelMap {
    let number = |label: &u16| classes.iter().rposition(|class| class.labels.contains(label));
    labels.map(|label| number(label).map_or(0, |class_index| class_index as u16 + 1))
}

/// For each axis the index of the slice with most disagreement, else with most of the reference, else the middle.
fn most_informative_slices(prediction: &Array3<u16>, reference: &Array3<u16>) -> [usize; 3] {
    std::array::from_fn(|axis| {
        let slices = || prediction.axis_iter(Axis(axis)).zip(reference.axis_iter(Axis(axis)));
        let disagreement = slices().map(|(prediction, reference)| {
            prediction.iter().zip(reference).filter(|(predicted, expected)| predicted != expected).count()
        });
        let extent = slices().map(|(_, reference)| reference.iter().filter(|&&class| class > 0).count());
        first_maximum(disagreement)
            .or_else(|| first_maximum(extent))
            .unwrap_or(reference.len_of(Axis(axis)) / 2)
    })
}

/// The index of the first maximum, if it is positive.
fn first_maximum(counts: impl Iterator<Item = usize>) -> Option<usize> {
    let (index, count) = counts.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    (count > 0).then_some(index)
}

/// Places the columns side by side, panels centered vertically in their row.
fn mount(rendered: &[[RgbImage; 2]; 3], slices: [usize; 3]) -> Panels {
    let row = rendered.iter().map(|[plain, _]| plain.nrows()).max().unwrap_or(0);
    let width = rendered.iter().map(|[plain, _]| plain.ncols() + GAP).sum::<usize>() - GAP;
    let mut image = RgbImage::from_elem((2 * row + TEXT_ROW, width), BACKGROUND);
    let mut columns = Vec::with_capacity(PLANES.len());
    let mut x = 0;
    for (plane, pair) in PLANES.into_iter().zip(rendered) {
        let (height, width) = pair[0].dim();
        let corners = [0, row + TEXT_ROW].map(|y| [x, y + (row - height) / 2]);
        for (panel, [x, y]) in pair.iter().zip(corners) {
            image.slice_mut(s![y..y + height, x..x + width]).assign(panel);
        }
        let slice_index = slices[plane.normal_axis];
        columns.push(Column { plane, slice_index, corners, shape: [width, height] });
        x += width + GAP;
    }
    Panels { image, columns }
}

/// The panels with plane names, orientation labels and a legend.
fn figure(png: &str, image: &RgbImage, columns: &[Column], case: &OverlayCase<'_>) -> String {
    let (image_height, width) = image.dim();
    let legend = Legend::new(case.classes, width, FONT_SIZE);
    let middle = TEXT_ROW + (image_height - TEXT_ROW) / 2;
    let height = TEXT_ROW + image_height + legend.rows * TEXT_ROW + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" class=\"overlay\" font-family=\"system-ui, sans-serif\" \
         font-size=\"{FONT_SIZE}\" fill=\"#ffffff\">\n<title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#000000\"/>\n\
         <image y=\"{TEXT_ROW}\" width=\"{width}\" height=\"{image_height}\" href=\"{png}\"/>\n",
        title = escape(&format!("Prediction and reference of {}", case.case)),
    );
    let baseline = |row_top: usize| row_top + usize::midpoint(TEXT_ROW, FONT_SIZE) - 2;
    for Column { plane, slice_index, corners, shape } in columns {
        let title = format!("{}, slice {slice_index}", plane.name);
        svg.push_str(&text_element([corners[0][0] + 4, baseline(0)], "", &title));
        for corner in corners {
            for (letter, [x, y]) in plane.edges.into_iter().zip(edge_positions(*corner, *shape)) {
                svg.push_str(&text_element([x, y + TEXT_ROW], EDGE_STYLE, &letter.to_string()));
            }
        }
    }
    svg.push_str(&text_element([4, baseline(middle)], "", "filled: prediction, outline: reference"));
    svg.push_str(&legend.svg(|row| baseline(TEXT_ROW + image_height + row * TEXT_ROW)));
    svg.push_str("</svg>\n");
    svg
}

/// White with a black outline, legible on any intensity; centered.
const EDGE_STYLE: &str = " text-anchor=\"middle\" font-size=\"16\" font-weight=\"bold\" stroke=\"#000000\" \
                          stroke-width=\"3\" paint-order=\"stroke\"";

/// Baseline centers of the orientation labels of the left, right, upper and lower edge.
fn edge_positions([x, y]: [usize; 2], [width, height]: [usize; 2]) -> [[usize; 2]; 4] {
    let (half_letter, ascent) = (EDGE_FONT_SIZE / 2, EDGE_FONT_SIZE * 3 / 4);
    let middle = [x + width / 2, y + usize::midpoint(height, ascent)];
    [
        [x + EDGE_MARGIN + half_letter, middle[1]],
        [(x + width).saturating_sub(EDGE_MARGIN + half_letter), middle[1]],
        [middle[0], y + EDGE_MARGIN + ascent],
        [middle[0], (y + height).saturating_sub(EDGE_MARGIN)],
    ]
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::{Grid, Orientation, reorient};

    use super::*;
    use crate::{example, palette};

    fn draw(image: &Volume<f32>, prediction: &LabelMap, reference: &LabelMap) -> RgbImage {
        let classes = example::classes();
        let case = OverlayCase { case: "drawn", image, prediction, reference, classes: &classes };
        panels(&case).unwrap().image
    }

    fn cube(low: [usize; 3]) -> Array3<u16> {
        let mut labels = Array3::zeros([10, 10, 10]);
        let [x, y, z] = low;
        labels.slice_mut(s![x..x + 2, y..y + 2, z..z + 2]).fill(1);
        labels
    }

    #[test]
    fn the_overlay_is_independent_of_the_orientation_of_the_files() {
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
    fn the_figure_is_self_contained_and_labels_planes_edges_and_classes() {
        let example = example::case(3);
        let mut classes = example::classes();
        classes[0].name = "<liver> & \"co\"".to_owned();
        let case = OverlayCase {
            case: "a<b",
            image: &example.image,
            prediction: &example.prediction,
            reference: &example.reference,
            classes: &classes,
        };
        let svg = Overlay::draw(&case).unwrap().svg;
        assert_eq!(svg.matches("href=").count(), 1);
        assert!(svg.contains("href=\"data:image/png;base64,iVBOR"), "the slices are embedded");
        // Twice each: R, L, A, P of the axial slice, R, L, S, I of the coronal, A, P, S, I of the sagittal one.
        for letter in ['R', 'L', 'A', 'P', 'S', 'I'] {
            assert_eq!(svg.matches(&format!(">{letter}</text>")).count(), 4, "{letter}");
        }
        for text in [
            "axial, slice",
            "coronal, slice",
            "sagittal, slice",
            "&lt;liver&gt; &amp; &quot;co&quot;",
            "a&lt;b",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(svg.matches('■').count(), classes.len());
    }

    #[test]
    fn the_patients_right_is_on_the_left() {
        let grid = Grid::with_spacing([10; 3], [1.0; 3]);
        let image = Volume::new(Array3::zeros([10; 3]), grid.clone());
        let labels = Volume::new(cube([8, 4, 4]), grid); // high x is the patient's right
        let picture = draw(&image, &labels, &labels);
        let axial = picture.slice(s![400 + TEXT_ROW.., ..400]);
        let colored = axial.indexed_iter().filter(|(_, pixel)| **pixel == palette::color(0));
        let columns: Vec<usize> = colored.map(|((_, column), _)| column).collect();
        assert!(
            !columns.is_empty() && columns.iter().all(|&column| column < 80),
            "two of ten voxels, from the left"
        );
    }

    #[test]
    fn slices_are_chosen_by_disagreement_then_reference_then_the_middle() {
        let empty = Array3::zeros([10, 10, 10]);
        let (here, there) = (cube([1, 2, 3]), cube([6, 7, 8]));
        assert_eq!(most_informative_slices(&here, &here), [1, 2, 3]);
        assert_eq!(most_informative_slices(&empty, &there), [6, 7, 8]);
        assert_eq!(most_informative_slices(&empty, &empty), [5, 5, 5]);
        let mut both = cube([1, 2, 3]);
        both[[6, 7, 8]] = 1;
        assert_eq!(most_informative_slices(&both, &here), [6, 7, 8]);
    }

    #[test]
    fn the_display_range_follows_the_intensities_of_the_classes() {
        let grid = Grid::with_spacing([10; 3], [1.0; 3]);
        let mut image = Volume::new(Array3::from_elem([10; 3], -1000.0), grid);
        let (labels, none) = (cube([4, 4, 4]), Array3::zeros([10, 10, 10]));
        image.voxels_mut().slice_mut(s![4..6, 4..6, 4]).fill(40.0);
        image.voxels_mut().slice_mut(s![4..6, 4..6, 5]).fill(60.0);
        assert_eq!(display_range(&image, &labels, &none), 30.0..70.0); // half of 20 on each side
        assert_eq!(display_range(&image, &none, &labels), 30.0..70.0);
    }

    #[test]
    fn classes_are_numbered_in_their_order() {
        let grid = Grid::with_spacing([4, 1, 1], [1.0; 3]);
        let labels = Volume::new(Array3::from_shape_vec([4, 1, 1], vec![0, 7, 3, 9]).unwrap(), grid);
        let numbers = |classes: &[(&str, &[u16])]| {
            let class = |(name, labels): &(&str, &[u16])| LabelClass::new(*name, labels.to_vec());
            let classes: Vec<LabelClass> = classes.iter().map(class).collect();
            class_numbers(&labels, &classes).into_voxels().into_raw_vec_and_offset().0
        };
        assert_eq!(numbers(&[("a", &[7]), ("b", &[3])]), [0, 1, 2, 0]);
        assert_eq!(numbers(&[("a", &[7, 3, 9]), ("b", &[3])]), [0, 1, 2, 1]);
    }

    #[test]
    fn volumes_on_different_grids_are_an_error() {
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
            error.contains("heart_07")
                && error.contains("prediction")
                && error.contains("shape 3 × 4 × 5 instead of 64 × 48 × 20"),
            "{error}"
        );
        let none = Volume::new(Array3::zeros([0, 4, 5]), Grid::with_spacing([0, 4, 5], [1.0; 3]));
        let image = none.map(|_| 0.0);
        let case = OverlayCase { image: &image, prediction: &none, reference: &none, ..case };
        assert!(Overlay::draw(&case).unwrap_err().to_string().contains("[0, 4, 5]"));
    }
}

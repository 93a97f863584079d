//! Occlusion of description sentences: how the logits of a class change without each sentence, as maps and a table.

use bipvl_imaging::{LabelMap, Volume};
use bipvl_infer::probe::ConceptAttribution;
use ndarray::{Array2, Axis};

use crate::Result;
use crate::display_range::robust_range;
use crate::raster::{RgbImage, png_data_uri};
use crate::rows::format_score;
use crate::slice::{
    NEGATIVE, PLANES, POSITIVE, extract_slice, fill_differences, outline_class, panel_within, render_gray,
};

/// Largest width and height of a map in pixels; a report has one per class and concept.
const MAP_SHAPE: [f64; 2] = [190.0, 190.0];

/// Smallest end of the color scale, in logits: a change of 0.01 changes a probability by at most 0.0025. Keeps rounding
/// errors from being shown as effects.
const MIN_SCALE: f32 = 0.01;

/// The section of a report on concepts.
pub enum ConceptSection {
    /// A map for each class and concept.
    Maps(Box<ConceptMaps>),
    /// The reason why there are none.
    Unavailable(&'static str),
}

/// The effect of each sentence in one case.
pub struct ConceptMaps {
    /// Case id.
    pub case: String,
    /// Input image of the network, in RAS.
    pub image: Volume<f32>,
    /// For each class, 1 inside the reference, on the grid of the image.
    pub references: Vec<LabelMap>,
    /// All concepts of the first class, then of the second, and so on.
    pub effects: Vec<ConceptEffect>,
}

/// The effect of one sentence. Of the logits, only one axial slice is kept.
pub struct ConceptEffect {
    class_index: usize,
    concept: String,
    sentence: String,
    inside: Option<f64>,
    outside: Option<f64>,
    /// The largest absolute difference in the patch.
    largest: f32,
    slice_index: usize,
    differences: Array2<f32>,
}

/// Data of the template.
pub(crate) struct Section<'a> {
    pub(crate) case: &'a str,
    /// End of the color scale in logits.
    pub(crate) scale: String,
    /// Whether all differences are below [`MIN_SCALE`].
    pub(crate) is_gray: bool,
    pub(crate) positive: String,
    pub(crate) negative: String,
    /// Concepts of the first class: the columns.
    pub(crate) concepts: Vec<&'a str>,
    pub(crate) rows: Vec<Row<'a>>,
}

/// A class and its maps.
pub(crate) struct Row<'a> {
    pub(crate) class: &'a str,
    pub(crate) cells: Vec<Cell<'a>>,
}

/// A map and its means.
pub(crate) struct Cell<'a> {
    pub(crate) concept: &'a str,
    pub(crate) sentence: &'a str,
    /// Mean absolute difference in logits inside and outside of the reference.
    pub(crate) inside: String,
    pub(crate) outside: String,
    /// The map as a data URI.
    pub(crate) png: String,
}

impl ConceptEffect {
    /// The effect of `sentence` on a class; shows the axial slice with the largest total difference.
    pub fn new(class_index: usize, concept: &str, sentence: &str, change: &ConceptAttribution) -> Self {
        let axial = PLANES[0];
        let slices = change.logits.voxels().axis_iter(Axis(axial.normal_axis));
        let totals = slices.map(|slice| slice.iter().map(|change| f64::from(change.abs())).sum::<f64>());
        let largest = totals.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        let slice_index = largest.map_or(0, |(index, _)| index);
        Self {
            class_index,
            concept: concept.to_owned(),
            sentence: sentence.to_owned(),
            inside: change.inside,
            outside: change.outside,
            largest: max_abs(change.logits.voxels().iter()),
            slice_index,
            differences: extract_slice(&change.logits, axial, slice_index),
        }
    }
}

fn max_abs<'a>(values: impl Iterator<Item = &'a f32>) -> f32 {
    values.fold(0.0, |largest, value| value.abs().max(largest))
}

impl ConceptMaps {
    /// # Errors
    ///
    /// If a map cannot be encoded.
    pub(crate) fn section<'a>(&'a self, classes: &'a [String]) -> Result<Section<'a>> {
        let shown = self.effects.iter().map(|effect| max_abs(effect.differences.iter()));
        let scale = shown.fold(MIN_SCALE, f32::max);
        let row = |(class_index, name): (usize, &'a String)| -> Result<Row<'a>> {
            let effects = self.effects.iter().filter(|effect| effect.class_index == class_index);
            let cells = effects.map(|effect| self.cell(effect, scale)).collect::<Result<_>>()?;
            Ok(Row { class: name, cells })
        };
        let rows = classes.iter().enumerate().map(row).collect::<Result<Vec<_>>>()?;
        let concepts = rows.first().map(|row| row.cells.iter().map(|cell| cell.concept).collect());
        let [positive, negative] =
            [POSITIVE, NEGATIVE].map(|[red, green, blue]| format!("rgb({red},{green},{blue})"));
        Ok(Section {
            case: &self.case,
            scale: format!("{scale:.2}"),
            is_gray: self.effects.iter().all(|effect| effect.largest < MIN_SCALE),
            positive,
            negative,
            concepts: concepts.unwrap_or_default(),
            rows,
        })
    }

    fn cell<'a>(&'a self, effect: &'a ConceptEffect, scale: f32) -> Result<Cell<'a>> {
        let png = png_data_uri(&self.map(effect, scale))?;
        let [inside, outside] = [effect.inside, effect.outside].map(format_logits);
        let ConceptEffect { concept, sentence, .. } = effect;
        Ok(Cell { concept, sentence, inside, outside, png })
    }

    fn map(&self, effect: &ConceptEffect, scale: f32) -> RgbImage {
        let (grid, axial) = (self.image.grid(), PLANES[0]);
        let shape = panel_within(MAP_SHAPE, axial, grid.shape(), grid.spacing());
        let display_range = robust_range(self.image.voxels().iter().copied()).unwrap_or(0.0..1.0);
        let slice = extract_slice(&self.image, axial, effect.slice_index);
        let mut panel = render_gray(&slice, &display_range, shape);
        fill_differences(&mut panel, &effect.differences, scale);
        let reference = &self.references[effect.class_index];
        outline_class(&mut panel, &extract_slice(reference, axial, effect.slice_index), 1);
        panel
    }
}

fn format_logits(mean: Option<f64>) -> String {
    match mean {
        Some(mean) if mean > 0.0 && mean < 0.001 => "< 0.001".to_owned(),
        mean => format_score(mean, 3),
    }
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::Grid;
    use ndarray::Array3;

    use super::*;

    /// A body of 8 × 8 × 4 voxels, the class in its middle; the logits change by 1 in plane 1, by −2 in plane 2.
    fn maps() -> ConceptMaps {
        let shape = [8, 8, 4];
        let grid = Grid::with_spacing(shape, [2.0; 3]);
        let volume = |voxel: fn((usize, usize, usize)) -> f32| {
            Volume::new(Array3::from_shape_fn(shape, voxel), grid.clone())
        };
        let logits = volume(|(x, _, z)| match (x, z) {
            (0..=3, 1) => 1.0,
            (0, 2) => -2.0,
            _ => 0.0,
        });
        let change = ConceptAttribution { logits, inside: Some(0.25), outside: None };
        ConceptMaps {
            case: "case <1>".to_owned(),
            image: volume(|(x, y, z)| (x + y + z) as f32),
            references: vec![
                volume(|(x, y, _)| f32::from(u8::from((3..5).contains(&x) && (3..5).contains(&y))))
                    .map(|class| *class as u16),
            ],
            effects: vec![ConceptEffect::new(0, "shape", "A <cube>.", &change)],
        }
    }

    #[test]
    fn the_slice_with_the_largest_change_is_shown_and_sets_the_scale() {
        let maps = maps();
        // 4 · 8 voxels change by 1 in plane 1, 8 by 2 in plane 2.
        assert_eq!((maps.effects[0].slice_index, maps.effects[0].largest), (1, 2.0));
        let classes = ["box".to_owned(), "plate".to_owned()];
        let section = maps.section(&classes).unwrap();
        assert_eq!((section.scale.as_str(), &section.concepts[..]), ("1.00", &["shape"][..]));
        assert!(!section.is_gray);
        assert_eq!(section.rows[1].cells.len(), 0);
        let cell = &section.rows[0].cells[0];
        assert_eq!((cell.inside.as_str(), cell.outside.as_str()), ("0.250", "–"));
    }

    #[test]
    fn rounding_errors_do_not_fill_the_scale() {
        let mut maps = maps();
        let effect = &mut maps.effects[0];
        effect.differences.mapv_inplace(|change| change * 1e-5);
        effect.largest *= 1e-5;
        effect.inside = Some(1e-5);
        let classes = ["box".to_owned()];
        let section = maps.section(&classes).unwrap();
        assert_eq!((section.scale.as_str(), section.is_gray), ("0.01", true));
        assert_eq!(section.rows[0].cells[0].inside, "< 0.001");
        assert_eq!(format_logits(Some(0.0)), "0.000");
    }

    #[test]
    fn unchanged_voxels_are_gray_and_positive_changes_colored() {
        let maps = maps();
        let map = maps.map(&maps.effects[0], 1.0);
        assert_eq!(map.dim(), (190, 190));
        // High x, which does not change, is on the left.
        let [left, right] = [5, 185].map(|x| map[[5, x]]);
        assert!(left[0] == left[1] && left[1] == left[2], "{left:?}");
        assert!(right[0] > right[2] && right[0] > right[1], "{right:?}");
        // The first row of the class, voxels 3 and 4 of 8 from either side: 3 · 190 / 8 is 71.25.
        assert_eq!(map[[71, 95]], [255; 3]);
    }
}

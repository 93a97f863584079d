//! What each sentence does to the logits of its class in one case: small pictures on one scale, and a table.

use std::io::Cursor;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bipvl_imaging::{LabelMap, Volume};
use bipvl_infer::probe::ConceptAttribution;
use image::{ImageFormat, RgbImage};
use ndarray::{Array2, Axis};

use crate::overlay::usual_intensities;
use crate::rows::number;
use crate::section::{FALL, PLANES, RISE, cut, draw_gray, fill_changes, outline_class, panel_within};

/// Pixels of a picture at most; a page has one for every class and concept.
const PICTURE_SHAPE: [f64; 2] = [190.0, 190.0];

/// The shortest scale, in logits: a logit that moves by less moves no probability by more than a quarter of that, so
/// that the pictures of a text without effect stay gray and show no rounding.
const LEAST_SCALE: f32 = 0.01;

/// What the section of a report on concepts shows.
pub enum Concepts {
    /// A picture for each class and concept.
    Drawn(Box<ConceptMaps>),
    /// Why there is none.
    Left(&'static str),
}

/// One case and what each sentence does to it.
pub struct ConceptMaps {
    /// The case's id.
    pub case: String,
    /// What the network saw of it, in RAS.
    pub image: Volume<f32>,
    /// 1 where the reference has each class, on the grid of the image.
    pub references: Vec<LabelMap>,
    /// All concepts of the first class, then of the second.
    pub effects: Vec<Effect>,
}

/// What one sentence does; of the logits only one axial plane is kept.
pub struct Effect {
    class: usize,
    concept: String,
    sentence: String,
    inside: Option<f64>,
    outside: Option<f64>,
    /// The largest |change| of the whole patch.
    largest: f32,
    plane: usize,
    changes: Array2<f32>,
}

/// The section as the template writes it.
pub(crate) struct Section<'a> {
    pub(crate) case: &'a str,
    /// The ends of the color bar, in logits.
    pub(crate) scale: String,
    /// Whether no change reaches even the shortest scale.
    pub(crate) is_gray: bool,
    pub(crate) rise: String,
    pub(crate) fall: String,
    /// The concepts of the first class: the columns.
    pub(crate) concepts: Vec<&'a str>,
    pub(crate) rows: Vec<Row<'a>>,
}

/// A class and its pictures.
pub(crate) struct Row<'a> {
    pub(crate) class: &'a str,
    pub(crate) cells: Vec<Cell<'a>>,
}

/// A picture and its numbers.
pub(crate) struct Cell<'a> {
    pub(crate) concept: &'a str,
    pub(crate) sentence: &'a str,
    /// Mean |change| in logits.
    pub(crate) inside: String,
    pub(crate) outside: String,
    pub(crate) png: String,
}

impl Effect {
    /// Of a sentence of a class, counted from 0; shown is the axial plane in which most changes.
    pub fn new(class: usize, concept: &str, sentence: &str, change: &ConceptAttribution) -> Self {
        let axial = PLANES[0];
        let planes = change.logits.voxels().axis_iter(Axis(axial.through));
        let effects = planes.map(|plane| plane.iter().map(|change| f64::from(change.abs())).sum::<f64>());
        let fullest = effects.enumerate().max_by(|one, other| one.1.total_cmp(&other.1));
        let plane = fullest.map_or(0, |(plane, _)| plane);
        Self {
            class,
            concept: concept.to_owned(),
            sentence: sentence.to_owned(),
            inside: change.inside,
            outside: change.outside,
            largest: largest_of(change.logits.voxels().iter()),
            plane,
            changes: cut(&change.logits, axial, plane),
        }
    }
}

fn largest_of<'a>(changes: impl Iterator<Item = &'a f32>) -> f32 {
    changes.fold(0.0, |largest, change| change.abs().max(largest))
}

impl ConceptMaps {
    /// # Errors
    ///
    /// When a picture cannot be encoded.
    pub(crate) fn section<'a>(&'a self, classes: &'a [String]) -> Result<Section<'a>> {
        let shown = self.effects.iter().map(|effect| largest_of(effect.changes.iter()));
        let scale = shown.fold(LEAST_SCALE, f32::max);
        let row = |(class, name): (usize, &'a String)| -> Result<Row<'a>> {
            let own = self.effects.iter().filter(|effect| effect.class == class);
            let cells = own.map(|effect| self.cell(effect, scale)).collect::<Result<_>>()?;
            Ok(Row { class: name, cells })
        };
        let rows = classes.iter().enumerate().map(row).collect::<Result<Vec<_>>>()?;
        let concepts = rows.first().map(|row| row.cells.iter().map(|cell| cell.concept).collect());
        let [rise, fall] = [RISE, FALL].map(|[red, green, blue]| format!("rgb({red},{green},{blue})"));
        Ok(Section {
            case: &self.case,
            scale: format!("{scale:.2}"),
            is_gray: self.effects.iter().all(|effect| effect.largest < LEAST_SCALE),
            rise,
            fall,
            concepts: concepts.unwrap_or_default(),
            rows,
        })
    }

    fn cell<'a>(&'a self, effect: &'a Effect, scale: f32) -> Result<Cell<'a>> {
        let mut png = Cursor::new(Vec::new());
        self.picture(effect, scale)
            .write_to(&mut png, ImageFormat::Png)
            .with_context(|| format!("case {}: the picture of a concept cannot be encoded", self.case))?;
        let [inside, outside] = [effect.inside, effect.outside].map(in_logits);
        let Effect { concept, sentence, .. } = effect;
        Ok(Cell { concept, sentence, inside, outside, png: STANDARD.encode(png.into_inner()) })
    }

    fn picture(&self, effect: &Effect, scale: f32) -> RgbImage {
        let (grid, axial) = (self.image.grid(), PLANES[0]);
        let shape = panel_within(PICTURE_SHAPE, axial, grid.shape(), grid.spacing());
        let window = usual_intensities(self.image.voxels().iter().copied()).unwrap_or(0.0..1.0);
        let mut panel = draw_gray(&cut(&self.image, axial, effect.plane), &window, shape);
        fill_changes(&mut panel, &effect.changes, scale);
        outline_class(&mut panel, &cut(&self.references[effect.class], axial, effect.plane), 1);
        panel
    }
}

fn in_logits(mean: Option<f64>) -> String {
    match mean {
        Some(mean) if mean > 0.0 && mean < 0.001 => "< 0.001".to_owned(),
        mean => number(mean, 3),
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
            effects: vec![Effect::new(0, "shape", "A <cube>.", &change)],
        }
    }

    #[test]
    fn the_plane_with_most_change_is_shown_and_the_scale_ends_at_its_largest() {
        let maps = maps();
        // 4 · 8 voxels change by 1 in plane 1, 8 by 2 in plane 2.
        assert_eq!((maps.effects[0].plane, maps.effects[0].largest), (1, 2.0));
        let classes = ["box".to_owned(), "plate".to_owned()];
        let section = maps.section(&classes).unwrap();
        assert_eq!((section.scale.as_str(), &section.concepts[..]), ("1.00", &["shape"][..]));
        assert!(!section.is_gray);
        assert_eq!(section.rows[1].cells.len(), 0);
        let cell = &section.rows[0].cells[0];
        assert_eq!((cell.inside.as_str(), cell.outside.as_str()), ("0.250", "–"));
    }

    #[test]
    fn rounding_is_not_stretched_to_the_whole_scale() {
        let mut maps = maps();
        let effect = &mut maps.effects[0];
        effect.changes.mapv_inplace(|change| change * 1e-5);
        effect.largest *= 1e-5;
        effect.inside = Some(1e-5);
        let classes = ["box".to_owned()];
        let section = maps.section(&classes).unwrap();
        assert_eq!((section.scale.as_str(), section.is_gray), ("0.01", true));
        assert_eq!(section.rows[0].cells[0].inside, "< 0.001");
        assert_eq!(in_logits(Some(0.0)), "0.000");
    }

    #[test]
    fn what_does_not_change_stays_gray_and_what_rises_takes_its_color() {
        let maps = maps();
        let picture = maps.picture(&maps.effects[0], 1.0);
        assert_eq!(picture.dimensions(), (190, 190));
        // High x, which does not change, is at the left.
        let [left, right] = [5, 185].map(|x| picture.get_pixel(x, 5).0);
        assert!(left[0] == left[1] && left[1] == left[2], "{left:?}");
        assert!(right[0] > right[2] && right[0] > right[1], "{right:?}");
        // The first row of the class, voxels 3 and 4 of 8 from either side: 3 · 190 / 8 is 71.25.
        assert_eq!(picture.get_pixel(95, 71).0, [255; 3]);
    }
}

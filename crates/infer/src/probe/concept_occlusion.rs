//! Occlusion of concepts: how the logits of a class change when one sentence of its text is left out.

use bipvl_imaging::{BoundingBox, Volume, crop_or_pad};
use ndarray::{Array3, Array4, Axis, s};

use crate::{Error, Logits, Predictor, Result};
use bipvl_data::{
    Case, LabelSchema, PreprocessedCase, densest_patch_origin, ensure_same_grid, read_reference, remap_labels,
};
use bipvl_text::TokenizedTexts;

/// The patch of a case with the most classes, and its logits with the whole text.
#[derive(Debug)]
pub struct ConceptOcclusion<'a> {
    predictor: &'a Predictor,
    patch: Array4<f32>,
    whole: Logits,
    label_schema: LabelSchema,
    /// Preprocessed intensities of the first channel, in RAS.
    pub image: Volume<f32>,
    /// The reference mask of each class, on the grid of the image.
    pub references: Vec<Volume<bool>>,
}

/// The attribution of one concept, a map over the patch.
#[derive(Clone, Debug, PartialEq)]
pub struct ConceptAttribution {
    /// Logits of the class with the whole text minus those without the sentence.
    pub logits: Volume<f32>,
    /// Mean |difference| over the voxels of the class in the reference; `None` if the patch has none.
    pub inside: Option<f64>,
    /// Mean |difference| over all other voxels of the patch.
    pub outside: Option<f64>,
}

impl<'a> ConceptOcclusion<'a> {
    /// Reads and preprocesses a case and computes the logits of its densest patch; a single patch bounds time and
    /// memory. `label_schema` is that of the references. `None` if the logits do not depend on
    /// the text.
    ///
    /// # Errors
    ///
    /// When a file of the case cannot be read or the case has no reference.
    pub fn new(predictor: &'a Predictor, case: &Case, label_schema: &LabelSchema) -> Result<Option<Self>> {
        if !predictor.uses_text() {
            return Ok(None);
        }
        let file = &case.images[0];
        let path = case.labels.as_ref().ok_or_else(|| Error::MissingReference { case: case.id.clone() })?;
        let (PreprocessedCase { image, grid }, target_grid) = predictor.prepare_files(&case.images)?;
        let reference = read_reference(path, label_schema.remap(), &target_grid)?;
        ensure_same_grid(path, reference.grid(), file, &target_grid)?;
        let places = remap_labels(&reference, label_schema, &grid);
        let start = densest_patch_origin(&places, predictor.patch_size());
        let [x, y, z] = std::array::from_fn(|axis| start[axis]..start[axis] + predictor.patch_size()[axis]);
        let patch = image.slice(s![.., x, y, z]).to_owned();
        let bounds = BoundingBox { start: start.map(|first| first as isize), shape: predictor.patch_size() };
        let places = crop_or_pad(Volume::new(places.mapv(u16::from), grid.clone()), &bounds, 0);
        let indices = label_schema.to_channel_indices();
        let of_class = |labels: &&[u16]| places.map(|place| labels.contains(place));
        Ok(Some(Self {
            predictor,
            whole: predictor.patch_logits(predictor.prompts(), patch.view()),
            label_schema: label_schema.clone(),
            image: Volume::new(patch.index_axis(Axis(0), 0).to_owned(), grid.cropped(&bounds)),
            references: indices.label_sets().iter().map(of_class).collect(),
            patch,
        }))
    }

    /// The attribution of the concept that `without` leaves out: prompts of all classes, `[classes, tokens]`, tokenized
    /// per network. `class` counts from 0.
    pub fn occlude_concept(&self, class: usize, without: &[TokenizedTexts]) -> ConceptAttribution {
        let without = self.predictor.patch_logits(&self.predictor.encode_prompts(without), self.patch.view());
        let channel = self.label_schema.channel(class);
        let channel = |logits: &Logits| logits.index_axis(Axis(0), channel).to_owned();
        let logits: Array3<f32> = channel(&self.whole) - channel(&without);
        let mean_where = |is_inside: bool| {
            let voxels = logits.iter().zip(self.references[class].voxels());
            let chosen = voxels.filter(|(_, is_class)| **is_class == is_inside);
            mean(chosen.map(|(change, _)| f64::from(change.abs())))
        };
        let [inside, outside] = [true, false].map(mean_where);
        ConceptAttribution { inside, outside, logits: Volume::new(logits, self.image.grid().clone()) }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

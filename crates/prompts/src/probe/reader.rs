//! What segments by the prompts of a probe: a trained network, or an artificial reader.

use ndarray::ArrayView4;

use super::mask::Mask;
use crate::PromptPredictor;

/// What a prompt finds in a volume.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptResult {
    /// The voxels found.
    pub mask: Mask,
    /// The probability that what the prompt names is there; `None` where nothing says so.
    pub presence: Option<f64>,
}

/// Segments a preprocessed volume by prompts.
pub trait PromptReader {
    /// What each of these prompts, asked together, finds in an image `[channels, x, y, z]`.
    fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<PromptResult>;
}

impl PromptReader for PromptPredictor {
    fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<PromptResult> {
        let (_, _, height, depth) = image.dim();
        let mut places: Vec<Vec<u32>> = vec![Vec::new(); prompts.len()];
        let presence = self.run(&self.encode(prompts), image, |start, logits| {
            for (places, logits) in places.iter_mut().zip(logits.outer_iter()) {
                let found = logits.indexed_iter().filter(|(_, logit)| **logit >= 0.0);
                places.extend(found.map(|((x, y, z), _)| {
                    (((start[0] + x) * height + start[1] + y) * depth + start[2] + z) as u32
                }));
            }
        });
        let result = |(places, logit): (Vec<u32>, f32)| PromptResult {
            mask: Mask::new(places),
            presence: logit.is_finite().then(|| 1.0 / (1.0 + (-f64::from(logit)).exp())),
        };
        places.into_iter().zip(presence).map(result).collect()
    }
}

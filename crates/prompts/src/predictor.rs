//! From a volume and prompts to masks.

use std::ops::ControlFlow;

use bipvl_infer::{BlendMode, Logits, SlidingWindow};
use bipvl_nn::{
    TokenBatch,
    prompts::{EncodedPrompts, PromptSeg},
};
use bipvl_text::Tokenizer;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array1, ArrayView4, Axis, s};

/// A prompted network with its tokenizer, ready for preprocessed volumes; clones share the weights.
#[derive(Clone, Debug)]
pub struct PromptPredictor {
    model: PromptSeg,
    tokenizer: Tokenizer,
    window: SlidingWindow,
    device: Device,
}

/// Prompts as the network reads them.
#[derive(Clone, Debug)]
pub struct EncodedTexts {
    encoded: EncodedPrompts,
}

impl PromptPredictor {
    /// Weights on the device, without autodiff.
    pub fn new(
        model: PromptSeg,
        tokenizer: Tokenizer,
        patch_size: [usize; 3],
        overlap: f64,
        blend_mode: BlendMode,
        device: &Device,
    ) -> Self {
        let window = SlidingWindow::new(patch_size, overlap, blend_mode);
        Self { model, tokenizer, window, device: device.clone() }
    }

    /// The first text stage of these prompts: once per run, not per window.
    pub fn encode(&self, prompts: &[String]) -> EncodedTexts {
        let tokens = TokenBatch::new(&self.tokenizer.encode(prompts), &self.device);
        EncodedTexts { encoded: self.model.encode_prompts(&tokens, prompts.len(), None) }
    }

    /// Segments a preprocessed image `[channels, x, y, z]`: gives the blended logits `[K, 1, y, z]` of every row with its first
    /// voxel, and the highest presence logit of each prompt over all windows.
    pub fn run(
        &self,
        prompts: &EncodedTexts,
        image: ArrayView4<f32>,
        mut receive: impl FnMut([usize; 3], ArrayView4<f32>),
    ) -> Array1<f32> {
        let (_, x, y, z) = image.dim();
        let count = prompts.encoded.num_prompts;
        let mut highest = Array1::from_elem(count, f32::NEG_INFINITY);
        let segment = |patch: ArrayView4<f32>| {
            let (logits, presence) = self.segment_patch(prompts, patch);
            highest.zip_mut_with(&presence, |highest, presence| *highest = highest.max(*presence));
            ControlFlow::Continue(logits)
        };
        let _ = self.window.plan([x, y, z], count).run(image, segment, |slab| {
            let [y, z] = [&slab.column.y, &slab.column.z];
            let row = slab.rows[1].slice(s![.., ..y.len(), ..z.len()]).insert_axis(Axis(1));
            receive([slab.x, y.start, z.start], row);
        });
        highest
    }

    /// Logits of one patch, lowered by presence, `[K, x, y, z]`, and the presence logits, `[K]` (+∞ without a presence head).
    pub fn segment_patch(&self, prompts: &EncodedTexts, patch: ArrayView4<f32>) -> (Logits, Array1<f32>) {
        let (channels, x, y, z) = patch.dim();
        let values: Vec<f32> = patch.iter().copied().collect();
        let image = Tensor::from_data(TensorData::new(values, [1, channels, x, y, z]), &self.device);
        let (logits, presence) = self.model.segment(image, &prompts.encoded);
        let [_, count, ..] = logits.dims();
        let values = logits.into_data().try_to_vec().expect("logits are float32");
        let logits =
            Logits::from_shape_vec((count, x, y, z), values).expect("one logit per voxel and prompt");
        let presence = match presence {
            Some(presence) => presence.into_data().try_to_vec().expect("logits are float32").into(),
            None => Array1::from_elem(count, f32::INFINITY),
        };
        (logits, presence)
    }
}

//! Samples with their prompts, and the tensors that a step needs of them.

use std::collections::HashMap;

use bipvl_nn::{
    TokenBatch,
    prompts::{EncodedPrompts, SentenceInput},
};
use bipvl_text::Tokenizer;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array3, Array4};

use crate::{
    alignment::Comparable,
    loss::{MIN_PRESENT_VOXELS, PromptTarget},
    sampler::DrawnPrompt,
    vocabulary::Vocabulary,
};

/// Takes a padded sentence out of a softmax.
const MASK_VALUE: f32 = -1e9;

/// One patch with its labels and its prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptSample {
    /// Intensities, `[channels, x, y, z]`.
    pub image: Array4<f32>,
    /// Class indices of its set, `[x, y, z]`; [`IGNORE_INDEX`](bipvl_data::IGNORE_INDEX) has no loss.
    pub labels: Array3<u8>,
    /// As many for every sample of a step.
    pub prompts: Vec<DrawnPrompt>,
    /// The sentences that each prompt is aligned by: its description's where it has one, else its own words.
    pub sentences: Vec<Vec<String>>,
}

/// The tensors of a step.
#[derive(Debug)]
pub struct PromptBatch {
    /// `[B, channels, x, y, z]`
    pub image: Tensor<5>,
    /// All prompts, `[B · K, L]`.
    pub tokens: TokenBatch,
    /// Prompts of a sample.
    pub num_prompts: usize,
    /// Their words, in the order of `tokens`.
    pub texts: Vec<String>,
    /// What they are aligned by; `None` where nothing is aligned.
    pub sentences: Option<SentenceInput>,
    /// What they should find.
    pub target: PromptTarget,
}

impl PromptBatch {
    /// Uploads the samples of a step. `ignore` is the class index without loss.
    ///
    /// # Panics
    ///
    /// When the samples have different shapes or numbers of prompts.
    pub fn new(
        samples: &[PromptSample],
        vocabulary: &Vocabulary,
        tokenizer: &Tokenizer,
        with_sentences: bool,
        ignore: u8,
        device: &Device,
    ) -> Self {
        let prompts = || samples.iter().flat_map(|sample| &sample.prompts);
        let num_prompts = samples[0].prompts.len();
        let texts: Vec<String> = prompts().map(|prompt| prompt.text.clone()).collect();
        let tokens = TokenBatch::new(&tokenizer.encode(&texts), device);
        let (masks, voxels) = masks(samples, device);
        let comparable = comparable(&prompts().collect::<Vec<_>>(), &voxels, samples, vocabulary);
        let sentences = with_sentences.then(|| sentences(samples, tokenizer, device));
        Self {
            image: image(samples, device),
            tokens,
            num_prompts,
            texts,
            sentences,
            target: PromptTarget { masks, valid: valid(samples, ignore, device), voxels, comparable },
        }
    }
}

fn image(samples: &[PromptSample], device: &Device) -> Tensor<5> {
    let (channels, x, y, z) = samples[0].image.dim();
    let values: Vec<f32> = samples.iter().flat_map(|sample| sample.image.iter().copied()).collect();
    Tensor::from_data(TensorData::new(values, [samples.len(), channels, x, y, z]), device)
}

/// The mask of each prompt, and how many voxels it has.
fn masks(samples: &[PromptSample], device: &Device) -> (Tensor<5>, Vec<Vec<u32>>) {
    let (x, y, z) = samples[0].labels.dim();
    let num_prompts = samples[0].prompts.len();
    let mut values = Vec::with_capacity(samples.len() * num_prompts * x * y * z);
    let mut voxels = Vec::with_capacity(samples.len());
    for sample in samples {
        let mut of_sample = Vec::with_capacity(num_prompts);
        for prompt in &sample.prompts {
            let mut is_named = [false; 256];
            prompt.labels.iter().for_each(|label| is_named[usize::from(*label)] = true);
            let named = sample.labels.iter().map(|label| is_named[usize::from(*label)]);
            of_sample.push(named.clone().filter(|named| *named).count() as u32);
            values.extend(named.map(|named| f32::from(u8::from(named))));
        }
        voxels.push(of_sample);
    }
    let shape = [samples.len(), num_prompts, x, y, z];
    (Tensor::from_data(TensorData::new(values, shape), device), voxels)
}

fn valid(samples: &[PromptSample], ignore: u8, device: &Device) -> Option<Tensor<5>> {
    let is_ignored = |label: &u8| *label == ignore;
    if !samples.iter().any(|sample| sample.labels.iter().any(is_ignored)) {
        return None;
    }
    let (x, y, z) = samples[0].labels.dim();
    let values: Vec<f32> = samples
        .iter()
        .flat_map(|sample| sample.labels.iter().map(|label| f32::from(u8::from(!is_ignored(label)))))
        .collect();
    Some(Tensor::from_data(TensorData::new(values, [samples.len(), 1, x, y, z]), device))
}

/// Every different sentence once, and which prompts have which.
fn sentences(samples: &[PromptSample], tokenizer: &Tokenizer, device: &Device) -> SentenceInput {
    let of_prompts: Vec<&Vec<String>> = samples.iter().flat_map(|sample| &sample.sentences).collect();
    let most = of_prompts.iter().map(|sentences| sentences.len()).max().unwrap_or(1);
    let mut different: Vec<String> = Vec::new();
    let mut places: HashMap<&str, i64> = HashMap::new();
    let (mut index, mut mask) = (Vec::new(), Vec::new());
    for sentences in &of_prompts {
        for place in 0..most {
            let Some(sentence) = sentences.get(place) else {
                index.push(0);
                mask.push(MASK_VALUE);
                continue;
            };
            index.push(*places.entry(sentence).or_insert_with(|| {
                different.push(sentence.clone());
                different.len() as i64 - 1
            }));
            mask.push(0.0);
        }
    }
    SentenceInput {
        tokens: TokenBatch::new(&tokenizer.encode(&different), device),
        index: Tensor::from_ints(index.as_slice(), device),
        mask: Tensor::<1>::from_floats(mask.as_slice(), device).reshape([of_prompts.len(), most]),
    }
}

/// Which prompts are there, and which of them are negatives of each other: other concepts whose masks cannot overlap.
fn comparable(
    prompts: &[&DrawnPrompt],
    voxels: &[Vec<u32>],
    samples: &[PromptSample],
    vocabulary: &Vocabulary,
) -> Comparable {
    let num_prompts = samples[0].prompts.len();
    let there: Vec<(usize, usize)> = prompts
        .iter()
        .enumerate()
        .filter(|(place, _)| voxels[place / num_prompts][place % num_prompts] >= MIN_PRESENT_VOXELS)
        .filter_map(|(place, prompt)| Some((place, prompt.concept?)))
        .collect();
    let negatives = there
        .iter()
        .map(|(_, one)| there.iter().map(|(_, other)| !vocabulary.overlap(*one, *other)).collect())
        .collect();
    Comparable { present: there.into_iter().map(|(place, _)| place).collect(), negatives }
}

/// First-stage encodings of texts under frozen weights, each kept by its string.
#[derive(Debug, Default)]
pub struct FrozenStageCache {
    by_text: HashMap<String, (Tensor<2>, Tensor<2>)>,
}

impl FrozenStageCache {
    /// The encodings of all texts, padded to the longest, as `encode` gives them for those that are new.
    pub fn encode(
        &mut self,
        batch: &PromptBatch,
        encode: impl FnOnce(&[String]) -> Vec<(Tensor<2>, Tensor<2>)>,
    ) -> EncodedPrompts {
        let mut missing: Vec<String> =
            batch.texts.iter().filter(|text| !self.by_text.contains_key(*text)).cloned().collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let encoded = encode(&missing);
            self.by_text.extend(missing.into_iter().zip(encoded));
        }
        let longest = batch.tokens.attention_mask.dims()[2];
        let padded = |text: &String| {
            let tokens = self.by_text[text].0.clone();
            let [length, hidden] = tokens.dims();
            let tokens =
                if length < longest { tokens.pad([(0, longest - length), (0, 0)], 0.0) } else { tokens };
            tokens.reshape([1, longest, hidden])
        };
        EncodedPrompts {
            tokens: Tensor::from_inner(Tensor::cat(batch.texts.iter().map(padded).collect(), 0)),
            mask: batch.tokens.attention_mask.clone(),
            words: Tensor::from_inner(Tensor::cat(
                batch.texts.iter().map(|text| self.by_text[text].1.clone()).collect(),
                0,
            )),
            num_prompts: batch.num_prompts,
        }
    }
}

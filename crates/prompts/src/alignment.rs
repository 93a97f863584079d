//! Global and local contrastive alignment of prompts with what they name (paper section 3.3, for any number of prompts).
//!
//! N is the number of prompts of the batch that are present in their patch, M the sentences of a prompt with its title, S the shared
//! space. The image side is the mean feature over the reference mask, so no text leaks into it.

use bipvl_nn::{init::DropoutRng, prompts::PromptOutput};
use bipvl_train::loss::{
    AlignmentLoss, LossConfig,
    alignment::{HARD_NEGATIVES, TEMPERATURE, add_noise, normalize},
};
use burn::tensor::{Device, Int, Tensor, activation};

use crate::loss::PromptTarget;

/// Takes an entry out of a softmax.
const MASK_VALUE: f32 = -1e9;

/// Which prompts of a batch may be negatives of each other, and which take part.
#[derive(Clone, Debug, Default)]
pub struct Comparable {
    /// Places in the flat list `[B · K]` of the prompts that are present.
    pub present: Vec<usize>,
    /// `[N][N]`: whether the second is a negative of the first; not the same concept, no part and no whole of it,
    /// no overlapping mask.
    pub negatives: Vec<Vec<bool>>,
}

/// `L_global + L_local` or what the configuration leaves of them; `None` where no two prompts can be compared.
pub fn alignment(
    output: &PromptOutput,
    target: &PromptTarget,
    config: &LossConfig,
    mut rng: Option<&mut DropoutRng>,
) -> Option<Tensor<1>> {
    let Comparable { present, negatives } = &target.comparable;
    if config.alignment == AlignmentLoss::None || !negatives.iter().flatten().any(|negative| *negative) {
        return None;
    }
    let sentences = output.sentences.as_ref()?;
    let device = output.logits.device();
    let rows = Tensor::<1, Int>::from_ints(
        present.iter().map(|place| *place as i64).collect::<Vec<_>>().as_slice(),
        &device,
    );
    let [batch, prompts, shared] = output.vision_embedding.dims();
    let vision = output.vision_embedding.clone().reshape([batch * prompts, shared]).select(0, rows.clone());
    let text = sentences.embedding.clone().select(0, rows.clone());
    let mask = sentences.mask.clone().select(0, rows);
    let global_text = weighted_sentences(vision.clone(), text.clone(), mask.clone());
    let vision = normalize(add_noise(vision, rng.as_deref_mut()));
    let global_text = normalize(add_noise(global_text, rng.as_deref_mut()));
    let text = normalize(add_noise(text, rng));
    let allowed = allowed(negatives, &device);
    let global_loss = || global(vision.clone(), global_text.clone(), allowed.clone());
    let local_loss = || local(vision.clone(), text.clone(), mask.clone(), allowed.clone());
    Some(match config.alignment {
        AlignmentLoss::Both => global_loss() + local_loss(),
        AlignmentLoss::Global => global_loss(),
        AlignmentLoss::Local => local_loss(),
        AlignmentLoss::None => unreachable!("returned above"),
    })
}

/// 0 on the diagonal and where the second is a negative of the first, else very negative, `[N, N]`.
fn allowed(negatives: &[Vec<bool>], device: &Device) -> Tensor<2> {
    let count = negatives.len();
    let value = |(row, column): (usize, usize)| {
        if row == column || negatives[row][column] { 0.0 } else { MASK_VALUE }
    };
    let values: Vec<f32> = (0..count * count).map(|place| value((place / count, place % count))).collect();
    Tensor::<1>::from_floats(values.as_slice(), device).reshape([count, count])
}

/// The sentences of each prompt weighted by how well each fits the image, `[N, S]`.
///
/// # Shapes
///
/// - `vision`: `[N, S]`
/// - `text`: `[N, M, S]`
/// - `mask`: `[N, M]`, 0 for a sentence, very negative for padding
fn weighted_sentences(vision: Tensor<2>, text: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
    let fit = (normalize(vision).unsqueeze_dim::<3>(1) * normalize(text.clone())).sum_dim(2);
    let weights = activation::softmax(fit + mask.unsqueeze_dim::<3>(2), 1);
    (weights * text).sum_dim(1).squeeze_dim(1)
}

/// Symmetric InfoNCE over the allowed pairs.
fn global(vision: Tensor<2>, text: Tensor<2>, allowed: Tensor<2>) -> Tensor<1> {
    let [count, _] = vision.dims();
    let similarity = text.matmul(vision.transpose()) / TEMPERATURE;
    let diagonal = Tensor::<2>::eye(count, &similarity.device());
    let picked = |similarity: Tensor<2>, allowed: Tensor<2>| {
        (activation::log_softmax(similarity + allowed, 1) * diagonal.clone()).sum()
    };
    let both =
        picked(similarity.clone(), allowed.clone()) + picked(similarity.transpose(), allowed.transpose());
    both / (-2.0 * count as f64)
}

/// Each sentence against its hardest negatives, from the text to the image and back, mean over all sentences.
fn local(vision: Tensor<2>, text: Tensor<3>, mask: Tensor<2>, allowed: Tensor<2>) -> Tensor<1> {
    let [count, sentences, shared] = text.dims();
    let flat = text.reshape([count * sentences, shared]);
    // [N·M, S] · [S, N] -> [N, M, N] -> [M, N, N]
    let similarity = flat.matmul(vision.transpose()).reshape([count, sentences, count]).swap_dims(0, 1);
    let is_real = mask.exp().swap_dims(0, 1);
    let one_way = |similarity: Tensor<3>, allowed: Tensor<2>| {
        let diagonal = Tensor::<2>::eye(count, &similarity.device()).unsqueeze_dim::<3>(0);
        let similarity = similarity / TEMPERATURE;
        let positive = (similarity.clone() * diagonal.clone()).sum_dim(2);
        let others = similarity + allowed.unsqueeze_dim::<3>(0) + diagonal * MASK_VALUE;
        let hardest = others.topk(HARD_NEGATIVES.min(count - 1), 2);
        let entries = Tensor::cat(vec![positive, hardest], 2);
        activation::log_softmax(entries, 2).slice_dim(2, 0..1).squeeze_dim::<2>(2)
    };
    let forth = one_way(similarity.clone(), allowed.clone());
    // A negative of the way back is the same sentence of another prompt: where it has none, that row is no negative.
    let padding = (is_real.clone().neg() + 1.0) * MASK_VALUE;
    let back_similarity = similarity.swap_dims(1, 2) + padding.unsqueeze_dim::<3>(1);
    let back = one_way(back_similarity, allowed.transpose());
    let counted = is_real.clone().sum().clamp_min(1.0);
    ((forth + back) * is_real).sum().neg() / (counted * 2.0)
}

//! Heads over the decoder and the bottleneck: segmentation, class embeddings, and the projections of the alignment
//! (method.md sections 6 and 7.3).

use burn::{
    module::Module,
    tensor::{Tensor, activation::relu},
};

use crate::{Cost, backbone::voxels, init::Initializer, layers::Linear};

/// Number of classes of a network, and of channels that hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadConfig {
    /// Classes with a text; background is none.
    pub num_classes: usize,
    /// Channels of the logits: one more, for the background, where classes exclude each other.
    pub out_channels: usize,
}

impl HeadConfig {
    /// For classes that exclude each other.
    pub fn exclusive(num_classes: usize) -> Self {
        Self { num_classes, out_channels: num_classes + 1 }
    }
}

/// One linear layer per scale, from the decoder's channels to the logits.
#[derive(Module, Debug)]
pub struct SegmentationHead {
    /// At the resolution of the image.
    pub logits: Linear,
    /// At 1/2, 1/4 and so on, for deep supervision; prediction leaves them out.
    pub aux_logits: Vec<Linear>,
}

impl SegmentationHead {
    /// Randomly initialized, without deep supervision.
    pub fn new(init: &mut Initializer, in_channels: usize, out_channels: usize) -> Self {
        Self { logits: init.linear(in_channels, out_channels), aux_logits: Vec::new() }
    }

    /// The same with a layer for each further scale, whose channels are given.
    #[must_use]
    pub fn with_deep_supervision(
        self,
        init: &mut Initializer,
        in_channels: impl IntoIterator<Item = usize>,
    ) -> Self {
        let [_, out_channels] = self.logits.weight.dims();
        let layers = in_channels.into_iter().map(|channels| init.linear(channels, out_channels));
        Self { aux_logits: layers.collect(), ..self }
    }

    /// Scales that have logits.
    pub fn num_scales(&self) -> usize {
        1 + self.aux_logits.len()
    }

    /// # Shapes
    ///
    /// - `features`: finest first, `[batch, x/2ˢ, y/2ˢ, z/2ˢ, channels]`
    /// - output: as many, `[batch, x/2ˢ, y/2ˢ, z/2ˢ, out_channels]`
    pub fn forward(&self, features: Vec<Tensor<5>>) -> Vec<Tensor<5>> {
        let layers = std::iter::once(&self.logits).chain(&self.aux_logits);
        layers.zip(features).map(|(layer, features)| layer.forward(features)).collect()
    }

    /// Cost for a batch of patches; the logits that the losses hold count to the losses.
    pub fn cost(&self, batch: usize, patch: [usize; 3]) -> Cost {
        let layers = std::iter::once(&self.logits).chain(&self.aux_logits).enumerate();
        layers.map(|(scale, layer)| layer.cost(batch * voxels(patch, scale))).sum()
    }
}

/// Turns the bottleneck into one channel per class: linear, ReLU, linear for each voxel.
#[derive(Module, Debug)]
pub struct ClassEmbeddingHead {
    /// Keeps the number of channels.
    pub hidden: Linear,
    /// To one channel per class, and background where classes exclude each other.
    pub output: Linear,
}

impl ClassEmbeddingHead {
    /// Randomly initialized.
    pub fn new(init: &mut Initializer, channels: usize, out_channels: usize) -> Self {
        Self { hidden: init.linear(channels, channels), output: init.linear(channels, out_channels) }
    }

    /// # Shapes
    ///
    /// - `bottleneck`: `[batch, x, y, z, channels]`
    /// - output: `[batch, x, y, z, out_channels]`
    pub fn forward(&self, bottleneck: Tensor<5>) -> Tensor<5> {
        self.output.forward(relu(self.hidden.forward(bottleneck)))
    }

    /// Cost for so many voxels of the bottleneck; the hidden values before and after ReLU are held.
    pub fn cost(&self, voxels: usize) -> Cost {
        let [channels, _] = self.output.weight.dims();
        self.hidden.cost(voxels) + self.output.cost(voxels) + Cost::activations(2 * voxels * channels)
    }
}

/// Projections of both modalities into the shared space of the alignment loss.
#[derive(Module, Debug)]
pub struct AlignmentHeads {
    /// From the voxels of the bottleneck.
    pub vision: Linear,
    /// From the hidden size of the text encoder.
    pub text: Linear,
}

impl AlignmentHeads {
    /// Randomly initialized; `voxels` is the number of bottleneck voxels of the training patch.
    pub fn new(init: &mut Initializer, voxels: usize, hidden: usize, projection_dim: usize) -> Self {
        Self { vision: init.linear(voxels, projection_dim), text: init.linear(hidden, projection_dim) }
    }

    /// Cost for so many embeddings of either modality.
    pub fn cost(&self, vision_embeddings: usize, text_embeddings: usize) -> Cost {
        self.vision.cost(vision_embeddings) + self.text.cost(text_embeddings)
    }
}

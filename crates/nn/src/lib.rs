//! The BiPVL-Seg network, its weights, and pretrained weights of other programs.
//!
//! Start at [`BiPvlSeg::forward`]. One file per box of the paper's figure: [`backbone`] (image encoder and decoder),
//! [`text_encoder`], [`bifusion`], [`heads`]. Feature maps are channels-last inside, `[batch, x, y, z, channels]`;
//! images and logits of [`BiPvlSeg`] are `[batch, channels, x, y, z]`. Every block has a `cost()`.

mod cost;
mod error;
mod model;
mod model_size;

pub mod backbone;
pub mod bifusion;
pub mod device;
pub mod heads;
pub mod init;
pub mod interop;
pub mod layers;
pub mod prompts;
pub mod text_encoder;
pub mod vision_seg;
pub mod weights;

pub use backbone::{BackboneConfig, PatchMerging, SwinUnetrConfig, SwinVersion};
pub use cost::{Cost, ForwardShape, TextShape};
pub use error::{Error, InvalidConfig, Result};
pub use heads::HeadConfig;
pub use model::{
    BiPvlSeg, BiPvlSegConfig, BottleneckInput, EncodedText, Features, HeadKind, ModelSummary, Output,
};
pub use model_size::{MODEL_SIZES, ModelSize};
pub use text_encoder::{TextConfig, TextInput, TextPooling, TokenBatch};
pub use vision_seg::VisionSeg;

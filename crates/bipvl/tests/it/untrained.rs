//! An untrained network for two classes with descriptions.

use bipvl::{
    data::{Intensity, LabelSchema, PreprocessConfig},
    infer::{InferConfig, Predictor, PredictorInput},
    nn::{
        BiPvlSeg, BiPvlSegConfig, HeadConfig, TextInput, TokenBatch, bifusion::FusionDirection,
        init::Initializer,
    },
    text::{Concept, Description, Descriptions, Tokenizer},
};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array4;

use crate::model::narrow;

/// One patch holds a drawn case.
pub(crate) const PATCH: [usize; 3] = [32; 3];
pub(crate) const LABELS: [u16; 2] = [1, 4];

pub(crate) fn descriptions() -> Descriptions {
    let class = |class: &str, shape: &str, location: &str| Description {
        class: class.to_owned(),
        title: format!("The {class} in an MRI image"),
        concepts: [("shape", shape), ("location", location)]
            .map(|(name, sentence)| Concept { name: name.to_owned(), sentence: sentence.to_owned() })
            .to_vec(),
    };
    let plate = class("plate", "A thin slab with a long edge.", "On the right side, behind the box.");
    Descriptions { classes: vec![class("box", "A small block.", "On the left side."), plate] }
}

/// A network with weights from a fixed seed.
pub(crate) struct Untrained {
    pub(crate) config: BiPvlSegConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) device: Device,
}

impl Untrained {
    pub(crate) fn new(exchange: FusionDirection) -> Self {
        let tokenizer = Tokenizer::from_descriptions(&descriptions());
        let mut config = narrow();
        config.text.vocab_size = tokenizer.vocab_size();
        config.fusion.direction = exchange;
        Self { config, tokenizer, device: Device::flex() }
    }

    pub(crate) fn model(&self) -> BiPvlSeg {
        self.config.init(HeadConfig::exclusive(LABELS.len()), PATCH, &mut Initializer::new(5, &self.device))
    }

    pub(crate) fn predictor(&self) -> Predictor {
        Predictor::new(PredictorInput {
            model: self.model(),
            text: &TextInput::new(&self.tokenizer.encode_classes(&descriptions()), &self.device),
            preprocess: PreprocessConfig {
                spacing: None,
                intensity: Intensity::ZScore,
                crop_foreground: false,
                patch_size: PATCH,
            },
            channels: 1,
            label_schema: LabelSchema::from_labels(&LABELS).unwrap(),
            config: InferConfig::default(),
            device: self.device.clone(),
        })
    }

    /// Logits `[classes + 1, x, y, z]` of a patch under texts, by the network itself.
    pub(crate) fn logits(&self, patch: &Array4<f32>, texts: &[&str]) -> Array4<f32> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let (model, tokens) = (self.model(), TokenBatch::new(&self.tokenizer.encode(&texts), &self.device));
        let values: Vec<f32> = patch.iter().copied().collect();
        let image = Tensor::<5>::from_data(TensorData::new(values, [1, 1, 32, 32, 32]), &self.device);
        let logits = model.segment(image, &model.encode_prompt(&tokens, None));
        Array4::from_shape_vec((3, 32, 32, 32), logits.into_data().try_to_vec().unwrap()).unwrap()
    }
}

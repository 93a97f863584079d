//! Trains the network with an additional loss of one's own: `cargo run --example custom_loss`.

#![allow(clippy::print_stdout, reason = "an example prints")]

use bipvl::{
    data::LabelSchema,
    nn::{
        HeadConfig, ModelSize, TextInput,
        init::{DropoutRng, Initializer},
    },
    text::{Descriptions, Tokenizer},
    train::{
        TrainModule,
        loss::{LossConfig, LossTerms, LossWeights},
        optimizer::{AdamW, AdamWConfig},
    },
};
use burn::tensor::{Device, Int, Tensor, activation::softmax};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PATCH_SIZE: [usize; 3] = [32; 3];
const DESCRIPTIONS: &str = r#"
[[class]]
name = "ball"
title = "The ball in a CT image"
[class.concepts]
shape = "A round body."

[[class]]
name = "rod"
title = "The rod in a CT image"
[class.concepts]
shape = "A long thin body."
"#;

/// The Tversky loss of the foreground: false negatives weigh more than false positives.
fn tversky_loss(logits: Tensor<5>, labels: Tensor<4, Int>) -> Tensor<1> {
    const FALSE_POSITIVE_WEIGHT: f64 = 0.3;
    const FALSE_NEGATIVE_WEIGHT: f64 = 0.7;
    let background = softmax(logits, 1).slice_dim(1, 0..1).squeeze_dim::<4>(1);
    let (p, y) = (background.neg() + 1.0, labels.greater_equal_scalar(1).float());
    let true_positives = (p.clone() * y.clone()).sum();
    let false_positives = (p.clone() * (y.clone().neg() + 1.0)).sum();
    let false_negatives = ((p.neg() + 1.0) * y).sum();
    let errors = false_positives * FALSE_POSITIVE_WEIGHT + false_negatives * FALSE_NEGATIVE_WEIGHT;
    (true_positives.clone() / (true_positives + errors + 1e-5)).neg() + 1.0
}

fn main() -> Result<()> {
    let device = Device::flex().autodiff();
    let schema = LabelSchema::exclusive([("ball", 1), ("rod", 2)])?;
    let descriptions = Descriptions::parse(DESCRIPTIONS, "descriptions.toml".as_ref())?;
    let tokenizer = Tokenizer::from_descriptions(&descriptions);
    let text = TextInput::new(&tokenizer.encode_classes(&descriptions), &device);

    let mut config = ModelSize::Tiny.config(1);
    config.text.vocab_size = tokenizer.vocab_size();
    let head = HeadConfig { num_classes: 2, out_channels: schema.num_logit_channels() };
    let mut init = Initializer::new(1, &device);
    let mut module = TrainModule {
        model: config.init(head, PATCH_SIZE, &mut init),
        loss_weights: LossWeights::new(&init),
    };
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let loss_config = LossConfig::default();

    let image = DropoutRng::new(0, 0).normal([1, 1, 32, 32, 32], &device);
    let labels = Tensor::<1, Int>::arange(0..32_768, &device).div_scalar(11_000).reshape([1, 32, 32, 32]);
    for step in 0..2 {
        let mut rng = DropoutRng::new(0, step);
        let output = module.model.forward(image.clone(), &text, Some(&mut rng));
        let terms = LossTerms::compute(&output, labels.clone(), &schema, &loss_config, Some(&mut rng));
        let total = module.loss_weights.total(&terms, loss_config.weighting)
            + tversky_loss(output.logits, labels.clone());
        println!("step {step}: loss {:.3}", total.clone().into_scalar::<f32>());
        module = optimizer.step(module, total.backward(), 1e-3);
    }
    Ok(())
}

//! A narrow network learns one phantom by heart.

use bipvl::{
    data::LabelSchema,
    nn::{
        HeadConfig,
        init::{DropoutRng, Initializer},
    },
    train::{
        loss::{LossConfig, LossTerms, LossWeights},
        optimizer::{AdamW, AdamWConfig},
    },
};
use bipvl_imaging::phantom;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::model::{narrow, text};

/// Updates that are enough to see the loss fall.
const STEPS: u64 = 12;

/// The loss of the segmentation after each update.
fn learn(seed: u64) -> Vec<f32> {
    let device = Device::flex().autodiff();
    let drawn = phantom::draw(1, [32; 3], [4.0; 3]);
    let image: Vec<f32> =
        drawn.image.voxels().iter().map(|hu| (hu + 100.0).clamp(0.0, 400.0) / 400.0).collect();
    let labels: Vec<i32> = drawn.labels.voxels().iter().map(|label| i32::from(*label).min(3)).collect();
    let image = Tensor::<5>::from_data(TensorData::new(image, [1, 1, 32, 32, 32]), &device);
    let labels = Tensor::<4, Int>::from_data(TensorData::new(labels, [1, 32, 32, 32]), &device);
    let mut init = Initializer::new(seed, &device);
    let mut model = narrow().init(HeadConfig::exclusive(3), [32; 3], &mut init);
    let label_schema = LabelSchema::from_labels(&[1, 2, 3]).unwrap();
    let (config, weights) = (LossConfig::default(), LossWeights::new(&init));
    let (text, mut optimizer) = (text(&device), AdamW::new(AdamWConfig::default()));
    (0..STEPS)
        .map(|step| {
            let mut noise = DropoutRng::new(seed, step);
            let output = model.forward(image.clone(), &text, Some(&mut noise));
            let losses =
                LossTerms::compute(&output, labels.clone(), &label_schema, &config, Some(&mut noise));
            let gradients = weights.total(&losses, config.weighting).backward();
            model = optimizer.step(model.clone(), gradients, 3e-3);
            losses.segmentation.into_scalar()
        })
        .collect()
}

#[test]
fn the_loss_falls_and_the_same_seed_gives_the_same_losses_to_the_last_bit() {
    let first = learn(7);
    assert!(first[STEPS as usize - 1] < 0.8 * first[0], "losses {first:?}");
    assert_eq!(learn(7), first);
    assert_ne!(learn(8), first);
}

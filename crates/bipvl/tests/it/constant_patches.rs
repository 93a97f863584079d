//! Patches of one constant share a pass through the real network, and not a bit changes.

use std::ops::ControlFlow;

use bipvl::{
    data::{Intensity, LabelSchema, PreprocessConfig},
    infer::{
        BlendMode, ConstantPatchCache, InferConfig, InferenceProgress, Logits, Predictor, PredictorInput,
        SlidingWindow,
    },
    nn::{HeadConfig, init::Initializer},
};
use bipvl_imaging::{Grid, LabelMap, Volume};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array3, ArrayView4, Axis};

use crate::{
    model::{narrow, text},
    whole::gather,
};

const PATCH: [usize; 3] = [32; 3];
const LABELS: [u16; 3] = [1, 2, 3];

/// A ball of 60 HU with some texture, in air that is not everywhere the same.
fn scan() -> Volume<f32> {
    let voxels = Array3::from_shape_fn([112, 32, 40], |(x, y, z)| {
        let texture = ((3 * x + 5 * y + 7 * z) % 11) as f32;
        let is_ball = (x as f32 - 16.0).hypot(y as f32 - 16.0).hypot(z as f32 - 20.0) < 12.0;
        if is_ball { 60.0 + texture } else { -1000.0 + texture }
    });
    Volume::new(voxels, Grid::with_spacing([112, 32, 40], [1.0; 3]))
}

fn preprocess() -> PreprocessConfig {
    let intensity = Intensity::ClipAndScale { a_min: -175.0, a_max: 250.0 };
    PreprocessConfig { spacing: None, intensity, crop_foreground: false, patch_size: PATCH }
}

fn predict(skip_constant_patches: bool) -> (LabelMap, InferenceProgress) {
    let device = Device::flex();
    let predictor = Predictor::new(PredictorInput {
        model: narrow().init(HeadConfig::exclusive(LABELS.len()), PATCH, &mut Initializer::new(1, &device)),
        text: &text(&device),
        preprocess: preprocess(),
        channels: 1,
        label_schema: LabelSchema::from_labels(&LABELS).unwrap(),
        config: InferConfig { overlap: 0.25, skip_constant_patches, ..InferConfig::default() },
        device,
    });
    let mut last = InferenceProgress::default();
    let segmentation = predictor.predict(vec![scan()], &mut |progress| {
        assert_eq!(progress.done, last.done + 1);
        last = progress;
        ControlFlow::Continue(())
    });
    (segmentation.unwrap().into_label_map(), last)
}

#[test]
fn a_scan_with_air_gets_the_same_labels_with_fewer_passes() {
    // Patches start at 0, 24, 48, 72 and 80 along x, and at 0 and 8 along z. The ball ends at 28: six patches
    // see nothing but air, of which the first passes.
    let (labels, progress) = predict(true);
    assert_eq!(progress, InferenceProgress { done: 10, reused: 5, total: 10 });
    let (every, progress) = predict(false);
    assert_eq!(progress, InferenceProgress { done: 10, reused: 0, total: 10 });
    assert_eq!(labels, every);
}

#[test]
fn shared_logits_are_those_of_the_network_bit_for_bit() {
    let device = Device::flex();
    let model = narrow().init(HeadConfig::exclusive(LABELS.len()), PATCH, &mut Initializer::new(1, &device));
    let text = model.encode_text(&text(&device), None);
    let network = |patch: ArrayView4<f32>| {
        let (_, x, y, z) = patch.dim();
        let data = TensorData::new(patch.iter().copied().collect(), [1, 1, x, y, z]);
        let logits = model.segment(Tensor::from_data(data, &device), &text).into_data();
        Logits::from_shape_vec((LABELS.len() + 1, x, y, z), logits.try_to_vec().unwrap()).unwrap()
    };
    let image = preprocess().prepare(vec![scan()]).image;
    let image = image.slice_axis(Axis(3), (..32).into());
    let window = SlidingWindow::new(PATCH, 0.25, BlendMode::Gaussian);
    let mut sharing = ConstantPatchCache::new(network);
    let shared = gather(&window, image, LABELS.len() + 1, |patch| sharing.logits(patch));
    assert_eq!(sharing.reused(), 2);
    let every = gather(&window, image, LABELS.len() + 1, network);
    assert!(shared.iter().zip(&every).all(|(a, b)| a.to_bits() == b.to_bits()));
}

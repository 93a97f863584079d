//! Means over flips, members and batches: what they must give, whatever the network says.

use std::sync::Arc;

use bipvl::{
    data::{Intensity, LabelSchema, PreprocessConfig},
    infer::{InferConfig, Predictor, PredictorInput, TestTimeMirroring, ignore_progress},
    nn::{BiPvlSeg, HeadConfig, init::Initializer},
    train::{
        communicator::{Communicator, SingleProcess},
        gradient_accumulation::accumulate,
        loss::{LossConfig, LossTerms, LossWeighting, LossWeights},
    },
};
use bipvl_imaging::{Grid, LabelMap, Volume};
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Gradients, Int, Tensor},
};
use ndarray::{Array3, Axis};

use crate::model::{narrow, text};

const SHAPE: [usize; 3] = [32; 3];
const LABELS: [u16; 3] = [1, 2, 3];
/// Of the largest gradient of a tensor: float32 in another order of summation, where much cancels.
const TOLERANCE: f32 = 1e-3;

fn label_schema() -> LabelSchema {
    LabelSchema::from_labels(&LABELS).unwrap()
}

fn network(seed: u64) -> BiPvlSeg {
    narrow().init(HeadConfig::exclusive(LABELS.len()), SHAPE, &mut Initializer::new(seed, &Device::flex()))
}

fn predictor(mirror: &str) -> Predictor {
    let device = Device::flex();
    let intensity = Intensity::ClipAndScale { a_min: 0.0, a_max: 10.0 };
    Predictor::new(PredictorInput {
        model: network(1),
        text: &text(&device),
        preprocess: PreprocessConfig { spacing: None, intensity, crop_foreground: false, patch_size: SHAPE },
        channels: 1,
        label_schema: label_schema(),
        config: InferConfig {
            tta_mirror_axes: mirror.parse::<TestTimeMirroring>().unwrap(),
            ..InferConfig::default()
        },
        device,
    })
}

fn scan() -> Array3<f32> {
    Array3::from_shape_fn(SHAPE, |(x, y, z)| ((3 * x * x + 5 * y + 7 * z * x) % 11) as f32)
}

fn labels(predictor: &Predictor, voxels: Array3<f32>) -> LabelMap {
    let grid = Grid::with_spacing(SHAPE, [1.0; 3]);
    let segmentation = predictor.predict(vec![Volume::new(voxels, grid)], &mut ignore_progress);
    segmentation.unwrap().into_label_map()
}

fn flipped<T: Clone>(mut voxels: Array3<T>, axis: usize) -> Array3<T> {
    voxels.invert_axis(Axis(axis));
    voxels
}

#[test]
fn a_mirrored_scan_gets_mirrored_labels() {
    for (axis, name) in ["x", "y", "z"].into_iter().enumerate() {
        let plain = |voxels| labels(&predictor(""), voxels).into_voxels();
        assert_ne!(
            plain(flipped(scan(), axis)),
            flipped(plain(scan()), axis),
            "{name}: without, there is a difference"
        );
        // Both sums have the same two summands, so there is not a bit between them.
        let mirrored = |voxels| labels(&predictor(name), voxels).into_voxels();
        assert_eq!(mirrored(flipped(scan(), axis)), flipped(mirrored(scan()), axis), "{name}");
    }
}

#[test]
fn members_of_one_network_are_that_network_and_their_order_does_not_matter() {
    let device = Device::flex();
    let alone = labels(&predictor(""), scan());
    let twice = predictor("").with_ensemble_member(network(1), &text(&device));
    assert_eq!(labels(&twice, scan()), alone);
    let both = predictor("").with_ensemble_member(network(2), &text(&device));
    assert_ne!(labels(&both, scan()), alone, "another member has a say");
}

/// Largest difference between two gradients of a tensor, as a share of the largest value.
struct Compare<'a> {
    one: &'a Gradients,
    other: &'a Gradients,
    worst: f32,
    tensors: usize,
}

impl ModuleVisitor for Compare<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weights = param.val();
        let (one, other) = (weights.grad(self.one).unwrap(), weights.grad(self.other).unwrap());
        let largest = one.clone().abs().max().into_scalar::<f32>().max(1e-6);
        let difference = (one - other).abs().max().into_scalar::<f32>();
        self.worst = self.worst.max(difference / largest);
        self.tensors += 1;
    }
}

#[test]
fn gradients_of_two_batches_are_those_of_one_larger_batch() {
    let device = Device::flex().autodiff();
    let mut config = narrow();
    config.deep_supervision_levels = 2;
    let model = config.init(HeadConfig::exclusive(LABELS.len()), SHAPE, &mut Initializer::new(1, &device));
    let (text, weights) = (text(&device), LossWeights::new(&Initializer::new(0, &device)));
    let image = Tensor::<1, Int>::arange(0..2 * 32_768, &device).float().sin().reshape([2, 1, 32, 32, 32]);
    let labels = Tensor::<1, Int>::arange(0..2 * 32_768, &device).div_scalar(5).remainder_scalar(4);
    let labels = labels.reshape([2, 32, 32, 32]);
    let learn = |samples: std::ops::Range<usize>, share: f64| {
        let image = image.clone().slice([samples.clone(), 0..1, 0..32, 0..32, 0..32]);
        let labels = labels.clone().slice([samples, 0..32, 0..32, 0..32]);
        let output = model.forward(image, &text, None);
        let losses = LossTerms::compute(&output, labels, &label_schema(), &LossConfig::default(), None);
        let total = weights.total(&losses, LossWeighting::OfficialCode);
        let value = total.clone().into_scalar::<f32>();
        ([value], (total * share).backward())
    };
    let (whole, one) = learn(0..2, 1.0);
    let process: Arc<dyn Communicator> = Arc::new(SingleProcess);
    let ([mean], other) = accumulate(&process, &model, 2, |_, batch| learn(batch..batch + 1, 0.5));
    assert!((mean - whole[0]).abs() < TOLERANCE, "{mean} {}", whole[0]);
    let mut compare = Compare { one: &one, other: &other, worst: 0.0, tensors: 0 };
    model.visit(&mut compare);
    assert!(compare.tensors > 100 && compare.worst < TOLERANCE, "{} of {}", compare.worst, compare.tensors);
}

//! The reference implementation of inference: all logits of a volume at once instead of slab by slab.

use std::ops::ControlFlow;

use bipvl::{
    data::LabelSchema,
    infer::{Logits, SlidingWindow},
};
use bipvl_imaging::{
    Grid, LabelMap, PaddingMode, Segment, Segmentation, SegmentationVoxels, Volume, resample,
};
use ndarray::{Array3, Array4, ArrayView3, ArrayView4, Axis, Zip, s};

/// The logits of a whole volume `[channels, x, y, z]`, gathered from the slabs of a sliding window.
pub(crate) fn gather(
    window: &SlidingWindow,
    volume: ArrayView4<f32>,
    outputs: usize,
    mut segment: impl FnMut(ArrayView4<f32>) -> Logits,
) -> Array4<f32> {
    let (_, x, y, z) = volume.dim();
    let mut logits = Array4::from_elem((outputs, x, y, z), f32::NAN);
    let predict = |_, patch: ArrayView4<f32>| ControlFlow::Continue(segment(patch));
    let flow = window.plan([x, y, z], outputs).run(volume, predict, |slab| {
        let column = slab.column;
        let own = s![.., ..column.y.len(), ..column.z.len()];
        logits.slice_mut(s![.., slab.x, column.y.clone(), column.z.clone()]).assign(&slab.rows[1].slice(own));
        // The row before is still what it was when it was the second.
        let before = slab.x.saturating_sub(1);
        assert_eq!(
            logits.slice(s![.., before, column.y.clone(), column.z.clone()]),
            slab.rows[0].slice(own),
            "row {before}"
        );
    });
    assert!(flow.is_continue());
    logits
}

/// The label map of a segmentation with the names and labels of `label_schema`.
pub(crate) fn label_map(voxels: SegmentationVoxels, label_schema: &LabelSchema) -> LabelMap {
    let segments = label_schema.classes().iter().map(|class| Segment {
        name: class.name.clone(),
        label: class.output_label,
        code: None,
    });
    match voxels {
        SegmentationVoxels::Labels(labels) => labels,
        SegmentationVoxels::Masks(masks) => {
            Segmentation::from_masks(masks[0].grid().clone(), masks, segments.collect()).into_label_map()
        }
    }
}

/// Sums all patches into one array and divides by all weights at the end.
pub(crate) fn cover(
    volume: ArrayView4<f32>,
    outputs: usize,
    importance: ArrayView3<f32>,
    overlap: f64,
    mut segment: impl FnMut(ArrayView4<f32>) -> Logits,
) -> Array4<f32> {
    let (_, x, y, z) = volume.dim();
    let (px, py, pz) = importance.dim();
    let starts = |length: usize, patch: usize| {
        let step = ((patch as f64 * (1.0 - overlap)) as usize).max(1);
        (0..=(length - patch).div_ceil(step)).map(move |index| (index * step).min(length - patch))
    };
    let mut sums = Array4::<f32>::zeros((outputs, x, y, z));
    let mut weights = Array3::<f32>::zeros((x, y, z));
    for i in starts(x, px) {
        for j in starts(y, py) {
            for k in starts(z, pz) {
                let place = s![.., i..i + px, j..j + py, k..k + pz];
                let logits = segment(volume.slice(place));
                for (mut sum, logits) in sums.slice_mut(place).outer_iter_mut().zip(logits.outer_iter()) {
                    Zip::from(&mut sum).and(&logits).and(&importance).for_each(|s, l, i| *s += l * i);
                }
                let mut weights = weights.slice_mut(s![i..i + px, j..j + py, k..k + pz]);
                weights += &importance;
            }
        }
    }
    for mut sum in sums.axis_iter_mut(Axis(0)) {
        sum /= &weights;
    }
    sums
}

/// Resamples the whole logits channel by channel and decides.
pub(crate) fn restore(
    logits: &Array4<f32>,
    grid: &Grid,
    onto: &Grid,
    label_schema: &LabelSchema,
) -> LabelMap {
    let placed = |channel: usize, outside: f32| place(logits, channel, outside, grid, onto);
    let labels: Vec<u16> = label_schema.classes().iter().map(|class| class.output_label).collect();
    if label_schema.is_overlapping() {
        last_likely(placed, &labels, onto)
    } else {
        first_best(placed, &labels, onto)
    }
}

/// One channel of the logits on another grid.
fn place(logits: &Array4<f32>, channel: usize, outside: f32, grid: &Grid, onto: &Grid) -> Array3<f32> {
    let volume = Volume::new(logits.index_axis(Axis(0), channel).to_owned(), grid.clone());
    let is_same = grid.approx_eq(onto);
    if is_same { volume } else { resample(&volume, onto, PaddingMode::Constant(outside)) }.into_voxels()
}

/// The probabilities of the classes, normalized in float64 after resampling.
pub(crate) fn probabilities(
    logits: &Array4<f32>,
    grid: &Grid,
    onto: &Grid,
    label_schema: &LabelSchema,
) -> Vec<Array3<f64>> {
    let placed = |channel: usize, outside: f32| place(logits, channel, outside, grid, onto).mapv(f64::from);
    if label_schema.is_overlapping() {
        let sigmoid = |logit: f64| 1.0 / (1.0 + (-logit).exp());
        return (0..label_schema.num_classes()).map(|class| placed(class, f32::MIN).mapv(sigmoid)).collect();
    }
    // The logits here are small enough for the exponential function.
    let background = placed(0, 0.0).mapv(f64::exp);
    let classes = 1..label_schema.num_logit_channels();
    let classes: Vec<Array3<f64>> = classes.map(|class| placed(class, f32::MIN).mapv(f64::exp)).collect();
    let sum = classes.iter().fold(background, |sum, class| sum + class);
    classes.into_iter().map(|class| class / &sum).collect()
}

/// The label of the first of the highest logits.
fn first_best(placed: impl Fn(usize, f32) -> Array3<f32>, labels: &[u16], onto: &Grid) -> LabelMap {
    let mut best = placed(0, f32::MAX);
    let mut decided = Array3::<u16>::zeros(onto.shape());
    for (class, label) in (1..).zip(labels) {
        Zip::from(&mut best).and(&mut decided).and(&placed(class, f32::MIN)).for_each(
            |best, decided, logit| {
                if logit > best {
                    (*best, *decided) = (*logit, *label);
                }
            },
        );
    }
    Volume::new(decided, onto.clone())
}

/// The label of the last class with a probability of at least ½.
fn last_likely(placed: impl Fn(usize, f32) -> Array3<f32>, labels: &[u16], onto: &Grid) -> LabelMap {
    let mut decided = Array3::<u16>::zeros(onto.shape());
    for (channel, label) in labels.iter().enumerate() {
        Zip::from(&mut decided).and(&placed(channel, f32::MIN)).for_each(|decided, logit| {
            if *logit >= 0.0 {
                *decided = *label;
            }
        });
    }
    Volume::new(decided, onto.clone())
}

//! Reference files that Python wrote, and comparison with them.

use std::path::Path;

use bipvl::nn::weights::{HostTensor, StateDict, TensorHandle, load};
use burn::tensor::{Device, Tensor, TensorData};

use crate::formula::uniform;

/// The tensors of `tests/reference/NAME.safetensors`.
pub(crate) fn reference(name: &str) -> StateDict {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    load(&folder.join(format!("{name}.safetensors"))).unwrap().0
}

/// Values in [-1, 1) that Python makes alike, see `tests/reference/tensors.py`.
pub(crate) fn made<const D: usize>(name: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(uniform(name, &shape, 1.0).values, shape), device)
}

/// The name of a parameter in the Python scripts, which number the norms of a two-way layer.
pub(crate) fn name_in_python(name: &str) -> String {
    let norms = ["self_attention", "text_to_vision", "text_mlp", "vision_to_text", "vision_mlp"];
    norms.iter().enumerate().fold(name.to_owned(), |name, (index, norm)| {
        name.replace(&format!(".{norm}_norm."), &format!(".norms.{index}."))
    })
}

/// Whether a tensor equals the one of a reference file, up to `tolerance` times the reference's largest
/// value.
pub(crate) fn assert_near<const D: usize>(
    found: Tensor<D>,
    reference: &StateDict,
    name: &str,
    tolerance: f32,
) {
    let allowed = tolerance * largest(&reference[name]);
    assert_within(found, reference, name, allowed);
}

/// Whether a tensor equals the one of a reference file, up to `allowed`.
pub(crate) fn assert_within<const D: usize>(
    found: Tensor<D>,
    reference: &StateDict,
    name: &str,
    allowed: f32,
) {
    let (found, expected) = (TensorHandle::new(found).read(), &reference[name]);
    assert_eq!(found.shape, expected.shape, "{name}");
    let pairs = found.values.iter().zip(&expected.values);
    let difference = pairs.map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max);
    assert!(difference <= allowed, "{name}: differs by {difference}, allowed are {allowed}");
}

/// The largest magnitude of a tensor.
pub(crate) fn largest(weights: &HostTensor) -> f32 {
    weights.values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

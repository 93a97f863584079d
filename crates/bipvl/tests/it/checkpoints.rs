//! PyTorch checkpoints: tensors come out as they went in, and pickled code is never run.

use std::path::{Path, PathBuf};

use bipvl::nn::{
    Result,
    interop::{Architecture, Checkpoint},
    weights::{HostTensor, StateDict},
};

use crate::formula::uniform;

/// float16 keeps eleven bits of a value below 1.
const HALF_TOLERANCE: f32 = 5e-4;

/// The tensors of a model that has one of this name.
fn read(file: &Path, anchor: &'static str) -> Result<StateDict> {
    let architecture = Architecture { name: "test model", anchor, submodules: &[] };
    Ok(Checkpoint::read(file, &architecture)?.state_dict)
}

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

#[test]
fn tensors_under_a_state_dict_are_found_and_indices_left_out() {
    let tensors = read(&reference("checkpoint.pt"), "layer.weight").unwrap();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["layer.bias", "layer.weight"]);
    assert_eq!(tensors["layer.weight"], uniform("matrix", &[3, 4], 1.0));
    assert_eq!(tensors["layer.bias"], uniform("vector", &[5], 1.0));
}

#[test]
fn tensors_alone_are_found_whatever_their_type_and_strides() {
    let tensors = read(&reference("checkpoint.bin"), "plain").unwrap();
    let matrix = uniform("matrix", &[3, 4], 1.0);
    for (found, expected) in tensors["half"].values.iter().zip(&matrix.values) {
        assert!((found - expected).abs() < HALF_TOLERANCE, "expected {expected}, found {found}");
    }
    let transposed = (0..12).map(|i| matrix.values[i % 3 * 4 + i / 3]).collect();
    assert_eq!(tensors["view"], HostTensor { shape: vec![4, 3], values: transposed });
    assert_eq!(tensors["plain"], uniform("vector", &[5], 1.0));
}

#[test]
fn a_pickle_that_asks_to_run_a_command_runs_nothing() {
    // Reading it may fail or not; what matters is that nothing happens.
    let _ = read(&reference("hostile.pt"), "weight");
    assert!(!Path::new("hostile-ran").exists());
}

#[test]
fn another_kind_of_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.pt");
    std::fs::write(&file, "not a checkpoint").unwrap();
    let error = read(&file, "weight").unwrap_err().to_string();
    assert!(error.contains("text.pt: neither a PyTorch checkpoint nor a safetensors file"), "{error}");
    let missing = folder.path().join("missing.pt");
    assert!(read(&missing, "weight").unwrap_err().to_string().contains("missing.pt"));
}

//! The state dict of a model in a checkpoint, wherever it is nested and whatever prefix its names have.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pytorch_reader::{DType, PytorchReader};
use safetensors::{Dtype, SafeTensors};

use crate::{
    Error, Result,
    weights::{self, HostTensor, StateDict, float32},
};

/// How the state dict of a model is recognized among the tensors of a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Architecture {
    /// For messages.
    pub name: &'static str,
    /// Name of a tensor that every such model has; what precedes it in a checkpoint is a prefix.
    pub anchor: &'static str,
    /// Names of submodules before the anchor, which are no prefix.
    pub submodules: &'static [&'static str],
}

/// The floating-point tensors of a model in a checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The tensors, without their common prefix.
    pub state_dict: StateDict,
    /// Tensors outside of the model, such as the state of an optimizer, by their first name.
    pub outside: Vec<String>,
    pub(super) path: PathBuf,
}

impl Checkpoint {
    /// Reads a safetensors file or a PyTorch checkpoint (`.pt`, `.pth`, `.bin`); the content decides which.
    /// Names may have a prefix, such as `module.` of several GPUs or `state_dict.` of a nested dictionary. Pickled
    /// code is never executed.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, has neither format, or holds no such model.
    pub fn read(file: &Path, architecture: &Architecture) -> Result<Self> {
        if is_safetensors(file)? {
            Self::read_safetensors(file, architecture)
        } else {
            Self::read_pytorch(file, architecture)
        }
    }

    fn read_safetensors(file: &Path, architecture: &Architecture) -> Result<Self> {
        // Read whole: a mapped file of others may change meanwhile.
        let bytes = fs::read(file).map_err(|source| Error::io(file, source))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| weights::invalid(file, &error))?;
        let names = tensors.names().into_iter().map(str::to_owned).collect();
        let prefix = prefix(names, architecture, file)?;
        let mut checkpoint = Self::empty(file);
        let mut outside = BTreeMap::new();
        for (name, view) in tensors.iter() {
            match name.strip_prefix(&prefix) {
                Some(name) => checkpoint.insert(name, view.shape(), float32(view.dtype(), view.data())),
                None => count_outside(&mut outside, name),
            }
        }
        Ok(checkpoint.with_outside(outside))
    }

    fn read_pytorch(file: &Path, architecture: &Architecture) -> Result<Self> {
        let reader = PytorchReader::new(file)
            .map_err(|error| Error::InvalidCheckpoint { path: file.to_owned(), reason: error.to_string() })?;
        let prefix = prefix(reader.keys(), architecture, file)?;
        let mut checkpoint = Self::empty(file);
        let mut outside = BTreeMap::new();
        for (name, tensor) in reader.into_tensors() {
            let Some(name) = name.strip_prefix(&prefix) else {
                count_outside(&mut outside, &name);
                continue;
            };
            let bytes = tensor.read().map_err(|source| Error::io(file, source))?;
            checkpoint.insert(name, tensor.shape(), float32_of_pytorch(tensor.dtype(), &bytes));
        }
        Ok(checkpoint.with_outside(outside))
    }

    fn empty(file: &Path) -> Self {
        Self { state_dict: StateDict::new(), outside: Vec::new(), path: file.to_owned() }
    }

    /// Tensors that are not floating-point are counters and indices.
    fn insert(&mut self, name: &str, shape: &[usize], values: Option<Vec<f32>>) {
        if let Some(values) = values {
            self.state_dict.insert(name.to_owned(), HostTensor { shape: shape.to_vec(), values });
        }
    }

    fn with_outside(self, counts: BTreeMap<String, usize>) -> Self {
        let outside = counts.into_iter().map(|(name, count)| match count {
            1 => name,
            count => format!("{name}.* ({count} tensors)"),
        });
        Self { outside: outside.collect(), ..self }
    }

    /// Shape of a tensor.
    pub(super) fn shape(&self, name: &str) -> Result<&[usize]> {
        let tensor = self.state_dict.get(name);
        tensor
            .map(|tensor| tensor.shape.as_slice())
            .ok_or_else(|| Error::MissingTensor { path: self.path.clone(), name: name.to_owned() })
    }
}

fn count_outside(counts: &mut BTreeMap<String, usize>, name: &str) {
    let first = name.split('.').next().unwrap_or_default();
    *counts.entry(first.to_owned()).or_default() += 1;
}

/// Whether the content starts like that of a safetensors file: the length of a JSON header, then the header.
fn is_safetensors(file: &Path) -> Result<bool> {
    use std::io::Read;
    let io = |source| Error::io(file, source);
    let mut start = Vec::new();
    fs::File::open(file).map_err(io)?.take(9).read_to_end(&mut start).map_err(io)?;
    // No other format has a brace there, and the three upper bytes of a length are zero.
    Ok(start.get(5..) == Some(b"\0\0\0{"))
}

/// Whether the file is a PyTorch checkpoint.
pub(super) fn is_pytorch(file: &Path) -> bool {
    PytorchReader::new(file).is_ok()
}

/// What precedes the names of the model's tensors.
fn prefix(names: Vec<String>, architecture: &Architecture, file: &Path) -> Result<String> {
    let Architecture { name: architecture, anchor, submodules } = *architecture;
    let before = |name: &String| {
        let before = name.strip_suffix(anchor)?;
        (before.is_empty() || before.ends_with('.')).then(|| before.to_owned())
    };
    // Of several copies, such as an exponential moving average, the one with the shortest name.
    let shortest = names.iter().filter_map(before).min_by_key(|before| (before.len(), before.clone()));
    let Some(before) = shortest else {
        let mut names = names;
        names.sort_unstable();
        return Err(Error::UnknownArchitecture { path: file.to_owned(), architecture, anchor, names });
    };
    let stripped = submodules.iter().find_map(|submodule| before.strip_suffix(submodule));
    Ok(stripped.unwrap_or(&before).to_owned())
}

/// Floating-point bytes as float32; `None` for other types.
fn float32_of_pytorch(dtype: DType, bytes: &[u8]) -> Option<Vec<f32>> {
    match dtype {
        DType::F32 => float32(Dtype::F32, bytes),
        DType::F16 => float32(Dtype::F16, bytes),
        DType::BF16 => float32(Dtype::BF16, bytes),
        DType::F64 => {
            Some(bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight) as f32).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCHITECTURE: Architecture =
        Architecture { name: "test model", anchor: "embed.weight", submodules: &["encoder."] };

    fn prefix_of(names: &[&str]) -> Result<String> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        prefix(names, &ARCHITECTURE, Path::new("some.pt"))
    }

    #[test]
    fn a_prefix_is_what_precedes_the_anchor_and_its_submodule() {
        let cases = [
            ("embed.weight", ""),
            ("encoder.embed.weight", ""),
            ("module.net.encoder.embed.weight", "module.net."),
            ("checkpoint.state_dict._model.embed.weight", "checkpoint.state_dict._model."),
        ];
        for (name, expected) in cases {
            assert_eq!(prefix_of(&["other.weight", name]).unwrap(), expected);
        }
        assert_eq!(prefix_of(&["ema.net.embed.weight", "net.embed.weight"]).unwrap(), "net.");
    }

    #[test]
    fn without_the_anchor_the_names_found_are_listed() {
        let error =
            prefix_of(&["model.1.conv.bias", "model.0.conv.weight", "patch_embed.weight"]).unwrap_err();
        let expected = "some.pt: not a test model: no tensor is named `embed.weight`, with or without a prefix; \
                        its 3 tensors are model.0.conv.weight, model.1.conv.bias, patch_embed.weight";
        assert_eq!(error.to_string(), expected);
    }
}

//! Weights that others published: their names and layouts against ours, in both directions.

pub mod bert;
mod in_place;
mod imported;
pub mod monai;

pub use imported::{Imported, Sizes, to_monai};
pub use in_place::{full_key_map, load_in_place};

use std::path::Path;

use pytorch_reader::PytorchReader;

use super::weights::{self, StateDict, Weights};
use crate::{Error, Result};

/// How a published tensor is laid out; ours is channels-last and linear layers are `[inputs, outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The same.
    AsIs,
    /// A linear layer, `[outputs, inputs]`.
    Linear,
    /// A 3³ convolution, `[outputs, inputs, 3, 3, 3]`.
    Convolution,
    /// A 1³ convolution, `[outputs, inputs, 1, 1, 1]`, ours is a linear layer.
    Pointwise,
    /// The convolution of the patch embedding, `[outputs, inputs, 2, 2, 2]`, ours is a linear layer over the
    /// eight voxels of a cube and their channels.
    PatchEmbedding,
    /// A transposed convolution, `[inputs, outputs, 2, 2, 2]`, ours is a linear layer to the eight voxels.
    Upsampling,
}

/// One tensor under both names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// In the published file.
    pub theirs: String,
    /// In our modules.
    pub ours: String,
    /// How the layouts differ.
    pub form: Form,
}

/// What became of every tensor of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Published tensors that were taken, by their own names.
    pub used: Vec<String>,
    /// Tensors of ours that the file does not have, by the names they would have there.
    pub missing: Vec<String>,
    /// Published tensors that have no place here.
    pub unused: Vec<String>,
}

impl Name {
    fn new(theirs: impl Into<String>, ours: impl Into<String>, form: Form) -> Self {
        Self { theirs: theirs.into(), ours: ours.into(), form }
    }
}

impl Form {
    fn to_ours(self, published: Weights) -> Weights {
        let shape = published.shape.clone();
        match (self, shape.as_slice()) {
            (Self::Linear, [_, _]) => published.permuted(&[1, 0]),
            (Self::Convolution, [_, _, 3, 3, 3]) => published.permuted(&[2, 3, 4, 1, 0]),
            (Self::Pointwise, [outputs, inputs, 1, 1, 1]) => {
                published.reshaped(&[*outputs, *inputs]).permuted(&[1, 0])
            }
            (Self::PatchEmbedding, [outputs, inputs, 2, 2, 2]) => {
                published.permuted(&[2, 3, 4, 1, 0]).reshaped(&[8 * inputs, *outputs])
            }
            (Self::Upsampling, [inputs, outputs, 2, 2, 2]) => {
                published.permuted(&[0, 2, 3, 4, 1]).reshaped(&[*inputs, 8 * outputs])
            }
            _ => published,
        }
    }

    fn to_theirs(self, ours: Weights) -> Weights {
        let shape = ours.shape.clone();
        match (self, shape.as_slice()) {
            (Self::Linear, _) => ours.permuted(&[1, 0]),
            (Self::Convolution, _) => ours.permuted(&[4, 3, 0, 1, 2]),
            (Self::Pointwise, [inputs, outputs]) => {
                ours.permuted(&[1, 0]).reshaped(&[*outputs, *inputs, 1, 1, 1])
            }
            (Self::PatchEmbedding, [voxels, outputs]) => {
                ours.reshaped(&[2, 2, 2, voxels / 8, *outputs]).permuted(&[4, 3, 0, 1, 2])
            }
            (Self::Upsampling, [inputs, voxels]) => {
                ours.reshaped(&[*inputs, 2, 2, 2, voxels / 8]).permuted(&[0, 4, 1, 2, 3])
            }
            _ => ours,
        }
    }
}

/// Takes the published tensors that have a name of ours. Shapes are compared with those of `expected`.
///
/// # Errors
///
/// When a tensor has another shape than ours; `file` and both shapes are named.
pub fn import(
    names: &[Name],
    mut published: StateDict,
    expected: &StateDict,
    file: &Path,
) -> Result<(StateDict, Report)> {
    let mut taken = StateDict::new();
    let mut report = Report::default();
    for Name { theirs, ours, form } in names {
        let Some(tensor) = published.remove(theirs) else {
            report.missing.push(theirs.clone());
            continue;
        };
        let found = tensor.shape.clone();
        let tensor = form.to_ours(tensor);
        let wanted = expected.get(ours).map(|weights| weights.shape.clone()).unwrap_or_default();
        if tensor.shape != wanted {
            let like = Weights { values: vec![0.0; wanted.iter().product()], shape: wanted };
            let wanted = form.to_theirs(like).shape;
            return Err(Error::content(file, format!("{theirs} of shape {wanted:?}"), format!("{found:?}")));
        }
        taken.insert(ours.clone(), tensor);
        report.used.push(theirs.clone());
    }
    report.unused = published.into_keys().collect();
    Ok((taken, report))
}

/// Gives our tensors their published names and layouts; those without one are left out.
pub fn export(names: &[Name], mut ours: StateDict) -> StateDict {
    let rename = |name: &Name| Some((name.theirs.clone(), name.form.to_theirs(ours.remove(&name.ours)?)));
    names.iter().filter_map(rename).collect()
}

/// Reads the tensors of a safetensors file or of a PyTorch checkpoint (`.pt`, `.pth`, `.bin`), whose tensors
/// may stand under `state_dict` or `model`. Pickled code is never run: the reader knows tensors only.
///
/// # Errors
///
/// When the file cannot be read or is of neither form.
pub fn read(file: &Path) -> Result<StateDict> {
    if file.extension().is_some_and(|extension| extension == "safetensors") {
        return weights::read(file);
    }
    std::fs::File::open(file).map_err(|source| Error::io(file, source))?;
    let invalid = |error: String| Error::content(file, "a PyTorch checkpoint or a safetensors file", error);
    let nested = ["state_dict", "model"].into_iter().find_map(|key| {
        PytorchReader::with_top_level_key(file, key).ok().filter(|reader| !reader.is_empty())
    });
    let reader = match nested {
        Some(reader) => reader,
        None => PytorchReader::new(file).map_err(|error| invalid(error.to_string()))?,
    };
    let mut tensors = StateDict::new();
    for (name, tensor) in reader.into_tensors() {
        let bytes = tensor.read().map_err(|source| Error::io(file, source))?;
        let shape = tensor.shape().to_vec();
        if let Some(values) = float32(tensor.dtype(), &bytes) {
            tensors.insert(name, Weights { shape, values });
        }
    }
    Ok(tensors)
}

/// Floating-point bytes as float32; `None` for other types, which are counters and indices.
fn float32(dtype: pytorch_reader::DType, bytes: &[u8]) -> Option<Vec<f32>> {
    use pytorch_reader::DType;
    use safetensors::Dtype;
    match dtype {
        DType::F32 => weights::float32(Dtype::F32, bytes),
        DType::F16 => weights::float32(Dtype::F16, bytes),
        DType::BF16 => weights::float32(Dtype::BF16, bytes),
        DType::F64 => {
            Some(bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight) as f32).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> Weights {
        Weights { shape: shape.to_vec(), values: (0..shape.iter().product()).map(|i| i as f32).collect() }
    }

    #[test]
    fn every_layout_comes_back_as_it_was() {
        let published = [
            (Form::AsIs, counting(&[5])),
            (Form::Linear, counting(&[4, 3])),
            (Form::Convolution, counting(&[4, 2, 3, 3, 3])),
            (Form::Pointwise, counting(&[4, 2, 1, 1, 1])),
            (Form::PatchEmbedding, counting(&[6, 2, 2, 2, 2])),
            (Form::Upsampling, counting(&[4, 3, 2, 2, 2])),
        ];
        for (form, tensor) in published {
            assert_eq!(form.to_theirs(form.to_ours(tensor.clone())), tensor, "{form:?}");
        }
    }

    #[test]
    fn the_patch_embedding_reads_the_voxels_of_a_cube_with_their_channels_last() {
        // One output, two channels: voxel (x, y, z) of channel c stands at c·8 + 4x + 2y + z.
        let ours = Form::PatchEmbedding.to_ours(counting(&[1, 2, 2, 2, 2]));
        assert_eq!(ours.shape, [16, 1]);
        assert_eq!(ours.values[..4], [0.0, 8.0, 1.0, 9.0]);
    }
}

//! Weights that others published: their names and layouts against ours, in both directions.

pub mod bert;
mod load_in_place;
mod pretrained;
pub mod monai;

pub use load_in_place::{full_key_map, load_in_place};
pub use pretrained::{PretrainedConfig, PretrainedWeights, to_monai};

use std::path::Path;

use pytorch_reader::PytorchReader;

use super::weights::{self, HostTensor, StateDict};
use crate::{Error, Result};

/// How a published tensor is laid out; ours is channels-last and linear layers are `[inputs, outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutConversion {
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
pub struct KeyMapping {
    /// In the published file.
    pub external: String,
    /// In our modules.
    pub internal: String,
    /// How the layouts differ.
    pub conversion: LayoutConversion,
}

/// What became of every tensor of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Published tensors that were taken, by their own names.
    pub used: Vec<String>,
    /// Tensors of ours that the file does not have, by the names they would have there.
    pub missing: Vec<String>,
    /// Published tensors that have no place here.
    pub unused: Vec<String>,
}

impl KeyMapping {
    fn new(external: impl Into<String>, internal: impl Into<String>, conversion: LayoutConversion) -> Self {
        Self { external: external.into(), internal: internal.into(), conversion }
    }
}

impl LayoutConversion {
    fn to_internal(self, published: HostTensor) -> HostTensor {
        let shape = published.shape.clone();
        match (self, shape.as_slice()) {
            (Self::Linear, [_, _]) => published.permuted(&[1, 0]),
            (Self::Convolution, [_, _, 3, 3, 3]) => published.permuted(&[2, 3, 4, 1, 0]),
            (Self::Pointwise, [out_channels, in_channels, 1, 1, 1]) => {
                published.reshaped(&[*out_channels, *in_channels]).permuted(&[1, 0])
            }
            (Self::PatchEmbedding, [out_channels, in_channels, 2, 2, 2]) => {
                published.permuted(&[2, 3, 4, 1, 0]).reshaped(&[8 * in_channels, *out_channels])
            }
            (Self::Upsampling, [in_channels, out_channels, 2, 2, 2]) => {
                published.permuted(&[0, 2, 3, 4, 1]).reshaped(&[*in_channels, 8 * out_channels])
            }
            _ => published,
        }
    }

    fn to_external(self, internal: HostTensor) -> HostTensor {
        let shape = internal.shape.clone();
        match (self, shape.as_slice()) {
            (Self::Linear, _) => internal.permuted(&[1, 0]),
            (Self::Convolution, _) => internal.permuted(&[4, 3, 0, 1, 2]),
            (Self::Pointwise, [in_channels, out_channels]) => {
                internal.permuted(&[1, 0]).reshaped(&[*out_channels, *in_channels, 1, 1, 1])
            }
            (Self::PatchEmbedding, [voxels, out_channels]) => {
                internal.reshaped(&[2, 2, 2, voxels / 8, *out_channels]).permuted(&[4, 3, 0, 1, 2])
            }
            (Self::Upsampling, [in_channels, voxels]) => {
                internal.reshaped(&[*in_channels, 2, 2, 2, voxels / 8]).permuted(&[0, 4, 1, 2, 3])
            }
            _ => internal,
        }
    }
}

/// Takes the published tensors that have a name of ours. Shapes are compared with those of `expected`.
///
/// # Errors
///
/// When a tensor has another shape than ours; `file` and both shapes are named.
pub fn import(
    names: &[KeyMapping],
    mut published: StateDict,
    expected: &StateDict,
    file: &Path,
) -> Result<(StateDict, ImportReport)> {
    let mut taken = StateDict::new();
    let mut report = ImportReport::default();
    for KeyMapping { external, internal, conversion } in names {
        let Some(tensor) = published.remove(external) else {
            report.missing.push(external.clone());
            continue;
        };
        let found = tensor.shape.clone();
        let tensor = conversion.to_internal(tensor);
        let wanted = expected.get(internal).map(|weights| weights.shape.clone()).unwrap_or_default();
        if tensor.shape != wanted {
            let like = HostTensor { values: vec![0.0; wanted.iter().product()], shape: wanted };
            let wanted = conversion.to_external(like).shape;
            return Err(Error::content(
                file,
                format!("{external} of shape {wanted:?}"),
                format!("{found:?}"),
            ));
        }
        taken.insert(internal.clone(), tensor);
        report.used.push(external.clone());
    }
    report.unused = published.into_keys().collect();
    Ok((taken, report))
}

/// Gives our tensors their published names and layouts; those without one are left out.
pub fn export(names: &[KeyMapping], mut internal: StateDict) -> StateDict {
    let rename = |name: &KeyMapping| {
        Some((name.external.clone(), name.conversion.to_external(internal.remove(&name.internal)?)))
    };
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
            tensors.insert(name, HostTensor { shape, values });
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

    fn counting(shape: &[usize]) -> HostTensor {
        HostTensor { shape: shape.to_vec(), values: (0..shape.iter().product()).map(|i| i as f32).collect() }
    }

    #[test]
    fn every_layout_comes_back_as_it_was() {
        let published = [
            (LayoutConversion::AsIs, counting(&[5])),
            (LayoutConversion::Linear, counting(&[4, 3])),
            (LayoutConversion::Convolution, counting(&[4, 2, 3, 3, 3])),
            (LayoutConversion::Pointwise, counting(&[4, 2, 1, 1, 1])),
            (LayoutConversion::PatchEmbedding, counting(&[6, 2, 2, 2, 2])),
            (LayoutConversion::Upsampling, counting(&[4, 3, 2, 2, 2])),
        ];
        for (conversion, tensor) in published {
            assert_eq!(
                conversion.to_external(conversion.to_internal(tensor.clone())),
                tensor,
                "{conversion:?}"
            );
        }
    }

    #[test]
    fn the_patch_embedding_reads_the_voxels_of_a_cube_with_their_channels_last() {
        // One output, two channels: voxel (x, y, z) of channel c stands at c·8 + 4x + 2y + z.
        let internal = LayoutConversion::PatchEmbedding.to_internal(counting(&[1, 2, 2, 2, 2]));
        assert_eq!(internal.shape, [16, 1]);
        assert_eq!(internal.values[..4], [0.0, 8.0, 1.0, 9.0]);
    }
}

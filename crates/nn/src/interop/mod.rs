//! Weights of other programs: their names and layouts, in both directions.

pub mod bert;
mod checkpoint;
mod load_in_place;
pub mod monai;
mod pretrained;

pub use checkpoint::{Architecture, Checkpoint};
pub use load_in_place::{full_key_map, load_in_place};
pub use pretrained::{PretrainedConfig, PretrainedWeights, to_monai};

use std::path::Path;

use crate::{
    Error, Result,
    weights::{HostTensor, StateDict},
};

/// Conversion of an external tensor layout; ours is channels-last with linear layers `[in_features, out_features]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutConversion {
    /// The same layout.
    AsIs,
    /// A linear layer, `[out_features, in_features]`.
    Linear,
    /// A 3³ convolution, `[out_channels, in_channels, 3, 3, 3]`.
    Convolution,
    /// A 1³ convolution, `[out_channels, in_channels, 1, 1, 1]`; ours is a linear layer.
    Pointwise,
    /// The convolution of the patch embedding, `[out_channels, in_channels, 2, 2, 2]`; ours is a linear layer over the
    /// eight voxels of a cube and their channels.
    PatchEmbedding,
    /// A transposed convolution, `[in_channels, out_channels, 2, 2, 2]`; ours is a linear layer to the eight voxels.
    Upsampling,
}

/// One tensor under both names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMapping {
    /// Name in the external state dict.
    pub external: String,
    /// Name in our modules.
    pub internal: String,
    /// How the layouts differ.
    pub conversion: LayoutConversion,
}

/// What happened to every tensor of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// External tensors that were used, by their names.
    pub used: Vec<String>,
    /// Parameters that the file does not have, by the names they would have there.
    pub missing: Vec<String>,
    /// External tensors that correspond to no parameter.
    pub unused: Vec<String>,
}

impl KeyMapping {
    fn new(external: impl Into<String>, internal: impl Into<String>, conversion: LayoutConversion) -> Self {
        Self { external: external.into(), internal: internal.into(), conversion }
    }

    /// Weight and bias of a linear layer.
    fn linear(external: &str, internal: &str) -> [Self; 2] {
        [
            Self::new(format!("{external}.weight"), format!("{internal}.weight"), LayoutConversion::Linear),
            Self::new(format!("{external}.bias"), format!("{internal}.bias"), LayoutConversion::AsIs),
        ]
    }

    /// Scale and shift of a layer norm, which Burn names gamma and beta.
    fn layer_norm(external: &str, internal: &str) -> [Self; 2] {
        [
            Self::new(format!("{external}.weight"), format!("{internal}.gamma"), LayoutConversion::AsIs),
            Self::new(format!("{external}.bias"), format!("{internal}.beta"), LayoutConversion::AsIs),
        ]
    }
}

impl LayoutConversion {
    fn to_internal(self, external: HostTensor) -> HostTensor {
        let shape = external.shape.clone();
        match (self, shape.as_slice()) {
            (Self::Linear, [_, _]) => external.permute(&[1, 0]),
            (Self::Convolution, [_, _, 3, 3, 3]) => external.permute(&[2, 3, 4, 1, 0]),
            (Self::Pointwise, [out_channels, in_channels, 1, 1, 1]) => {
                external.reshape(&[*out_channels, *in_channels]).permute(&[1, 0])
            }
            (Self::PatchEmbedding, [out_channels, in_channels, 2, 2, 2]) => {
                external.permute(&[2, 3, 4, 1, 0]).reshape(&[8 * in_channels, *out_channels])
            }
            (Self::Upsampling, [in_channels, out_channels, 2, 2, 2]) => {
                external.permute(&[0, 2, 3, 4, 1]).reshape(&[*in_channels, 8 * out_channels])
            }
            _ => external,
        }
    }

    fn to_external(self, internal: HostTensor) -> HostTensor {
        let shape = internal.shape.clone();
        match (self, shape.as_slice()) {
            (Self::Linear, _) => internal.permute(&[1, 0]),
            (Self::Convolution, _) => internal.permute(&[4, 3, 0, 1, 2]),
            (Self::Pointwise, [in_channels, out_channels]) => {
                internal.permute(&[1, 0]).reshape(&[*out_channels, *in_channels, 1, 1, 1])
            }
            (Self::PatchEmbedding, [voxels, out_channels]) => {
                internal.reshape(&[2, 2, 2, voxels / 8, *out_channels]).permute(&[4, 3, 0, 1, 2])
            }
            (Self::Upsampling, [in_channels, voxels]) => {
                internal.reshape(&[*in_channels, 2, 2, 2, voxels / 8]).permute(&[0, 4, 1, 2, 3])
            }
            _ => internal,
        }
    }
}

/// Renames and converts the external tensors that `key_map` lists. Shapes are compared with those of `expected`.
///
/// # Errors
///
/// When a tensor has another shape, or values that are not finite; `file` is named.
pub fn import(
    key_map: &[KeyMapping],
    mut external: StateDict,
    expected: &StateDict,
    file: &Path,
) -> Result<(StateDict, ImportReport)> {
    let mut internal = StateDict::new();
    let mut report = ImportReport::default();
    for KeyMapping { external: name, internal: parameter, conversion } in key_map {
        let Some(tensor) = external.remove(name) else {
            report.missing.push(name.clone());
            continue;
        };
        let (path, name) = (file.to_owned(), name.clone());
        let found = tensor.shape.clone();
        let tensor = conversion.to_internal(tensor);
        let expected = expected.get(parameter).map(|tensor| tensor.shape.clone()).unwrap_or_default();
        if tensor.shape != expected {
            let zeros = HostTensor { values: vec![0.0; expected.iter().product()], shape: expected };
            let expected = conversion.to_external(zeros).shape;
            return Err(Error::ShapeMismatch { path, name, expected, found });
        }
        if tensor.values.iter().any(|value| !value.is_finite()) {
            return Err(Error::NonFinite { path, name });
        }
        internal.insert(parameter.clone(), tensor);
        report.used.push(name);
    }
    report.unused = external.into_keys().collect();
    Ok((internal, report))
}

/// Renames and converts our tensors to an external state dict; those that `key_map` lacks are left out.
pub fn export(key_map: &[KeyMapping], mut internal: StateDict) -> StateDict {
    let rename = |key: &KeyMapping| {
        let tensor = internal.remove(&key.internal)?;
        Some((key.external.clone(), key.conversion.to_external(tensor)))
    };
    key_map.iter().filter_map(rename).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> HostTensor {
        HostTensor { shape: shape.to_vec(), values: (0..shape.iter().product()).map(|i| i as f32).collect() }
    }

    #[test]
    fn every_layout_conversion_is_reversible() {
        let external = [
            (LayoutConversion::AsIs, counting(&[5])),
            (LayoutConversion::Linear, counting(&[4, 3])),
            (LayoutConversion::Convolution, counting(&[4, 2, 3, 3, 3])),
            (LayoutConversion::Pointwise, counting(&[4, 2, 1, 1, 1])),
            (LayoutConversion::PatchEmbedding, counting(&[6, 2, 2, 2, 2])),
            (LayoutConversion::Upsampling, counting(&[4, 3, 2, 2, 2])),
        ];
        for (conversion, tensor) in external {
            assert_eq!(
                conversion.to_external(conversion.to_internal(tensor.clone())),
                tensor,
                "{conversion:?}"
            );
        }
    }

    #[test]
    fn the_patch_embedding_reads_the_voxels_of_a_cube_with_their_channels_last() {
        // One output, two channels: voxel (x, y, z) of channel c is at c·8 + 4x + 2y + z.
        let internal = LayoutConversion::PatchEmbedding.to_internal(counting(&[1, 2, 2, 2, 2]));
        assert_eq!(internal.shape, [16, 1]);
        assert_eq!(internal.values[..4], [0.0, 8.0, 1.0, 9.0]);
    }
}

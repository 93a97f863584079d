//! Published tensors straight into a module, one after the other, so that no second copy of all of them is ever
//! in memory.

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Tensor, TensorData},
};
use safetensors::SafeTensors;

use super::{KeyMapping, LayoutConversion, bert, monai};
use crate::{
    BiPvlSegConfig,
    weights::{HostTensor, ParamPath, float32},
};
use crate::{Error, Result};

/// Every tensor of a whole network that MONAI or Hugging Face have a name for.
pub fn full_key_map(config: &BiPvlSegConfig) -> Vec<KeyMapping> {
    let text = bert::key_map(&config.text.stage_layers).into_iter();
    let text = text.map(|name| KeyMapping { internal: format!("text_encoder.{}", name.internal), ..name });
    monai::key_map(&config.vision).into_iter().chain(text).collect()
}

/// Replaces every tensor of a module by one of a safetensors file.
///
/// A tensor that `names` lacks has our name in the file too, but PyTorch's habits: linear weights are
/// `[outputs, inputs]`, scale and shift of a norm are `weight` and `bias`.
///
/// # Errors
///
/// When `bytes` are no safetensors file, or a tensor is missing, superfluous or of another shape; `file` is
/// named.
pub fn load_in_place<M: Module>(module: M, names: &[KeyMapping], bytes: &[u8], file: &Path) -> Result<M> {
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::content(file, "a safetensors file", error.to_string()))?;
    let names = names.iter().map(|name| (name.internal.as_str(), name)).collect();
    let mut filler =
        Filler { path: ParamPath::default(), names, tensors: &tensors, filled: 0, refused: None };
    let module = module.map(&mut filler);
    if let Some((expected, found)) = filler.refused {
        return Err(Error::content(file, expected, found));
    }
    if filler.filled < tensors.len() {
        let expected = format!("the {} tensors of this architecture", filler.filled);
        return Err(Error::content(file, expected, tensors.len().to_string()));
    }
    Ok(module)
}

struct Filler<'a> {
    path: ParamPath,
    names: BTreeMap<&'a str, &'a KeyMapping>,
    tensors: &'a SafeTensors<'a>,
    filled: usize,
    /// What was expected and what was found where the first tensor did not fit.
    refused: Option<(String, String)>,
}

impl Filler<'_> {
    /// The tensor for one place of a shape.
    fn find(&self, shape: &[usize]) -> std::result::Result<HostTensor, (String, String)> {
        let internal = self.path.name();
        let name = self.names.get(internal.as_str()).map(|name| KeyMapping::clone(name));
        let name = name.unwrap_or_else(|| unpublished(internal, shape.len()));
        let expected = || format!("{} for a place of shape {shape:?}", name.external);
        let view = self.tensors.tensor(&name.external).map_err(|_| (expected(), "none".to_owned()))?;
        let values = float32(view.dtype(), view.data())
            .ok_or_else(|| (expected(), "numbers that are not floating-point".to_owned()))?;
        let weights = name.conversion.to_internal(HostTensor { shape: view.shape().to_vec(), values });
        if weights.shape != shape {
            return Err((expected(), format!("one that makes the shape {:?}", weights.shape)));
        }
        Ok(weights)
    }
}

fn unpublished(internal: String, rank: usize) -> KeyMapping {
    let external = internal.replace(".gamma", ".weight").replace(".beta", ".bias");
    KeyMapping {
        external,
        internal,
        conversion: if rank == 2 { LayoutConversion::Linear } else { LayoutConversion::AsIs },
    }
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.refused.is_some() {
            return param;
        }
        match self.find(&param.dims()) {
            Ok(weights) => {
                self.filled += 1;
                param.map(|old| {
                    let data = TensorData::new(weights.values, weights.shape);
                    Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
                })
            }
            Err(refusal) => {
                self.refused = Some(refusal);
                param
            }
        }
    }
}

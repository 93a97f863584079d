//! Loads an external state dict into a module tensor by tensor, without a second copy of all of them in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Tensor, TensorData},
};
use safetensors::SafeTensors;

use super::{KeyMapping, LayoutConversion, bert, monai};
use crate::{
    BackboneConfig, BiPvlSegConfig, Error, Result,
    weights::{HostTensor, ParamPath, float32, invalid},
};

/// Every parameter of a whole network that has a name in MONAI or Hugging Face.
pub fn full_key_map(config: &BiPvlSegConfig) -> Vec<KeyMapping> {
    let text = bert::key_map(&config.text.stage_layers).into_iter();
    let text = text.map(|key| KeyMapping { internal: format!("text_encoder.{}", key.internal), ..key });
    let vision = match &config.vision {
        BackboneConfig::SwinUnetr(config) => monai::key_map(config),
    };
    vision.into_iter().chain(text).collect()
}

/// Replaces every parameter of a module by a tensor of a safetensors file.
///
/// A parameter that `key_map` lacks has our name in the file, in PyTorch's conventions: linear weights are
/// `[out_features, in_features]`, scale and shift of a norm are `weight` and `bias`.
///
/// # Errors
///
/// When `bytes` are not in safetensors format, or a tensor is missing, unexpected or of the wrong shape; `file` is
/// named.
pub fn load_in_place<M: Module>(module: M, key_map: &[KeyMapping], bytes: &[u8], file: &Path) -> Result<M> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| invalid(file, &error))?;
    let remaining = tensors.names().into_iter().map(str::to_owned).collect();
    let key_map = key_map.iter().map(|key| (key.internal.as_str(), key)).collect();
    let path = ParamPath::default();
    let mut loader = Loader { path, key_map, tensors: &tensors, remaining, file, error: None };
    let module = module.map(&mut loader);
    if let Some(error) = loader.error {
        return Err(error);
    }
    match loader.remaining.pop_first() {
        Some(name) => Err(Error::UnexpectedTensor { path: file.to_owned(), name }),
        None => Ok(module),
    }
}

struct Loader<'a> {
    path: ParamPath,
    key_map: BTreeMap<&'a str, &'a KeyMapping>,
    tensors: &'a SafeTensors<'a>,
    /// Tensors that no parameter has used yet.
    remaining: BTreeSet<String>,
    file: &'a Path,
    /// The first tensor that did not fit.
    error: Option<Error>,
}

impl Loader<'_> {
    /// The tensor for the parameter at the current path.
    fn load(&mut self, shape: &[usize]) -> Result<HostTensor> {
        let internal = self.path.name();
        let key = self.key_map.get(internal.as_str()).map(|key| KeyMapping::clone(key));
        let KeyMapping { external: name, conversion, .. } =
            key.unwrap_or_else(|| pytorch_key(internal, shape.len()));
        let path = self.file.to_owned();
        let Ok(view) = self.tensors.tensor(&name) else {
            return Err(Error::MissingTensor { path, name });
        };
        let Some(values) = float32(view.dtype(), view.data()) else {
            return Err(Error::NotFloatingPoint { path, name });
        };
        let tensor = conversion.to_internal(HostTensor { shape: view.shape().to_vec(), values });
        if tensor.shape != shape {
            let found = view.shape().to_vec();
            let zeros = HostTensor { values: vec![0.0; shape.iter().product()], shape: shape.to_vec() };
            let expected = conversion.to_external(zeros).shape;
            return Err(Error::ShapeMismatch { path, name, expected, found });
        }
        self.remaining.remove(&name);
        Ok(tensor)
    }
}

fn pytorch_key(internal: String, rank: usize) -> KeyMapping {
    let external = internal.replace(".gamma", ".weight").replace(".beta", ".bias");
    let conversion = if rank == 2 { LayoutConversion::Linear } else { LayoutConversion::AsIs };
    KeyMapping { external, internal, conversion }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        match self.load(&param.dims()) {
            Ok(tensor) => param.map(|old| {
                let data = TensorData::new(tensor.values, tensor.shape);
                Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
            }),
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

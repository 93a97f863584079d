//! Tensors of a module by name, in safetensors files, and our names for those of a published BERT.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use bipvl_kernels::map_file;
use bipvl_volume::replace_file;
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData},
};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, View};

use crate::error::{Error, Result};

/// One tensor on its way between a file and a module.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Its values, the last axis fastest.
    pub values: Vec<f32>,
}

/// As a file has it; the bytes of one tensor after the other, since those of all would fill the memory once more.
impl View for &Weights {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        size_of_val(&self.values[..])
    }
}

/// Tensors by name, such as `decoder.up_blocks.0.up.weight`.
pub type NamedWeights = BTreeMap<String, Weights>;

/// All learned tensors of a module.
pub fn collect<M: Module>(module: &M) -> NamedWeights {
    let mut collector = Collector { path: Place::default(), found: NamedWeights::new() };
    module.visit(&mut collector);
    collector.found
}

/// Puts tensors into a module.
///
/// # Errors
///
/// When a tensor of the module is missing in `weights`, has another shape, or one of `weights` has no
/// place; `file` is named.
pub fn apply<M: Module>(module: M, mut weights: NamedWeights, file: &Path) -> Result<M> {
    let expected = collect(&module);
    for (name, ours) in &expected {
        match weights.get(name) {
            None => return Err(Error::content(file, format!("a tensor named {name}"), "none")),
            Some(theirs) if theirs.shape != ours.shape => {
                let expected = format!("{name} of shape {:?}", ours.shape);
                return Err(Error::content(file, expected, format!("{:?}", theirs.shape)));
            }
            Some(_) => {}
        }
    }
    if let Some(name) = weights.keys().find(|name| !expected.contains_key(*name)) {
        return Err(Error::content(file, "only tensors of this architecture", format!("also {name}")));
    }
    Ok(module.map(&mut Applier { path: Place::default(), weights: &mut weights }))
}

/// Puts tensors into a module that may have others besides, which stay as they are.
///
/// # Errors
///
/// When a tensor has no place in the module or another shape; `file` is named.
pub fn fill<M: Module>(module: M, weights: NamedWeights, file: &Path) -> Result<M> {
    let mut all = collect(&module);
    all.extend(weights);
    apply(module, all, file)
}

/// The place inside a module, joined by dots. The variant of an enum is no part of it: the configuration
/// says which form a block has, and a file need not say it again in every name.
#[derive(Default)]
pub(crate) struct Place(Vec<String>);

impl Place {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.0.push(name.to_owned());
        }
    }

    pub(crate) fn exit(&mut self, container: &str) {
        if !is_enum(container) {
            self.0.pop();
        }
    }

    pub(crate) fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Burn names a container by its kind and type, such as `Enum:BiFusion`.
fn is_enum(container: &str) -> bool {
    container.starts_with("Enum:")
}

struct Collector {
    path: Place,
    found: NamedWeights,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.insert(self.path.name(), Weights::of(param.val()));
    }
}

struct Applier<'a> {
    path: Place,
    weights: &'a mut NamedWeights,
}

impl ModuleMapper for Applier<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let weights = self.weights.remove(&self.path.name()).expect("names were compared before");
        param.map(|old| {
            let new = Tensor::from_data(TensorData::new(weights.values, weights.shape), &old.device());
            new.set_require_grad(old.is_require_grad())
        })
    }
}

impl Weights {
    /// The values of a tensor.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        let values = tensor.into_data().try_to_vec().expect("weights are float32");
        Self { shape, values }
    }

    /// The axes in another order: axis `i` of the result is axis `order[i]` of this.
    pub(super) fn permuted(self, order: &[usize]) -> Self {
        assert_eq!(order.len(), self.shape.len(), "an order names every axis");
        let mut strides = vec![1; self.shape.len()];
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let shape: Vec<usize> = order.iter().map(|axis| self.shape[*axis]).collect();
        let mut index = vec![0; order.len()];
        let values = (0..self.values.len())
            .map(|_| {
                let at: usize = index.iter().zip(order).map(|(i, axis)| i * strides[*axis]).sum();
                for axis in (0..index.len()).rev() {
                    index[axis] += 1;
                    if index[axis] < shape[axis] {
                        break;
                    }
                    index[axis] = 0;
                }
                self.values[at]
            })
            .collect();
        Self { shape, values }
    }

    /// The same values in a shape of as many.
    pub(super) fn reshaped(self, shape: &[usize]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), self.values.len(), "a reshape keeps the values");
        Self { shape: shape.to_vec(), values: self.values }
    }
}

/// Writes tensors and metadata to a temporary name and renames it, so that no failure harms an older file.
///
/// # Errors
///
/// When the file cannot be written.
pub fn save(path: &Path, weights: &NamedWeights, metadata: &[(&str, String)]) -> Result<()> {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let data = safetensors::serialize(weights, Some(metadata)).expect("names and shapes are valid");
    Ok(replace_file(path, &data)?)
}

/// Reads a safetensors file; float16 and bfloat16 become float32, other types are left out.
///
/// # Errors
///
/// When the file cannot be read or is no safetensors file.
pub fn load(path: &Path) -> Result<(NamedWeights, HashMap<String, String>)> {
    let bytes = fs::read(path).map_err(|source| Error::io(path, source))?;
    let invalid = |error| Error::content(path, "a safetensors file", format!("{error}"));
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(invalid)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(invalid)?;
    let weights = tensors
        .iter()
        .filter_map(|(name, view)| {
            let values = float32(view.dtype(), view.data())?;
            Some((name.to_owned(), Weights { shape: view.shape().to_vec(), values }))
        })
        .collect();
    Ok((weights, metadata.metadata().clone().unwrap_or_default()))
}

/// The metadata of a safetensors file; its tensors are not read.
///
/// # Errors
///
/// When the file cannot be read or is no safetensors file.
pub fn metadata(path: &Path) -> Result<HashMap<String, String>> {
    let map = map_file(path).map_err(|source| Error::io(path, source))?;
    let (_, metadata) = SafeTensors::read_metadata(&map)
        .map_err(|error| Error::content(path, "a safetensors file", error.to_string()))?;
    Ok(metadata.metadata().clone().unwrap_or_default())
}

/// Little-endian bytes as float32; `None` for types that are not floating-point.
pub(super) fn float32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves =
        |convert: fn([u8; 2]) -> f32| bytes.as_chunks().0.iter().map(|pair| convert(*pair)).collect();
    match dtype {
        Dtype::F32 => Some(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()),
        Dtype::F16 => Some(halves(|pair| f16::from_le_bytes(pair).to_f32())),
        Dtype::BF16 => Some(halves(|pair| bf16::from_le_bytes(pair).to_f32())),
        _ => None,
    }
}

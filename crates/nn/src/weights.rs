//! State dicts: the parameters of a module by name, and safetensors files of them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    path::Path,
};

use bipvl_io::atomic_write_with;
use bipvl_kernels::map_file;
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData},
};
use half::{bf16, f16};
use safetensors::{
    Dtype, SafeTensorError, SafeTensors,
    tensor::{Metadata, TensorInfo},
};

use crate::{Error, Result};

/// A float32 tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Its values, the last axis fastest.
    pub values: Vec<f32>,
}

/// A float32 tensor that can be written to a file.
pub trait TensorView {
    /// Sizes of its axes.
    fn shape(&self) -> &[usize];
    /// Its values, the last axis fastest.
    fn values(&self) -> Cow<'_, [f32]>;
}

impl TensorView for HostTensor {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn values(&self) -> Cow<'_, [f32]> {
        Cow::Borrowed(&self.values)
    }
}

/// A tensor on its device, copied to the host only when it is read, so that saving a network does not need its memory
/// twice.
#[derive(Clone, Debug)]
pub struct TensorHandle {
    shape: Vec<usize>,
    flat: Tensor<1>,
}

impl TensorHandle {
    /// A handle to the tensor, detached from its autodiff graph.
    pub fn new<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        Self { flat: tensor.inner().reshape([shape.iter().product::<usize>()]), shape }
    }

    /// Copies the tensor to the host.
    pub fn read(&self) -> HostTensor {
        let values = self.flat.to_data().try_to_vec().expect("weights are float32");
        HostTensor { shape: self.shape.clone(), values }
    }
}

impl TensorView for TensorHandle {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn values(&self) -> Cow<'_, [f32]> {
        Cow::Owned(self.read().values)
    }
}

/// Tensors by name, such as `decoder.up_blocks.0.up.weight`.
pub type StateDict = BTreeMap<String, HostTensor>;

/// All parameters of a module, copied to the host.
pub fn state_dict<M: Module>(module: &M) -> StateDict {
    state_dict_handles(module).into_iter().map(|(name, handle)| (name, handle.read())).collect()
}

/// All parameters of a module as handles, without a copy.
pub fn state_dict_handles<M: Module>(module: &M) -> BTreeMap<String, TensorHandle> {
    let mut collector = Collector { path: ParamPath::default(), handles: BTreeMap::new() };
    module.visit(&mut collector);
    collector.handles
}

/// Replaces all parameters of a module.
///
/// # Errors
///
/// When a parameter is missing in `weights` or has another shape, or `weights` has a tensor that is no parameter;
/// `file` is named.
pub fn load_state_dict<M: Module>(module: M, mut weights: StateDict, file: &Path) -> Result<M> {
    let expected = state_dict_handles(&module);
    for (name, ours) in &expected {
        match weights.get(name) {
            None => return Err(Error::MissingTensor { path: file.to_owned(), name: name.clone() }),
            Some(theirs) if theirs.shape != ours.shape => {
                return Err(Error::ShapeMismatch {
                    path: file.to_owned(),
                    name: name.clone(),
                    expected: ours.shape.clone(),
                    found: theirs.shape.clone(),
                });
            }
            Some(_) => {}
        }
    }
    if let Some(name) = weights.keys().find(|name| !expected.contains_key(*name)) {
        return Err(Error::UnexpectedTensor { path: file.to_owned(), name: name.clone() });
    }
    // The handles would keep the old tensors alive beside the new ones.
    drop(expected);
    Ok(module.map(&mut Applier { path: ParamPath::default(), weights: &mut weights }))
}

/// Replaces some parameters of a module; the others stay as they are.
///
/// # Errors
///
/// When a tensor is no parameter of the module or has another shape; `file` is named.
pub fn load_state_dict_partial<M: Module>(module: M, weights: StateDict, file: &Path) -> Result<M> {
    let mut all = state_dict(&module);
    all.extend(weights);
    load_state_dict(module, all, file)
}

/// The path of a parameter inside a module, joined by dots. The variant of an enum is not part of it: it is
/// determined by the configuration.
#[derive(Default)]
pub struct ParamPath(Vec<String>);

impl ParamPath {
    /// Enters a submodule.
    pub fn enter(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.0.push(name.to_owned());
        }
    }

    /// Leaves a submodule.
    pub fn exit(&mut self, container: &str) {
        if !is_enum(container) {
            self.0.pop();
        }
    }

    /// The dotted path.
    pub fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Burn names a container by its kind and type, such as `Enum:BiFusion`.
fn is_enum(container: &str) -> bool {
    container.starts_with("Enum:")
}

struct Collector {
    path: ParamPath,
    handles: BTreeMap<String, TensorHandle>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.handles.insert(self.path.name(), TensorHandle::new(param.val()));
    }
}

struct Applier<'a> {
    path: ParamPath,
    weights: &'a mut StateDict,
}

impl ModuleMapper for Applier<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let weights = self.weights.remove(&self.path.name()).expect("names were compared");
        param.map(|old| {
            let new = Tensor::from_data(TensorData::new(weights.values, weights.shape), &old.device());
            new.set_require_grad(old.is_require_grad())
        })
    }
}

impl HostTensor {
    /// Permutes the axes: axis `i` of the result is axis `order[i]` of this.
    pub(super) fn permute(self, order: &[usize]) -> Self {
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

    /// Another shape of as many values.
    pub(super) fn reshape(self, shape: &[usize]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), self.values.len(), "a reshape keeps the values");
        Self { shape: shape.to_vec(), values: self.values }
    }
}

/// Writes tensors and metadata atomically, tensor by tensor; the safetensors crate would build the whole file in memory.
///
/// # Errors
///
/// When the file cannot be written.
pub fn save<T: TensorView>(
    path: &Path,
    tensors: &BTreeMap<String, T>,
    metadata: &[(&str, String)],
) -> Result<()> {
    let header = header(tensors, metadata);
    Ok(atomic_write_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        tensors.values().try_for_each(|tensor| file.write_all(&little_endian(&tensor.values())))
    })?)
}

/// The safetensors header of tensors in this order: JSON, padded to eight bytes.
fn header<T: TensorView>(tensors: &BTreeMap<String, T>, metadata: &[(&str, String)]) -> Vec<u8> {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut end = 0;
    let infos = tensors.iter().map(|(name, tensor)| {
        let begin = end;
        let shape = tensor.shape().to_vec();
        end += size_of::<f32>() * shape.iter().product::<usize>();
        (name.clone(), TensorInfo { dtype: Dtype::F32, shape, data_offsets: (begin, end) })
    });
    let header = Metadata::new(Some(metadata), infos.collect()).expect("tensors follow each other");
    let mut json = serde_json::to_vec(&header).expect("a header has a JSON form");
    json.resize(json.len().next_multiple_of(size_of::<u64>()), b' ');
    json
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Reads a safetensors file through a memory map; floating-point tensors become float32, others are left out.
///
/// # Errors
///
/// When the file cannot be read or is not in safetensors format.
pub fn load(path: &Path) -> Result<(StateDict, HashMap<String, String>)> {
    parse(path, &map_file(path).map_err(|source| Error::io(path, source))?)
}

/// Tensors and metadata.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<(StateDict, HashMap<String, String>)> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| invalid(path, &error))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| invalid(path, &error))?;
    let weights = tensors
        .iter()
        .filter_map(|(name, view)| {
            let values = float32(view.dtype(), view.data())?;
            Some((name.to_owned(), HostTensor { shape: view.shape().to_vec(), values }))
        })
        .collect();
    Ok((weights, metadata.metadata().clone().unwrap_or_default()))
}

pub(crate) fn invalid(path: &Path, error: &SafeTensorError) -> Error {
    Error::InvalidSafetensors { path: path.to_owned(), reason: error.to_string() }
}

/// The metadata of a safetensors file; its tensors are not read.
///
/// # Errors
///
/// As [`load`].
pub fn metadata(path: &Path) -> Result<HashMap<String, String>> {
    let map = map_file(path).map_err(|source| Error::io(path, source))?;
    let (_, metadata) = SafeTensors::read_metadata(&map).map_err(|error| invalid(path, &error))?;
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

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    #[test]
    fn a_file_written_tensor_by_tensor_equals_that_of_the_safetensors_crate() {
        let weights = |shape: &[usize], first: f32| {
            let values = (0..shape.iter().product()).map(|index: usize| first + index as f32).collect();
            HostTensor { shape: shape.to_vec(), values }
        };
        let named = StateDict::from([
            ("b.\"quoted\"".to_owned(), weights(&[2, 3, 1], -0.5)),
            ("a".to_owned(), weights(&[5], f32::MIN_POSITIVE)),
            ("empty".to_owned(), weights(&[0, 4], 0.0)),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights.safetensors");
        save(&file, &named, &[("progress", "7 none".to_owned())]).unwrap();
        let metadata = HashMap::from([("progress".to_owned(), "7 none".to_owned())]);
        let bytes =
            named.iter().map(|(name, weights)| (name, &weights.shape, little_endian(&weights.values)));
        let bytes: Vec<_> = bytes.collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            (name, TensorView::new(Dtype::F32, (*shape).clone(), bytes).unwrap())
        });
        let expected = safetensors::serialize(views, Some(metadata.clone())).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), expected);
        assert_eq!(load(&file).unwrap(), (named, metadata));
    }
}

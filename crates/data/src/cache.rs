//! The cache of preprocessed cases: one memory-mapped file per case, reused while its inputs do not change.

use std::{
    collections::HashMap,
    fs, io,
    ops::{ControlFlow, Range},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::UNIX_EPOCH,
};

use bipvl_imaging::{Affine, Grid, LabelSchema};
use bipvl_kernels::map_file;
use half::{
    f16,
    slice::{HalfBitsSliceExt, HalfFloatSliceExt},
};
use memmap2::Mmap;
use ndarray::{Array3, Array4, ArrayViewMut3};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

use super::{Case, ClassLocations, Dataset, PreprocessConfig, Sample};
use crate::{Error, Result};

/// Increased when the file format or the preprocessing changes, which invalidates old files.
const VERSION: &str = "2";
const FINGERPRINT: &str = "fingerprint";

/// A preprocessed case in a memory-mapped file; a patch is read without the rest.
#[derive(Debug)]
pub struct CachedCase {
    id: String,
    grid: Grid,
    num_channels: usize,
    class_locations: ClassLocations,
    map: Mmap,
    image: Range<usize>,
    labels: Range<usize>,
}

/// Preprocesses the cases that are not cached in `folder`, in parallel, and opens all, in the order of `cases`.
/// `on_progress` is called after each case with the number of finished ones; a break cancels.
///
/// A cached case is reused if the preprocessing, the label schema, and name, size and modification time of its files
/// are the same.
///
/// # Errors
///
/// When the folder cannot be written to, a case cannot be prepared, and [`Error::Cancelled`].
pub fn build_cache(
    folder: &Path,
    preprocess: &PreprocessConfig,
    dataset: &Dataset,
    cases: &[Case],
    on_progress: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
) -> Result<Vec<CachedCase>> {
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    let done = AtomicUsize::new(0);
    let open_or_build = |case: &Case| {
        let path = folder.join(format!("{}.safetensors", case.id));
        let fingerprint = fingerprint(preprocess, dataset, case)?;
        let cached = match CachedCase::open(&path, &case.id) {
            Ok((cached, stored)) if stored == fingerprint => cached,
            _ => {
                build(&path, preprocess, dataset, case, &fingerprint)?;
                CachedCase::open(&path, &case.id)?.0
            }
        };
        match on_progress(done.fetch_add(1, Ordering::Relaxed) + 1) {
            ControlFlow::Continue(()) => Ok(cached),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    };
    cases.par_iter().map(open_or_build).collect()
}

/// The names of classes without a voxel in any of the cases.
pub fn classes_without_voxels(cases: &[CachedCase], schema: &LabelSchema) -> Vec<String> {
    let indices = schema.to_channel_indices();
    let has_class = |labels: &[u16], case: &CachedCase| {
        labels.iter().any(|label| {
            let voxels = case.class_locations.by_class().get(usize::from(*label));
            voxels.is_some_and(|voxels| !voxels.is_empty())
        })
    };
    let missing =
        indices.classes().iter().filter(|class| !cases.iter().any(|case| has_class(&class.labels, case)));
    missing.map(|class| class.name.clone()).collect()
}

impl CachedCase {
    /// The case's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The grid after preprocessing.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Channels of the image.
    pub fn num_channels(&self) -> usize {
        self.num_channels
    }

    /// Voxels to center patches on, by class.
    pub fn class_locations(&self) -> &ClassLocations {
        &self.class_locations
    }

    /// The case with one of its channels alone.
    ///
    /// # Panics
    ///
    /// When it has no such channel.
    #[must_use]
    pub fn with_channel(mut self, channel: usize) -> Self {
        assert!(channel < self.num_channels, "channel {channel} of {}", self.num_channels);
        let size = self.image.len() / self.num_channels;
        let start = self.image.start + channel * size;
        self.image = start..start + size;
        self.num_channels = 1;
        self
    }

    /// Reads the box of `shape` voxels at `start`.
    ///
    /// # Panics
    ///
    /// When the box is not inside the case.
    pub fn crop(&self, start: [usize; 3], shape: [usize; 3]) -> Sample {
        let size = self.grid.shape();
        let is_inside = (0..3).all(|axis| start[axis] + shape[axis] <= size[axis]);
        assert!(is_inside, "a box of {shape:?} voxels from {start:?} does not lie in a case of {size:?}");
        let [x, y, z] = shape;
        let mut image = Array4::zeros((self.num_channels, x, y, z));
        let mut bits = vec![0; z];
        let stored_channels = self.map[self.image.clone()].chunks_exact(self.image.len() / self.num_channels);
        for (stored, mut patch) in stored_channels.zip(image.outer_iter_mut()) {
            copy_rows(stored, size, start, &mut patch, |row, bytes| {
                for (bits, bytes) in bits.iter_mut().zip(bytes.chunks_exact(size_of::<f16>())) {
                    *bits = u16::from_le_bytes([bytes[0], bytes[1]]);
                }
                bits.reinterpret_cast::<f16>().convert_to_f32_slice(row);
            });
        }
        let mut labels = Array3::zeros(shape);
        copy_rows(
            &self.map[self.labels.clone()],
            size,
            start,
            &mut labels.view_mut(),
            |row: &mut [u8], bytes| {
                row.copy_from_slice(bytes);
            },
        );
        Sample { case_id: self.id.clone(), image, labels }
    }

    /// Opens a cached case; the string is the fingerprint of its inputs.
    fn open(path: &Path, id: &str) -> Result<(Self, String)> {
        let map = map_file(path).map_err(|source| Error::io(path, source))?;
        let malformed = |reason: String| Error::InvalidCache { path: path.to_owned(), reason };
        let (_, header) = SafeTensors::read_metadata(&map).map_err(|error| malformed(error.to_string()))?;
        let stored = header.metadata().as_ref().and_then(|texts| texts.get(FINGERPRINT));
        let stored = stored.ok_or_else(|| malformed("no fingerprint".to_owned()))?.clone();
        let tensors = SafeTensors::deserialize(&map).map_err(|error| malformed(error.to_string()))?;
        let tensor = |name: &str, dtype: Dtype| {
            let tensor = tensors.tensor(name).map_err(|error| malformed(error.to_string()))?;
            let found = || malformed(format!("{name} of type {:?}", tensor.dtype()));
            if tensor.dtype() == dtype { Ok(tensor) } else { Err(found()) }
        };
        let affine = tensor("affine", Dtype::F64)?;
        let (image, labels) = (tensor("image", Dtype::F16)?, tensor("labels", Dtype::U8)?);
        let (&[num_channels, x, y, z], [4, 4]) = (image.shape(), affine.shape()) else {
            return Err(malformed(format!("an image of shape {:?}", image.shape())));
        };
        if labels.shape() != [x, y, z] || image.shape().contains(&0) {
            return Err(malformed(format!("labels of shape {:?}", labels.shape())));
        }
        let mut by_class = Vec::new();
        while tensors.names().contains(&list_name(by_class.len()).as_str()) {
            let list = tensor(&list_name(by_class.len()), Dtype::U32)?;
            by_class.push(numbers(list.data(), u32::from_le_bytes));
        }
        if by_class.is_empty() || by_class.iter().flatten().any(|voxel| *voxel as usize >= x * y * z) {
            return Err(malformed("no valid class locations".to_owned()));
        }
        let affine = Affine::from_row_slice(&numbers(affine.data(), f64::from_le_bytes));
        let (image, labels) = (range_in(&map, image.data()), range_in(&map, labels.data()));
        let class_locations = ClassLocations::from_indices([x, y, z], by_class);
        let grid = Grid::new([x, y, z], affine);
        Ok((Self { id: id.to_owned(), grid, num_channels, class_locations, image, labels, map }, stored))
    }
}

fn build(
    path: &Path,
    preprocess: &PreprocessConfig,
    dataset: &Dataset,
    case: &Case,
    fingerprint: &str,
) -> Result<()> {
    let (prepared, labels) = preprocess.prepare_case(dataset, case)?;
    let locations = ClassLocations::from_case(&prepared.image, &labels, dataset.label_schema.labels().len());
    let image: Vec<u8> =
        prepared.image.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
    let affine: Vec<u8> =
        prepared.grid.affine().transpose().iter().flat_map(|value| value.to_le_bytes()).collect();
    let lists: Vec<Vec<u8>> =
        locations.by_class().iter().map(|list| list.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let labels_bytes: Vec<u8> = labels.iter().copied().collect();
    let view = |dtype: Dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes);
    let write = || -> std::result::Result<(), SafeTensorError> {
        let mut tensors = vec![
            ("affine".to_owned(), view(Dtype::F64, &[4, 4], &affine)?),
            ("image".to_owned(), view(Dtype::F16, prepared.image.shape(), &image)?),
            ("labels".to_owned(), view(Dtype::U8, labels.shape(), &labels_bytes)?),
        ];
        for (class, list) in lists.iter().enumerate() {
            tensors.push((list_name(class), view(Dtype::U32, &[list.len() / size_of::<u32>()], list)?));
        }
        let about = HashMap::from([(FINGERPRINT.to_owned(), fingerprint.to_owned())]);
        // The library writes to a temporary name and renames.
        safetensors::serialize_to_file(tensors, Some(about), path)
    };
    write().map_err(|error| match error {
        SafeTensorError::IoError(source) => Error::io(path, source),
        other => Error::io(path, io::Error::other(other)),
    })
}

/// The hash of everything that a preprocessed case depends on.
fn fingerprint(preprocess: &PreprocessConfig, dataset: &Dataset, case: &Case) -> Result<String> {
    let mut hash = Sha256::new();
    let preprocess =
        serde_json::to_string(preprocess).expect("a configuration can always be written as JSON");
    let schema = &dataset.label_schema;
    let labels = (schema.labels(), schema.ignore(), schema.remap());
    hash.update(format!("{VERSION}\n{preprocess}\n{labels:?}\n{}\n", dataset.channels.len()));
    for path in case.images.iter().chain(&case.labels) {
        hash.update(file_fingerprint(path)?);
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// Name, size and modification time of a file, by which changes are detected.
///
/// # Errors
///
/// When the file does not exist.
pub fn file_fingerprint(path: &Path) -> Result<String> {
    let refused = |source| Error::io(path, source);
    let metadata = fs::metadata(path).map_err(refused)?;
    let changed = metadata.modified().map_err(refused)?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{:?} {} {}\n", path.file_name(), metadata.len(), changed.as_nanos()))
}

fn list_name(class: usize) -> String {
    format!("class_locations_{class}")
}

/// The byte range of a slice of the map.
fn range_in(map: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - map.as_ptr() as usize;
    start..start + part.len()
}

fn numbers<T, const N: usize>(bytes: &[u8], number: fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .chunks_exact(N)
        .map(|chunk| number(chunk.try_into().expect("a chunk has the requested size")))
        .collect()
}

/// Calls `copy` with every row of `patch` along z and the bytes of the same voxels in the stored array.
fn copy_rows<T>(
    stored: &[u8],
    size: [usize; 3],
    start: [usize; 3],
    patch: &mut ArrayViewMut3<'_, T>,
    mut copy: impl FnMut(&mut [T], &[u8]),
) {
    let bytes_per_voxel = stored.len() / size.iter().product::<usize>();
    for (x, mut plane) in patch.outer_iter_mut().enumerate() {
        for (y, mut row) in plane.outer_iter_mut().enumerate() {
            let row = row.as_slice_mut().expect("patches are contiguous along z");
            let first = ((start[0] + x) * size[1] + start[1] + y) * size[2] + start[2];
            let last = first + row.len();
            copy(row, &stored[first * bytes_per_voxel..last * bytes_per_voxel]);
        }
    }
}

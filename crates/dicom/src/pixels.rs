//! Pixel data into intensities.

use std::{
    cell::Cell,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bipvl_imaging::{MAX_VOXELS, Volume};
use dicom_core::value::Value;
use dicom_dictionary_std::tags;
use dicom_encoding::TransferSyntaxIndex;
use dicom_object::DefaultDicomObject;
use dicom_pixeldata::PixelDecoder;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use ndarray::{Array3, ArrayViewMut3, Axis};
use rayon::prelude::*;

use crate::{
    Error, Result,
    codestream::ensure_size,
    guard::NativePixels,
    instance::{Frame, Instance},
    pixel_format::PixelFormat,
    source::innermost,
    stack::Stack,
};

/// Pixels of a frame at most, 8192²; a claim beyond is damage.
const MAX_PIXELS: usize = 1 << 26;
/// Slices that are decoded before they are moved into the volume: 64 bytes of each column of voxels, a cache line.
const SLICES: usize = 16;

/// Decodes the slices of a stack; files are read in parallel.
pub(crate) fn read(stack: &Stack, instances: &[Instance]) -> Result<Volume<f32>> {
    let grid = stack.grid();
    let shape @ [columns, rows, _] = grid.shape();
    let first = &instances[stack.slices[0].instance].file.label;
    if columns * rows > MAX_PIXELS || grid.num_voxels().is_none_or(|count| count > MAX_VOXELS) {
        let found = format!("{columns} columns x {rows} rows x {} slices", shape[2]);
        return Err(Error::attribute(first, "Columns, Rows", found, "at most 8192 x 8192, and 2³¹ voxels"));
    }
    let shared = multi_frame_objects(stack, instances)?;
    let mut voxels = Array3::zeros(shape);
    for (chunk, slices) in stack.slices.chunks(SLICES).enumerate() {
        let decoded = slices
            .par_iter()
            .map(|slice| {
                let instance = &instances[slice.instance];
                match (instance.pixels, shared.get(&slice.instance)) {
                    (Some(pixels), _) => read_native(pixels, instance, &slice.frame),
                    (None, Some(object)) => decode(object, instance, &slice.frame),
                    (None, None) => decode(&object(instance)?, instance, &slice.frame),
                }
            })
            .collect::<Result<Vec<Vec<f32>>>>()?;
        let blocks = voxels.axis_chunks_iter_mut(Axis(0), SLICES).into_par_iter();
        blocks.enumerate().for_each(|(block, voxels)| {
            transpose(&decoded, voxels, [block * SLICES, chunk * SLICES], columns);
        });
    }
    Ok(Volume::new(voxels, grid))
}

/// Moves columns of slices, from `first[0]` on, to slices of voxels, from `first[1]` on: a square of both at a time, so that
/// each cache line is read and written once.
fn transpose(slices: &[Vec<f32>], voxels: ArrayViewMut3<f32>, first: [usize; 2], columns: usize) {
    let (width, rows, depth) = voxels.dim();
    let voxels = voxels.into_slice().expect("planes of a volume are adjacent");
    let mut square = [[0.0; SLICES]; SLICES];
    for y in 0..rows {
        let start = y * columns + first[0];
        for (z, slice) in slices.iter().enumerate() {
            for (line, value) in square.iter_mut().zip(&slice[start..start + width]) {
                line[z] = *value;
            }
        }
        for (x, line) in square[..width].iter().enumerate() {
            let at = (x * rows + y) * depth + first[1];
            voxels[at..at + slices.len()].copy_from_slice(&line[..slices.len()]);
        }
    }
}

/// Compressed objects with several frames are read once.
fn multi_frame_objects(stack: &Stack, instances: &[Instance]) -> Result<HashMap<usize, DefaultDicomObject>> {
    let mut objects = HashMap::new();
    for slice in &stack.slices {
        let is_shared = instances[slice.instance].frames.as_ref().is_ok_and(|frames| frames.len() > 1);
        let is_shared = is_shared && instances[slice.instance].pixels.is_none();
        if is_shared && !objects.contains_key(&slice.instance) {
            objects.insert(slice.instance, object(&instances[slice.instance])?);
        }
    }
    Ok(objects)
}

/// The whole object, if its pixel data can be decoded.
fn object(instance: &Instance) -> Result<DefaultDicomObject> {
    let uid = instance.transfer_syntax.as_str();
    let syntax = TransferSyntaxRegistry.get(uid);
    if !syntax.is_some_and(dicom_encoding::TransferSyntax::can_decode_all) {
        let name = syntax.map_or(uid, |syntax| syntax.name()).to_owned();
        let advice = if name.contains("JPEG-LS") {
            "; the build feature jpeg-ls adds it"
        } else {
            "; convert the series, such as with dcmdjpeg or gdcmconv --raw"
        };
        return Err(Error::TransferSyntax { object: instance.file.label.clone(), name, advice });
    }
    instance.file.object()
}

/// The intensities of one frame, rows after each other.
fn decode(object: &DefaultDicomObject, instance: &Instance, frame: &Frame) -> Result<Vec<f32>> {
    let label = &instance.file.label;
    let failed = |reason: String| Error::PixelData { object: label.clone(), reason };
    let format = PixelFormat::of(object, label)?;
    let Some(element) = object.get(tags::PIXEL_DATA) else {
        return Err(failed("missing; float and double float pixel data are not read".to_owned()));
    };
    let size = frame.columns as usize * frame.rows as usize * format.bytes;
    let (decoded, native);
    let bytes: &[u8] = if matches!(element.value(), Value::Primitive(_)) {
        native = element.to_bytes().map_err(|error| failed(innermost(&error)))?;
        native.get(frame.index as usize * size..).unwrap_or_default()
    } else {
        let fragments = element.value().fragments().unwrap_or_default();
        ensure_size(object, fragments, frame, format.bytes).map_err(failed)?;
        let result = without_panic(|| object.decode_pixel_data_frame(frame.index))
            .ok_or_else(|| failed("damaged: the decoder gave up".to_owned()))?;
        decoded = result.map_err(|error| failed(innermost(&error)))?;
        decoded.data()
    };
    let Some(bytes) = bytes.get(..size) else {
        return Err(failed(format!("truncated: {} of {size} bytes", bytes.len())));
    };
    Ok(format.intensities(bytes, frame.rescale))
}

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a decoder, whose panic becomes an error and need not be reported by a panic hook.
pub fn is_decoding() -> bool {
    IS_DECODING.get()
}

/// Decoders of other people panic on some damage.
fn without_panic<T>(decode: impl FnOnce() -> T) -> Option<T> {
    IS_DECODING.set(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(false);
    result.ok()
}

/// [`decode`] without parsing the object again.
fn read_native(pixels: NativePixels, instance: &Instance, frame: &Frame) -> Result<Vec<f32>> {
    let label = &instance.file.label;
    let format = match &instance.format {
        Ok(format) => *format,
        Err(_) => return decode(&instance.file.object()?, instance, frame),
    };
    let size = frame.columns as usize * frame.rows as usize * format.bytes;
    let first = u64::from(frame.index) * size as u64;
    let left = pixels.length.saturating_sub(first);
    if left < size as u64 {
        let reason = format!("truncated: {left} of {size} bytes");
        return Err(Error::PixelData { object: label.clone(), reason });
    }
    let mut bytes = instance.file.range(pixels.offset + first, size)?;
    if pixels.is_big_endian && format.bytes > 1 {
        bytes.chunks_exact_mut(format.bytes).for_each(<[u8]>::reverse);
    }
    Ok(format.intensities(&bytes, frame.rescale))
}

//! Pixel data into intensities.

use std::{
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
use ndarray::{Array3, Axis};
use rayon::prelude::*;

use crate::{
    Error, Result,
    attributes::{Attributes, shown},
    codestream::ensure_size,
    instance::{Frame, Instance},
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
                match shared.get(&slice.instance) {
                    Some(object) => decode(object, instance, &slice.frame),
                    None => decode(&object(instance)?, instance, &slice.frame),
                }
            })
            .collect::<Result<Vec<Vec<f32>>>>()?;
        voxels.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(x, mut plane)| {
            for (y, mut line) in plane.axis_iter_mut(Axis(0)).enumerate() {
                for (z, slice) in decoded.iter().enumerate() {
                    line[chunk * SLICES + z] = slice[y * columns + x];
                }
            }
        });
    }
    Ok(Volume::new(voxels, grid))
}

/// Objects with several frames are read once.
fn multi_frame_objects(stack: &Stack, instances: &[Instance]) -> Result<HashMap<usize, DefaultDicomObject>> {
    let mut objects = HashMap::new();
    for slice in &stack.slices {
        let is_shared = instances[slice.instance].frames.as_ref().is_ok_and(|frames| frames.len() > 1);
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
    if !syntax.is_some_and(|syntax| syntax.can_decode_all()) {
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
    let count = frame.columns as usize * frame.rows as usize;
    let size = count * format.bytes;
    let is_native = matches!(element.value(), Value::Primitive(_));
    let (decoded, native);
    let bytes: &[u8] = if is_native {
        native = element.to_bytes().map_err(|error| failed(innermost(&error)))?;
        native.get(frame.index as usize * size..).unwrap_or_default()
    } else {
        let fragments = element.value().fragments().unwrap_or_default();
        ensure_size(object, fragments, frame, format.bytes).map_err(failed)?;
        // Decoders of other people panic on some damage.
        let decoding = AssertUnwindSafe(|| object.decode_pixel_data_frame(frame.index));
        let result = catch_unwind(decoding).map_err(|_| failed("damaged: the decoder gave up".to_owned()))?;
        decoded = result.map_err(|error| failed(innermost(&error)))?;
        decoded.data()
    };
    let Some(bytes) = bytes.get(..size) else {
        return Err(failed(format!("truncated: {} of {size} bytes", bytes.len())));
    };
    Ok(format.intensities(bytes, frame.rescale))
}

/// How a stored value lies in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PixelFormat {
    bytes: usize,
    bits_stored: u32,
    high_bit: u32,
    is_signed: bool,
    /// MONOCHROME1: low values are bright.
    is_inverted: bool,
}

impl PixelFormat {
    fn of(object: &DefaultDicomObject, label: &str) -> Result<Self> {
        let integer = |tag| object.integer(tag);
        if object.get(tags::MODALITY_LUT_SEQUENCE).is_some() {
            let found = "a table".to_owned();
            return Err(Error::attribute(
                label,
                "ModalityLUTSequence",
                found,
                "absent: only slope and intercept are read",
            ));
        }
        let photometric = object.text(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        if integer(tags::SAMPLES_PER_PIXEL) != Some(1) || !photometric.starts_with("MONOCHROME") {
            let found =
                format!("{photometric} of {} values per pixel", shown(integer(tags::SAMPLES_PER_PIXEL)));
            return Err(Error::attribute(
                label,
                "PhotometricInterpretation",
                found,
                "MONOCHROME1 or MONOCHROME2 of 1",
            ));
        }
        let bits = match integer(tags::BITS_ALLOCATED) {
            Some(bits @ (8 | 16 | 32)) => bits,
            found => return Err(Error::attribute(label, "BitsAllocated", shown(found), "8, 16 or 32")),
        };
        let stored = integer(tags::BITS_STORED).unwrap_or(bits);
        let high = integer(tags::HIGH_BIT).unwrap_or(stored - 1);
        if !(1..=bits).contains(&stored) || !(stored - 1..bits).contains(&high) {
            let found = format!("{stored}, high bit {high}");
            return Err(Error::attribute(label, "BitsStored", found, "within the allocated bits"));
        }
        let is_signed = match integer(tags::PIXEL_REPRESENTATION) {
            Some(0) => false,
            Some(1) => true,
            found => return Err(Error::attribute(label, "PixelRepresentation", shown(found), "0 or 1")),
        };
        let (bits_stored, high_bit) = (stored as u32, high as u32);
        let is_inverted = photometric == "MONOCHROME1";
        Ok(Self { bytes: bits as usize / 8, bits_stored, high_bit, is_signed, is_inverted })
    }

    fn intensities(self, bytes: &[u8], [slope, intercept]: [f64; 2]) -> Vec<f32> {
        let scaled = |value: f64| (value * slope + intercept) as f32;
        match self.bytes {
            1 => bytes.iter().map(|byte| scaled(self.value(u32::from(*byte)))).collect(),
            2 => {
                let (values, _) = bytes.as_chunks::<2>();
                values.iter().map(|value| scaled(self.value(u32::from(u16::from_le_bytes(*value))))).collect()
            }
            _ => {
                let (values, _) = bytes.as_chunks::<4>();
                values.iter().map(|value| scaled(self.value(u32::from_le_bytes(*value)))).collect()
            }
        }
    }

    /// The stored bits, with their sign; bits outside of them may be overlays. Inverted ones are complemented, as in ITK.
    fn value(self, raw: u32) -> f64 {
        let raw = if self.is_inverted { !raw } else { raw };
        let shifted = raw << (31 - self.high_bit);
        let unused = 32 - self.bits_stored;
        if self.is_signed { f64::from(shifted as i32 >> unused) } else { f64::from(shifted >> unused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bits_are_cut_out_and_signed() {
        let format = |bits_stored, high_bit, is_signed| PixelFormat {
            bytes: 2,
            bits_stored,
            high_bit,
            is_signed,
            is_inverted: false,
        };
        // 12 bits below an overlay bit: 0x8FFF is -1 or 4095.
        assert_eq!(format(12, 11, true).value(0x8FFF), -1.0);
        assert_eq!(format(12, 11, false).value(0x8FFF), 4095.0);
        // MONOCHROME1: 0 is the brightest of 12 bits.
        assert_eq!(PixelFormat { is_inverted: true, ..format(12, 11, false) }.value(0x8000), 4095.0);
        // Left aligned.
        assert_eq!(format(12, 15, false).value(0xABC5), f64::from(0xABC));
        assert_eq!(format(16, 15, true).value(0x8000), -32768.0);
        let ct = format(16, 15, true).intensities(&[0x00, 0x80, 0x01, 0x00], [2.0, -1024.0]);
        assert_eq!(ct, [-66560.0, -1022.0]);
    }
}

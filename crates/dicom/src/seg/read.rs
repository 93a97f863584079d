//! Reads segmentations of any writer: binary, fractional, label map; frames in any order, segments that overlap.

use bipvl_imaging::{Code, LabelMap, Segment, Segmentation, Volume};
use dicom_core::value::Value;
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, InMemDicomObject};
use dicom_pixeldata::PixelDecoder;
use ndarray::Array3;

use super::{bits, placement::Placement};
use crate::{
    Error, Result,
    attributes::Attributes,
    instance::{Frame, frames},
    source::{ObjectFile, innermost},
};

/// Masks of overlapping segments in memory at most.
const MAX_MASK_BYTES: usize = 8 << 30;

/// Reads one segmentation object; its grid has the slices from the lowest to the highest with a frame. Labels are segment
/// numbers.
pub(crate) fn read_segmentation(file: &ObjectFile) -> Result<Segmentation> {
    let object = file.object()?;
    let label = &file.label;
    let frames = frames(&object, label)?;
    let placement = Placement::of(&frames, label)?;
    let segments = segments(&object, label)?;
    let pixels = Pixels::of(&object, &frames, label)?;
    let reader = Reader {
        object: &object,
        label,
        frames: &frames,
        placement: &placement,
        pixels: &pixels,
        segments: &segments,
    };
    let mut labels = Array3::zeros(placement.grid.shape());
    let mut is_exclusive = true;
    reader.for_each_voxel(|segment, voxel| {
        let (value, own): (&mut u16, u16) = (&mut labels[voxel], segments[segment].label);
        is_exclusive &= *value == 0 || *value == own;
        *value = own;
    })?;
    if is_exclusive {
        return Ok(Segmentation::from_labels(LabelMap::new(labels, placement.grid), segments));
    }
    drop(labels);
    let masks = reader.masks()?;
    Ok(Segmentation::from_masks(placement.grid, masks, segments))
}

/// A segmentation whose frames have their places.
struct Reader<'a> {
    object: &'a DefaultDicomObject,
    label: &'a str,
    frames: &'a [Frame],
    placement: &'a Placement,
    pixels: &'a Pixels<'a>,
    segments: &'a [Segment],
}

impl Reader<'_> {
    /// Calls `visit` with the index of a segment for each of its voxels.
    fn for_each_voxel(&self, mut visit: impl FnMut(usize, [usize; 3])) -> Result<()> {
        let mut index_of = vec![None; usize::from(u16::MAX) + 1];
        for (index, segment) in self.segments.iter().enumerate() {
            index_of[usize::from(segment.label)] = Some(index);
        }
        let segment_of = |number: i64, frame: usize| {
            let known = usize::try_from(number).ok().and_then(|number| *index_of.get(number)?);
            known.ok_or_else(|| {
                let found = format!("{number} in frame {}", frame + 1);
                Error::attribute(
                    self.label,
                    "ReferencedSegmentNumber",
                    found,
                    "a number of the SegmentSequence",
                )
            })
        };
        let own = self.object.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        for (index, frame) in self.frames.iter().enumerate() {
            let (columns, slice) = (frame.columns as usize, self.placement.slices[index]);
            let voxel = |pixel: usize| [pixel % columns, pixel / columns, slice];
            if self.pixels.is_label_map {
                let mut unknown = Ok(());
                self.pixels.for_each(index, self.label, |pixel, value| {
                    match segment_of(i64::from(value), index) {
                        Ok(segment) => visit(segment, voxel(pixel)),
                        Err(error) => unknown = Err(error),
                    }
                })?;
                unknown?;
            } else {
                let number = own
                    .get(index)
                    .and_then(|item| item.first_item(tags::SEGMENT_IDENTIFICATION_SEQUENCE))
                    .and_then(|item| item.integer(tags::REFERENCED_SEGMENT_NUMBER))
                    .or_else(|| (self.segments.len() == 1).then(|| i64::from(self.segments[0].label)));
                let segment = segment_of(number.unwrap_or(-1), index)?;
                self.pixels.for_each(index, self.label, |pixel, _| visit(segment, voxel(pixel)))?;
            }
        }
        Ok(())
    }

    /// A mask per segment, for those that overlap.
    fn masks(&self) -> Result<Vec<Volume<bool>>> {
        let grid = &self.placement.grid;
        let bytes = grid.num_voxels().unwrap_or(usize::MAX).saturating_mul(self.segments.len());
        if bytes > MAX_MASK_BYTES {
            let (found, limit) = (bytes >> 30, MAX_MASK_BYTES >> 30);
            let count = self.segments.len();
            return Err(Error::Unsuitable(format!(
                "{}: the masks of {count} overlapping segments take {found} GiB, the limit is {limit}",
                self.label
            )));
        }
        let mut masks: Vec<Array3<bool>> =
            self.segments.iter().map(|_| Array3::from_elem(grid.shape(), false)).collect();
        self.for_each_voxel(|segment, voxel| masks[segment][voxel] = true)?;
        Ok(masks.into_iter().map(|mask| Volume::new(mask, grid.clone())).collect())
    }
}

/// Name, number and code of each segment.
fn segments(object: &InMemDicomObject, label: &str) -> Result<Vec<Segment>> {
    let segment = |item: &InMemDicomObject| {
        let number = item.integer(tags::SEGMENT_NUMBER);
        let Some(number @ 0..=65_535) = number else {
            return Err(Error::attribute(label, "SegmentNumber", format!("{number:?}"), "0 to 65535"));
        };
        let code = item.first_item(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE).and_then(code);
        let name = item.text(tags::SEGMENT_LABEL).unwrap_or_else(|| format!("segment {number}"));
        Ok(Segment { name, label: number as u16, code })
    };
    let segments = object.items(tags::SEGMENT_SEQUENCE).iter().map(segment);
    // Number 0 is the background of a label map.
    segments.filter(|segment| !segment.as_ref().is_ok_and(|segment| segment.label == 0)).collect()
}

/// The names of all segments.
pub(crate) fn segment_names(file: &ObjectFile) -> Result<Vec<String>> {
    let (header, _) = file.header()?;
    Ok(segments(&header, &file.label)?.into_iter().map(|segment| segment.name).collect())
}

fn code(item: &InMemDicomObject) -> Option<Code> {
    let value = [tags::CODE_VALUE, tags::LONG_CODE_VALUE].into_iter().find_map(|tag| item.text(tag))?;
    let scheme = item.text(tags::CODING_SCHEME_DESIGNATOR)?;
    Some(Code { scheme, value, meaning: item.text(tags::CODE_MEANING).unwrap_or_default() })
}

/// The pixel data of all frames.
struct Pixels<'a> {
    object: &'a DefaultDicomObject,
    bytes: Option<std::borrow::Cow<'a, [u8]>>,
    bits: i64,
    frame_size: usize,
    /// Stored values from here on are inside: half of the maximum of a fractional segmentation.
    threshold: u32,
    is_label_map: bool,
}

impl<'a> Pixels<'a> {
    fn of(object: &'a DefaultDicomObject, frames: &[Frame], label: &str) -> Result<Self> {
        let kind = object.text(tags::SEGMENTATION_TYPE).unwrap_or_default();
        let bits = object.integer(tags::BITS_ALLOCATED).unwrap_or(0);
        let is_known =
            matches!((kind.as_str(), bits), ("BINARY", 1) | ("FRACTIONAL", 8) | ("LABELMAP", 8 | 16));
        if !is_known {
            let found = format!("{kind} of {bits} bits");
            return Err(Error::attribute(
                label,
                "SegmentationType",
                found,
                "BINARY of 1, FRACTIONAL of 8, LABELMAP of 8 or 16 bits",
            ));
        }
        let maximum = object.integer(tags::MAXIMUM_FRACTIONAL_VALUE).unwrap_or(255).clamp(1, 255) as u32;
        let threshold = if kind == "FRACTIONAL" { maximum.div_ceil(2) } else { 1 };
        let element = object
            .get(tags::PIXEL_DATA)
            .ok_or_else(|| Error::PixelData { object: label.to_owned(), reason: "missing".to_owned() })?;
        let bytes = match element.value() {
            Value::Primitive(value) => Some(value.to_bytes()),
            _ => None,
        };
        let frame_size = frames[0].columns as usize * frames[0].rows as usize;
        Ok(Self { object, bytes, bits, frame_size, threshold, is_label_map: kind == "LABELMAP" })
    }

    /// Calls `found` for every pixel that is inside, with its value.
    fn for_each(&self, frame: usize, label: &str, mut found: impl FnMut(usize, u32)) -> Result<()> {
        let failed = |reason: String| Error::PixelData { object: label.to_owned(), reason };
        let truncated = || failed(format!("it ends before frame {}", frame + 1));
        if self.bits == 1 {
            let Some(bytes) = &self.bytes else {
                return Err(failed(
                    "compressed binary segmentations are not read; decompress it first".to_owned(),
                ));
            };
            return bits::for_each_set(bytes, frame, self.frame_size, |pixel| found(pixel, 1))
                .ok_or_else(truncated);
        }
        let size = self.bits as usize / 8;
        let length = self.frame_size * size;
        let decoded;
        let bytes = if let Some(bytes) = &self.bytes {
            bytes.get(frame * length..).unwrap_or_default()
        } else {
            decoded = self
                .object
                .decode_pixel_data_frame(frame as u32)
                .map_err(|error| failed(innermost(&error)))?;
            decoded.data()
        };
        let bytes = bytes.get(..length).ok_or_else(truncated)?;
        for (pixel, value) in bytes.chunks_exact(size).enumerate() {
            let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            if value >= self.threshold {
                found(pixel, value);
            }
        }
        Ok(())
    }
}

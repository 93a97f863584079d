//! The pixel data of a segmentation.

use bipvl_imaging::{LabelMap, QuantizedProbability, Segment, Volume};

use super::bits::Bits;
use crate::derived::Source;

/// The frames that have voxels, by segment and then slice.
pub(super) struct Frames {
    pub(super) places: Vec<Place>,
    pub(super) pixels: Vec<u8>,
    pub(super) bits_allocated: u16,
}

/// Segment and slice of a frame, from 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: usize,
    pub(super) slice: usize,
}

impl Frames {
    /// The places where `is_there[segment][slice]`; one empty frame where there is none, because an object has frames.
    fn places(is_there: &[Vec<bool>]) -> Vec<Place> {
        let mut places: Vec<Place> = is_there
            .iter()
            .enumerate()
            .flat_map(|(segment, slices)| {
                let slices = slices.iter().enumerate().filter(|(_, is_there)| **is_there);
                slices.map(move |(slice, _)| Place { segment, slice })
            })
            .collect();
        if places.is_empty() {
            places.push(Place { segment: 0, slice: 0 });
        }
        places
    }

    /// The index of the frame of each segment and slice.
    fn table(places: &[Place], segments: usize, slices: usize) -> Vec<Vec<usize>> {
        let mut table = vec![vec![usize::MAX; slices]; segments];
        for (frame, place) in places.iter().enumerate() {
            table[place.segment][place.slice] = frame;
        }
        table
    }

    pub(super) fn binary_labels(segments: &[Segment], labels: &LabelMap) -> Self {
        let [columns, rows, slices] = labels.grid().shape();
        let mut segment_of = vec![usize::MAX; usize::from(u16::MAX) + 1];
        for (index, segment) in segments.iter().enumerate() {
            segment_of[usize::from(segment.label)] = index;
        }
        segment_of[0] = usize::MAX;
        let mut is_there = vec![vec![false; slices]; segments.len()];
        for_each_voxel(labels, |_, slice, label| {
            if let Some(slices) = is_there.get_mut(segment_of[usize::from(*label)]) {
                slices[slice] = true;
            }
        });
        let places = Self::places(&is_there);
        let table = Self::table(&places, segments.len(), slices);
        let mut bits = Bits::new(places.len(), columns * rows);
        for_each_voxel(labels, |pixel, slice, label| {
            if let Some(frames) = table.get(segment_of[usize::from(*label)]) {
                bits.set(frames[slice], pixel);
            }
        });
        Self { places, pixels: bits.into_bytes(), bits_allocated: 1 }
    }

    pub(super) fn binary_masks(
        source: &Source,
        segments: usize,
        mask: &dyn Fn(usize) -> Volume<bool>,
    ) -> Self {
        let [columns, rows, slices] = source.grid.shape();
        let mut is_there = vec![vec![false; slices]; segments];
        for (segment, is_there) in is_there.iter_mut().enumerate() {
            for_each_voxel(&mask(segment), |_, slice, is_inside| is_there[slice] |= *is_inside);
        }
        let places = Self::places(&is_there);
        let table = Self::table(&places, segments, slices);
        let mut bits = Bits::new(places.len(), columns * rows);
        for (segment, frames) in table.iter().enumerate() {
            if is_there[segment].contains(&true) {
                for_each_voxel(&mask(segment), |pixel, slice, is_inside| {
                    if *is_inside {
                        bits.set(frames[slice], pixel);
                    }
                });
            }
        }
        Self { places, pixels: bits.into_bytes(), bits_allocated: 1 }
    }

    /// Segment numbers; frames hold all segments.
    pub(super) fn label_map(segments: &[Segment], labels: &LabelMap) -> Self {
        let [columns, rows, slices] = labels.grid().shape();
        let mut number_of = vec![0_u16; usize::from(u16::MAX) + 1];
        for (index, segment) in segments.iter().enumerate() {
            number_of[usize::from(segment.label)] = index as u16 + 1;
        }
        number_of[0] = 0;
        let mut is_there = vec![vec![false; slices]];
        for_each_voxel(labels, |_, slice, label| is_there[0][slice] |= number_of[usize::from(*label)] > 0);
        let places = Self::places(&is_there);
        let table = Self::table(&places, 1, slices);
        let bytes = if segments.len() > usize::from(u8::MAX) { 2 } else { 1 };
        let size = columns * rows;
        let mut pixels = vec![0; (places.len() * size * bytes).next_multiple_of(2)];
        for_each_voxel(labels, |pixel, slice, label| {
            let number = number_of[usize::from(*label)];
            if number > 0 {
                let at = (table[0][slice] * size + pixel) * bytes;
                pixels[at..at + bytes].copy_from_slice(&number.to_le_bytes()[..bytes]);
            }
        });
        Self { places, pixels, bits_allocated: 8 * bytes as u16 }
    }

    pub(super) fn fractional(volumes: &[Volume<f32>]) -> Self {
        let [columns, rows, slices] = volumes[0].grid().shape();
        let stored = |probability: f32| QuantizedProbability::new(probability).0;
        let mut is_there = vec![vec![false; slices]; volumes.len()];
        for (volume, is_there) in volumes.iter().zip(&mut is_there) {
            for_each_voxel(volume, |_, slice, probability| is_there[slice] |= stored(*probability) > 0);
        }
        let places = Self::places(&is_there);
        let table = Self::table(&places, volumes.len(), slices);
        let size = columns * rows;
        let mut pixels = vec![0; (places.len() * size).next_multiple_of(2)];
        for (volume, frames) in volumes.iter().zip(&table) {
            for_each_voxel(volume, |pixel, slice, probability| {
                if frames[slice] != usize::MAX {
                    pixels[frames[slice] * size + pixel] = stored(*probability);
                }
            });
        }
        Self { places, pixels, bits_allocated: 8 }
    }
}

/// Calls `visit` with pixel (row after row), slice and value, in an order that stays near in both arrays.
fn for_each_voxel<T>(volume: &Volume<T>, mut visit: impl FnMut(usize, usize, &T)) {
    let [columns, rows, _] = volume.grid().shape();
    for row in 0..rows {
        for column in 0..columns {
            let line = volume.voxels().slice(ndarray::s![column, row, ..]);
            for (slice, value) in line.iter().enumerate() {
                visit(row * columns + column, slice, value);
            }
        }
    }
}

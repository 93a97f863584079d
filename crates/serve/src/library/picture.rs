//! What a page shows of a scan: its volume as NIfTI, and a thumbnail.

use std::{fs, path::PathBuf};

use bipvl_imaging::{Volume, into_ras, write};
use bipvl_io::{FileError, atomic_write};
use sha2::{Digest, Sha256};

use super::{Library, Scan, ScanFile};
use crate::{Error, Result};

/// Pixels along the longer side of a thumbnail.
const THUMBNAIL: usize = 128;
/// Quantiles of the tissue of a slice that become black and white.
const BLACK_AND_WHITE: [f64; 2] = [0.005, 0.995];
/// Below this part of the range of intensities is air.
const AIR: f32 = 0.1;

impl Library {
    /// A NIfTI file of a scan: its own, or one that is made once.
    pub(crate) fn nifti(&self, scan: &Scan) -> Result<PathBuf> {
        if let ScanFile::Image(path) = &scan.file
            && path.to_string_lossy().to_lowercase().ends_with(".nii.gz")
        {
            return Ok(path.clone());
        }
        let path = self.cached(scan, ".nii.gz");
        if !path.exists() {
            write(&path, &first_channel(scan)?)?;
        }
        Ok(path)
    }

    /// A PNG of the middle axial slice.
    pub(crate) fn thumbnail(&self, scan: &Scan) -> Result<Vec<u8>> {
        let path = self.cached(scan, ".png");
        if !path.exists() {
            atomic_write(&path, &thumbnail(&into_ras(first_channel(scan)?)))?;
        }
        Ok(fs::read(&path).map_err(|reason| FileError::new(&path, reason))?)
    }

    pub(super) fn delete_pictures(&self, scan: &Scan) {
        for ending in [".nii.gz", ".png"] {
            let _ = fs::remove_file(self.cached(scan, ending));
        }
    }

    fn cached(&self, scan: &Scan, ending: &str) -> PathBuf {
        let key = Sha256::digest(format!("{} {} {}", scan.id, scan.created, scan.bytes));
        self.state("cache").join(format!("{key:x}{ending}"))
    }
}

fn first_channel(scan: &Scan) -> Result<Volume<f32>> {
    let channel = scan.load()?.channels.into_iter().next();
    channel.ok_or_else(|| Error::Gone(format!("scan {}: no voxels", scan.id)))
}

/// The middle axial slice as radiologists see it: patient's right on the left, anterior up.
fn thumbnail(scan: &Volume<f32>) -> Vec<u8> {
    let [columns, rows, slices] = scan.grid().shape();
    let [x_mm, y_mm, _] = scan.grid().spacing();
    let (width_mm, height_mm) = (columns as f64 * x_mm, rows as f64 * y_mm);
    let scale = THUMBNAIL as f64 / width_mm.max(height_mm);
    let size = |mm: f64| ((mm * scale).round() as usize).max(1);
    let (width, height) = (size(width_mm), size(height_mm));
    let slice = scan.voxels().index_axis(ndarray::Axis(2), slices / 2);
    let [black, white] = shown_range(slice.iter().copied());
    let gray = |value: f32| {
        ((value - black) / (white - black).max(f32::MIN_POSITIVE) * 255.0).clamp(0.0, 255.0) as u8
    };
    let pixel = |row: usize, column: usize| {
        let x = columns - 1 - (column * columns / width);
        let y = rows - 1 - (row * rows / height);
        gray(slice[[x, y]])
    };
    let pixels = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
    let pixels: Vec<u8> = pixels.map(|(row, column)| pixel(row, column)).collect();
    encode(&pixels, width, height)
}

/// The intensities of a slice that become black and white, without the air around the patient.
fn shown_range(values: impl Iterator<Item = f32>) -> [f32; 2] {
    let mut sorted: Vec<f32> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let (Some(lowest), Some(highest)) = (sorted.first(), sorted.last()) else { return [0.0, 1.0] };
    let air = lowest + AIR * (highest - lowest);
    let tissue = &sorted[sorted.partition_point(|value| *value <= air)..];
    let quantile = |share: f64| tissue[((tissue.len() - 1) as f64 * share) as usize];
    if tissue.is_empty() {
        return [*lowest, lowest + 1.0];
    }
    let [black, white] = BLACK_AND_WHITE.map(quantile);
    [if black < white { black } else { *lowest }, white]
}

fn encode(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    written.expect("an image of this size can be written to memory");
    bytes
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::Grid;
    use ndarray::Array3;

    use super::*;

    #[test]
    fn the_patients_right_is_on_the_left_and_anterior_is_up() {
        // x grows to the right, y to anterior: the block is left anterior.
        let mut voxels = Array3::from_elem([64, 64, 3], 0.0_f32);
        voxels.slice_mut(ndarray::s![..20, 44.., ..]).fill(100.0);
        let png = thumbnail(&Volume::new(voxels, Grid::with_spacing([64, 64, 3], [1.0; 3])));
        let decoder = png::Decoder::new(std::io::Cursor::new(png));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let at = |row: usize, column: usize| pixels[row * THUMBNAIL + column];
        // The patient's left is on the right of the picture.
        assert_eq!((at(5, 120), at(5, 5), at(120, 120)), (255, 0, 0));
    }
}

//! Stored values: bits within bytes, sign, and the units that they stand for.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::{
    Error, Result,
    attributes::{Attributes, shown},
};

/// How a stored value lies in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelFormat {
    /// Of a value.
    pub(crate) bytes: usize,
    bits_stored: u32,
    high_bit: u32,
    is_signed: bool,
    /// MONOCHROME1: low values are bright.
    is_inverted: bool,
}

impl PixelFormat {
    /// Of a header.
    pub(crate) fn of(object: &InMemDicomObject, label: &str) -> Result<Self> {
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

    /// Little endian bytes into intensities.
    pub(crate) fn intensities(self, bytes: &[u8], [slope, intercept]: [f64; 2]) -> Vec<f32> {
        let scaled = |value: f64| (value * slope + intercept) as f32;
        let (pairs, _) = bytes.as_chunks::<2>();
        let is_plain = self.bytes == 2 && self.bits_stored == 16 && !self.is_inverted;
        match (self.bytes, is_plain, self.is_signed) {
            (_, true, true) => {
                pairs.iter().map(|pair| scaled(f64::from(i16::from_le_bytes(*pair)))).collect()
            }
            (_, true, false) => {
                pairs.iter().map(|pair| scaled(f64::from(u16::from_le_bytes(*pair)))).collect()
            }
            (1, ..) => bytes.iter().map(|byte| scaled(self.value(u32::from(*byte)))).collect(),
            (2, ..) => {
                pairs.iter().map(|pair| scaled(self.value(u32::from(u16::from_le_bytes(*pair))))).collect()
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

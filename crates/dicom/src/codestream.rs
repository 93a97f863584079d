//! What compressed pixel data say of their size, before a decoder allocates it.

use dicom_object::DefaultDicomObject;

use crate::instance::Frame;

/// Compares the head of a compressed frame with the size in the header of its object; encodings that are not known here
/// are left to their decoder.
pub(crate) fn ensure_size(
    object: &DefaultDicomObject,
    fragments: &[Vec<u8>],
    frame: &Frame,
    bytes_per_value: usize,
) -> Result<(), String> {
    let syntax = object.meta().transfer_syntax();
    let Some(head) = fragments.get(frame.index as usize).or_else(|| fragments.first()) else {
        return Err("missing: it has no fragments".to_owned());
    };
    let stated = [frame.columns, frame.rows, 1];
    let found = match syntax.trim_end_matches(['\0', ' ']).strip_prefix("1.2.840.10008.1.2.") {
        Some("5") => {
            return run_lengths(head, frame.columns as usize * frame.rows as usize, bytes_per_value);
        }
        Some("4.50" | "4.51" | "4.57" | "4.70") => jpeg(head),
        Some("4.90" | "4.91" | "4.201" | "4.202" | "4.203") => jpeg_2000(head),
        _ => return Ok(()),
    };
    match found {
        Some(found) if found == stated => Ok(()),
        Some([columns, rows, values]) => Err(format!(
            "the compressed image has {columns} columns, {rows} rows and {values} values per pixel, the header says {}, {} and 1",
            stated[0], stated[1]
        )),
        None => Err("the compressed image has no size; it is damaged".to_owned()),
    }
}

/// An RLE frame (PS3.5, G): a head with a segment per byte of a value, in order, and in each a byte for every pixel.
fn run_lengths(frame: &[u8], pixels: usize, bytes_per_value: usize) -> Result<(), String> {
    const HEAD: usize = 64;
    let (numbers, _) = frame.get(..HEAD).unwrap_or_default().as_chunks::<4>();
    let numbers: Vec<usize> = numbers.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect();
    let is_valid = numbers.first() == Some(&bytes_per_value)
        && numbers[1..=bytes_per_value].is_sorted_by(|a, b| a < b)
        && numbers[1] == HEAD
        && numbers[bytes_per_value] <= frame.len();
    if !is_valid {
        return Err("the head of the run lengths is damaged".to_owned());
    }
    for segment in 1..=bytes_per_value {
        let end = if segment < bytes_per_value { numbers[segment + 1] } else { frame.len() };
        let found = unpacked_length(&frame[numbers[segment]..end], pixels);
        if found < pixels {
            return Err(format!("truncated: the run lengths have {found} of {pixels} pixels"));
        }
    }
    Ok(())
}

/// Bytes of a segment after decompression (`PackBits`), counted up to `wanted`.
fn unpacked_length(segment: &[u8], wanted: usize) -> usize {
    let (mut at, mut found) = (0, 0);
    while found < wanted
        && let Some(control) = segment.get(at)
    {
        let (taken, made) = match control.cast_signed() {
            -128 => (0, 0),
            run @ ..0 => (1, 1 + usize::from(run.unsigned_abs())),
            literal => (1 + literal as usize, 1 + literal as usize),
        };
        if at + taken >= segment.len() {
            break;
        }
        (at, found) = (at + 1 + taken, found + made);
    }
    found
}

/// Columns, rows and components of the frame header of a JPEG image.
fn jpeg(bytes: &[u8]) -> Option<[u32; 3]> {
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1).filter(|_| bytes.get(at) == Some(&0xFF))?;
        let length = usize::from(be16(bytes, at + 2)?);
        let is_frame = (0xC0..=0xCF).contains(&marker) && ![0xC4, 0xC8, 0xCC].contains(&marker);
        if is_frame {
            let [rows, columns] = [be16(bytes, at + 5)?, be16(bytes, at + 7)?];
            return Some([u32::from(columns), u32::from(rows), u32::from(*bytes.get(at + 9)?)]);
        }
        at += 2 + length.max(2);
    }
}

/// Columns, rows and components of the size marker of a JPEG 2000 codestream.
fn jpeg_2000(bytes: &[u8]) -> Option<[u32; 3]> {
    let start = bytes.windows(4).position(|window| window == [0xFF, 0x4F, 0xFF, 0x51])? + 4;
    let size = |offset: usize| {
        let bytes = bytes.get(start + offset..start + offset + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let [columns, rows] = [size(4)?.checked_sub(size(12)?)?, size(8)?.checked_sub(size(16)?)?];
    Some([columns, rows, u32::from(be16(bytes, start + 36)?)])
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_codestreams_are_read() {
        // SOI, a comment of 4 bytes, SOF3 of 12 bits, 48 rows, 40 columns, 1 component.
        let lossless = [0xFF, 0xD8, 0xFF, 0xFE, 0, 4, 1, 2, 0xFF, 0xC3, 0, 11, 12, 0, 48, 0, 40, 1];
        assert_eq!(jpeg(&lossless), Some([40, 48, 1]));
        assert_eq!(jpeg(&lossless[..12]), None);
        let mut size_marker = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
        for number in [42_u32, 50, 2, 2, 42, 50, 0, 0] {
            size_marker.extend(number.to_be_bytes());
        }
        size_marker.extend([0, 1]);
        assert_eq!(jpeg_2000(&size_marker), Some([40, 48, 1]));
        // Two segments of four pixels: three copied bytes and a single one, a run of four.
        let mut frame = vec![0; 64];
        frame.extend([2, 1, 2, 3, 0, 4, 0xFD, 9]);
        (frame[0], frame[4], frame[8]) = (2, 64, 70);
        assert_eq!(run_lengths(&frame, 4, 2), Ok(()));
        assert!(run_lengths(&frame, 5, 2).is_err() && run_lengths(&frame, 4, 1).is_err());
        assert!(run_lengths(&frame[..71], 4, 2).is_err() && run_lengths(&frame[..60], 4, 2).is_err());
    }
}

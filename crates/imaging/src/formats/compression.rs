//! Gzip and zlib in memory, with a limit on the decompressed size.

use libdeflater::{CompressionLvl, Compressor, DecompressionError as Deflate, Decompressor};

use crate::error::DecompressionError;

/// The first two bytes of every gzip member.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A member ends with the checksum and the length of its content, four bytes each.
const TRAILER_BYTES: usize = 8;
/// The shortest member: a header, an empty deflate stream of two bytes, a trailer.
const SHORTEST_MEMBER_BYTES: usize = 20;
/// The first guess at the size of the content.
const SMALLEST_GUESS_BYTES: usize = 64 * 1024;
/// The largest compression ratio of deflate.
const MAX_RATIO: usize = 1032;

/// Decompresses all members of a gzip file; zero padding may follow the last one.
///
/// # Errors
///
/// When a member is damaged, the content is larger than `max_bytes`, or other bytes follow.
pub(super) fn gunzip(packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecompressionError> {
    let mut decompressor = Decompressor::new();
    let mut unpacked = Vec::new();
    let mut rest = packed;
    // Exact for a file of one member, a good guess for many of the same size.
    let mut guess = packed.last_chunk().map_or(0, |&length| u32::from_le_bytes(length) as usize);
    while rest.iter().any(|&byte| byte != 0) {
        if !rest.starts_with(&GZIP_MAGIC) {
            return Err(DecompressionError::TrailingBytes(rest.len()));
        }
        let start = unpacked.len();
        let member = gunzip_member(&mut decompressor, rest, guess, max_bytes - start, &mut unpacked)?;
        guess = unpacked.len() - start;
        rest = &rest[member..];
    }
    Ok(unpacked)
}

/// Compresses into one gzip member at the default level.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut packed).expect("the bound is enough");
    packed.truncate(length);
    packed
}

/// Decompresses a zlib stream of `size` bytes of content.
///
/// # Errors
///
/// When the stream is damaged, or its content has another size.
pub(super) fn unzlib(packed: &[u8], size: usize) -> Result<Vec<u8>, DecompressionError> {
    if size > packed.len().saturating_mul(MAX_RATIO) {
        return Err(DecompressionError::Damaged);
    }
    let mut unpacked = vec![0; size];
    match Decompressor::new().zlib_decompress(packed, &mut unpacked) {
        Ok(length) => unpacked.truncate(length),
        Err(Deflate::InsufficientSpace) => return Err(DecompressionError::TooLarge),
        Err(Deflate::BadData) => return Err(DecompressionError::Damaged),
    }
    Ok(unpacked)
}

/// Compresses into a zlib stream at the default level.
pub(super) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut packed = vec![0; compressor.zlib_compress_bound(bytes.len())];
    let length = compressor.zlib_compress(bytes, &mut packed).expect("the bound is enough");
    packed.truncate(length);
    packed
}

/// Appends the content of the first member of `packed`, and returns the size of the member.
fn gunzip_member(
    decompressor: &mut Decompressor,
    packed: &[u8],
    guess: usize,
    max_bytes: usize,
    unpacked: &mut Vec<u8>,
) -> Result<usize, DecompressionError> {
    let start = unpacked.len();
    let limit = max_bytes.min(packed.len().saturating_mul(MAX_RATIO));
    let mut capacity = guess.max(SMALLEST_GUESS_BYTES).min(limit);
    loop {
        unpacked.resize(start + capacity, 0);
        match decompressor.gzip_decompress(packed, &mut unpacked[start..]) {
            Ok(length) => {
                unpacked.truncate(start + length);
                return member_end(packed, &unpacked[start..]).ok_or(DecompressionError::Damaged);
            }
            Err(Deflate::InsufficientSpace) if capacity < limit => {
                capacity = capacity.saturating_mul(2).min(limit);
            }
            Err(Deflate::InsufficientSpace) => return Err(DecompressionError::TooLarge),
            Err(Deflate::BadData) => return Err(DecompressionError::Damaged),
        }
    }
}

/// The size of the member with the content `unpacked`: libdeflate does not report it, but the trailer follows from
/// the content.
fn member_end(packed: &[u8], unpacked: &[u8]) -> Option<usize> {
    let mut trailer = [0; TRAILER_BYTES];
    trailer[..4].copy_from_slice(&libdeflater::crc32(unpacked).to_le_bytes());
    trailer[4..].copy_from_slice(&(unpacked.len() as u32).to_le_bytes());
    let first = SHORTEST_MEMBER_BYTES - TRAILER_BYTES;
    let position = packed.get(first..)?.windows(TRAILER_BYTES).position(|window| window == trailer)?;
    Some(first + position + TRAILER_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    #[test]
    fn flate2_decompresses_what_gzip_compressed() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|index| (index.wrapping_mul(index) >> 7) as u8).collect();
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&gzip(&bytes)[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == bytes);
        assert!(gunzip(&gzip(&bytes), bytes.len()).unwrap() == bytes);
    }

    #[test]
    fn content_larger_than_the_limit_is_refused() {
        let packed = gzip(&[7; 1000]);
        assert_eq!(gunzip(&packed, 1000).unwrap(), [7; 1000]);
        assert_eq!(gunzip(&packed, 999), Err(DecompressionError::TooLarge));
        assert_eq!(gunzip(&[packed.clone(), packed].concat(), 1999), Err(DecompressionError::TooLarge));
    }

    #[test]
    fn a_member_with_a_wrong_length_is_refused() {
        let mut packed = gzip(&[7; 1000]);
        let length = packed.len();
        packed[length - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(gunzip(&packed, usize::MAX), Err(DecompressionError::Damaged));
    }

    #[test]
    fn equal_members_are_all_decompressed() {
        let member = gzip(&vec![0; 70_000]);
        assert!(gunzip(&member.repeat(3), 1 << 20).unwrap() == vec![0; 210_000]);
    }
}

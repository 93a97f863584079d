//! Gzip in memory: every member, whole, with a cap on what may come out.

use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};

/// The first two bytes of every member.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A member ends with the checksum of what came out and its length, four bytes each.
const TRAILER_BYTES: usize = 8;
/// The shortest member: a header, two bytes of nothing, a trailer.
const SHORTEST_MEMBER_BYTES: usize = 20;
/// The first guess at what comes out of a member that does not say.
const SMALLEST_GUESS_BYTES: usize = 64 * 1024;
/// No deflate stream grows by more than this factor.
const MAX_GROWTH: usize = 1032;

/// Unpacks all members, one after the other; zeros may follow the last one.
///
/// # Errors
///
/// What was found instead of gzip that fits into `max_bytes`.
pub(super) fn unpack(packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, String> {
    let mut decompressor = Decompressor::new();
    let mut unpacked = Vec::new();
    let mut rest = packed;
    // A file of one member says at its end how long it gets; of many, the last length is a good guess.
    let mut guess = packed.last_chunk().map_or(0, |&length| u32::from_le_bytes(length) as usize);
    while rest.iter().any(|&byte| byte != 0) {
        if !rest.starts_with(&MAGIC) {
            return Err(format!("{} bytes after the gzip data that are not gzip", rest.len()));
        }
        let start = unpacked.len();
        let member = unpack_member(&mut decompressor, rest, guess, max_bytes - start, &mut unpacked)?;
        guess = unpacked.len() - start;
        rest = &rest[member..];
    }
    Ok(unpacked)
}

/// Packs into one member, at the level most tools use.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut packed).expect("the bound is enough");
    packed.truncate(length);
    packed
}

/// Appends what comes out of the first member of `packed`, and returns the bytes the member takes.
fn unpack_member(
    decompressor: &mut Decompressor,
    packed: &[u8],
    guess: usize,
    max_bytes: usize,
    unpacked: &mut Vec<u8>,
) -> Result<usize, String> {
    let start = unpacked.len();
    let limit = max_bytes.min(packed.len().saturating_mul(MAX_GROWTH));
    let mut room = guess.max(SMALLEST_GUESS_BYTES).min(limit);
    loop {
        unpacked.resize(start + room, 0);
        match decompressor.gzip_decompress(packed, &mut unpacked[start..]) {
            Ok(length) => {
                unpacked.truncate(start + length);
                return member_end(packed, &unpacked[start..])
                    .ok_or_else(|| "gzip data without an end".to_owned());
            }
            Err(DecompressionError::InsufficientSpace) if room < limit => {
                room = room.saturating_mul(2).min(limit);
            }
            Err(DecompressionError::InsufficientSpace) => {
                return Err("gzip data that unpack to more".to_owned());
            }
            Err(DecompressionError::BadData) => return Err("damaged or truncated gzip data".to_owned()),
        }
    }
}

/// Where the member ends that `unpacked` came from: the decompressor does not tell, but its trailer
/// follows from the content.
fn member_end(packed: &[u8], unpacked: &[u8]) -> Option<usize> {
    let mut trailer = [0; TRAILER_BYTES];
    trailer[..4].copy_from_slice(&libdeflater::crc32(unpacked).to_le_bytes());
    trailer[4..].copy_from_slice(&(unpacked.len() as u32).to_le_bytes());
    let first = SHORTEST_MEMBER_BYTES - TRAILER_BYTES;
    let found = packed.get(first..)?.windows(TRAILER_BYTES).position(|window| window == trailer)?;
    Some(first + found + TRAILER_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    #[test]
    fn another_unpacker_gets_back_what_was_packed() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|index| (index.wrapping_mul(index) >> 7) as u8).collect();
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&pack(&bytes)[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == bytes);
        assert!(unpack(&pack(&bytes), bytes.len()).unwrap() == bytes);
    }

    #[test]
    fn more_than_the_cap_is_refused() {
        let packed = pack(&[7; 1000]);
        assert_eq!(unpack(&packed, 1000).unwrap(), [7; 1000]);
        assert!(unpack(&packed, 999).unwrap_err().contains("more"));
        assert!(unpack(&[packed.clone(), packed].concat(), 1999).unwrap_err().contains("more"));
    }

    #[test]
    fn a_member_that_lies_about_its_length_is_refused() {
        let mut packed = pack(&[7; 1000]);
        let length = packed.len();
        packed[length - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(unpack(&packed, usize::MAX).unwrap_err().contains("damaged"));
    }

    #[test]
    fn equal_members_are_all_unpacked() {
        let member = pack(&vec![0; 70_000]);
        assert!(unpack(&member.repeat(3), 1 << 20).unwrap() == vec![0; 210_000]);
    }
}

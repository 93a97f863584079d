//! Bit-packed frames: bits run on across frames without padding, the least significant first (PS3.5, 8.1.1).

/// Frames of one bit per pixel.
#[derive(Debug)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    frame_pixels: usize,
}

impl Bits {
    /// All zero; an even number of bytes.
    pub(super) fn new(frames: usize, frame_pixels: usize) -> Self {
        let bytes = (frames * frame_pixels).div_ceil(8).next_multiple_of(2);
        Self { bytes: vec![0; bytes], frame_pixels }
    }

    pub(super) fn set(&mut self, frame: usize, pixel: usize) {
        let bit = frame * self.frame_pixels + pixel;
        self.bytes[bit / 8] |= 1 << (bit % 8);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Calls `found` for every pixel of a frame that is set; `None` if the bytes end before.
pub(super) fn for_each_set(
    bytes: &[u8],
    frame: usize,
    frame_pixels: usize,
    mut found: impl FnMut(usize),
) -> Option<()> {
    let first = frame.checked_mul(frame_pixels)?;
    let end = first.checked_add(frame_pixels)?;
    let words = bytes.get(first / 8..end.div_ceil(8))?;
    for (index, byte) in words.iter().enumerate() {
        let mut rest = *byte;
        while rest != 0 {
            let bit = (first / 8 + index) * 8 + rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if (first..end).contains(&bit) {
                found(bit - first);
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_odd_sizes_run_on() {
        let mut bits = Bits::new(3, 5);
        for (frame, pixel) in [(0, 4), (1, 0), (1, 3), (2, 4)] {
            bits.set(frame, pixel);
        }
        // Bits 4, 5, 8 and 14.
        let bytes = bits.into_bytes();
        assert_eq!(bytes, [0b0011_0000, 0b0100_0001]);
        let mut found = Vec::new();
        for_each_set(&bytes, 1, 5, |pixel| found.push(pixel)).unwrap();
        assert_eq!(found, [0, 3]);
        assert!(for_each_set(&bytes, 3, 5, |_| ()).is_none());
    }
}

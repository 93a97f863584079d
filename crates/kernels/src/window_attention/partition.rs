//! Partition of a feature map into attention windows.

use burn::tensor::Tensor;

/// Added to the score of two tokens that are neighbors only by the cyclic shift (Swin).
pub(super) const SHIFT_MASK_VALUE: f32 = -100.0;

/// Partition of a feature map into attention windows of one shape: the map is padded at the far ends to whole
/// windows and cyclically shifted before it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPartition {
    /// Tokens of the map, per axis.
    pub size: [usize; 3],
    /// Tokens of a window, per axis: `window_size`, or the whole axis where that is shorter.
    pub window_shape: [usize; 3],
    /// Cyclic shift in tokens, per axis.
    pub shift: [usize; 3],
    /// Configured side of a window, which sizes the table of relative position biases.
    pub window_size: usize,
}

impl WindowPartition {
    /// An axis that is not longer than `window_size` is one window and is never shifted (Swin's
    /// `get_window_size`).
    pub fn new(size: [usize; 3], window_size: usize, shift: usize) -> Self {
        let pick =
            |length: usize, short: usize, long: usize| if length <= window_size { short } else { long };
        Self {
            size,
            window_shape: size.map(|length| pick(length, length, window_size)),
            shift: size.map(|length| pick(length, 0, shift)),
            window_size,
        }
    }

    /// Tokens of one window.
    pub(super) fn tokens(&self) -> usize {
        self.window_shape.iter().product()
    }

    /// Windows of one map.
    pub(super) fn count(&self) -> usize {
        self.counts().iter().product()
    }

    /// The map's shape, padded to whole windows.
    fn padded(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.size[axis].next_multiple_of(self.window_shape[axis]))
    }

    fn counts(&self) -> [usize; 3] {
        let padded = self.padded();
        std::array::from_fn(|axis| padded[axis] / self.window_shape[axis])
    }

    fn is_shifted(&self) -> bool {
        self.shift != [0; 3]
    }

    /// Index in the map of each token of a window; `None` for padding.
    pub(super) fn token_indices(&self, window: usize) -> impl Iterator<Item = Option<usize>> + use<> {
        let (padded, [_, y_size, z_size], partition) = (self.padded(), self.size, *self);
        let corner = nth(self.counts(), window);
        indices(self.window_shape).map(move |token| {
            let [x, y, z] = std::array::from_fn(|axis| {
                (corner[axis] * partition.window_shape[axis] + token[axis] + partition.shift[axis])
                    % padded[axis]
            });
            let inside = x < partition.size[0] && y < y_size && z < z_size;
            inside.then_some((x * y_size + y) * z_size + z)
        })
    }

    /// Region of the map that each token of a window comes from: 0 for all, unless the shift joined several.
    pub(super) fn regions(&self, window: usize) -> impl Iterator<Item = u8> + use<> {
        let (counts, partition) = (self.counts(), *self);
        let corner = nth(counts, window);
        indices(self.window_shape).map(move |token| {
            (0..3).fold(0, |region, axis| {
                let last = corner[axis] + 1 == counts[axis];
                let wrapped = token[axis] >= partition.window_shape[axis] - partition.shift[axis];
                2 * region + u8::from(last && wrapped && partition.shift[axis] > 0)
            })
        })
    }

    /// Relative position index: the row of the bias table for each pair of tokens, `[tokens, tokens]`, queries first.
    ///
    /// As in MONAI, a window smaller than the full one reads the corner of the full index matrix, as if its tokens were
    /// the first of a full window (`docs/src/explanation/method.md` 3.4).
    pub(super) fn relative_position_index(&self) -> Vec<u32> {
        let side = 2 * self.window_size - 1;
        let tokens: Vec<[usize; 3]> = indices([self.window_size; 3]).take(self.tokens()).collect();
        let mut positions = Vec::with_capacity(tokens.len() * tokens.len());
        for query in &tokens {
            for key in &tokens {
                let offset = |axis: usize| query[axis] + self.window_size - 1 - key[axis];
                positions.push(((offset(0) * side + offset(1)) * side + offset(2)) as u32);
            }
        }
        positions
    }

    /// Shift mask of the scores, `[windows, tokens, tokens]`; `None` without a shift.
    pub(super) fn shift_mask(&self) -> Option<Vec<f32>> {
        if !self.is_shifted() {
            return None;
        }
        let mut mask = Vec::new();
        for window in 0..self.count() {
            let regions: Vec<u8> = self.regions(window).collect();
            for query in &regions {
                mask.extend(regions.iter().map(|key| if key == query { 0.0 } else { SHIFT_MASK_VALUE }));
            }
        }
        Some(mask)
    }

    /// Cuts a map `[batch, x, y, z, channels]` into `[batch · windows, tokens, channels]`.
    pub(super) fn partition(&self, map: Tensor<5>) -> Tensor<3> {
        let [batch, x, y, z, channels] = map.dims();
        let [px, py, pz] = self.padded();
        let mut map = map;
        if [px, py, pz] != [x, y, z] {
            map = map.pad([(0, 0), (0, px - x), (0, py - y), (0, pz - z), (0, 0)], 0.0);
        }
        if self.is_shifted() {
            map = map.roll(&self.shift.map(|shift| -(shift as i64)), &[1, 2, 3]);
        }
        let ([nx, ny, nz], [wx, wy, wz]) = (self.counts(), self.window_shape);
        // [batch, nx·wx, ny·wy, nz·wz, channels] -> [batch·nx·ny·nz, wx·wy·wz, channels]
        map.reshape([batch, nx, wx, ny, wy, nz, wz, channels]).permute([0, 1, 3, 5, 2, 4, 6, 7]).reshape([
            batch * nx * ny * nz,
            wx * wy * wz,
            channels,
        ])
    }

    /// Inverse of [`Self::partition`] (Swin's `window_reverse`).
    pub(super) fn reverse(&self, windows: Tensor<3>) -> Tensor<5> {
        let [total, _, channels] = windows.dims();
        let ([nx, ny, nz], [wx, wy, wz]) = (self.counts(), self.window_shape);
        let batch = total / (nx * ny * nz);
        let [px, py, pz] = self.padded();
        let mut map = windows
            .reshape([batch, nx, ny, nz, wx, wy, wz, channels])
            .permute([0, 1, 4, 2, 5, 3, 6, 7])
            .reshape([batch, px, py, pz, channels]);
        if self.is_shifted() {
            map = map.roll(&self.shift.map(|shift| shift as i64), &[1, 2, 3]);
        }
        let [x, y, z] = self.size;
        if [px, py, pz] == self.size { map } else { map.slice([0..batch, 0..x, 0..y, 0..z, 0..channels]) }
    }
}

/// All indices of a small grid, the last axis fastest.
fn indices(shape: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..shape.iter().product()).map(move |index| nth(shape, index))
}

fn nth([_, y_size, z_size]: [usize; 3], index: usize) -> [usize; 3] {
    [index / (y_size * z_size), index / z_size % y_size, index % z_size]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn counting_map(shape: [usize; 3]) -> Tensor<5> {
        let [x, y, z] = shape;
        Tensor::arange(0..(x * y * z) as i64, &Device::flex()).float().reshape([1, x, y, z, 1])
    }

    #[test]
    fn reverse_inverts_partition() {
        for (shape, side, shift) in [([8, 8, 8], 4, 2), ([5, 9, 3], 4, 2), ([6, 6, 6], 7, 3)] {
            let map = counting_map(shape);
            let partition = WindowPartition::new(shape, side, shift);
            let difference = partition.reverse(partition.partition(map.clone())) - map;
            assert_eq!(difference.abs().max().into_scalar::<f32>(), 0.0);
        }
    }

    #[test]
    fn token_indices_equal_the_partition() {
        for (shape, side, shift) in [([8, 8, 8], 4, 2), ([5, 9, 3], 4, 2), ([6, 6, 6], 7, 3)] {
            let partition = WindowPartition::new(shape, side, shift);
            // One more than its index, so that padding is 0.
            let cut = partition.partition(counting_map(shape) + 1.0).into_data().try_to_vec::<f32>().unwrap();
            let indices = (0..partition.count()).flat_map(|window| partition.token_indices(window));
            let found: Vec<f32> =
                indices.map(|index| index.map_or(0.0, |index| index as f32 + 1.0)).collect();
            assert_eq!(found, cut);
        }
    }

    #[test]
    fn an_axis_shorter_than_the_window_is_not_shifted() {
        let partition = WindowPartition::new([6, 14, 7], 7, 3);
        assert_eq!(partition.window_shape, [6, 7, 7]);
        assert_eq!(partition.shift, [0, 3, 0]);
    }

    #[test]
    fn only_tokens_wrapped_by_the_shift_are_masked() {
        assert!(WindowPartition::new([8, 8, 8], 4, 0).shift_mask().is_none());
        // One axis of 8 tokens, partition of 4, shift 2: rolled tokens are 2 3 4 5 | 6 7 0 1.
        let mask = WindowPartition::new([8, 1, 1], 4, 2).shift_mask().expect("it is shifted");
        let masked: Vec<bool> = mask.into_iter().map(|score| score == SHIFT_MASK_VALUE).collect();
        assert!(masked[..16].iter().all(|masked| !masked), "the first window has one region");
        let expected = [[false, false, true, true], [false, false, true, true]];
        assert_eq!(masked[16..24], expected.concat(), "6 and 7 do not see 0 and 1");
    }
}

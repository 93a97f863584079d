//! Attention inside (shifted) attention windows with relative position bias.

use bipvl_kernels::{AttentionInput, attention};
use burn::{
    module::{Module, Param},
    nn::Linear,
    tensor::{Device, Int, Tensor, TensorData},
};

use super::init::Initializer;

/// Added to the score of two tokens that the shift brought together from far apart.
const APART: f32 = -100.0;

/// How a feature map is cut into attention windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    /// Tokens of the map, per axis.
    pub(super) map: [usize; 3],
    /// Tokens of a window, per axis.
    pub(super) window: [usize; 3],
    /// Tokens the map is rolled back by before it is cut, per axis.
    pub(super) shift: [usize; 3],
}

impl Windows {
    /// The window rule: an axis that is not larger than the window is one window and is never shifted.
    pub(super) fn new(map: [usize; 3], window: usize, shift: usize) -> Self {
        let fits = map.map(|size| size <= window);
        let pick = |axis: usize, small: usize, large: usize| if fits[axis] { small } else { large };
        Self {
            map,
            window: std::array::from_fn(|axis| pick(axis, map[axis], window)),
            shift: std::array::from_fn(|axis| pick(axis, 0, shift)),
        }
    }

    fn is_shifted(&self) -> bool {
        self.shift != [0; 3]
    }

    /// Tokens of one window.
    pub(super) fn tokens(&self) -> usize {
        self.window.iter().product()
    }

    /// The map's shape, padded at the far ends to whole windows.
    fn padded(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.map[axis].next_multiple_of(self.window[axis]))
    }

    fn counts(&self) -> [usize; 3] {
        let padded = self.padded();
        std::array::from_fn(|axis| padded[axis] / self.window[axis])
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
        let ([nx, ny, nz], [wx, wy, wz]) = (self.counts(), self.window);
        // [batch, nx·wx, ny·wy, nz·wz, channels] -> [batch·nx·ny·nz, wx·wy·wz, channels]
        map.reshape([batch, nx, wx, ny, wy, nz, wz, channels]).permute([0, 1, 3, 5, 2, 4, 6, 7]).reshape([
            batch * nx * ny * nz,
            wx * wy * wz,
            channels,
        ])
    }

    /// Puts windows back into a map; undoes [`Self::partition`].
    pub(super) fn join(&self, windows: Tensor<3>) -> Tensor<5> {
        let [total, _, channels] = windows.dims();
        let ([nx, ny, nz], [wx, wy, wz]) = (self.counts(), self.window);
        let batch = total / (nx * ny * nz);
        let [px, py, pz] = self.padded();
        let mut map = windows
            .reshape([batch, nx, ny, nz, wx, wy, wz, channels])
            .permute([0, 1, 4, 2, 5, 3, 6, 7])
            .reshape([batch, px, py, pz, channels]);
        if self.is_shifted() {
            map = map.roll(&self.shift.map(|shift| shift as i64), &[1, 2, 3]);
        }
        let [x, y, z] = self.map;
        if [px, py, pz] == self.map { map } else { map.slice([0..batch, 0..x, 0..y, 0..z, 0..channels]) }
    }

    /// Which of up to 27 regions each token of each window belongs to after the shift.
    fn regions(&self) -> Vec<u8> {
        let padded = self.padded();
        let region = |axis: usize, at: usize| {
            let (size, window, shift) = (padded[axis], self.window[axis], self.shift[axis]);
            u8::from(at >= size - window) + u8::from(shift > 0 && at >= size - shift)
        };
        let mut regions = Vec::with_capacity(padded.iter().product());
        let ([nx, ny, nz], [wx, wy, wz]) = (self.counts(), self.window);
        for window in indices([nx, ny, nz]) {
            for token in indices([wx, wy, wz]) {
                let at = |axis: usize| window[axis] * self.window[axis] + token[axis];
                regions.push(9 * region(0, at(0)) + 3 * region(1, at(1)) + region(2, at(2)));
            }
        }
        regions
    }

    /// Constant scores `[windows, tokens, tokens]` that keep the regions of a shifted map apart.
    pub(super) fn mask(&self, device: &Device) -> Option<Tensor<3>> {
        if !self.is_shifted() {
            return None;
        }
        let (tokens, regions) = (self.tokens(), self.regions());
        let mut mask = Vec::with_capacity(regions.len() * tokens);
        for window in regions.chunks(tokens) {
            for query in window {
                mask.extend(window.iter().map(|key| if key == query { 0.0 } else { APART }));
            }
        }
        let shape = [regions.len() / tokens, tokens, tokens];
        Some(Tensor::from_data(TensorData::new(mask, shape), device))
    }
}

/// All indices of a small grid, the last axis fastest.
fn indices(shape: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [_, y_size, z_size] = shape;
    (0..shape.iter().product()).map(move |i| [i / (y_size * z_size), i / z_size % y_size, i % z_size])
}

/// Multi-head attention of the tokens of a window, with a learned bias per relative position.
#[derive(Module, Debug)]
pub struct WindowAttention {
    /// Query, key and value in one.
    pub qkv: Linear,
    /// After the heads are joined.
    pub projection: Linear,
    /// Bias per relative position and head, `[(2·window − 1)³, heads]`.
    pub bias_table: Param<Tensor<2>>,
    heads: usize,
    window: usize,
}

impl WindowAttention {
    /// Attention over `channels` split into `heads`, in windows of at most `window`³ tokens.
    pub fn new(init: &mut Initializer, channels: usize, heads: usize, window: usize) -> Self {
        Self {
            qkv: init.linear(channels, 3 * channels),
            projection: init.linear(channels, channels),
            bias_table: init.normal([(2 * window - 1).pow(3), heads], 0.02),
            heads,
            window,
        }
    }

    /// # Shapes
    ///
    /// - `windows` and output: `[batch · windows, tokens, channels]`
    /// - `mask`: `[windows, tokens, tokens]`
    pub fn forward(&self, windows: Tensor<3>, mask: Option<Tensor<3>>) -> Tensor<3> {
        let [total, tokens, channels] = windows.dims();
        let width = channels / self.heads;
        // [total, tokens, 3·channels] -> three times [total, tokens, heads, width]
        let [query, key, value] = self
            .qkv
            .forward(windows)
            .reshape([total, tokens, 3, self.heads, width])
            .split(1, 2)
            .try_into()
            .map(|parts: [Tensor<5>; 3]| parts.map(|part| part.squeeze_dim::<4>(2)))
            .expect("query, key and value are three");
        let bias = Some(self.bias(tokens));
        let attended = attention(AttentionInput { query, key, value, bias, mask });
        self.projection.forward(attended.reshape([total, tokens, channels]))
    }

    /// The bias of each pair of tokens, `[heads, tokens, tokens]`.
    ///
    /// MONAI's rule is kept: a window smaller than the full one reads the corner of the full index matrix,
    /// as if its tokens were the first of a full window (`paper.md` 3.4).
    fn bias(&self, tokens: usize) -> Tensor<3> {
        let side = 2 * self.window - 1;
        let positions: Vec<[usize; 3]> = indices([self.window; 3]).take(tokens).collect();
        let mut index = Vec::with_capacity(tokens * tokens);
        for query in &positions {
            for key in &positions {
                let away = |axis: usize| query[axis] + self.window - 1 - key[axis];
                index.push(((away(0) * side + away(1)) * side + away(2)) as i64);
            }
        }
        let count = index.len();
        let device = self.bias_table.device();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [count]), &device);
        let table = self.bias_table.val().select(0, index);
        table.reshape([tokens, tokens, self.heads]).permute([2, 0, 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting_map(shape: [usize; 3]) -> Tensor<5> {
        let [x, y, z] = shape;
        Tensor::arange(0..(x * y * z) as i64, &Device::flex()).float().reshape([1, x, y, z, 1])
    }

    #[test]
    fn windows_are_joined_as_they_were_cut() {
        for (shape, window, shift) in [([8, 8, 8], 4, 2), ([5, 9, 3], 4, 2), ([6, 6, 6], 7, 3)] {
            let map = counting_map(shape);
            let windows = Windows::new(shape, window, shift);
            let difference = windows.join(windows.partition(map.clone())) - map;
            assert_eq!(difference.abs().max().into_scalar::<f32>(), 0.0);
        }
    }

    #[test]
    fn a_small_axis_is_one_window_without_shift() {
        let windows = Windows::new([6, 14, 7], 7, 3);
        assert_eq!(windows.window, [6, 7, 7]);
        assert_eq!(windows.shift, [0, 3, 0]);
    }

    #[test]
    fn an_unshifted_map_has_no_mask_and_a_shifted_one_keeps_wrapped_tokens_apart() {
        let device = Device::flex();
        assert!(Windows::new([8, 8, 8], 4, 0).mask(&device).is_none());
        // One axis of 8 tokens, windows of 4, shift 2: rolled tokens are 2 3 4 5 | 6 7 0 1.
        let mask = Windows::new([8, 1, 1], 4, 2).mask(&device).expect("it is shifted");
        let apart: Vec<bool> =
            mask.into_data().try_to_vec::<f32>().unwrap().iter().map(|v| *v == APART).collect();
        assert!(apart[..16].iter().all(|apart| !apart), "the first window has one region");
        let expected = [[false, false, true, true], [false, false, true, true]];
        assert_eq!(apart[16..24], expected.concat(), "6 and 7 do not see 0 and 1");
    }
}

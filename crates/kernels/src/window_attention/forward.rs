//! The forward pass: one head of one window at a time, some rows of scores at a time.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{Call, QUERIES, Room, Shape, Slices};
use crate::{
    fresh::by_places,
    product::{Into, Left, Right, Sums, multiply_panels},
    scatter::Scatter,
};

/// `[batch, x, y, z, heads · width]`
pub(super) fn forward(shape: &Shape, input: Slices) -> Vec<f32> {
    let call = Call::new(shape, input);
    let windows = shape.batch * shape.partition.count();
    let voxels = shape.partition.size.iter().product::<usize>();
    let biases: Vec<Vec<f32>> = (0..shape.heads).into_par_iter().map(|head| call.bias(head)).collect();
    let arch = Arch::new();
    let write = |into: &Scatter| {
        (0..shape.heads * windows).into_par_iter().for_each_init(Room::default, |room, index| {
            let (head, window) = (index / windows, index % windows);
            arch.dispatch(Forward { call: &call, head, window, bias: &biases[head], room, into });
        });
    };
    // SAFETY: every voxel lies in one window, and every head writes channels of its own, which are all there are.
    unsafe { by_places(shape.batch * voxels * call.channels(), write).0 }
}

/// One head of one window.
struct Forward<'a> {
    call: &'a Call<'a>,
    head: usize,
    window: usize,
    bias: &'a [f32],
    room: &'a mut Room,
    into: &'a Scatter<'a>,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { call, head, window, bias, room, into } = self;
        let Call { shape: Shape { width, .. }, columns, values, .. } = *call;
        let stride = values.columns();
        room.enter(call, head, window);
        room.output.resize(QUERIES * stride, 0.0);
        for first in (0..call.tokens).step_by(QUERIES) {
            room.weigh(simd, call, bias, first);
            let left = Left { values: &room.scores, row: columns, term: 1 };
            let right = Right { values: &room.value, term: stride };
            let sums = Into { values: &mut room.output, row: stride, rows: QUERIES, sums: Sums::Fresh };
            multiply_panels(simd, values, call.tokens, left, right, sums);
            for (place, output) in room.places[first..].iter().zip(room.output.chunks_exact(stride)) {
                if let Some(place) = place {
                    // SAFETY: a token lies in one window, and each head has channels of its own.
                    unsafe { into.write(place * call.channels() + head * width, &output[..width]) };
                }
            }
        }
    }
}

//! The gradients.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{Call, QUERIES, Room, Shape, Slices, turn};
use crate::{
    fresh::by_places,
    product::{Into, Left, Right, Sums, multiply_panels},
    scatter::Scatter,
    vector,
};

/// Parts of the windows whose sums are kept apart: fixed, so that results do not depend on threads.
const PARTS: usize = 8;
/// The gradients, shaped as the inputs.
pub(super) struct WindowGradients {
    pub(super) qkv: Vec<f32>,
    pub(super) padding: Vec<f32>,
    pub(super) bias_table: Vec<f32>,
}

/// Sums of one part of the windows, for one head.
struct PartSums {
    /// By pair of tokens, `[rows, columns]`; in the end by relative position.
    bias: Vec<f32>,
    /// Of the padding token's query, key and value.
    padding: [Vec<f32>; 3],
}

impl PartSums {
    fn new(call: &Call) -> Self {
        let padding = [(); 3].map(|()| vec![0.0; call.shape.width]);
        Self { bias: vec![0.0; call.rows * call.columns], padding }
    }
}

/// The gradients; probabilities are computed again instead of kept.
pub(super) fn backward(shape: &Shape, input: Slices, gradient: &[f32]) -> WindowGradients {
    let call = Call::new(shape, input);
    let windows = shape.batch * shape.partition.count();
    let part = windows.div_ceil(PARTS);
    let parts = windows.div_ceil(part);
    let arch = Arch::new();
    let task_sums = |into: &Scatter, task: usize| {
        let (head, from) = (task / parts, task % parts * part);
        let bias = call.bias(head);
        let mut room = GradientRoom::default();
        let mut sums = PartSums::new(&call);
        for window in from..(from + part).min(windows) {
            arch.dispatch(Gradient {
                call: &call,
                head,
                window,
                bias: &bias,
                arriving: gradient,
                room: &mut room,
                sums: &mut sums,
                into,
            });
        }
        PartSums { bias: call.by_position(&sums.bias), ..sums }
    };
    let write = |into: &Scatter| -> Vec<PartSums> {
        (0..shape.heads * parts).into_par_iter().map(|task| task_sums(into, task)).collect()
    };
    // SAFETY: every voxel lies in one window, and every head writes channels of its own of query, key and value.
    let (qkv, sums) = unsafe { by_places(input.qkv.len(), write) };
    let (mut padding, mut bias_table) = (vec![0.0; input.padding.len()], vec![0.0; input.bias_table.len()]);
    for (task, sums) in sums.iter().enumerate() {
        let head = task / parts;
        for (position, value) in sums.bias.iter().enumerate() {
            bias_table[position * shape.heads + head] += value;
        }
        for (part, sums) in sums.padding.iter().enumerate() {
            let at = part * call.channels() + head * shape.width;
            vector::add(&mut padding[at..at + shape.width], sums);
        }
    }
    WindowGradients { qkv, padding, bias_table }
}

impl Call<'_> {
    /// Sums a gradient `[rows, columns]` of the bias by relative position.
    fn by_position(&self, gradient: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0; self.input.bias_table.len() / self.shape.heads];
        let rows = gradient.chunks_exact(self.columns).zip(self.positions.chunks_exact(self.tokens));
        for (row, positions) in rows {
            for (value, position) in row.iter().zip(positions) {
                sums[*position as usize] += value;
            }
        }
        sums
    }
}

/// The gradients of one head of one window.
struct Gradient<'a> {
    call: &'a Call<'a>,
    head: usize,
    window: usize,
    bias: &'a [f32],
    /// The output's gradient.
    arriving: &'a [f32],
    room: &'a mut GradientRoom,
    sums: &'a mut PartSums,
    into: &'a Scatter<'a>,
}

/// What one task uses again from window to window.
#[derive(Default)]
struct GradientRoom {
    room: Room,
    value_columns: Vec<f32>,
    /// The output's gradient of a block of queries.
    arriving: Vec<f32>,
    /// Gradients of the scores of a block of queries.
    slopes: Vec<f32>,
    /// Gradients of query, key and value.
    leaving: [Vec<f32>; 3],
}

impl GradientRoom {
    #[inline(always)]
    fn enter(&mut self, call: &Call, head: usize, window: usize) {
        let stride = call.values.columns();
        self.room.enter(call, head, window);
        turn(&self.room.value, call, &mut self.value_columns);
        self.slopes.resize(QUERIES * call.columns, 0.0);
        for vectors in &mut self.leaving {
            vectors.clear();
            vectors.resize(call.rows * stride, 0.0);
        }
    }

    /// Gathers the output's gradient for the queries from `first` on; padding has none.
    #[inline(always)]
    fn receive(&mut self, call: &Call, head: usize, first: usize, gradient: &[f32]) {
        let (width, stride) = (call.shape.width, call.values.columns());
        self.arriving.clear();
        self.arriving.resize(QUERIES * stride, 0.0);
        for (place, row) in self.room.places[first..].iter().zip(self.arriving.chunks_exact_mut(stride)) {
            if let Some(place) = place {
                let at = place * call.channels() + head * width;
                row[..width].copy_from_slice(&gradient[at..at + width]);
            }
        }
    }
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { call, head, window, bias, arriving: gradient, room, sums, into } = self;
        let Call { columns, rows, values, tokens, .. } = *call;
        let stride = values.columns();
        room.enter(call, head, window);
        for first in (0..tokens).step_by(QUERIES) {
            room.receive(call, head, first, gradient);
            room.room.weigh(simd, call, bias, first);
            let GradientRoom { room, value_columns, arriving, slopes, leaving } = &mut *room;
            let [of_query, of_key, of_value] = leaving;
            // Of the values: probabilitiesᵀ · gradient.
            let left = Left { values: &room.scores, row: 1, term: columns };
            let right = Right { values: arriving, term: stride };
            let all = Into { values: of_value, row: stride, rows, sums: Sums::Continued };
            multiply_panels(simd, values, QUERIES, left, right, all);
            // Of the probabilities: gradient · valuesᵀ; then through the softmax.
            let left = Left { values: arriving, row: stride, term: 1 };
            let right = Right { values: value_columns, term: columns };
            let block = Into { values: slopes, row: columns, rows: QUERIES, sums: Sums::Fresh };
            multiply_panels(simd, call.keys, call.shape.width, left, right, block);
            let of_bias = sums.bias[first * columns..].chunks_exact_mut(columns);
            let by_row = slopes.chunks_exact_mut(columns).zip(room.scores.chunks_exact(columns));
            for ((slopes, row), of_bias) in by_row.zip(of_bias) {
                vector::softmax_gradient_of(&row[..tokens], &mut slopes[..tokens]);
                for (sum, slope) in of_bias[..tokens].iter_mut().zip(&*slopes) {
                    *sum += slope;
                }
            }
            // Of the queries: slopes · keys; of the keys: slopesᵀ · queries.
            let left = Left { values: slopes, row: columns, term: 1 };
            let right = Right { values: &room.key, term: stride };
            let block = &mut of_query[first * stride..];
            let block = Into { values: block, row: stride, rows: QUERIES, sums: Sums::Fresh };
            multiply_panels(simd, values, tokens, left, right, block);
            let left = Left { values: slopes, row: 1, term: columns };
            let right = Right { values: &room.query[first * stride..], term: stride };
            let all = Into { values: of_key, row: stride, rows, sums: Sums::Continued };
            multiply_panels(simd, values, QUERIES, left, right, all);
        }
        room.leave(call, head, sums, into);
    }
}

impl GradientRoom {
    /// Hands the gradients of a window's tokens on; those of padding tokens are summed.
    #[inline(always)]
    fn leave(&mut self, call: &Call, head: usize, sums: &mut PartSums, into: &Scatter) {
        let (width, channels, stride) = (call.shape.width, call.channels(), call.values.columns());
        for query in &mut self.leaving[0] {
            *query *= call.scale();
        }
        for (part, rows) in self.leaving.iter().enumerate() {
            for (place, row) in self.room.places.iter().zip(rows.chunks_exact(stride)) {
                let Some(place) = place else {
                    sums.padding[part].iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                    continue;
                };
                // SAFETY: a token lies in one window, and each head has channels of its own.
                unsafe { into.write((place * 3 + part) * channels + head * width, &row[..width]) };
            }
        }
    }
}

//! Window attention on slices: one head of one window at a time, [`QUERIES`] rows of scores at a time.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::windows::{APART, Windows};
use crate::{
    product::{Into, Left, Panels, Right, Sums, multiply_panels},
    scatter::Scatter,
    vector,
};

/// Rows of scores that are alive together; they fit the L1 cache, and every register tile divides them.
const QUERIES: usize = 16;
/// Key columns are padded to a multiple of this, which every width of a panel divides.
const KEYS: usize = 96;
/// Parts of the windows whose sums are kept apart: fixed, so that results do not depend on threads.
const PARTS: usize = 8;
/// Score of a column that is no key: nothing is left of it after the softmax.
const NO_KEY: f32 = -1e30;

/// Sizes of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) width: usize,
    pub(super) windows: Windows,
}

/// The inputs: tokens `[batch, x, y, z, 3, heads, width]`, one padding token, and the bias table.
#[derive(Clone, Copy)]
pub(super) struct Slices<'a> {
    pub(super) qkv: &'a [f32],
    pub(super) padding: &'a [f32],
    pub(super) bias_table: &'a [f32],
}

/// The gradients, shaped as the inputs.
pub(super) struct WindowGradients {
    pub(super) qkv: Vec<f32>,
    pub(super) padding: Vec<f32>,
    pub(super) bias_table: Vec<f32>,
}

/// What every task of one call shares.
struct Call<'a> {
    shape: Shape,
    input: Slices<'a>,
    tokens: usize,
    /// Tokens rounded up to whole blocks of queries.
    rows: usize,
    /// Tokens rounded up to whole panels of keys.
    columns: usize,
    keys: Panels,
    values: Panels,
    positions: Vec<u32>,
}

impl<'a> Call<'a> {
    fn new(shape: &Shape, input: Slices<'a>) -> Self {
        let tokens = shape.windows.tokens();
        Self {
            shape: *shape,
            input,
            tokens,
            rows: tokens.next_multiple_of(QUERIES),
            columns: tokens.next_multiple_of(KEYS),
            keys: Panels::of(tokens),
            values: Panels::of(shape.width),
            positions: shape.windows.positions(),
        }
    }

    fn channels(&self) -> usize {
        self.shape.heads * self.shape.width
    }

    /// The bias of one head, `[rows, columns]`; columns beyond the tokens are no keys.
    fn bias(&self, head: usize) -> Vec<f32> {
        let mut bias = vec![NO_KEY; self.rows * self.columns];
        let rows = bias.chunks_exact_mut(self.columns).zip(self.positions.chunks_exact(self.tokens));
        for (row, positions) in rows {
            for (bias, position) in row.iter_mut().zip(positions) {
                *bias = self.input.bias_table[*position as usize * self.shape.heads + head];
            }
        }
        bias
    }
}

/// `[batch, x, y, z, heads · width]`
pub(super) fn forward(shape: &Shape, input: Slices) -> Vec<f32> {
    let call = Call::new(shape, input);
    let windows = shape.batch * shape.windows.count();
    let voxels = shape.windows.map.iter().product::<usize>();
    let mut output = vec![0.0; shape.batch * voxels * call.channels()];
    let into = Scatter::new(&mut output);
    let biases: Vec<Vec<f32>> = (0..shape.heads).into_par_iter().map(|head| call.bias(head)).collect();
    let arch = Arch::new();
    (0..shape.heads * windows).into_par_iter().for_each_init(Room::default, |room, index| {
        let (head, window) = (index / windows, index % windows);
        arch.dispatch(Forward { call: &call, head, window, bias: &biases[head], room, into: &into });
    });
    output
}

/// What one thread uses again from window to window.
#[derive(Default)]
struct Room {
    places: Vec<Option<usize>>,
    /// The region of each token, and one row of constant scores per region where there are several.
    regions: Vec<u8>,
    apart: Vec<f32>,
    /// Rows of one vector per token, and the keys turned into columns.
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    key_columns: Vec<f32>,
    /// Scores, then probabilities, of a block of queries.
    scores: Vec<f32>,
    output: Vec<f32>,
}

/// Which of the three vectors of a token.
#[derive(Clone, Copy)]
enum Part {
    Query,
    Key,
    Value,
}

impl Call<'_> {
    /// One of the vectors of each token of a window, times `scale`.
    #[inline(always)]
    fn gather(&self, places: &[Option<usize>], head: usize, part: Part, scale: f32, into: &mut Vec<f32>) {
        let (width, channels, stride) = (self.shape.width, self.channels(), self.values.columns());
        let at = part as usize * channels + head * width;
        into.clear();
        into.resize(self.rows * stride, 0.0);
        for (place, into) in places.iter().zip(into.chunks_exact_mut(stride)) {
            let token = match place {
                Some(place) => &self.input.qkv[place * 3 * channels..],
                None => self.input.padding,
            };
            for (into, value) in into.iter_mut().zip(&token[at..at + width]) {
                *into = value * scale;
            }
        }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.shape.width as f32).sqrt()
    }
}

impl Room {
    /// Finds the tokens of a window and gathers their vectors of one head.
    #[inline(always)]
    fn enter(&mut self, call: &Call, head: usize, window: usize) {
        let windows = call.shape.windows;
        let (sample, window) = (window / windows.count(), window % windows.count());
        let voxels = windows.map.iter().product::<usize>();
        self.places.clear();
        self.places.extend(windows.places(window).map(|place| Some(sample * voxels + place?)));
        self.regions.clear();
        self.regions.extend(windows.regions(window));
        self.apart.clear();
        if self.regions.iter().any(|region| *region != 0) {
            for region in 0..8 {
                let row = self.regions.iter().map(|other| if *other == region { 0.0 } else { APART });
                self.apart.extend(row);
            }
        }
        call.gather(&self.places, head, Part::Query, call.scale(), &mut self.query);
        call.gather(&self.places, head, Part::Key, 1.0, &mut self.key);
        call.gather(&self.places, head, Part::Value, 1.0, &mut self.value);
        turn(&self.key, call, &mut self.key_columns);
    }

    /// The probabilities of the queries from `first` on, `[QUERIES, columns]`.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, simd: S, call: &Call, bias: &[f32], first: usize) {
        let (stride, columns) = (call.values.columns(), call.columns);
        self.scores.clear();
        self.scores.extend_from_slice(&bias[first * columns..(first + QUERIES) * columns]);
        if !self.apart.is_empty() {
            let regions = self.regions[first..].iter();
            for (scores, region) in self.scores.chunks_exact_mut(columns).zip(regions) {
                let apart = &self.apart[*region as usize * call.tokens..][..call.tokens];
                for (score, apart) in scores.iter_mut().zip(apart) {
                    *score += apart;
                }
            }
        }
        let left = Left { values: &self.query[first * stride..], row: stride, term: 1 };
        let right = Right { values: &self.key_columns, term: columns };
        let into = Into { values: &mut self.scores, row: columns, rows: QUERIES, sums: Sums::Continued };
        multiply_panels(simd, call.keys, call.shape.width, left, right, into);
        for row in self.scores.chunks_exact_mut(columns) {
            vector::softmax_of(&mut row[..call.keys.columns()]);
        }
    }
}

/// Rows of tokens as columns, `[width, columns]`.
#[inline(always)]
fn turn(rows: &[f32], call: &Call, into: &mut Vec<f32>) {
    let Call { shape: Shape { width, .. }, columns, tokens, .. } = *call;
    into.clear();
    into.resize(width * columns, 0.0);
    for (column, row) in rows.chunks_exact(call.values.columns()).take(tokens).enumerate() {
        for (term, value) in row[..width].iter().enumerate() {
            into[term * columns + column] = *value;
        }
    }
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

/// The gradients of [`forward`]; probabilities are computed again instead of kept.
pub(super) fn backward(shape: &Shape, input: Slices, gradient: &[f32]) -> WindowGradients {
    let call = Call::new(shape, input);
    let windows = shape.batch * shape.windows.count();
    let part = windows.div_ceil(PARTS);
    let parts = windows.div_ceil(part);
    let mut qkv = vec![0.0; input.qkv.len()];
    let into = Scatter::new(&mut qkv);
    let arch = Arch::new();
    let sums: Vec<PartSums> = (0..shape.heads * parts)
        .into_par_iter()
        .map(|task| {
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
                    into: &into,
                });
            }
            PartSums { bias: call.by_position(&sums.bias), ..sums }
        })
        .collect();
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

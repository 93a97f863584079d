//! What forward and backward share: the tokens of one window, and the probabilities of some queries.

use pulp::Simd;

use super::windows::{APART, WindowPartition};
use crate::{
    product::{Into, Left, Panels, Right, Sums, multiply_panels},
    vector,
};

/// Rows of scores that are alive together; they fit the L1 cache, and every register tile divides them.
pub(super) const QUERIES: usize = 16;
/// Key columns are padded to a multiple of this, which every width of a panel divides.
const KEYS: usize = 96;
/// Score of a column that is no key: nothing is left of it after the softmax.
const NO_KEY: f32 = -1e30;

/// Sizes of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) width: usize,
    pub(super) partition: WindowPartition,
}

/// The inputs: tokens `[batch, x, y, z, 3, heads, width]`, one padding token, and the bias table.
#[derive(Clone, Copy)]
pub(super) struct Slices<'a> {
    pub(super) qkv: &'a [f32],
    pub(super) padding: &'a [f32],
    pub(super) bias_table: &'a [f32],
}

/// What every task of one call shares.
pub(super) struct Call<'a> {
    pub(super) shape: Shape,
    pub(super) input: Slices<'a>,
    pub(super) tokens: usize,
    /// Tokens rounded up to whole blocks of queries.
    pub(super) rows: usize,
    /// Tokens rounded up to whole panels of keys.
    pub(super) columns: usize,
    pub(super) keys: Panels,
    pub(super) values: Panels,
    pub(super) positions: Vec<u32>,
}

impl<'a> Call<'a> {
    pub(super) fn new(shape: &Shape, input: Slices<'a>) -> Self {
        let tokens = shape.partition.tokens();
        Self {
            shape: *shape,
            input,
            tokens,
            rows: tokens.next_multiple_of(QUERIES),
            columns: tokens.next_multiple_of(KEYS),
            keys: Panels::of(tokens),
            values: Panels::of(shape.width),
            positions: shape.partition.positions(),
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.shape.heads * self.shape.width
    }

    /// The bias of one head, `[rows, columns]`; columns beyond the tokens are no keys.
    pub(super) fn bias(&self, head: usize) -> Vec<f32> {
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

/// What one thread uses again from window to window.
#[derive(Default)]
pub(super) struct Room {
    pub(super) places: Vec<Option<usize>>,
    /// The region of each token, and one row of constant scores per region where there are several.
    regions: Vec<u8>,
    apart: Vec<f32>,
    /// Rows of one vector per token, and the keys turned into columns.
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    key_columns: Vec<f32>,
    /// Scores, then probabilities, of a block of queries.
    pub(super) scores: Vec<f32>,
    pub(super) output: Vec<f32>,
}

/// Which of the three vectors of a token.
#[derive(Clone, Copy)]
pub(super) enum Part {
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

    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.shape.width as f32).sqrt()
    }
}

impl Room {
    /// Finds the tokens of a window and gathers their vectors of one head.
    #[inline(always)]
    pub(super) fn enter(&mut self, call: &Call, head: usize, window: usize) {
        let partition = call.shape.partition;
        let (sample, window) = (window / partition.count(), window % partition.count());
        let voxels = partition.size.iter().product::<usize>();
        self.places.clear();
        self.places.extend(partition.places(window).map(|place| Some(sample * voxels + place?)));
        self.regions.clear();
        self.regions.extend(partition.regions(window));
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
    pub(super) fn weigh<S: Simd>(&mut self, simd: S, call: &Call, bias: &[f32], first: usize) {
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
pub(super) fn turn(rows: &[f32], call: &Call, into: &mut Vec<f32>) {
    let Call { shape: Shape { width, .. }, columns, tokens, .. } = *call;
    into.clear();
    into.resize(width * columns, 0.0);
    for (column, row) in rows.chunks_exact(call.values.columns()).take(tokens).enumerate() {
        for (term, value) in row[..width].iter().enumerate() {
            into[term * columns + column] = *value;
        }
    }
}

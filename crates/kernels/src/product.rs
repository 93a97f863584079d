//! Products of small matrices whose result stays in registers: the innermost loop, written once and
//! compiled for each processor by `pulp`.

use pulp::{Arch, Simd, WithSimd};

/// Vectors one register tile is wide at most.
const WIDEST: usize = 3;

/// How the columns of a product are cut for this processor: panels of equal width, padded with zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels {
    /// Vectors in a panel, 1 to 3.
    vectors: usize,
    /// Columns in a panel.
    pub(crate) width: usize,
    /// Panels that cover all columns.
    pub(crate) count: usize,
    /// Rows that one register tile computes together; a product has a multiple of them.
    pub(crate) rows: usize,
}

impl Panels {
    /// Cuts so many columns.
    pub(crate) fn of(columns: usize) -> Self {
        struct Cut(usize);
        impl WithSimd for Cut {
            type Output = Panels;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> Panels {
                let needed = self.0.div_ceil(S::F32_LANES);
                let count = needed.div_ceil(WIDEST);
                let vectors = needed.div_ceil(count);
                // Sixteen or thirty-two registers: the sums, one row of the right side, one value of the left.
                let rows = match (S::REGISTER_COUNT > 16, vectors) {
                    (true, 1) => 16,
                    (true, _) | (false, 1) => 8,
                    (false, _) => 4,
                };
                Panels { vectors, width: vectors * S::F32_LANES, count, rows }
            }
        }
        Arch::new().dispatch(Cut(columns))
    }

    /// Columns of all panels together.
    pub(crate) fn columns(&self) -> usize {
        self.count * self.width
    }

    /// Columns of panel `index` that are not padding.
    pub(crate) fn filled(&self, index: usize, columns: usize) -> usize {
        self.width.min(columns - index * self.width)
    }
}

/// A side of a product inside a slice, by the distances between its elements.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) values: &'a [f32],
    /// From a row to the next.
    pub(crate) row: usize,
    /// From a term of the sums to the next.
    pub(crate) term: usize,
}

/// The other side; the columns of a term are contiguous.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    pub(crate) values: &'a [f32],
    /// From a term of the sums to the next.
    pub(crate) term: usize,
}

/// What becomes of the sums.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sums {
    /// They start from zero.
    Fresh,
    /// They go on from what the destination holds.
    Continued,
}

/// Where the sums go; the columns of a row are contiguous.
pub(crate) struct Into<'a> {
    pub(crate) values: &'a mut [f32],
    /// From a row to the next.
    pub(crate) row: usize,
    /// Rows to compute, a multiple of [`Panels::rows`].
    pub(crate) rows: usize,
    pub(crate) sums: Sums,
}

/// `into[row][column] (=|+=) Σ left[row][term] · right[term][column]` over `terms` terms, for the columns
/// of one panel.
#[inline(always)]
pub(crate) fn multiply_panel<S: Simd>(
    simd: S,
    panels: Panels,
    terms: usize,
    left: Left,
    right: Right,
    into: Into,
) {
    let Panels { vectors, width, rows: step, .. } = panels;
    let rows = into.rows;
    assert!(rows.is_multiple_of(step) && rows > 0 && terms > 0 && width == vectors * S::F32_LANES);
    assert!((rows - 1) * left.row + (terms - 1) * left.term < left.values.len());
    assert!((terms - 1) * right.term + width <= right.values.len());
    assert!((rows - 1) * into.row + width <= into.values.len());
    for first in (0..rows).step_by(step) {
        // SAFETY: the largest index of each side was checked above, and a register tile stays within
        // `step` rows, `terms` terms and one panel's width.
        unsafe {
            let from = left.values.as_ptr().add(first * left.row);
            let sides = Sides {
                left: from,
                left_row: left.row,
                left_term: left.term,
                right: right.values.as_ptr(),
                right_term: right.term,
                terms,
                into: into.values.as_mut_ptr().add(first * into.row),
                into_row: into.row,
                sums: into.sums,
            };
            match (step, vectors) {
                (16, 1) => sides.tile::<S, 16, 1>(simd),
                (8, 1) => sides.tile::<S, 8, 1>(simd),
                (8, 2) => sides.tile::<S, 8, 2>(simd),
                (8, 3) => sides.tile::<S, 8, 3>(simd),
                (4, 2) => sides.tile::<S, 4, 2>(simd),
                (4, 3) => sides.tile::<S, 4, 3>(simd),
                _ => unreachable!("panels have one of these sizes"),
            }
        }
    }
}

/// The same for the columns of all panels, which stand side by side in `right` and `into`.
#[inline(always)]
pub(crate) fn multiply_panels<S: Simd>(
    simd: S,
    panels: Panels,
    terms: usize,
    left: Left,
    right: Right,
    into: Into,
) {
    let Into { values, row, rows, sums } = into;
    for panel in 0..panels.count {
        let first = panel * panels.width;
        let right = Right { values: &right.values[first..], term: right.term };
        let into = Into { values: &mut values[first..], row, rows, sums };
        multiply_panel(simd, panels, terms, left, right, into);
    }
}

#[derive(Clone, Copy)]
struct Sides {
    left: *const f32,
    left_row: usize,
    left_term: usize,
    right: *const f32,
    right_term: usize,
    terms: usize,
    into: *mut f32,
    into_row: usize,
    sums: Sums,
}

impl Sides {
    /// # Safety
    ///
    /// The left side has `ROWS` rows of `terms` terms at its distances, the right side `terms` terms of
    /// `VECTORS` contiguous vectors, and the destination `ROWS` rows of them.
    #[inline(always)]
    unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let mut tile = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        // SAFETY: the caller's promise bounds every offset; vectors are read and written unaligned.
        unsafe {
            if self.sums == Sums::Continued {
                for (row, tile) in tile.iter_mut().enumerate() {
                    for (vector, sum) in tile.iter_mut().enumerate() {
                        *sum =
                            self.into.add(row * self.into_row).cast::<S::f32s>().add(vector).read_unaligned();
                    }
                }
            }
            let (mut left, mut right) = (self.left, self.right);
            for _ in 0..self.terms {
                let mut columns = [simd.splat_f32s(0.0); VECTORS];
                for (vector, columns) in columns.iter_mut().enumerate() {
                    *columns = right.cast::<S::f32s>().add(vector).read_unaligned();
                }
                for (row, tile) in tile.iter_mut().enumerate() {
                    let value = simd.splat_f32s(*left.add(row * self.left_row));
                    for (sum, columns) in tile.iter_mut().zip(columns) {
                        *sum = simd.mul_add_f32s(value, columns, *sum);
                    }
                }
                left = left.wrapping_add(self.left_term);
                right = right.wrapping_add(self.right_term);
            }
            for (row, tile) in tile.into_iter().enumerate() {
                for (vector, sum) in tile.into_iter().enumerate() {
                    self.into.add(row * self.into_row).cast::<S::f32s>().add(vector).write_unaligned(sum);
                }
            }
        }
    }
}

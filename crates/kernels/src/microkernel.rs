//! The microkernel: products of small matrices whose result stays in registers, written once and compiled for each
//! instruction set by `pulp`.

use pulp::{Arch, Simd, WithSimd};

/// Most vectors in a row of a register tile.
const MAX_VECTORS: usize = 3;

/// How the columns of a product are divided on this processor: panels of equal width, padded with zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels {
    /// Vectors in a row of a panel, 1 to 3.
    vectors: usize,
    /// Columns of a panel.
    pub(crate) width: usize,
    /// Number of panels.
    pub(crate) count: usize,
    /// Rows of a register tile; the rows of a product are a multiple of it.
    pub(crate) tile_rows: usize,
}

impl Panels {
    /// Panels of this many columns.
    pub(crate) fn new(columns: usize) -> Self {
        struct Layout(usize);
        impl WithSimd for Layout {
            type Output = Panels;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> Panels {
                let needed = self.0.div_ceil(S::F32_LANES);
                let count = needed.div_ceil(MAX_VECTORS);
                let vectors = needed.div_ceil(count);
                // 16 or 32 registers hold the sums, one row of the right-hand side and one value of the left.
                let tile_rows = match (S::REGISTER_COUNT > 16, vectors) {
                    (true, 1) => 16,
                    (true, _) | (false, 1) => 8,
                    (false, _) => 4,
                };
                Panels { vectors, width: vectors * S::F32_LANES, count, tile_rows }
            }
        }
        Arch::new().dispatch(Layout(columns))
    }

    /// Columns of all panels, padding included.
    pub(crate) fn padded_columns(&self) -> usize {
        self.count * self.width
    }

    /// Columns of panel `index` without padding, of `columns` in all.
    pub(crate) fn valid_columns(&self, index: usize, columns: usize) -> usize {
        self.width.min(columns - index * self.width)
    }
}

/// Left-hand side of a product, `[rows, k]`.
#[derive(Clone, Copy)]
pub(crate) struct Lhs<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) k_stride: usize,
}

/// Right-hand side of a product, `[k, columns]`, columns contiguous.
#[derive(Clone, Copy)]
pub(crate) struct Rhs<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) k_stride: usize,
}

/// Factor of the destination, as in BLAS.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Beta {
    /// The product overwrites the destination.
    Zero,
    /// The product is added to the destination.
    One,
}

/// Destination of a product, `[rows, columns]`, columns contiguous.
pub(crate) struct Dst<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) row_stride: usize,
    /// A multiple of [`Panels::tile_rows`].
    pub(crate) rows: usize,
    pub(crate) beta: Beta,
}

/// `dst = lhs · rhs + beta · dst` with inner dimension `k`, for the columns of one panel.
#[inline(always)]
pub(crate) fn multiply_panel<S: Simd>(simd: S, panels: Panels, k: usize, lhs: Lhs, rhs: Rhs, dst: Dst) {
    let Panels { vectors, width, tile_rows, .. } = panels;
    let rows = dst.rows;
    assert!(rows.is_multiple_of(tile_rows) && rows > 0 && k > 0 && width == vectors * S::F32_LANES);
    assert!((rows - 1) * lhs.row_stride + (k - 1) * lhs.k_stride < lhs.values.len());
    assert!((k - 1) * rhs.k_stride + width <= rhs.values.len());
    assert!((rows - 1) * dst.row_stride + width <= dst.values.len());
    for first in (0..rows).step_by(tile_rows) {
        // SAFETY: the largest index of each operand was checked above, and a register tile stays within `tile_rows`
        // rows, inner dimension `k` and the width of one panel.
        unsafe {
            let tile = RegisterTile {
                lhs: lhs.values.as_ptr().add(first * lhs.row_stride),
                lhs_row_stride: lhs.row_stride,
                lhs_k_stride: lhs.k_stride,
                rhs: rhs.values.as_ptr(),
                rhs_k_stride: rhs.k_stride,
                k,
                dst: dst.values.as_mut_ptr().add(first * dst.row_stride),
                dst_row_stride: dst.row_stride,
                beta: dst.beta,
            };
            match (tile_rows, vectors) {
                (16, 1) => tile.multiply::<S, 16, 1>(simd),
                (8, 1) => tile.multiply::<S, 8, 1>(simd),
                (8, 2) => tile.multiply::<S, 8, 2>(simd),
                (8, 3) => tile.multiply::<S, 8, 3>(simd),
                (4, 2) => tile.multiply::<S, 4, 2>(simd),
                (4, 3) => tile.multiply::<S, 4, 3>(simd),
                _ => unreachable!("`Panels::new` makes tiles of these sizes only"),
            }
        }
    }
}

/// [`multiply_panel`] for all panels, side by side in `rhs` and `dst`.
#[inline(always)]
pub(crate) fn multiply_panels<S: Simd>(simd: S, panels: Panels, k: usize, lhs: Lhs, rhs: Rhs, dst: Dst) {
    let Dst { values, row_stride, rows, beta } = dst;
    for panel in 0..panels.count {
        let first = panel * panels.width;
        let rhs = Rhs { values: &rhs.values[first..], k_stride: rhs.k_stride };
        let dst = Dst { values: &mut values[first..], row_stride, rows, beta };
        multiply_panel(simd, panels, k, lhs, rhs, dst);
    }
}

#[derive(Clone, Copy)]
struct RegisterTile {
    lhs: *const f32,
    lhs_row_stride: usize,
    lhs_k_stride: usize,
    rhs: *const f32,
    rhs_k_stride: usize,
    k: usize,
    dst: *mut f32,
    dst_row_stride: usize,
    beta: Beta,
}

impl RegisterTile {
    /// # Safety
    ///
    /// At their strides, `lhs` has `ROWS` rows of `k` values, `rhs` has `k` rows and `dst` has `ROWS` rows of
    /// `VECTORS` contiguous vectors.
    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let mut tile = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        // SAFETY: the caller's promise bounds every offset; vectors are read and written unaligned.
        unsafe {
            if self.beta == Beta::One {
                for (row, tile) in tile.iter_mut().enumerate() {
                    let dst = self.dst.add(row * self.dst_row_stride).cast::<S::f32s>();
                    for (vector, sum) in tile.iter_mut().enumerate() {
                        *sum = dst.add(vector).read_unaligned();
                    }
                }
            }
            let (mut lhs, mut rhs) = (self.lhs, self.rhs);
            for _ in 0..self.k {
                let mut columns = [simd.splat_f32s(0.0); VECTORS];
                for (vector, columns) in columns.iter_mut().enumerate() {
                    *columns = rhs.cast::<S::f32s>().add(vector).read_unaligned();
                }
                for (row, tile) in tile.iter_mut().enumerate() {
                    let value = simd.splat_f32s(*lhs.add(row * self.lhs_row_stride));
                    for (sum, columns) in tile.iter_mut().zip(columns) {
                        *sum = simd.mul_add_f32s(value, columns, *sum);
                    }
                }
                lhs = lhs.wrapping_add(self.lhs_k_stride);
                rhs = rhs.wrapping_add(self.rhs_k_stride);
            }
            for (row, tile) in tile.into_iter().enumerate() {
                let dst = self.dst.add(row * self.dst_row_stride).cast::<S::f32s>();
                for (vector, sum) in tile.into_iter().enumerate() {
                    dst.add(vector).write_unaligned(sum);
                }
            }
        }
    }
}

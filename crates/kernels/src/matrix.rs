//! Products of strided matrices by the `gemm` crate, checked.

use gemm::Parallelism;

/// A read-only matrix in a slice; its rows may overlap in memory.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` contiguous values, `row_stride` apart.
    pub(crate) fn from_rows(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose, without a copy.
    pub(crate) fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn last_index(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride
    }
}

/// Whether a product replaces the values of its destination.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Output {
    /// It replaces them.
    Overwrite,
    /// It is added to them.
    Accumulate,
}

/// `dst (=|+=) alpha · lhs · rhs`; `dst` has rows of contiguous values, `row_stride` apart.
///
/// # Panics
///
/// When the inner dimensions differ or a matrix exceeds its slice.
pub(crate) fn multiply(
    dst: &mut [f32],
    row_stride: usize,
    output: Output,
    alpha: f32,
    lhs: Matrix,
    rhs: Matrix,
) {
    let (m, n, k) = (lhs.rows, rhs.columns, lhs.columns);
    assert_eq!(k, rhs.rows, "inner dimensions of a product are equal");
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(n <= row_stride || m == 1, "rows of the destination overlap");
    assert!((m - 1) * row_stride + n <= dst.len(), "the destination exceeds its slice");
    assert!(lhs.last_index() < lhs.data.len(), "the left matrix exceeds its slice");
    assert!(rhs.last_index() < rhs.data.len(), "the right matrix exceeds its slice");
    // SAFETY: the three index ranges were checked above, the destination is borrowed exclusively and
    // its rows do not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            row_stride as isize,
            output == Output::Accumulate,
            lhs.data.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            // Callers parallelize over products.
            Parallelism::None,
        );
    }
}

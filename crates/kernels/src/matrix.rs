//! Strided matrices inside slices and their product; the only door to the `gemm` crate.

use gemm::Parallelism;

/// A read-only matrix inside a slice; rows may overlap in memory.
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
    pub(crate) fn rows(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose, without a copy.
    pub(crate) fn transposed(self) -> Self {
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

/// What becomes of the values that stand in the destination.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Into {
    /// They are replaced.
    Replace,
    /// The product is added to them.
    Add,
}

/// `into (=|+=) scale · left · right`; `into` has rows of contiguous values, `row_stride` apart.
pub(crate) fn multiply(
    into: &mut [f32],
    row_stride: usize,
    mode: Into,
    scale: f32,
    left: Matrix,
    right: Matrix,
) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert_eq!(k, right.rows, "inner sizes of a product must agree");
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(n <= row_stride || m == 1, "rows of the destination must not overlap");
    assert!((m - 1) * row_stride + n <= into.len(), "the destination is too short");
    assert!(left.last_index() < left.data.len(), "the left matrix leaves its slice");
    assert!(right.last_index() < right.data.len(), "the right matrix leaves its slice");
    // SAFETY: the three index ranges were checked above, the destination is borrowed exclusively and
    // its rows do not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            into.as_mut_ptr(),
            1,
            row_stride as isize,
            mode == Into::Add,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            // The caller divides the work among threads.
            Parallelism::None,
        );
    }
}

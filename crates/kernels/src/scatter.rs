//! A slice that several tasks write at once, each at its own indices.

use std::{marker::PhantomData, mem::MaybeUninit};

/// Shared write access to a slice.
pub(crate) struct Scatter<'a> {
    start: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: the pointer is only written through, and callers of `write` promise disjoint ranges.
unsafe impl Sync for Scatter<'_> {}

impl<'a> Scatter<'a> {
    /// Borrows the slice for as long as tasks write to it.
    pub(crate) fn new(slice: &'a mut [MaybeUninit<f32>]) -> Self {
        Self { start: slice.as_mut_ptr().cast(), len: slice.len(), slice: PhantomData }
    }

    /// Copies `values` to `index` and the following elements.
    ///
    /// # Panics
    ///
    /// When they reach beyond the slice.
    ///
    /// # Safety
    ///
    /// No other task writes to this range.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, index: usize, values: &[f32]) {
        assert!(index + values.len() <= self.len, "a scattered write beyond the slice");
        // SAFETY: the range was checked, the slice is borrowed exclusively, and the caller promises that
        // no other task writes here.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.add(index), values.len()) };
    }
}

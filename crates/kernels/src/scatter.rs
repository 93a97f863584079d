//! A slice that several tasks write to at once, each at places of its own.

use std::{marker::PhantomData, mem::MaybeUninit};

/// Where the tasks write.
pub(crate) struct Scatter<'a> {
    start: *mut f32,
    length: usize,
    slice: PhantomData<&'a mut [MaybeUninit<f32>]>,
}

// SAFETY: the pointer is only written through, and `write` asks its callers for places of their own.
unsafe impl Sync for Scatter<'_> {}

impl<'a> Scatter<'a> {
    /// Borrows the slice for as long as tasks write to it.
    pub(crate) fn new(slice: &'a mut [MaybeUninit<f32>]) -> Self {
        Self { start: slice.as_mut_ptr().cast(), length: slice.len(), slice: PhantomData }
    }

    /// Copies `values` to `at` and the places after it.
    ///
    /// # Safety
    ///
    /// No other task writes to these places.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, at: usize, values: &[f32]) {
        assert!(at + values.len() <= self.length, "a place beyond the slice");
        // SAFETY: the range was checked, the slice is borrowed exclusively, and the caller promises that
        // nobody else writes here.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.add(at), values.len()) };
    }
}

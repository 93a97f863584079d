//! Label maps in the memory of numpy, of any number type and order, read without a copy of the whole.

use std::{array, borrow::Cow, ops::Range};

use bipvl_metrics::Labels;
use ndarray::{ArrayView1, ArrayView3, Axis};
use numpy::{Element, PyArray3, PyArrayMethods, PyReadonlyArray3};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
};
use rayon::prelude::*;

use crate::pool::compute;

/// The number of labels, of 16 bits.
const LABELS: usize = 1 << 16;

/// A number type of label maps.
pub(crate) trait Label: Element + Copy + Default + PartialEq + Send + Sync {
    /// The label, if the number is whole and from 0 to 65535.
    fn label(self) -> Option<u16>;
    /// The label, known to be one.
    fn cast(self) -> u16;
    /// For messages.
    fn shown(self) -> String;
    /// The numbers as labels, where they are of their type.
    fn as_labels(_numbers: &[Self]) -> Option<&[u16]> {
        None
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Label for $number {
            fn label(self) -> Option<u16> {
                self.try_into().ok()
            }

            fn cast(self) -> u16 {
                self as u16
            }

            fn shown(self) -> String {
                self.to_string()
            }
        }
    )*};
}

macro_rules! floats {
    ($($number:ty),*) => {$(
        impl Label for $number {
            fn label(self) -> Option<u16> {
                let is_label = self.fract() == 0.0 && (0.0..LABELS as $number).contains(&self);
                is_label.then(|| self as u16)
            }

            fn cast(self) -> u16 {
                self as u16
            }

            fn shown(self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_numbers!(u8, i8, i16, u32, i32, u64, i64);
floats!(f32, f64);

impl Label for u16 {
    fn label(self) -> Option<u16> {
        Some(self)
    }

    fn cast(self) -> u16 {
        self
    }

    fn shown(self) -> String {
        self.to_string()
    }

    fn as_labels(numbers: &[Self]) -> Option<&[u16]> {
        Some(numbers)
    }
}

/// Labels that may turn out to be none.
pub(crate) trait LabelView: Labels + Send {
    /// Which labels occur, or the first number that is none.
    fn occurring(&self) -> Result<Vec<bool>, String>;
    /// The box of what is not background, if there is anything.
    fn bounds(&self) -> Option<Bounds>;
    /// Only a part.
    fn crop(&mut self, part: &Bounds);
}

/// Voxels per axis.
pub(crate) type Bounds = [Range<usize>; 3];

/// The smallest box around two.
pub(crate) fn hull(one: Bounds, other: Bounds) -> Bounds {
    array::from_fn(|axis| one[axis].start.min(other[axis].start)..one[axis].end.max(other[axis].end))
}

struct View<'a, T>(ArrayView3<'a, T>);

impl<T: Label> LabelView for View<'_, T> {
    fn occurring(&self) -> Result<Vec<bool>, String> {
        occurring(self.0)
    }

    fn bounds(&self) -> Option<Bounds> {
        bounds(self.0)
    }

    fn crop(&mut self, part: &Bounds) {
        crop(&mut self.0, part);
    }
}

impl<T: Label> Labels for View<'_, T> {
    fn shape(&self) -> [usize; 3] {
        self.0.dim().into()
    }

    fn plane(&self, x: usize) -> Cow<'_, [u16]> {
        let plane = self.0.index_axis(Axis(0), x);
        if let Some(labels) = plane.to_slice().and_then(T::as_labels) {
            return Cow::Borrowed(labels);
        }
        let mut labels = Vec::with_capacity(plane.len());
        for row in plane.rows() {
            match row.as_slice() {
                Some(row) => labels.extend(row.iter().map(|number| number.cast())),
                None => labels.extend(row.iter().map(|number| number.cast())),
            }
        }
        Cow::Owned(labels)
    }
}

/// A borrowed array of one of the number types.
pub(crate) enum LabelArray<'py> {
    U8(PyReadonlyArray3<'py, u8>),
    I8(PyReadonlyArray3<'py, i8>),
    U16(PyReadonlyArray3<'py, u16>),
    I16(PyReadonlyArray3<'py, i16>),
    U32(PyReadonlyArray3<'py, u32>),
    I32(PyReadonlyArray3<'py, i32>),
    U64(PyReadonlyArray3<'py, u64>),
    I64(PyReadonlyArray3<'py, i64>),
    F32(PyReadonlyArray3<'py, f32>),
    F64(PyReadonlyArray3<'py, f64>),
}

impl<'py> LabelArray<'py> {
    pub(crate) fn new(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        macro_rules! first_of {
            ($($kind:ident: $number:ty),*) => {$(
                if let Ok(array) = array.cast::<PyArray3<$number>>() {
                    return Ok(Self::$kind(array.try_readonly()?));
                }
            )*};
        }
        if array.cast::<PyArray3<bool>>().is_ok() {
            // Bytes of 0 and 1 in the same memory.
            return Self::new(&array.call_method1("view", ("uint8",))?);
        }
        first_of!(U8: u8, U16: u16, I16: i16, I64: i64, I32: i32, F32: f32, F64: f64, I8: i8, U32: u32, U64: u64);
        let message = "expected a numpy array with three axes of bool, integers, or floats of 32 or 64 bits";
        Err(PyTypeError::new_err(message))
    }

    /// The labels, for any thread.
    pub(crate) fn labels(&self) -> Box<dyn LabelView + '_> {
        match self {
            Self::U8(array) => Box::new(View(array.as_array())),
            Self::I8(array) => Box::new(View(array.as_array())),
            Self::U16(array) => Box::new(View(array.as_array())),
            Self::I16(array) => Box::new(View(array.as_array())),
            Self::U32(array) => Box::new(View(array.as_array())),
            Self::I32(array) => Box::new(View(array.as_array())),
            Self::U64(array) => Box::new(View(array.as_array())),
            Self::I64(array) => Box::new(View(array.as_array())),
            Self::F32(array) => Box::new(View(array.as_array())),
            Self::F64(array) => Box::new(View(array.as_array())),
        }
    }
}

fn occurring<T: Label>(array: ArrayView3<'_, T>) -> Result<Vec<bool>, String> {
    let planes = array.axis_iter(Axis(0)).into_par_iter();
    let found = planes.map(|plane| {
        let mut found = vec![false; LABELS];
        let mut last = None;
        for number in plane {
            let label = number.label().ok_or_else(|| number.shown())?;
            if last != Some(label) {
                found[usize::from(label)] = true;
                last = Some(label);
            }
        }
        Ok(found)
    });
    let either =
        |one: Vec<bool>, other: Vec<bool>| one.iter().zip(other).map(|(one, other)| *one || other).collect();
    found.try_reduce(|| vec![false; LABELS], |one, other| Ok(either(one, other)))
}

fn bounds<T: Label>(array: ArrayView3<'_, T>) -> Option<Bounds> {
    let planes = array.axis_iter(Axis(0)).into_par_iter().enumerate();
    let of_planes = planes.filter_map(|(x, plane)| {
        let rows = plane.rows().into_iter().enumerate().filter_map(|(y, row)| Some((y, extent(row)?)));
        rows.map(|(y, z)| [x..x + 1, y..y + 1, z]).reduce(hull)
    });
    of_planes.reduce_with(hull)
}

/// From the first label of a row to one past the last.
fn extent<T: Label>(row: ArrayView1<'_, T>) -> Option<Range<usize>> {
    // Without an early exit, so that background is read a vector at a time.
    let background = T::default();
    if row.iter().fold(0, |shows, number| shows | u8::from(*number != background)) == 0 {
        return None;
    }
    let first = row.iter().position(|number| *number != background)?;
    let last = row.iter().rposition(|number| *number != background)?;
    Some(first..last + 1)
}

fn crop<T>(array: &mut ArrayView3<'_, T>, part: &Bounds) {
    for (axis, range) in part.iter().enumerate() {
        array.slice_axis_inplace(Axis(axis), range.clone().into());
    }
}

/// The labels of an array from the lowest, without background.
#[pyfunction]
pub(crate) fn labels_of(py: Python<'_>, array: &Bound<'_, PyAny>) -> PyResult<Vec<u16>> {
    let array = LabelArray::new(array)?;
    let labels = array.labels();
    let found = compute(py, None, |_| labels.occurring())?.map_err(|number| {
        PyValueError::new_err(format!("{number} is no label: expected whole numbers from 0 to 65535"))
    })?;
    let labels = found.into_iter().enumerate().skip(1).filter(|(_, occurs)| *occurs);
    Ok(labels.map(|(label, _)| label as u16).collect())
}

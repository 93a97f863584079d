//! The compiled half of the Python module `bipvl`: metrics, prediction, and what the Python half cannot do without it.

mod labels;
mod metrics;
mod pool;
mod predictor;
mod segmentation;
mod toml_text;

use std::fmt::Display;

use pyo3::{create_exception, exceptions::PyException, prelude::*};

create_exception!(bipvl, Error, PyException, "What the program would report; the message is the same.");

/// An [`Error`] with the message of a failure.
fn error(reason: impl Display) -> PyErr {
    Error::new_err(reason.to_string())
}

#[pymodule]
mod _bipvl {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::Error;
    #[pymodule_export]
    use super::labels::labels_of;
    #[pymodule_export]
    use super::metrics::{evaluate_folder, read_labels, score, score_table, surface_distances};
    #[pymodule_export]
    use super::predictor::{Predictor, read_channels};
    #[pymodule_export]
    use super::segmentation::Segmentation;
    #[pymodule_export]
    use super::toml_text::{from_toml, to_toml};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // What a decoder of pixel data does with damage becomes an error.
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !bipvl_dicom::is_decoding() {
                report(panic);
            }
        }));
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

//! TOML, which Python 3.10 cannot read and no Python of its own can write.

use pyo3::{exceptions::PyValueError, prelude::*};

/// The TOML text of a JSON object.
#[pyfunction]
pub(crate) fn to_toml(json: &str) -> PyResult<String> {
    let value: toml::Value = serde_json::from_str(json).map_err(|reason| {
        PyValueError::new_err(format!("a configuration has no null: leave the key out ({reason})"))
    })?;
    toml::to_string_pretty(&value).map_err(|reason| PyValueError::new_err(reason.to_string()))
}

/// The JSON text of a TOML document.
#[pyfunction]
pub(crate) fn from_toml(text: &str) -> PyResult<String> {
    let value: toml::Value =
        toml::from_str(text).map_err(|reason| PyValueError::new_err(reason.to_string()))?;
    serde_json::to_string(&value).map_err(|reason| PyValueError::new_err(reason.to_string()))
}

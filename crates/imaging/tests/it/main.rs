//! Everything this crate promises, seen from outside.

#![allow(clippy::float_cmp, reason = "what is promised to the last bit is tested to the last bit")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod made_nifti;
mod formats_damaged;
mod formats_reference;
mod formats_write;
mod grid;
mod nifti_read;
mod nifti_write;
mod orient;
mod resample;
mod crop;
mod components;
mod label_schema;
mod phantom;
mod real_scans;
mod preprocessing_reference;

//! Converts an image to the format of another file ending: `cargo run --example convert -- ct.nrrd ct.nii.gz`.
//!
//! Only the first channel is written, as float32.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(input), Some(output)) = (paths.next(), paths.next()) else {
        return Err("usage: convert INPUT OUTPUT".into());
    };
    let image = bipvl_imaging::read(&input)?;
    let forms = image.header.nifti_forms.as_ref();
    let options = bipvl_imaging::WriteOptions { nifti_forms: forms, ..Default::default() };
    bipvl_imaging::write_with(&output, &image.channels[0], &options)?;
    Ok(())
}

//! Converts an image to the format of another file ending: `cargo run --example convert -- ct.nrrd ct.nii.gz`.
//!
//! Only the first channel is written, as float32; with `labels` as a third argument a label map, as integers.

use std::path::PathBuf;

use bipvl_imaging::{WriteOptions, probe, read, read_labels, write_with};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let mut path = || arguments.next().map(PathBuf::from).ok_or("usage: convert INPUT OUTPUT [labels]");
    let (input, output) = (path()?, path()?);
    let header = probe(&input)?;
    let options = WriteOptions { nifti_forms: header.nifti_forms.as_ref(), ..WriteOptions::default() };
    if arguments.next().is_some_and(|kind| kind == "labels") {
        write_with(&output, &read_labels(&input)?, &options)?;
    } else {
        write_with(&output, &read(&input)?.channels[0], &options)?;
    }
    Ok(())
}

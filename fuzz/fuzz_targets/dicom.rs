//! A DICOM file, or a zip archive of some: listed, read, rasterized.

#![no_main]

use std::{fs, path::PathBuf};

use bipvl_dicom::Study;
use libfuzzer_sys::fuzz_target;

// Panics of decoders are caught and become errors; libFuzzer would stop at them. One that is not caught still aborts.
fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    let path: PathBuf = std::env::temp_dir().join(format!("bipvl-fuzz-{}", std::process::id()));
    fs::write(&path, bytes).expect("the temporary folder can be written to");
    if let Ok(study) = Study::open(&path) {
        let _ = study.choose(None).and_then(|series| series.read());
        let _ = study.read_segmentation();
        let (labeled, _) = study.labeled_series();
        for series in labeled {
            drop(series.read_masks());
        }
    }
});

//! Any bytes as a NIfTI file: `cargo +nightly fuzz run nifti corpus/nifti ../crates/imaging/tests/reference/formats`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Keeps the fuzzer at this format: a header of 348 bytes with the magic of a single file.
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 348 {
        bytes[..4].copy_from_slice(&348_i32.to_le_bytes());
        bytes[344..348].copy_from_slice(b"n+1\0");
    }
    let bytes = &bytes[..];
    let _ = bipvl_imaging::probe(bytes);
    let _ = bipvl_imaging::read(bytes);
    let _ = bipvl_imaging::read_labels(bytes);
});

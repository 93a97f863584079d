//! Any bytes as a NIfTI file: `cargo +nightly fuzz run nifti corpus/nifti ../crates/imaging/tests/reference/formats`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Keeps the fuzzer at this format: headers of both versions in both byte orders stay, others become one of 348
    // bytes with the magic of a single file.
    let mut bytes = bytes.to_vec();
    let size = bytes.first_chunk().map(|size| [i32::from_le_bytes(*size), i32::from_be_bytes(*size)]);
    let is_nifti = size.is_some_and(|sizes| sizes.iter().any(|size| [348, 540].contains(size)));
    if bytes.len() >= 348 && !is_nifti {
        bytes[..4].copy_from_slice(&348_i32.to_le_bytes());
        bytes[344..348].copy_from_slice(b"n+1\0");
    }
    let bytes = &bytes[..];
    let _ = bipvl_imaging::probe(bytes);
    let _ = bipvl_imaging::read(bytes);
    let _ = bipvl_imaging::read_labels(bytes);
});

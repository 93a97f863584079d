//! Any bytes as a NRRD file: `cargo +nightly fuzz run nrrd corpus/nrrd ../crates/imaging/tests/reference/formats`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Keeps the fuzzer at this format.
    let head = if bytes.starts_with(b"NRRD0") { &b""[..] } else { &b"NRRD0004\n"[..] };
    let bytes = &[head, bytes].concat()[..];
    let _ = bipvl_imaging::probe(bytes);
    let _ = bipvl_imaging::read(bytes);
    let _ = bipvl_imaging::read_labels(bytes);
});

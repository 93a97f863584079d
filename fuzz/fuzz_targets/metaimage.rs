//! Any bytes as a MetaImage file: `cargo +nightly fuzz run metaimage corpus/metaimage ../crates/imaging/tests/reference/formats`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Keeps the fuzzer at this format; a later line replaces an earlier one.
    let bytes = &[&b"NDims = 3\n"[..], bytes].concat()[..];
    let _ = bipvl_imaging::probe(bytes);
    let _ = bipvl_imaging::read(bytes);
    let _ = bipvl_imaging::read_labels(bytes);
});

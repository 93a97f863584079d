//! Files that are not built as the parser expects them, put right in memory.

use dicom_object::FileMetaTableBuilder;

use crate::{guard::Structure, source::PREAMBLE_BYTES};

/// The bytes as the parser expects them: with file meta information, and unknown sequences as opaque values of their length.
pub(crate) fn standardized(mut bytes: Vec<u8>, structure: &Structure) -> Vec<u8> {
    /// Tag, value representation, two reserved bytes; then the length.
    const LENGTH_AT: usize = 8;
    for unknown in &structure.unknown {
        let at = unknown.start as usize + LENGTH_AT;
        let length = (unknown.end as usize - at - 4) as u32;
        let stored = if structure.is_big_endian() { length.to_be_bytes() } else { length.to_le_bytes() };
        bytes[at..at + 4].copy_from_slice(&stored);
    }
    if structure.has_meta {
        return bytes;
    }
    let mut result = file_meta(&structure.syntax);
    result.extend_from_slice(&bytes[structure.data_set as usize..]);
    result
}

/// File meta information that says the transfer syntax and nothing else.
fn file_meta(syntax: &str) -> Vec<u8> {
    let mut bytes = vec![0; PREAMBLE_BYTES];
    bytes.extend_from_slice(b"DICM");
    // Of a damaged name only the letters that a UID has can be written.
    let syntax: String = syntax.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(syntax)
        .media_storage_sop_class_uid("")
        .media_storage_sop_instance_uid("")
        .build()
        .expect("all that is required is given");
    meta.write(&mut bytes).expect("memory can be written to");
    bytes
}

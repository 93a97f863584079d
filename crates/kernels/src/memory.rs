//! What the program asks of the operating system's memory.

use std::{fs::File, io, path::Path};

use memmap2::Mmap;

/// Makes the allocator keep freed memory for the next tensors instead of returning it to the system:
/// the first touch of a fresh page costs more than the arithmetic of an element-wise operation.
///
/// Call it once, when the program starts. It does nothing where the C library is not glibc.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only sets parameters of the allocator; these values are valid for glibc.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Maps a file into memory, read-only.
///
/// # Errors
///
/// When the file cannot be opened or mapped.
pub fn map_file(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the map is read-only, and every writer of this project writes to a temporary name and
    // renames, so a mapped file is never changed in place.
    unsafe { Mmap::map(&file) }
}

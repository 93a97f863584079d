//! Memory of the process: settings of the allocator, and maps of files.

use std::{fs::File, io, path::Path};

use memmap2::Mmap;

/// Configures glibc's allocator for large tensors: freed memory is kept for the next ones, and new memory comes in
/// huge pages, because the first touch of a small page costs more than the arithmetic of an element-wise operation.
///
/// Call it once at program start. It does nothing with another C library.
pub fn tune_malloc() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only sets parameters of the allocator, and these values are valid for glibc.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    reserve_huge_pages();
}

/// Allocates three quarters of the machine's memory, advises huge pages for it and frees it: the allocator keeps the
/// address range, and no page is resident before its first use.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn reserve_huge_pages() {
    const HUGE_PAGE: usize = 2 << 20;
    // SAFETY: the block is the allocator's own, is advised within its bounds, never touched, and freed.
    unsafe {
        let page = libc::sysconf(libc::_SC_PAGESIZE).max(0) as usize;
        let size = libc::sysconf(libc::_SC_PHYS_PAGES).max(0) as usize * page / 4 * 3;
        let block = libc::malloc(size);
        if !block.is_null() {
            let offset = block.align_offset(HUGE_PAGE);
            if offset < size {
                libc::madvise(block.add(offset), size - offset, libc::MADV_HUGEPAGE);
            }
            libc::free(block);
        }
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

//! The scans that the arguments of `bipvl predict` name.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bipvl::data::{group_by_case, list_images};
use bipvl_imaging::formats::{ENDINGS, strip_ending};

/// The files of one scan.
#[derive(Debug)]
pub(super) struct Scan {
    /// File name without ending and channel number.
    pub(super) id: String,
    /// One file with all channels, or one file per channel.
    pub(super) images: Vec<PathBuf>,
}

/// Finds the scans in files and folders; warns of files that are skipped, or look like channels but are not.
pub(super) fn find(inputs: &[PathBuf], num_channels: usize) -> Result<Vec<Scan>> {
    let mut images = Vec::new();
    for input in inputs {
        if input.is_dir() {
            let listing = list_images(input)?;
            if listing.images.is_empty() {
                bail!("{}: no images; known endings are {}", input.display(), known_endings());
            }
            warn_of_skipped(input, &listing.skipped);
            images.extend(listing.images);
        } else if !input.exists() {
            bail!("{}: no such file or folder", input.display());
        } else if strip_ending(input).is_none() {
            bail!("{}: not an image; known endings are {}", input.display(), known_endings());
        } else {
            images.push(input.clone());
        }
    }
    images.sort();
    images.dedup();
    let grouped = group_by_case(&images, num_channels)?;
    for names in &grouped.ambiguous {
        tracing::warn!(
            "{} are segmented as {} scans, because the model has 1 channel",
            names.join(", "),
            names.len()
        );
    }
    Ok(grouped.cases.into_iter().map(|(id, images)| Scan { id, images }).collect())
}

fn known_endings() -> String {
    ENDINGS.iter().map(|(ending, _)| *ending).collect::<Vec<_>>().join(", ")
}

fn warn_of_skipped(folder: &Path, skipped: &[PathBuf]) {
    if !skipped.is_empty() {
        let names: Vec<String> = skipped.iter().map(|path| display_name(path)).collect();
        tracing::warn!("{}: skipped, not an image of a known format: {}", folder.display(), names.join(", "));
    }
}

fn display_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    if path.is_dir() { format!("{name}/") } else { name.into_owned() }
}

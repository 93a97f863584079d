//! Files that clients send: checked, then moved into the library or a session.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_imaging::formats::strip_ending;

use super::{
    Library, Scan,
    incoming::{Incoming, free_path, rename},
    scan::{describe, safe_name},
};
use crate::{Error, Result, without_folders};

/// The files of one upload, each of which holds a scan.
pub(crate) struct Uploaded {
    /// Where they wait; deleted with this value.
    _incoming: Incoming,
    /// Files and folders that hold scans.
    units: Vec<PathBuf>,
}

impl Uploaded {
    /// Finds the scans among files: each image or archive for itself, all other files as one DICOM study.
    ///
    /// # Errors
    ///
    /// The reason, if a file is no scan.
    pub(crate) fn check(incoming: Incoming) -> std::result::Result<Self, String> {
        if incoming.files().is_empty() {
            return Err("no file was sent; send one or more parts called `file`".to_owned());
        }
        let is_unit = |path: &PathBuf| {
            let is_zip = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip"));
            is_zip || strip_ending(path).is_some()
        };
        let mut units: Vec<PathBuf> = incoming.files().iter().filter(|path| is_unit(path)).cloned().collect();
        if units.len() < incoming.files().len() {
            let study = incoming.path().join("study");
            let mut rest = incoming.files().iter().filter(|path| !is_unit(path)).enumerate();
            let moved = fs::create_dir(&study).and_then(|()| {
                // One name each: a study has folders, whose files may be called the same.
                rest.try_for_each(|(number, path)| fs::rename(path, study.join(format!("{number:06}.dcm"))))
            });
            moved.map_err(|error| error.to_string())?;
            units.push(study);
        }
        for unit in &units {
            let scans = describe(unit, 0);
            if scans.is_empty() {
                return Err(refusal(unit));
            }
            // Damage is found now, not when someone asks for the scan.
            scans.iter().try_for_each(|scan| scan.load().map(|_| ())).map_err(|error| error.to_string())?;
        }
        Ok(Self { _incoming: incoming, units })
    }

    /// Moves everything into a folder; a name takes the place of that of image files.
    pub(crate) fn move_to(&self, folder: &Path, name: Option<&str>) -> Result<Vec<PathBuf>> {
        let place = |unit: &PathBuf| {
            let target = target(folder, unit, name);
            rename(unit, &target).map(|()| target)
        };
        self.units.iter().map(place).collect()
    }
}

impl Library {
    /// Takes an upload; its scans. An image may have another name than its file.
    pub(crate) fn add(&self, upload: &Uploaded, name: Option<&str>) -> Result<Vec<Scan>> {
        let _one_at_a_time = self.adding.lock().expect("no thread panics while it adds a scan");
        let studies = upload.units.iter().filter(|unit| strip_ending(unit).is_none());
        for scan in studies.flat_map(|unit| describe(unit, 0)) {
            if self.find(&scan.id)?.is_some() {
                return Err(Error::Exists(scan.id));
            }
        }
        let paths = upload.move_to(&self.root, name)?;
        Ok(paths.iter().flat_map(|path| self.described(path)).collect())
    }
}

/// Where a file or study goes: its name, or another that is free.
fn target(folder: &Path, unit: &Path, name: Option<&str>) -> PathBuf {
    if let Some((stem, ending)) = strip_ending(unit) {
        return free_path(folder, &safe_name(name.unwrap_or(&stem)), ending);
    }
    let name = describe(unit, 0).first().map_or_else(|| "study".to_owned(), |scan| scan.id.clone());
    let ending = if unit.is_dir() { "" } else { ".zip" };
    free_path(folder, &name, ending)
}

/// Why a file is refused, without the path of the server.
fn refusal(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if strip_ending(path).is_some() && path.is_file() {
        let reason = bipvl_imaging::probe(path).err().map(|error| error.to_string());
        return without_folders(&reason.unwrap_or_else(|| format!("{name}: no image")));
    }
    if path.is_dir() {
        return "the files are no image of a known format and no DICOM series that makes a volume".to_owned();
    }
    format!("{name}: no DICOM series that makes a volume")
}

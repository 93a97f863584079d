//! Image files grouped by the case that they are channels of.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bipvl_imaging::{formats::strip_ending, probe};

use crate::{Error, Result};

/// Digits of nnU-Net's channel number, as in `case_0000.nii.gz`.
const CHANNEL_DIGITS: usize = 4;

/// Files grouped by case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseFiles {
    /// The files of each case by its id, in the order of the channels.
    pub cases: BTreeMap<String, Vec<PathBuf>>,
    /// Groups of cases that may be the channels of one: they end in consecutive channel numbers, but are not as many
    /// as a case has channels.
    pub ambiguous: Vec<Vec<String>>,
}

/// The images in a folder, and what else is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderImages {
    /// Files with the ending of an image format, in any case, sorted.
    pub images: Vec<PathBuf>,
    /// Other files and folders, sorted; hidden ones are left out.
    pub skipped: Vec<PathBuf>,
}

/// Lists the images in a folder.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn list_images(folder: &Path) -> Result<FolderImages> {
    let mut found = FolderImages::default();
    for path in visible_entries(folder)? {
        let is_image = strip_ending(&path).is_some() && !path.is_dir();
        if is_image { found.images.push(path) } else { found.skipped.push(path) }
    }
    Ok(found)
}

/// Groups images by case for a model of `num_channels` channels.
///
/// `ID_0000`, `ID_0001`, … are the channels of the case `ID` if they are numbered from 0 and as many as the model
/// needs; a file that holds all channels is a case of its own. With one channel, other names are ids as they are.
/// Files without the ending of an image format are named in full.
///
/// # Errors
///
/// When two files have one id or channel, or several channels are needed and some of a case are missing.
pub fn group_by_case(files: &[PathBuf], num_channels: usize) -> Result<CaseFiles> {
    let mut grouped = CaseFiles::default();
    let mut numbered: BTreeMap<String, Vec<(usize, String, &PathBuf)>> = BTreeMap::new();
    for path in files {
        let stem = match strip_ending(path) {
            Some((stem, _)) => stem,
            None => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        match split_channel(&stem) {
            Some((id, channel)) if !holds_all_channels(path, num_channels) => {
                numbered.entry(id.to_owned()).or_default().push((channel, stem, path));
            }
            _ => insert(&mut grouped.cases, stem, vec![path.clone()])?,
        }
    }
    for (case, mut members) in numbered {
        members.sort();
        let repeated = members.array_windows().find(|[one, other]| one.0 == other.0);
        if let Some([(channel, _, first), (_, _, second)]) = repeated {
            let (first, second) = ((*first).clone(), (*second).clone());
            return Err(Error::DuplicateChannel { case, channel: *channel, first, second });
        }
        let found: Vec<usize> = members.iter().map(|(channel, ..)| *channel).collect();
        let is_consecutive = found.iter().copied().eq(0..found.len());
        let is_complete = is_consecutive && found.len() == num_channels;
        if is_complete && !grouped.cases.contains_key(&case) {
            grouped.cases.insert(case, members.into_iter().map(|(_, _, path)| path.clone()).collect());
        } else if num_channels == 1 {
            if is_consecutive && found.len() > 1 {
                grouped.ambiguous.push(members.iter().map(|(_, stem, _)| stem.clone()).collect());
            }
            for (_, stem, path) in members {
                insert(&mut grouped.cases, stem, vec![path.clone()])?;
            }
        } else if is_complete {
            return Err(Error::DuplicateCase { path: members[0].2.clone(), id: case });
        } else {
            return Err(Error::MissingChannels {
                path: members[0].2.clone(),
                case,
                found,
                expected: num_channels,
            });
        }
    }
    Ok(grouped)
}

/// The files in a folder, sorted; hidden ones and folders are left out.
pub(crate) fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(visible_entries(folder)?.into_iter().filter(|path| !path.is_dir()).collect())
}

/// The files and folders in a folder, sorted; hidden ones are left out.
fn visible_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::io(folder, source);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The id and the channel of `ID_0000`.
pub(crate) fn split_channel(stem: &str) -> Option<(&str, usize)> {
    let (id, channel) = stem.rsplit_once('_')?;
    let is_number = channel.len() == CHANNEL_DIGITS && channel.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && !id.is_empty() { Some((id, channel.parse().ok()?)) } else { None }
}

/// Whether a file has several channels, as many as a case needs.
fn holds_all_channels(path: &Path, num_channels: usize) -> bool {
    num_channels > 1 && probe(path).is_ok_and(|header| header.num_channels == num_channels)
}

fn insert(cases: &mut BTreeMap<String, Vec<PathBuf>>, id: String, files: Vec<PathBuf>) -> Result<()> {
    if cases.contains_key(&id) {
        return Err(Error::DuplicateCase { path: files[0].clone(), id });
    }
    cases.insert(id, files);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[&str], num_channels: usize) -> std::result::Result<Vec<(String, usize)>, String> {
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let grouped = group_by_case(&files, num_channels).map_err(|error| error.to_string())?;
        Ok(grouped.cases.into_iter().map(|(id, files)| (id, files.len())).collect())
    }

    fn ids(files: &[&str], num_channels: usize) -> Vec<String> {
        group(files, num_channels).unwrap().into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn numbered_channels_are_one_case_in_their_order() {
        let files = ["a_0001.nii.gz", "a_0000.nii.gz", "b_0000.NII.GZ", "b_0001.nii"].map(PathBuf::from);
        let cases = group_by_case(&files, 2).unwrap().cases;
        assert_eq!(cases["a"], [files[1].clone(), files[0].clone()]);
        assert_eq!(cases["b"], [files[2].clone(), files[3].clone()]);
        assert_eq!(cases.len(), 2);
    }

    #[test]
    fn a_single_channel_loses_its_number_and_other_names_are_kept() {
        let names = ids(&["a_0000.nii.gz", "scan_2024.NII", "1.2.840.nii"], 1);
        assert_eq!(names, ["1.2.840", "a", "scan_2024"]);
    }

    #[test]
    fn numbered_patients_are_no_channels_of_a_model_with_one() {
        let files = ["patient_0000.nii.gz", "patient_0001.nii.gz", "patient_0002.nii.gz"].map(PathBuf::from);
        let grouped = group_by_case(&files, 1).unwrap();
        assert!(grouped.cases.keys().eq(["patient_0000", "patient_0001", "patient_0002"]));
        assert_eq!(grouped.ambiguous.len(), 1, "they may be three channels of one patient");
        assert_eq!(group(&["x_0003.nii", "x_0007.nii"], 1).unwrap().len(), 2);
    }

    #[test]
    fn a_file_and_its_numbered_namesake_are_two_cases_of_one_channel_or_an_error() {
        assert_eq!(ids(&["a.nii.gz", "a_0000.nii.gz"], 1), ["a", "a_0000"]);
        let error = group(&["a.nii.gz", "a_0000.nii.gz"], 2).unwrap_err();
        assert!(error.contains("channels [0]; it needs 0 to 1"), "{error}");
    }

    #[test]
    fn a_channel_or_a_name_given_twice_is_an_error() {
        let twice = group(&["a_0000.nii.gz", "a_0000.nii"], 2).unwrap_err();
        assert!(twice.contains("channel 0 of case \"a\" is given twice"), "{twice}");
        for num_channels in [1, 2] {
            let same = group(&["one/t1.nii.gz", "two/t1.nii.gz"], num_channels).unwrap_err();
            assert_eq!(same, "two/t1.nii.gz: two cases have the id \"t1\"");
        }
    }
}

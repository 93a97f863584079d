//! Real scans, where a folder of them is named by `BIPVL_DATA`.

use std::path::{Path, PathBuf};

use bipvl_imaging::{Grid, PaddingMode, resample_labels, to_ras};

/// The folders to read and how many files of each; a few small ones find as many faults as hundreds.
const FOLDERS: [(&str, usize); 4] = [
    ("msd-hippocampus/imagesTr", 5),
    ("msd-hippocampus/labelsTr", 5),
    ("totalsegmentator-examples", usize::MAX),
    ("tptbox-spine", usize::MAX),
];

fn nifti_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(nifti_files(&path));
        } else if path.to_string_lossy().contains(".nii") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn bits(grid: &Grid) -> Vec<u32> {
    grid.affine().iter().map(|&value| (value as f32).to_bits()).collect()
}

#[test]
fn real_scans_are_read_and_written_on_the_same_grid() {
    let Some(data) = std::env::var_os("BIPVL_DATA").map(PathBuf::from) else {
        #[allow(clippy::print_stderr, reason = "whoever runs the tests should know that one was skipped")]
        {
            eprintln!("skipped: BIPVL_DATA names no folder of scans");
        }
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output.nii.gz");
    for (name, limit) in FOLDERS {
        let files = nifti_files(&data.join(name));
        assert!(!files.is_empty(), "{name}");
        for path in files.iter().take(limit) {
            let grid = bipvl_imaging::probe(path).unwrap().grid;
            let image = bipvl_imaging::read(path).unwrap().channels.remove(0);
            assert_eq!(image.grid(), &grid);
            if let Ok(labels) = bipvl_imaging::read_labels(path) {
                bipvl_imaging::write(&output, &labels).unwrap();
                assert_eq!(bipvl_imaging::read_labels(&output).unwrap().voxels(), labels.voxels());
                let there = to_ras(&labels);
                assert_eq!(
                    resample_labels(&there, &grid, PaddingMode::Constant(9999)),
                    labels,
                    "{}",
                    path.display()
                );
            } else {
                bipvl_imaging::write(&output, &image).unwrap();
                assert_eq!(bipvl_imaging::read(&output).unwrap().channels[0].voxels(), image.voxels());
            }
            let written = bipvl_imaging::probe(&output).unwrap().grid;
            assert_eq!(written.shape(), grid.shape());
            assert_eq!(bits(&written), bits(&grid), "{}", path.display());
        }
    }
}

//! The files of the repository, each with its path from the root and its text.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is kept under version control; results of a demo or a run in the root are none of our business.
const FOLDERS: [&str; 7] = [".ci", "benches", "configs", "crates", "descriptions", "docs", "tests"];

/// One text file.
pub(crate) struct SourceFile {
    /// From the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    pub(crate) fn is_rust(&self) -> bool {
        is_rust(&self.path)
    }

    /// Whether the file belongs to what is built for users, not to the tests around it.
    pub(crate) fn is_in_src(&self) -> bool {
        self.path.split('/').nth(2) == Some("src")
    }

    /// The crate's folder name, such as `volume`.
    pub(crate) fn crate_name(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default()
    }
}

/// Whether a name is that of a Rust file.
pub(crate) fn is_rust(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "rs")
}

/// All text files, in the order of their paths.
pub(crate) fn files() -> Vec<SourceFile> {
    let root = root();
    let mut paths = entries(&root).into_iter().filter(|path| path.is_file()).collect::<Vec<_>>();
    for folder in FOLDERS.map(|folder| root.join(folder)).into_iter().filter(|folder| folder.is_dir()) {
        descend(&folder, &mut paths);
    }
    // A file that is not text, such as a picture, has no lines to look at.
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let path = path.strip_prefix(&root).expect("it was found below the root");
        Some(SourceFile { path: path.to_str()?.replace('\\', "/"), text })
    };
    paths.into_iter().filter_map(read).collect()
}

/// The text of one file.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in a folder, without their extension.
pub(crate) fn names_in(folder: &str) -> Vec<String> {
    let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    entries(&root().join(folder)).iter().filter_map(stem).collect()
}

/// The names of the files in a folder.
pub(crate) fn file_names_in(folder: &str) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let files = entries(&root().join(folder));
    files.iter().filter(|path| path.is_file()).filter_map(name).collect()
}

/// Fails with the list of everything found, so that one run shows all of it.
#[track_caller]
pub(crate) fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/tidy is in the root").to_owned()
}

fn descend(folder: &Path, paths: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() {
            descend(&path, paths);
        } else {
            paths.push(path);
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    paths.retain(|path| !path.ends_with(".git") && !path.ends_with("proptest-regressions"));
    paths.sort();
    paths
}

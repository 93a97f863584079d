//! ARCHITECTURE.md names every source file and folder, and nothing that is not there.

use std::collections::BTreeSet;

use crate::repository::{assert_none, files, is_rust, read};

#[test]
fn the_map_names_every_source_file_and_no_other() {
    let on_disk: BTreeSet<String> = source_paths().collect();
    let on_map = files_on_map(&read("ARCHITECTURE.md"));
    let missing: Vec<String> = on_disk.difference(&on_map).cloned().collect();
    assert_none("not named in ARCHITECTURE.md", &missing);
    let stale: Vec<String> = on_map.difference(&on_disk).cloned().collect();
    assert_none("named in ARCHITECTURE.md and not there", &stale);
}

#[test]
fn the_map_names_every_source_folder() {
    let map = read("ARCHITECTURE.md");
    let folders: BTreeSet<String> = source_paths()
        .filter_map(|path| path.rsplit_once('/').map(|(folder, _)| format!("`{folder}/`")))
        .collect();
    let missing: Vec<String> = folders.into_iter().filter(|folder| !map.contains(folder)).collect();
    assert_none("not named in ARCHITECTURE.md", &missing);
}

#[test]
fn every_path_on_the_map_ends_somewhere() {
    let paths: Vec<String> = source_paths().collect();
    let map = read("ARCHITECTURE.md");
    let leads_nowhere = |name: &&str| {
        let ending = format!("/{name}");
        name.contains('/') && is_rust(name) && !paths.iter().any(|path| path.ends_with(&ending))
    };
    let stale: Vec<String> = quoted(&map).filter(leads_nowhere).map(str::to_owned).collect();
    assert_none("named in ARCHITECTURE.md and not there", &stale);
}

fn source_paths() -> impl Iterator<Item = String> {
    let sources = files().into_iter().filter(|file| file.is_rust() && file.is_in_src());
    sources.map(|file| file.path)
}

/// A bare file name belongs to the folder under `crates/` that was named last before it.
fn files_on_map(map: &str) -> BTreeSet<String> {
    let mut folder = "";
    let mut found = BTreeSet::new();
    for name in quoted(map) {
        if name.starts_with("crates/") && name.ends_with('/') {
            folder = name;
        } else if is_rust(name) && !name.contains('/') {
            found.insert(format!("{folder}{name}"));
        }
    }
    found
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

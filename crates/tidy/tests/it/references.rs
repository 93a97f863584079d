//! Every reference file stands beside the script that wrote it.

use std::path::Path;

use crate::repository::{assert_none, file_names_in, read};

const FOLDERS: [&str; 4] = [
    "crates/imaging/tests/reference",
    "crates/metrics/tests/reference",
    "crates/bipvl/tests/reference",
    "bindings/python/tests/reference",
];

fn is_script(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "py")
}

#[test]
fn every_reference_file_has_its_script() {
    let mut orphans = Vec::new();
    for folder in FOLDERS {
        let (scripts, files): (Vec<String>, Vec<String>) =
            file_names_in(folder).into_iter().partition(|name| is_script(name));
        let texts: String = scripts.iter().map(|script| read(&format!("{folder}/{script}"))).collect();
        let is_written = |file: &String| {
            let stem = file.split('.').next().unwrap_or_default();
            scripts.contains(&format!("{stem}.py")) || texts.contains(file.as_str())
        };
        let written_by_none = files.into_iter().filter(|file| !is_written(file));
        orphans.extend(written_by_none.map(|file| format!("{folder}/{file}")));
    }
    assert_none("reference files without a script", &orphans);
}

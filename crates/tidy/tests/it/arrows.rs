//! Who may import whom inside the crates, read from the sources.

use crate::repository::{SourceFile, assert_none, files};

/// Rooms of `bipvl`, and the paths below `crate` that each may name besides its own and `error`.
const ARROWS: [(&str, &[&str]); 10] = [
    ("data", &[]),
    ("text", &[]),
    ("describe", &["data", "text"]),
    ("model", &["text::ClassText", "text::Tokens"]),
    ("infer", &["data", "text", "model"]),
    ("probe", &["data", "text", "infer", "model::EncodedText"]),
    ("train", &["data", "text", "model", "infer"]),
    ("device", &[]),
    ("error", &[]),
    ("config", &["data", "model", "infer", "train"]),
];

/// Free to name every room; nobody may name it but the crate's door.
const TOP: [&str; 2] = ["run", "lib"];

/// The only files of these rooms of `bipvl` that know tensors: the two doors between voxels and tensors.
const TENSOR_DOORS: [(&str, &[&str]); 4] =
    [("data", &["data/batch.rs"]), ("text", &[]), ("describe", &[]), ("infer", &["infer/mod.rs"])];

/// The only files of `model` that open files.
const MODEL_FILES: [&str; 3] = ["model/weights.rs", "model/published/mod.rs", "model/published/bert.rs"];

#[test]
fn rooms_import_only_what_the_map_allows() {
    let mut found = Vec::new();
    for file in rooms() {
        let room = room(&file);
        if TOP.contains(&room) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            found.push(format!("{}: a room without a rule", file.path));
            continue;
        };
        for path in crate_paths(&file) {
            let is_below = |parent: &str| path == parent || path.starts_with(&format!("{parent}::"));
            if !is_below(room) && !is_below("error") && !allowed.iter().any(|parent| is_below(parent)) {
                found.push(format!("{}: crate::{path}", file.path));
            }
        }
    }
    assert_none("arrows that ARCHITECTURE.md does not allow", &found);
}

#[test]
fn voxels_and_tensors_meet_in_two_files() {
    let mut found = Vec::new();
    for file in rooms() {
        let rule = TENSOR_DOORS.iter().find(|(name, _)| *name == room(&file));
        if let Some((_, doors)) = rule
            && !doors.iter().any(|door| file.path.ends_with(door))
            && file.code().any(|line| line.contains("burn::"))
        {
            found.push(file.path);
        }
    }
    assert_none("tensors in a room of voxels and words", &found);
}

#[test]
fn the_model_opens_files_where_weights_are_read() {
    let opens = |file: &SourceFile| {
        let is_door = MODEL_FILES.iter().any(|door| file.path.ends_with(door));
        room(file) == "model"
            && !is_door
            && file.code().any(|line| line.contains("fs::") || line.contains("fs,"))
    };
    let found: Vec<String> = rooms().into_iter().filter(opens).map(|file| file.path).collect();
    assert_none("files opened inside the network", &found);
}

#[test]
fn one_room_knows_the_format_of_nifti() {
    let knows = |file: &SourceFile| {
        let is_room = file.path.starts_with("crates/imaging/src/nifti/");
        file.is_rust()
            && file.is_in_src()
            && !is_room
            && file.code().any(|line| line.starts_with("use nifti::"))
    };
    let found: Vec<String> = files().into_iter().filter(knows).map(|file| file.path).collect();
    assert_none("the nifti crate outside of its room", &found);
}

/// The sources of the method.
fn rooms() -> Vec<SourceFile> {
    files().into_iter().filter(|file| file.path.starts_with("crates/bipvl/src/")).collect()
}

/// The folder below `src`, or the name of a file that stands there alone.
fn room(file: &SourceFile) -> &str {
    let name = file.path.split('/').nth(3).unwrap_or_default();
    name.trim_end_matches(".rs")
}

/// Every path that code names behind `crate::`, groups taken apart, such as `data::Batch`.
fn crate_paths(file: &SourceFile) -> Vec<String> {
    let code: String = file.code().flat_map(|line| [line, " "]).collect();
    let mut paths = Vec::new();
    for tree in code.split("crate::").skip(1) {
        expand(tree, "", &mut paths);
    }
    paths
}

/// Reads one tree of a `use` and returns what stands behind it.
fn expand<'a>(tree: &'a str, prefix: &str, paths: &mut Vec<String>) -> &'a str {
    let tree = tree.trim_start();
    if let Some(mut rest) = tree.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            if rest.is_empty() || rest.starts_with('}') {
                return rest.strip_prefix('}').unwrap_or(rest);
            }
            rest = expand(rest, prefix, paths);
        }
    }
    let end = tree.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(tree.len());
    // What is no name, such as the star of a glob, still moves on.
    let end = end.max(tree.chars().next().map_or(0, char::len_utf8));
    let (name, rest) = tree.split_at(end);
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    if let Some(rest) = rest.strip_prefix("::") {
        return expand(rest, &path, paths);
    }
    paths.push(path);
    rest
}

#[test]
fn a_group_of_imports_is_taken_apart() {
    let text = "use crate::{\n    data::{Batch, Case},\n    model::{bert, init::{Noise}},\n};\nlet x = crate::run::Run;\n";
    let file = SourceFile { path: String::new(), text: text.to_owned() };
    let expected = ["data::Batch", "data::Case", "model::bert", "model::init::Noise", "run::Run"];
    assert_eq!(crate_paths(&file), expected);
}

//! The form of every file: its first line, its length, and what must not stand in it.

use crate::repository::{SourceFile, assert_none, files};

/// Lines of a file before its unit tests.
const MAX_LINES: usize = 400;

#[test]
fn every_rust_file_says_what_it_is_in_its_first_line() {
    let mute = |file: &SourceFile| file.is_rust() && !file.text.starts_with("//! ");
    let found: Vec<String> = files().into_iter().filter(mute).map(|file| file.path).collect();
    assert_none("without a first line that begins with //!", &found);
}

#[test]
fn no_file_is_longer_than_can_be_read_in_one_sitting() {
    let mut found = Vec::new();
    for file in files().into_iter().filter(|file| file.is_rust() && file.is_in_src()) {
        let tests = "#[cfg(test)]\nmod tests {";
        let lines = file.text.split(tests).next().unwrap_or_default().lines().count();
        if lines > MAX_LINES {
            found.push(format!("{} has {lines} lines", file.path));
        }
    }
    assert_none("longer than 400 lines, tests not counted", &found);
}

#[test]
fn nothing_is_left_for_later_or_tied_to_one_machine() {
    let later = ["TODO", "FIXME", "#[ignore", "#[should_panic"];
    let machine = ["/home/", "/root/", "/Users/", "/work/", "/tmp/"];
    let mut found = Vec::new();
    // This crate holds what it looks for.
    for file in files().into_iter().filter(|file| file.crate_name() != "tidy") {
        for (number, line) in (1..).zip(file.text.lines()) {
            if later.iter().chain(&machine).any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none("left for later, or a path of one machine", &found);
}

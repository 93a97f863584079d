//! Descriptions in a CSV table, the form of the paper's authors.

use std::path::Path;

use super::{Concept, Description, Descriptions, PAPER_CONCEPTS};
use crate::{Error, Result};

/// Spreadsheets of many locales separate by semicolon, because the comma is their decimal point.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
const TITLE: &str = "title";

/// Whether a file is a CSV table, by its extension.
pub(super) fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// Reads a table with a column `Title`, a column per concept and a row per class. The delimiter is the comma, semicolon
/// or tab that splits the header; Excel's line `sep=;` and its byte order mark are accepted.
pub(super) fn read_csv(path: &Path, text: &str) -> Result<Descriptions> {
    let (delimiter, text) = delimiter(text.trim_start_matches('\u{feff}'));
    let malformed = |error: csv::Error| Error::Csv { path: path.to_owned(), reason: error.to_string() };
    let mut reader = reader(text, delimiter);
    let header = reader.headers().map_err(malformed)?.clone();
    let names: Vec<String> = header.iter().map(concept_name).collect();
    let Some(title) = names.iter().position(|name| name == TITLE) else {
        let columns = header.iter().map(str::to_owned).collect();
        return Err(Error::NoTitleColumn { path: path.to_owned(), columns });
    };
    for (second, concept) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        if let Some(first) = names[..second].iter().position(|name| name == concept) {
            return Err(Error::DuplicateConcept {
                path: path.to_owned(),
                concept: concept.clone(),
                first: header[first].to_owned(),
                second: header[second].to_owned(),
            });
        }
    }
    let mut classes = Vec::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let columns = names.iter().zip(&record).filter(|(name, _)| !name.is_empty() && *name != TITLE);
        classes.push(Description {
            class: class_of_title(&record[title]),
            title: record[title].to_owned(),
            concepts: columns
                .map(|(name, cell)| Concept { name: name.clone(), sentence: cell.to_owned() })
                .collect(),
        });
    }
    Ok(Descriptions { classes })
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes())
}

/// The delimiter and the table below Excel's `sep=` line, if there is one.
fn delimiter(text: &str) -> (u8, &str) {
    if let Some((line, table)) = text.split_once('\n')
        && let Some(&[delimiter]) =
            line.trim_end_matches('\r').trim_matches('"').strip_prefix("sep=").map(str::as_bytes)
    {
        return (delimiter, table);
    }
    let columns = |delimiter: u8| {
        let header = reader(text, delimiter).headers().cloned().unwrap_or_default();
        let has_title = header.iter().any(|name| concept_name(name) == TITLE);
        if has_title { header.len() } else { 0 }
    };
    // Of equally good delimiters the first.
    let best = DELIMITERS.into_iter().rev().max_by_key(|delimiter| columns(*delimiter));
    (best.unwrap_or(b','), text)
}

/// The concept of a column: `Appearance/Density` is the appearance, `Internal Texture` the texture.
fn concept_name(header: &str) -> String {
    let header = header.trim().to_lowercase();
    let words: Vec<&str> = header.split(|letter: char| !letter.is_alphanumeric()).collect();
    let known = PAPER_CONCEPTS.into_iter().find(|concept| words.contains(concept));
    known.map_or(header.clone(), str::to_owned)
}

/// The class of a title: `Right Kidney in a CT Image` describes the right kidney.
fn class_of_title(title: &str) -> String {
    let title = title.to_lowercase();
    let end = [" in a ", " in an "].into_iter().filter_map(|article| title.find(article)).min();
    title[..end.unwrap_or(title.len())].trim().to_owned()
}

//! The rows of a study: built-in ones, and one per pretrained text encoder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl::{
    data::Dataset,
    train::ablation::{Ablation, Requirement},
};

use super::{NamedEncoder, job::COST};
use crate::args::AblateArgs;

/// All rows: built-in ones, one per `--encoder`, and encoders with finished runs in the output folder.
///
/// # Errors
///
/// If an encoder has the name of another row, or `--rows` names an unknown row.
pub(super) fn all(args: &AblateArgs) -> Result<Vec<Ablation>, String> {
    let mut rows = Ablation::built_in();
    for NamedEncoder { name, folder } in &args.encoders {
        if rows.iter().any(|row| row.name == *name) {
            return Err(format!("--encoder {name}={}: a row `{name}` exists already", folder.display()));
        }
        rows.push(Ablation::with_text_encoder(name.clone(), Some(folder.clone())));
    }
    for name in finished_rows(&args.out) {
        if !rows.iter().any(|row| row.name == name) {
            rows.push(Ablation::with_text_encoder(name, None));
        }
    }
    match args.rows.iter().find(|name| !rows.iter().any(|row| row.name == **name)) {
        Some(unknown) => {
            let names: Vec<&str> = rows.iter().map(|row| &*row.name).collect();
            Err(format!("--rows: unknown row `{unknown}`; known rows: {}", names.join(", ")))
        }
        None => Ok(rows),
    }
}

/// What a row needs and the data set or the command line does not have.
pub(super) fn missing_requirement(row: &Ablation, dataset: &Dataset) -> Option<String> {
    Some(match row.missing_requirement(dataset)? {
        Requirement::TextEncoder => format!("--encoder {}=DIR", row.name),
        other => other.to_string(),
    })
}

/// Names of the rows in the output folder that have a finished run, sorted.
fn finished_rows(out: &Path) -> Vec<String> {
    let folders = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let is_finished = |row: &Path| folders(row).iter().any(|run| run.join(COST).exists());
    let rows = folders(out).into_iter().filter(|row| is_finished(row));
    let mut names: Vec<String> = rows.filter_map(|row| Some(row.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

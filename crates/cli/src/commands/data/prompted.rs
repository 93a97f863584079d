//! `bipvl data check` of several data sets: what each says of every concept.

use std::{fmt::Write as _, path::Path};

use anyhow::Result;
use bipvl::{
    prompts::{PromptRunSpec, Vocabulary, config::ConfigFile, sets::OpenSet},
    text::Synonyms,
};
use serde_json::json;

use super::source::quoted;
use crate::{
    args::CheckArgs,
    commands::{
        train::{is_prompted, open_sets},
        vocabulary::table,
    },
};

/// The configuration of `--config` where it is one of prompts.
pub(super) fn config(args: &CheckArgs) -> Result<Option<ConfigFile>> {
    let Some(path) = &args.config else { return Ok(None) };
    Ok(if is_prompted(Some(path))? { Some(ConfigFile::read(path)?) } else { None })
}

/// Prints sets × concepts; fails where they contradict each other.
#[expect(clippy::print_stdout, reason = "printing is the purpose of the command")]
pub(super) fn check(args: &CheckArgs, file: &ConfigFile) -> Result<()> {
    let config = file.clone().resolve()?;
    let sets = open_sets(&config)?;
    let synonyms = &Synonyms::builtin();
    let spec = PromptRunSpec { config, sets: &sets, synonyms, source: Some(file.path.clone()), from: None };
    let vocabulary = spec.check()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&sets, &vocabulary))?);
        return Ok(());
    }
    let mut text = String::new();
    for set in &sets {
        writeln!(
            text,
            "{}: {} cases in {}",
            set.config.name,
            set.dataset.cases.len(),
            set.config.path.display()
        )?;
        for (class, count) in set.labeled_counts() {
            writeln!(text, "  {class}: contoured in {count} cases")?;
        }
    }
    println!("{text}\n{}\n\nstart the training with\n  {}", table(&vocabulary), command(&file.path));
    Ok(())
}

fn as_json(sets: &[OpenSet], vocabulary: &Vocabulary) -> serde_json::Value {
    let sets = sets.iter().map(|set| {
        json!({ "name": set.config.name, "path": set.config.path, "cases": set.dataset.cases.len(),
            "labelled": set.labeled_counts() })
    });
    json!({ "sets": sets.collect::<Vec<_>>(), "vocabulary": vocabulary })
}

fn command(config: &Path) -> String {
    let run = Path::new("runs").join(config.file_stem().unwrap_or_default());
    format!("bipvl train --config {} --out {}", quoted(config), quoted(&run))
}

//! `bipvl vocabulary`: what a prompted run was trained on, under which names, from which data sets.

use anyhow::{Result, bail};
use bipvl::prompts::{Knowledge, PromptRun, Vocabulary};
use bipvl_report::table::left_aligned;

use crate::args::VocabularyArgs;

/// Prints the vocabulary of a run.
#[expect(clippy::print_stdout, reason = "what it prints is what the command is for")]
pub(crate) fn run(args: &VocabularyArgs) -> Result<()> {
    if !PromptRun::exists_in(&args.run) {
        bail!("{}: no run with model.head = \"prompts\"", args.run.display());
    }
    let run = PromptRun::open(&args.run)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&run.vocabulary)?);
    } else {
        println!("{}", table(&run.vocabulary));
    }
    Ok(())
}

/// Concepts in rows, data sets in columns, and the other names of each concept.
pub(crate) fn table(vocabulary: &Vocabulary) -> String {
    let mut rows = vec![header(vocabulary)];
    for concept in &vocabulary.concepts {
        let mut row = vec![concept.name.clone()];
        row.extend(
            concept.sets.iter().map(|knowledge| word(knowledge, !concept.parts.is_empty()).to_owned()),
        );
        let parts: Vec<&str> =
            concept.parts.iter().map(|part| vocabulary.concepts[*part].name.as_str()).collect();
        let others: Vec<&str> = concept.texts.names.iter().skip(1).map(String::as_str).collect();
        row.push(if parts.is_empty() { others.join(", ") } else { parts.join(" + ") });
        rows.push(row);
    }
    left_aligned(&rows)
}

fn header(vocabulary: &Vocabulary) -> Vec<String> {
    let sets = vocabulary.sets.iter().cloned();
    ["concept".to_owned()].into_iter().chain(sets).chain(["parts or other names".to_owned()]).collect()
}

fn word(knowledge: &Knowledge, is_union: bool) -> &'static str {
    match knowledge {
        Knowledge::Labeled(_) => "labelled",
        Knowledge::Absent => "absent",
        Knowledge::Unknown if is_union => "",
        Knowledge::Unknown => "unknown",
    }
}

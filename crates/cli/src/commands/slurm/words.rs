//! The arguments of a command as they were given, quoted for a shell.

use std::ffi::OsStr;

use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, parser::ValueSource};

use crate::shell::quote;

/// The arguments of `A` that were given and that `wanted` keeps, by their ids: the command, a line for each flag with its
/// value, and the positional ones.
///
/// # Errors
///
/// When an argument is not UTF-8, which a script cannot hold.
pub(super) fn command_line<A: Args>(
    name: &'static str,
    given: &ArgMatches,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let (mut flags, mut positional) = (vec![name.to_owned()], Vec::new());
    let definitions = A::augment_args(Command::new(name));
    for arg in definitions.get_arguments() {
        let id = arg.get_id().as_str();
        if given.value_source(id) != Some(ValueSource::CommandLine) || !wanted(id) {
            continue;
        }
        for values in given.get_raw_occurrences(id).into_iter().flatten() {
            let values = values.map(text).collect::<Result<Vec<String>>>()?;
            if arg.is_positional() { positional.extend(values) } else { flags.push(flag(arg, values)) }
        }
    }
    let has_hyphens = positional.iter().any(|value| value.starts_with('-'));
    let end = has_hyphens.then(|| "--".to_owned());
    // `--` ends the flags, so that more of them can only stand before.
    let at = if has_hyphens { flags.len() } else { 1 };
    let positional: Vec<String> =
        end.into_iter().chain(positional.iter().map(|value| quote(value))).collect();
    flags.splice(at..at, positional);
    Ok(flags)
}

fn text(value: &OsStr) -> Result<String> {
    let text = value.to_str().map(str::to_owned);
    text.with_context(|| format!("{}: not UTF-8, which the script has to be", value.display()))
}

/// A flag with its value, as one word where the value could be taken for a flag.
fn flag(arg: &Arg, values: Vec<String>) -> String {
    let name = arg.get_long().map_or_else(String::new, |name| format!("--{name}"));
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return name;
    }
    let value = values.join(arg.get_value_delimiter().map(String::from).as_deref().unwrap_or(" "));
    let value = quote(&value);
    if value.is_empty() || value.starts_with('-') || arg.is_require_equals_set() {
        format!("{name}={value}")
    } else {
        format!("{name} {value}")
    }
}

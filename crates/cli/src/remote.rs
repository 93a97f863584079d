//! Arguments that are URLs: inputs are fetched before a command runs, outputs stored while it runs and when it ends.

#[cfg(feature = "object-store")]
mod upload;
#[cfg(feature = "object-store")]
mod transfers;

use std::{
    any::TypeId,
    ffi::OsStr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use clap::{
    Arg, Command, CommandFactory, FromArgMatches,
    builder::{PathBufValueParser, StringValueParser, TypedValueParser},
    error::ErrorKind,
};

use crate::args::{Cli, NamedRun};

#[cfg(feature = "object-store")]
pub(crate) use transfers::Transfers;

/// Arguments that are written; the others are read.
const OUTPUTS: [&str; 2] = ["out", "json"];
/// The command whose files are changed where they are; of its paths only the models may be URLs.
const SERVER: &str = "serve";
/// The command that writes its arguments down and leaves them alone.
const SCRIPT: &str = "slurm";

/// What a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A file or folder to read.
    Input,
    /// A file to write.
    OutputFile,
    /// A folder to write.
    OutputFolder,
    /// Of this machine alone.
    Local,
}

/// A URL, and the local path that the command gets in its place.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "object-store"), expect(dead_code, reason = "no URL is accepted"))]
pub(crate) struct RemoteArgument {
    pub(crate) url: String,
    pub(crate) usage: Use,
    pub(crate) local: PathBuf,
}

type Arguments = Arc<Mutex<Vec<RemoteArgument>>>;

/// Parses the command line, exiting on a usage error; URLs among its paths are replaced by local paths.
pub(crate) fn parse() -> (Cli, Vec<RemoteArgument>) {
    let found = Arguments::default();
    let command = with_urls(Cli::command(), &found);
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    (cli, std::mem::take(&mut *found))
}

/// The command, whose paths may be URLs.
fn with_urls(command: Command, found: &Arguments) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let is_server = command.get_name() == SERVER;
    let command = command.mut_args(|arg| {
        let value = arg.get_value_parser().type_id();
        let found = Arc::clone(found);
        if value == TypeId::of::<NamedRun>() {
            arg.value_parser(NamedRunOrUrl(PathOrUrl { usage: Use::Input, found }))
        } else if value == TypeId::of::<PathBuf>() {
            let usage = if is_server { Use::Local } else { usage(&arg) };
            arg.value_parser(PathOrUrl { usage, found })
        } else {
            arg
        }
    });
    names.into_iter().filter(|name| name != SCRIPT).fold(command, |command, name| {
        command.mut_subcommand(name, |subcommand| with_urls(subcommand, found))
    })
}

fn usage(arg: &Arg) -> Use {
    let is_folder = arg.get_value_names().is_some_and(|names| names.iter().any(|name| name != "FILE"));
    match (OUTPUTS.contains(&arg.get_id().as_str()), is_folder) {
        (false, _) => Use::Input,
        (true, true) => Use::OutputFolder,
        (true, false) => Use::OutputFile,
    }
}

/// Takes paths as they are, and remembers URLs.
#[derive(Clone, Debug)]
struct PathOrUrl {
    usage: Use,
    found: Arguments,
}

impl TypedValueParser for PathOrUrl {
    type Value = PathBuf;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<PathBuf, clap::Error> {
        let path = PathBufValueParser::new().parse_ref(command, arg, value)?;
        self.localize(command, path)
    }
}

impl PathOrUrl {
    /// The path itself, or the local one for a URL.
    fn localize(&self, command: &Command, path: PathBuf) -> Result<PathBuf, clap::Error> {
        let Some(url) = path.to_str().filter(|text| is_url(text)) else { return Ok(path) };
        let local = match self.usage {
            Use::Local => Err(format!("{url}: a file or folder of this machine is needed")),
            usage => local_path(url, usage),
        };
        let refuse = |reason| clap::Error::raw(ErrorKind::ValueValidation, reason + "\n").with_cmd(command);
        let local = local.map_err(refuse)?;
        let argument = RemoteArgument { url: url.to_owned(), usage: self.usage, local: local.clone() };
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(argument);
        Ok(local)
    }
}

/// A run with a name, at a path or URL.
#[derive(Clone, Debug)]
struct NamedRunOrUrl(PathOrUrl);

impl TypedValueParser for NamedRunOrUrl {
    type Value = NamedRun;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<NamedRun, clap::Error> {
        let parser = StringValueParser::new().try_map(|text| text.parse::<NamedRun>());
        let NamedRun { name, run } = parser.parse_ref(command, arg, value)?;
        Ok(NamedRun { name, run: self.0.localize(command, run)? })
    }
}

/// Whether a path is a URL.
pub(crate) fn is_url(text: &str) -> bool {
    ["s3://", "http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
}

#[cfg(feature = "object-store")]
fn local_path(url: &str, usage: Use) -> Result<PathBuf, String> {
    transfers::local_path(url, usage).map_err(|error| format!("{error:#}"))
}

#[cfg(not(feature = "object-store"))]
fn local_path(url: &str, _: Use) -> Result<PathBuf, String> {
    Err(format!("{url}: this program was built without object stores; build it with --features object-store"))
}

/// Without object stores there is nothing to do.
#[cfg(not(feature = "object-store"))]
pub(crate) struct Transfers;

#[cfg(not(feature = "object-store"))]
impl Transfers {
    #[expect(clippy::unnecessary_wraps, reason = "as with object stores")]
    pub(crate) fn begin(_: Vec<RemoteArgument>) -> anyhow::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with object stores")]
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        Ok(())
    }
}

//! `bipvl demo --serve`: the server with the run of the demo and bodies that it has not seen.

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use super::bodies::{FIRST_NEW, id, image};

/// Bodies to look at.
const SHOWN: u64 = 8;

/// Becomes `bipvl serve`: a server wants a thread pool of another kind.
pub(super) fn run(folder: &Path) -> Result<()> {
    let scans = folder.join("scans");
    fs::create_dir_all(&scans).with_context(|| scans.display().to_string())?;
    for seed in FIRST_NEW..FIRST_NEW + SHOWN {
        let copy = scans.join(format!("{}.nii.gz", id(seed)));
        fs::copy(folder.join("data").join(image(seed)), &copy).with_context(|| copy.display().to_string())?;
    }
    let model = format!("demo={}", folder.join("run").display());
    tracing::info!("bipvl serve --model {model} --data {}", scans.display());
    let mut serve = Command::new(env::current_exe()?);
    serve.args(["serve", "--demo", "--model", &model, "--data"]).arg(&scans);
    replace(serve)
}

#[cfg(unix)]
fn replace(mut serve: Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    bail!("bipvl serve: {}", serve.exec())
}

#[cfg(not(unix))]
fn replace(mut serve: Command) -> Result<()> {
    if serve.status()?.success() { Ok(()) } else { bail!("bipvl serve failed") }
}

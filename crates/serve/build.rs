//! Builds the page with npm, where there is npm; without it the server has no page and says so.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn main() {
    let source = Path::new("page");
    for file in [
        "src",
        "public",
        "index.html",
        "package.json",
        "package-lock.json",
        "vite.config.ts",
        "tsconfig.json",
    ] {
        println!("cargo::rerun-if-changed={}", source.join(file).display());
    }
    println!("cargo::rerun-if-env-changed=BIPVL_WITHOUT_PAGE");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let (work, built) = (out.join("page"), out.join("page").join("dist"));
    let _ = fs::remove_dir_all(&built);
    // A source that was renamed would be built under both names.
    let _ = fs::remove_dir_all(work.join("src"));
    if env::var_os("BIPVL_WITHOUT_PAGE").is_none()
        && let Err(reason) = build(source, &work)
    {
        println!("cargo::warning=the page of `bipvl serve` is left out: {reason}");
    }
    fs::create_dir_all(&built).expect("OUT_DIR can be written to");
    println!("cargo::rustc-env=BIPVL_PAGE={}", built.display());
}

/// Builds a copy, so that nothing is written beside the sources.
fn build(source: &Path, work: &Path) -> Result<(), String> {
    copy(source, work).map_err(|error| error.to_string())?;
    for arguments in [&["ci", "--no-audit", "--no-fund", "--ignore-scripts"][..], &["run", "build"]] {
        let mut npm = Command::new("npm");
        npm.args(arguments).current_dir(work).stdin(Stdio::null());
        let output = npm.output().map_err(|error| format!("npm: {error}"))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "npm {}: {}",
                arguments.join(" "),
                message.lines().next().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "node_modules" || name == "dist" || name == "e2e" {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

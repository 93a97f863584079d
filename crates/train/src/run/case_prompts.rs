//! What single cases say of their own: as the data set has it, or as the run has it instead.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_io::atomic_write;

use super::RunDir;
use crate::{Error, Result};
use bipvl_data::Case;
use bipvl_text::{CaseTexts, ClassText, Descriptions};

impl RunDir {
    /// The file with what a case says of its own: that of the run where it has one, else that of the data set.
    pub fn case_descriptions_path(&self, case: &Case) -> Option<PathBuf> {
        let of_run = self.own_path(&case.id);
        if of_run.is_file() { Some(of_run) } else { case.descriptions_path() }
    }

    /// Gives cases, by id, descriptions in the place of those of the data set.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write_case_descriptions(&self, of_cases: &[(String, Descriptions)]) -> Result<()> {
        for (case, descriptions) in of_cases {
            let path = self.own_path(case);
            let folder = path.parent().expect("a file of the run is in a folder");
            fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
            atomic_write(&path, descriptions.to_toml().as_bytes())?;
        }
        Ok(())
    }

    fn own_path(&self, case: &str) -> PathBuf {
        self.path("descriptions").join(format!("{case}.toml"))
    }

    /// The text of a case whose own descriptions are in `file`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or does not fit the descriptions of the run.
    pub fn case_text(&self, file: &Path) -> Result<ClassText> {
        Ok(self.tokenizer.encode_classes(&self.descriptions.with_case_overrides(file)?))
    }

    /// The texts of these cases.
    pub(super) fn texts<'a>(&self, cases: impl Iterator<Item = &'a Case>) -> Result<CaseTexts> {
        let with_files = cases.filter_map(|case| Some((case.id.clone(), self.case_descriptions_path(case)?)));
        let per_case =
            with_files.map(|(id, file)| Ok((id, self.case_text(&file)?))).collect::<Result<_>>()?;
        Ok(CaseTexts { shared: self.tokenizer.encode_classes(&self.descriptions), per_case })
    }
}

//! Descriptions of single cases.

use std::{collections::HashMap, fs};

use bipvl_data::Case;
use bipvl_io::atomic_write;
use bipvl_text::{CaseTexts, Descriptions};

use super::RunDir;
use crate::{Error, Result};

impl RunDir {
    /// Stores descriptions of cases, by id, that replace those of the data set.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write_case_descriptions(&self, cases: &[(String, Descriptions)]) -> Result<()> {
        for (case, descriptions) in cases {
            let path = self.model.case_descriptions_override(case);
            let dir = path.parent().expect("the path has a directory");
            fs::create_dir_all(dir).map_err(|reason| Error::io(dir, reason))?;
            atomic_write(&path, descriptions.to_toml().as_bytes())?;
        }
        Ok(())
    }

    /// The tokenized texts of cases.
    pub(super) fn case_texts<'a>(&self, cases: impl Iterator<Item = &'a Case>) -> Result<CaseTexts> {
        let mut per_case = HashMap::new();
        for case in cases {
            if let Some(file) = self.model.case_descriptions_path(case) {
                per_case.insert(case.id.clone(), self.model.case_text(&file)?);
            }
        }
        Ok(CaseTexts { shared: self.model.class_text(), per_case })
    }
}

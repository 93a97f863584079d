//! Preprocesses the cases of a run and collects the inputs of its training.

use std::{collections::BTreeMap, fs, ops::ControlFlow, sync::Arc};

use bipvl_data::{CachedCase, Case, IGNORE_INDEX, SplitIds, build_cache};
use bipvl_train::{Error as TrainError, Start, run::TrainOptions};

use super::{NO_LOGITS, PromptRun, SPLIT};
use crate::{
    Error, Knowledge, PromptSampler, Result,
    code_book::{code_book, code_vocabulary},
    config::PartialLabels,
    loader::PromptSource,
    sets::OpenSet,
    train::PromptSetup,
    training_set::{TrainingCase, TrainingSet},
    validate::ValidationCase,
};

/// Gets the number of preprocessed cases; a break cancels.
pub(super) type OnProgress<'a> = &'a (dyn Fn(usize) -> ControlFlow<()> + Sync);

impl PromptRun {
    /// Cases to train and validate on, over all data sets.
    ///
    /// # Errors
    ///
    /// When the split cannot be read.
    pub fn num_cases(&self) -> Result<usize> {
        Ok(self.split_ids()?.values().map(|ids| ids.train.len() + ids.val.len()).sum())
    }

    /// Preprocesses the cases and collects the inputs of the training.
    ///
    /// # Errors
    ///
    /// When cases of the split are missing, a case or the pretrained weights cannot be read, the cache cannot be
    /// written, or `on_progress` breaks.
    pub fn train_setup(
        &self,
        sets: &[OpenSet],
        options: TrainOptions,
        on_progress: OnProgress,
    ) -> Result<PromptSetup> {
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        let splits = self.split_ids()?;
        let mut done = 0;
        for (place, set) in sets.iter().enumerate() {
            let ids = splits.get(&set.config.name).cloned().unwrap_or_default();
            let train = self.cases(set, &ids.train)?;
            let val = self.cases(set, &ids.val)?;
            let mut build = |cases: &[Case]| {
                let before = done;
                done += cases.len();
                self.cached(set, cases, &|count| on_progress(before + count))
            };
            let (train, val) = (build(&train)?, build(&val)?);
            training.push(TrainingSet::new(self.training_cases(place, set, train)?));
            let of_case =
                |(case, knowledge)| ValidationCase { set: set.config.name.clone(), case, knowledge };
            validation.extend(self.with_knowledge(place, set, val)?.into_iter().map(of_case));
        }
        let config = self.config.clone();
        let pretrained = match self.start() {
            Start::Fresh => config.pretrained.load(NO_LOGITS)?,
            Start::Resume => Vec::new(),
        };
        let source = PromptSource {
            sets: training,
            sampler: self.sampler(),
            patch_size: config.patch_size(),
            samples: config.train.samples_of_rank(&*options.communicator),
            oversample_foreground: config.train.oversample_foreground,
            augment: config.train.augment.clone(),
            coordinates: config.model.prompts.coordinates,
            seed: config.train.seed,
        };
        Ok(PromptSetup {
            config: config.train,
            model: config.model,
            source: Arc::new(source),
            validation,
            tokenizer: self.tokenizer.clone(),
            pretrained,
            initial: self.transferred_weights()?,
            text: config.text,
            ignore: IGNORE_INDEX,
            overlap: config.infer.overlap,
            last: self.last_checkpoint(),
            best: self.best_checkpoint(),
            time_budget: options.time_budget,
            workers: options.workers,
            device: options.device,
            communicator: options.communicator,
        })
    }

    fn sampler(&self) -> PromptSampler {
        let mut prompts = self.config.prompts.clone();
        let Some(seed) = self.config.code_book() else {
            return PromptSampler::new(self.vocabulary.clone(), prompts);
        };
        prompts.held_out = prompts.held_out.iter().map(|name| code_book(name, seed)).collect();
        PromptSampler::new(code_vocabulary(&self.vocabulary, seed), prompts)
    }

    /// The cases of every data set by their purpose.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn split_ids(&self) -> Result<BTreeMap<String, SplitIds>> {
        let path = self.path(SPLIT);
        let text = fs::read_to_string(&path).map_err(|reason| Error::io(&path, reason))?;
        serde_json::from_str(&text).map_err(|error| Error::InvalidRunFile { path, reason: error.to_string() })
    }

    /// The test cases of a data set, or its validation cases where it has none, with what they say of every concept.
    ///
    /// # Errors
    ///
    /// As [`Self::train_setup`].
    pub fn evaluation_cases(
        &self,
        place: usize,
        set: &OpenSet,
        on_progress: OnProgress,
    ) -> Result<Vec<ValidationCase>> {
        let cases = self.cached(set, &self.held_out_cases(set)?, on_progress)?;
        let of_case = |(case, knowledge)| ValidationCase { set: set.config.name.clone(), case, knowledge };
        Ok(self.with_knowledge(place, set, cases)?.into_iter().map(of_case).collect())
    }

    /// The test cases of a data set, or its validation cases where it has none.
    ///
    /// # Errors
    ///
    /// When the split cannot be read or a case of it is missing.
    pub fn held_out_cases(&self, set: &OpenSet) -> Result<Vec<Case>> {
        let ids = self.split_ids()?.remove(&set.config.name).unwrap_or_default();
        self.cases(set, if ids.test.is_empty() { &ids.val } else { &ids.test })
    }

    fn cases(&self, set: &OpenSet, ids: &[String]) -> Result<Vec<Case>> {
        let find = |id: &String| set.dataset.cases.iter().find(|case| case.id == *id).cloned();
        let missing: Vec<String> = ids.iter().filter(|id| find(id).is_none()).cloned().collect();
        if !missing.is_empty() {
            return Err(TrainError::MissingCases { path: self.path(SPLIT), cases: missing }.into());
        }
        Ok(ids.iter().filter_map(find).collect())
    }

    fn cached(&self, set: &OpenSet, cases: &[Case], on_progress: OnProgress) -> Result<Vec<CachedCase>> {
        let folder = self.path("cache").join(folder_name(&set.config.name));
        let cases = build_cache(&folder, &set.config.preprocess, &set.dataset, cases, on_progress)?;
        match set.channel {
            Some(channel) => Ok(cases.into_iter().map(|case| case.with_channel(channel)).collect()),
            None => Ok(cases),
        }
    }

    fn training_cases(
        &self,
        place: usize,
        set: &OpenSet,
        cases: Vec<CachedCase>,
    ) -> Result<Vec<TrainingCase>> {
        let all = self.vocabulary.knowledge(place, None);
        let is_complete = |knowledge: &[Knowledge]| *knowledge == all;
        let cases = self.with_knowledge(place, set, cases)?.into_iter().filter_map(|(case, knowledge)| {
            match set.config.partial_labels {
                PartialLabels::Unknown => Some(TrainingCase { case, knowledge }),
                PartialLabels::Background => Some(TrainingCase { case, knowledge: all.clone() }),
                PartialLabels::Exclude => is_complete(&knowledge).then_some(TrainingCase { case, knowledge }),
            }
        });
        let cases: Vec<TrainingCase> = cases.collect();
        if cases.is_empty() {
            return Err(Error::NoTrainingCases { set: set.config.name.clone() });
        }
        Ok(cases)
    }

    fn with_knowledge(
        &self,
        place: usize,
        set: &OpenSet,
        cases: Vec<CachedCase>,
    ) -> Result<Vec<(CachedCase, Vec<Knowledge>)>> {
        let all = self.vocabulary.knowledge(place, None);
        let with_knowledge = |case: CachedCase| {
            let knowledge = self.vocabulary.knowledge(place, set.labels_of(case.id()).as_ref());
            let shows = |labels: &[u8]| labels.iter().any(|label| case.class_locations().contains(*label));
            let is_contradicted = |concept: &usize| match &all[*concept] {
                Knowledge::Labeled(labels) => knowledge[*concept] == Knowledge::Absent && shows(labels),
                Knowledge::Absent | Knowledge::Unknown => false,
            };
            match (0..all.len()).find(is_contradicted) {
                Some(concept) => Err(Error::AbsentButLabeled {
                    set: set.config.name.clone(),
                    case: case.id().to_owned(),
                    name: self.vocabulary.concepts[concept].name.clone(),
                }),
                None => Ok((case, knowledge)),
            }
        };
        cases.into_iter().map(with_knowledge).collect()
    }
}

/// A folder of its own for every name: what is no letter, digit or `-` becomes its number.
fn folder_name(name: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || letter == '-';
    let part = |letter: char| {
        if is_plain(letter) { letter.to_string() } else { format!("_{:x}_", u32::from(letter)) }
    };
    name.chars().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::folder_name;

    #[test]
    fn different_names_have_different_folders() {
        assert_eq!(folder_name("MALC-2012"), "MALC-2012");
        assert_eq!(folder_name("a b"), "a_20_b");
        assert_ne!(folder_name("a b"), folder_name("a_b"));
        assert_ne!(folder_name("a/b"), folder_name("a_2f_b"));
    }
}

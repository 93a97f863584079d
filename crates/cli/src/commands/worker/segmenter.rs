//! Does a study: from the message to the files of its result.

use std::{path::PathBuf, time::Instant};

use anyhow::{Error, Result, anyhow, bail};
use bipvl::prompts::SegmentationRequest;
use bipvl_worker::{Failure, Job, Segmenter};

use super::{
    files::{Inputs, Output, permanent, transient},
    models::{LoadedModel, Models},
    places::Places,
    results,
};
use crate::{
    commands::predict::study::{LastFile, StudyError, StudyRequest, segment},
    interrupt,
};

/// What a worker segments studies with.
pub(super) struct StudySegmenter {
    pub(super) models: Models,
    pub(super) places: Places,
}

impl Segmenter for StudySegmenter {
    fn is_done(&self, job: &Job) -> Result<bool, Failure> {
        let (place, text) = Output::open(&self.places, &job.study.out)?.read(&results::file_name(job))?;
        results::is_of(&place, text.as_deref(), job).map_err(permanent)
    }

    fn segment(&self, job: &Job) -> Result<(), Failure> {
        let began = Instant::now();
        let LoadedModel { model, weights } = self.model(job).map_err(permanent)?;
        let inputs = Inputs::fetch(&self.places, &job.study.scan)?;
        let output = Output::open(&self.places, &job.study.out)?;
        let request = request(job, inputs.paths.clone(), output.folder().to_owned()).map_err(permanent)?;
        let (name, make) = (results::file_name(job), |findings, files| {
            results::record(job, weights, began, findings, files)
        });
        let last = LastFile { path: output.folder().join(&name), make: &make };
        match segment(model, weights, &request, &last, &interrupt::poll) {
            Ok(()) => output.store(&name),
            Err(_) if interrupt::is_requested() => Err(Failure::Interrupted),
            Err(StudyError::Input(error)) => Err(permanent(error)),
            Err(StudyError::Surroundings(error)) => Err(transient(error)),
        }
    }
}

impl StudySegmenter {
    /// The model that a study names, with the weights that it wants.
    fn model(&self, job: &Job) -> Result<&LoadedModel> {
        let name = &job.study.model;
        let found = self.models.get(name);
        let loaded = found.ok_or_else(|| anyhow!("no model `{name}`; there are {}", self.models.names()))?;
        match &job.study.weights {
            Some(wanted) if *wanted != loaded.weights => {
                bail!("model `{name}` has weights {}, but the study wants {wanted}", loaded.weights)
            }
            _ => Ok(loaded),
        }
    }
}

/// What a study asks for, with its files on this machine.
fn request(job: &Job, scan: Vec<PathBuf>, out: PathBuf) -> Result<StudyRequest> {
    let study = &job.study;
    let formats = study.formats.iter().map(|format| format.parse().map_err(Error::msg));
    Ok(StudyRequest {
        name: study.name.clone(),
        scan,
        out,
        formats: formats.collect::<Result<_>>()?,
        segmentation: SegmentationRequest {
            prompts: study.prompts.clone(),
            classes: study.classes.clone(),
            like: study.like.clone(),
            exclusive: study.exclusive,
            probabilities: false,
        },
        series: study.series.clone(),
        statistics: study.statistics,
    })
}

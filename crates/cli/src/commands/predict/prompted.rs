//! `bipvl predict` with a prompted run: label map, masks, and what each prompt found.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{PreprocessConfig, read_channels},
    imaging::{Segmentation, formats::strip_ending, probe},
    infer::InferenceProgress,
    prompts::{
        Overlap, PromptPredictor, PromptRun, PromptSegmentation,
        predictor::EncodedTexts,
        reading::{check_prompts, read_prompts, unseen_words},
    },
};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{inputs, outputs};
use crate::{args::PredictArgs, interrupt, progress};
use outputs::Job;

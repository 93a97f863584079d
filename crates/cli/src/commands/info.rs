//! `bipvl info`: summary of a run or a model size.

use anyhow::Result;
use bipvl::{
    config::Config,
    infer::head_config,
    nn::{HeadConfig, ModelSize, ModelSummary},
    prompts::{PromptRun, Vocabulary, config::PromptConfig},
    run::RunDir,
    text::Descriptions,
};
use bipvl_report::rows::format_count;
use serde::Serialize;

use super::vocabulary::table;
use crate::args::InfoArgs;

/// Number of classes assumed for a model size without a run.
const EXAMPLE_CLASSES: usize = 15;

/// Output of the command.
#[derive(Serialize)]
struct Info {
    model_size: String,
    #[serde(flatten)]
    summary: ModelSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Config>,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptions: Option<Descriptions>,
    #[serde(flatten)]
    prompts: Option<Prompts>,
}

/// What a prompted run has in place of classes.
#[derive(Serialize)]
struct Prompts {
    config: PromptConfig,
    vocabulary: Vocabulary,
}

/// Prints a summary of a run or a model size.
#[expect(clippy::print_stdout, reason = "what it prints is what the command is for")]
pub(crate) fn run(args: &InfoArgs) -> Result<()> {
    let info = match (&args.run, args.model_size) {
        (Some(folder), _) if PromptRun::exists_in(folder) => of_prompts(PromptRun::open(folder)?),
        (Some(folder), _) => of_run(RunDir::open(folder)?),
        (None, model_size) => of_model_size(model_size.unwrap_or(ModelSize::Paper)),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&info)?);
    } else {
        println!("{}", in_words(&info));
    }
    Ok(())
}

fn of_run(run: RunDir) -> Info {
    let (config, descriptions) = (run.config, run.model.descriptions);
    let head = head_config(&config.data.label_schema);
    let summary = ModelSummary::new(&config.model, head, config.preprocess.patch_size);
    let model_size = config.model_size.clone();
    Info { model_size, summary, config: Some(config), descriptions: Some(descriptions), prompts: None }
}

fn of_prompts(run: PromptRun) -> Info {
    let PromptRun { config, vocabulary, .. } = run;
    let summary = ModelSummary::of_prompts(&config.model, config.patch_size());
    let model_size = config.model_size.clone();
    Info {
        model_size,
        summary,
        config: None,
        descriptions: None,
        prompts: Some(Prompts { config, vocabulary }),
    }
}

fn of_model_size(size: ModelSize) -> Info {
    let summary = ModelSummary::new(&size.config(1), HeadConfig::exclusive(EXAMPLE_CLASSES), size.patch());
    Info { model_size: size.to_string(), summary, config: None, descriptions: None, prompts: None }
}

fn in_words(info: &Info) -> String {
    let ModelSummary { classes, patch: [x, y, z], .. } = info.summary;
    let size = &info.model_size;
    let of_what = match &info.prompts {
        Some(prompts) => format!("{} concepts", prompts.vocabulary.concepts.len()),
        None => format!("{classes} classes"),
    };
    let mut lines = vec![format!("model size {size}, {of_what}, patches of {x} × {y} × {z} voxels")];
    lines.push(String::new());
    let total = ("all", info.summary.total_parameters);
    for (block, count) in info.summary.parameters.iter().copied().chain([total]) {
        lines.push(format!("  {block:<16} {:>13} parameters", format_count(count)));
    }
    lines.push(String::new());
    lines.push(format!(
        "needs {} MiB for the weights, and {} MiB in training before activations",
        info.summary.weights_mib, info.summary.training_state_mib
    ));
    if let Some(Config { data, .. }) = &info.config {
        let channels = data.channels.join(", ");
        lines.push(format!("data {}, {} channels: {channels}", data.name, data.channels.len()));
    }
    if let Some(Prompts { vocabulary, .. }) = &info.prompts {
        lines.push(String::new());
        lines.push(table(vocabulary));
    }
    if let Some(descriptions) = &info.descriptions {
        for class in &descriptions.classes {
            lines.push(format!("\n{} ({})", class.class, class.title));
            let concepts = class.concepts.iter();
            lines.extend(concepts.map(|concept| format!("  {}: {}", concept.name, concept.sentence)));
        }
    }
    lines.join("\n")
}

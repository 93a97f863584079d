//! `bipvl info`: summary of a run or a model size.

use anyhow::Result;
use bipvl::{
    config::Config,
    data::LabelSchema,
    nn::{BiPvlSegConfig, ForwardShape, HeadConfig, ModelSize, TextShape, init::Initializer},
    run::RunDir,
    text::Descriptions,
};
use burn::tensor::Device;
use indexmap::IndexMap;
use serde::Serialize;

use crate::args::InfoArgs;

/// Number of classes assumed for a model size without a run.
const EXAMPLE_CLASSES: u16 = 15;
/// Bytes of a weight; with its gradient and both moments.
const WEIGHT_BYTES: usize = 4;
const TRAINING_BYTES: usize = 16;

/// Output of the command.
#[derive(Serialize)]
struct Info {
    model_size: String,
    classes: usize,
    patch: [usize; 3],
    parameters: IndexMap<String, usize>,
    total_parameters: usize,
    weights_mib: usize,
    training_state_mib: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Config>,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptions: Option<Descriptions>,
}

/// Prints a summary of a run or a model size.
#[expect(clippy::print_stdout, reason = "what it prints is what the command is for")]
pub(crate) fn run(args: &InfoArgs) -> Result<()> {
    let info = match (&args.run, args.model_size) {
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
    let Config { model_size, data, model, preprocess, .. } = &config;
    let info = count(model_size, model, &data.label_schema, preprocess.patch_size);
    Info { config: Some(config), descriptions: Some(descriptions), ..info }
}

fn of_model_size(model_size: ModelSize) -> Info {
    let label_schema = LabelSchema::from_labels(&(1..=EXAMPLE_CLASSES).collect::<Vec<_>>())
        .expect("labels from 1 on, each once");
    count(&model_size.to_string(), &model_size.config(1), &label_schema, model_size.patch())
}

/// Counts the parameters of each block of a network.
fn count(model_size: &str, config: &BiPvlSegConfig, label_schema: &LabelSchema, patch: [usize; 3]) -> Info {
    let head = HeadConfig {
        num_classes: label_schema.num_classes(),
        out_channels: label_schema.num_logit_channels(),
    };
    let model = config.init(head, patch, &mut Initializer::zeros(&Device::flex()));
    // Parameters depend on no text.
    let text = TextShape { num_classes: head.num_classes, tokens: 0, num_sentences: 0, sentence_tokens: 0 };
    let costs = model.costs(&ForwardShape { patch, batch: 1, num_texts: 1, text });
    let blocks = costs.into_iter().filter(|(_, cost)| cost.parameters > 0);
    let parameters: IndexMap<String, usize> =
        blocks.map(|(block, cost)| (block.to_owned(), cost.parameters)).collect();
    let total: usize = parameters.values().sum();
    Info {
        model_size: model_size.to_owned(),
        classes: head.num_classes,
        patch,
        parameters,
        total_parameters: total,
        weights_mib: (total * WEIGHT_BYTES) >> 20,
        training_state_mib: (total * TRAINING_BYTES) >> 20,
        config: None,
        descriptions: None,
    }
}

fn in_words(info: &Info) -> String {
    let [x, y, z] = info.patch;
    let mut lines = vec![format!(
        "model size {}, {} classes, patches of {x} × {y} × {z} voxels",
        info.model_size, info.classes
    )];
    lines.push(String::new());
    for (module, count) in &info.parameters {
        lines.push(format!("  {module:<16} {:>13} parameters", grouped(*count)));
    }
    lines.push(format!("  {:<16} {:>13} parameters", "all", grouped(info.total_parameters)));
    lines.push(String::new());
    lines.push(format!(
        "needs {} MiB for the weights, and {} MiB in training before activations",
        info.weights_mib, info.training_state_mib
    ));
    if let Some(config) = &info.config {
        let data = &config.data;
        lines.push(format!(
            "data {}, {} channels: {}",
            data.name,
            data.channels.len(),
            data.channels.join(", ")
        ));
    }
    if let Some(descriptions) = &info.descriptions {
        for class in &descriptions.classes {
            lines.push(format!("\n{} ({})", class.class, class.title));
            lines.extend(
                class.concepts.iter().map(|concept| format!("  {}: {}", concept.name, concept.sentence)),
            );
        }
    }
    lines.join("\n")
}

/// 1234567 → 1 234 567
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!([1, 999, 1000, 1_234_567].map(grouped), ["1", "999", "1 000", "1 234 567"]);
    }
}

//! Both forms of the fusion block against PyTorch: outputs, and gradients of inputs and all weights.

use std::path::Path;

use bipvl::nn::{
    bifusion::{
        BiFusion, FusionBlockKind, FusionConfig, FusionDirection, FusionInput, TextOutput, TextResidual,
        TextSelfAttention,
    },
    init::Initializer,
    weights::{StateDict, load_state_dict, state_dict},
};
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor},
};

use crate::{
    formula::uniform,
    reference::{assert_near, assert_within, largest, made, name_in_python, reference},
};

/// float32 against float64, through attentions and norms of two layers.
const TOLERANCE: f32 = 1e-5;
/// Share of the largest gradient below which a gradient is not compared relative to its own size: those of queries and
/// keys are differences of nearly equal terms, and carry the rounding of those, in PyTorch as here.
const CANCELING: f32 = 0.05;
const BATCH: usize = 2;
const TEXT: usize = 6;
const VISION: usize = 10;
const CHANNELS: usize = 8;

/// A block whose weights are made from their names.
fn new_block(block: FusionBlockKind, hidden: usize, text_output: TextOutput) -> BiFusion {
    let (direction, text_residual) = (FusionDirection::Bidirectional, TextResidual::Off);
    let config = FusionConfig {
        heads: 4,
        mlp_size: 16,
        block,
        direction,
        text_residual,
        class_scale: false,
        text_self_attention: TextSelfAttention::Joint,
    };
    let mut init = Initializer::new(0, &Device::flex().autodiff());
    let block = BiFusion::new(&mut init, &config, hidden, CHANNELS, text_output);
    let mut weights = state_dict(&block);
    for (name, weights) in &mut weights {
        *weights = uniform(&name_in_python(name), &weights.shape, 0.5);
        if name.ends_with("gamma") {
            weights.values.iter_mut().for_each(|value| *value = 1.0 + *value / 2.0);
        }
    }
    load_state_dict(block, weights, Path::new("made.safetensors")).unwrap()
}

/// Compares the gradient of every tensor it visits; each must have one.
struct CompareGradients<'a> {
    gradients: &'a Gradients,
    reference: &'a StateDict,
    case: &'a str,
    /// Largest gradient of any weight of the block.
    steepest: f32,
    path: Vec<String>,
}

impl ModuleVisitor for CompareGradients<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        if container != "Enum:BiFusion" {
            self.path.push(name.to_owned());
        }
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        if container != "Enum:BiFusion" {
            self.path.pop();
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = format!("{}.gradient.{}", self.case, name_in_python(&self.path.join(".")));
        let gradient = param.val().grad(self.gradients).unwrap_or_else(|| panic!("no {name}"));
        let scale = largest(&self.reference[&name]).max(CANCELING * self.steepest);
        assert_within(gradient, self.reference, &name, TOLERANCE * scale);
    }
}

fn compare(case: &str, kind: FusionBlockKind, hidden: usize, text_output: TextOutput) {
    let reference = reference("bifusion");
    let device = Device::flex().autodiff();
    let block = new_block(kind, hidden, text_output);
    let text = made("text", [BATCH, TEXT, hidden], &device).require_grad();
    let vision = made("vision", [BATCH, VISION, CHANNELS], &device).require_grad();
    // The last two text tokens are padding.
    let text_mask = Tensor::from_floats([[[0.0, 0.0, 0.0, 0.0, -1e9, -1e9]]], &device);
    let map = vision.clone().reshape([BATCH, VISION, 1, 1, CHANNELS]);
    let output = block.forward(FusionInput { vision: map, text: text.clone(), text_mask, num_classes: 1 });
    let fused = output.vision.reshape([BATCH, VISION, CHANNELS]);
    assert_near(fused.clone(), &reference, &format!("{case}.output.vision"), TOLERANCE);
    let mut loss = (fused * made("vision upstream", [BATCH, VISION, CHANNELS], &device)).sum();
    assert_eq!(output.text.is_some(), text_output == TextOutput::Required);
    if let Some(text) = output.text {
        assert_near(text.clone(), &reference, &format!("{case}.output.text"), TOLERANCE);
        loss = loss + (text * made("text upstream", [BATCH, TEXT, hidden], &device)).sum();
    }
    let gradients = loss.backward();
    for (name, input) in [("text", text), ("vision", vision)] {
        let name = format!("{case}.input_gradient.{name}");
        assert_near(input.grad(&gradients).unwrap(), &reference, &name, TOLERANCE);
    }
    let of_weights = format!("{case}.gradient.");
    let steepest = reference.iter().filter(|(name, _)| name.starts_with(&of_weights));
    let steepest = steepest.map(|(_, gradient)| largest(gradient)).fold(0.0, f32::max);
    let (gradients, reference) = (&gradients, &reference);
    let mut compare = CompareGradients { gradients, reference, case, steepest, path: Vec::new() };
    block.visit(&mut compare);
}

#[test]
fn the_two_way_form_equals_pytorch() {
    compare("two_way.read", FusionBlockKind::TwoWay, 12, TextOutput::Required);
    compare("two_way.unread", FusionBlockKind::TwoWay, CHANNELS, TextOutput::Unused);
}

#[test]
fn the_pre_norm_form_equals_pytorch() {
    compare("pre_norm.read", FusionBlockKind::PreNorm, 12, TextOutput::Required);
    compare("pre_norm.unread", FusionBlockKind::PreNorm, CHANNELS, TextOutput::Unused);
}

//! The staged text encoder against Hugging Face's BERT, layer by layer.

use bipvl::{
    nn::{
        init::Initializer,
        interop::bert,
        text_encoder::{TextEncoder, TokenBatch},
    },
    text::{TokenizedTexts, Tokenizer},
};
use burn::tensor::{Device, Tensor};
use ndarray::Array2;
use serde_json::Value;

use crate::real_data;

/// Twelve layers in float32, in another order of summation.
const TOLERANCE: f32 = 2e-5;
/// Weights of magnitude up to 10, six layers.
const TRAINED_TOLERANCE: f32 = 2e-4;

fn load(folder: &std::path::Path) -> (TextEncoder, Vec<Value>) {
    let config = bert::read_config(folder).unwrap();
    let mut init = Initializer::new(0, &Device::flex());
    let encoder = bert::load(TextEncoder::new(&mut init, &config), folder).unwrap().0;
    let reference: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("reference.json")).unwrap()).unwrap();
    (encoder, reference["items"].as_array().unwrap().clone())
}

fn ids(item: &Value) -> Vec<i64> {
    item["input_ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
}

/// The texts padded to the longest, and to `extra` tokens more.
fn padded(texts: &[Vec<i64>], extra: usize) -> TokenBatch {
    let length = texts.iter().map(Vec::len).max().unwrap() + extra;
    let shape = (texts.len(), length);
    let tokens = TokenizedTexts {
        input_ids: Array2::from_shape_fn(shape, |(text, at)| texts[text].get(at).copied().unwrap_or(0)),
        attention_mask: Array2::from_shape_fn(shape, |(text, at)| at < texts[text].len()),
    };
    TokenBatch::new(&tokens, &Device::flex())
}

fn first_values(tokens: Tensor<3>) -> Vec<f32> {
    tokens.slice([0..1, 0..1, 0..8]).into_data().try_to_vec().unwrap()
}

fn assert_near(what: &str, found: &[f32], expected: &Value, tolerance: f32) {
    for (found, expected) in found.iter().zip(expected.as_array().unwrap()) {
        let expected = expected.as_f64().unwrap() as f32;
        assert!((found - expected).abs() < tolerance, "{what}: expected {expected}, found {found}");
    }
}

#[test]
fn every_stage_equals_the_layers_of_a_plain_bert() {
    let Some(folder) = real_data("bert/bert12-tiny-random") else { return };
    let (encoder, items) = load(&folder);
    for item in &items {
        let tokens = padded(&[ids(item)], 0);
        let states = item["hidden_states"].as_array().unwrap();
        let mut encoded = encoder.embeddings.forward(tokens.input_ids.clone(), None);
        assert_near("embeddings", &first_values(encoded.clone()), &states[0]["token0_first8"], TOLERANCE);
        for (stage, layer) in [6, 8, 10, 12].into_iter().enumerate() {
            encoded = encoder.forward_stage(stage, encoded, &tokens.attention_mask, None);
            let what = format!("layer {layer}");
            assert_near(&what, &first_values(encoded.clone()), &states[layer]["token0_first8"], TOLERANCE);
        }
        let first: Vec<f32> = encoder.cls_embeddings(&tokens, None).into_data().try_to_vec().unwrap();
        assert_near("first token", &first, &item["cls_last"], TOLERANCE);
    }
}

#[test]
fn every_layer_equals_the_layer_of_a_plain_bert() {
    let Some(folder) = real_data("bert/bert12-tiny-random") else { return };
    let (mut encoder, items) = load(&folder);
    // A stage of its own for each layer.
    encoder.stages = encoder.stages.into_iter().flatten().map(|layer| vec![layer]).collect();
    assert_eq!(encoder.stages.len(), 12);
    for item in &items {
        let tokens = padded(&[ids(item)], 0);
        let states = item["hidden_states"].as_array().unwrap();
        let mut encoded = encoder.embeddings.forward(tokens.input_ids.clone(), None);
        for (layer, state) in states[1..].iter().enumerate() {
            encoded = encoder.forward_stage(layer, encoded, &tokens.attention_mask, None);
            let what = format!("layer {}", layer + 1);
            assert_near(&what, &first_values(encoded.clone()), &state["token0_first8"], TOLERANCE);
        }
    }
}

#[test]
fn padding_tokens_do_not_change_the_output() {
    let Some(folder) = real_data("bert/bert12-tiny-random") else { return };
    let (encoder, items) = load(&folder);
    let texts: Vec<Vec<i64>> = items.iter().map(ids).collect();
    let together: Vec<f32> =
        encoder.cls_embeddings(&padded(&texts, 5), None).into_data().try_to_vec().unwrap();
    for (found, item) in together.chunks(32).zip(&items) {
        assert_near("first token", found, &item["cls_last"], TOLERANCE);
    }
}

#[test]
fn a_trained_bert_of_six_layers_is_divided_among_the_stages() {
    let Some(folder) = real_data("bert/minilm-l6") else { return };
    assert_eq!(bert::read_config(&folder).unwrap().stage_layers, [3, 1, 1, 1]);
    let (encoder, items) = load(&folder);
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    for item in items.iter().take(3) {
        let text = item["text"].as_str().unwrap().to_owned();
        let tokens = tokenizer.encode(&[text]);
        assert_eq!(tokens.input_ids.row(0).to_vec(), ids(item));
        let tensors = TokenBatch::new(&tokens, &Device::flex());
        let first: Vec<f32> = encoder.cls_embeddings(&tensors, None).into_data().try_to_vec().unwrap();
        if !item["cls_last"].is_null() {
            assert_near("first token", &first, &item["cls_last"], TRAINED_TOLERANCE);
        }
    }
}

#[test]
fn a_bert_of_other_sizes_is_refused_by_name() {
    let Some(folder) = real_data("bert/bert12-tiny-random") else { return };
    let mut config = bert::read_config(&folder).unwrap();
    config.intermediate_size = 64;
    let encoder = TextEncoder::new(&mut Initializer::new(0, &Device::flex()), &config);
    let error = bert::load(encoder, &folder).unwrap_err().to_string();
    let expected = "model.safetensors: tensor `encoder.layer.0.intermediate.dense.weight` has shape [128, 32], \
                    the model needs [64, 32]";
    assert!(error.ends_with(expected), "{error}");
}

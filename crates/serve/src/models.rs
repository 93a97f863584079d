//! The models that a server holds in memory, by name.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use bipvl_prompts::Model;
use burn::tensor::Device;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Error, Result};

/// A model with its name.
#[derive(Clone, Debug)]
pub(crate) struct NamedModel {
    pub(crate) name: String,
    pub(crate) model: Arc<Model>,
    /// Tells weights apart, for UIDs of DICOM results.
    pub(crate) key: String,
}

/// All models of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Models(BTreeMap<String, NamedModel>);

/// A model as clients see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelInfo {
    pub(crate) name: String,
    /// Whether it is asked with any text, or has fixed classes.
    pub(crate) prompted: bool,
    /// Its classes; of a prompted model the prompts that are used when a request has none.
    pub(crate) classes: Vec<String>,
}

/// What a prompted model was trained on.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct VocabularyInfo {
    pub(crate) concepts: Vec<ConceptInfo>,
}

/// One concept with all its texts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConceptInfo {
    pub(crate) name: String,
    /// Other names and wordings.
    pub(crate) wordings: Vec<String>,
    /// The sentences of its description.
    pub(crate) sentences: Vec<String>,
    /// Names of the concepts that it is made of.
    pub(crate) parts: Vec<String>,
    /// The data sets that label it.
    pub(crate) sets: Vec<String>,
}

impl Models {
    /// Opens runs.
    pub(crate) fn open(runs: &[(String, PathBuf)], device: &Device) -> Result<Self> {
        let mut models = BTreeMap::new();
        for (name, run) in runs {
            let model = Arc::new(Model::open(std::slice::from_ref(run), device, None)?);
            let key = weights_key(&model);
            let named = NamedModel { name: name.clone(), model, key };
            if models.insert(name.clone(), named).is_some() {
                return Err(Error::DuplicateModel(name.clone()));
            }
            tracing::info!("model {name}: {}", run.display());
        }
        Ok(Self(models))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&NamedModel> {
        self.0.get(name)
    }

    /// The only one, for requests that name none.
    pub(crate) fn only(&self) -> Option<&NamedModel> {
        self.0.values().next().filter(|_| self.0.len() == 1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &NamedModel> {
        self.0.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Their names, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl NamedModel {
    pub(crate) fn info(&self) -> ModelInfo {
        ModelInfo {
            name: self.name.clone(),
            prompted: self.model.is_prompted(),
            classes: self.model.class_names(),
        }
    }

    pub(crate) fn vocabulary(&self) -> VocabularyInfo {
        let Model::Prompts { run, .. } = &*self.model else {
            let concept = |name: String| ConceptInfo {
                name,
                wordings: Vec::new(),
                sentences: Vec::new(),
                parts: Vec::new(),
                sets: Vec::new(),
            };
            return VocabularyInfo { concepts: self.model.class_names().into_iter().map(concept).collect() };
        };
        let vocabulary = &run.vocabulary;
        let name_of = |index: &usize| vocabulary.concepts[*index].name.clone();
        let concepts = vocabulary.concepts.iter().map(|concept| {
            let labels = |set: &bipvl_prompts::Knowledge| matches!(set, bipvl_prompts::Knowledge::Labeled(_));
            let sets = vocabulary.sets.iter().zip(&concept.sets);
            ConceptInfo {
                name: concept.name.clone(),
                wordings: concept
                    .texts
                    .names
                    .iter()
                    .skip(1)
                    .chain(&concept.texts.wordings)
                    .cloned()
                    .collect(),
                sentences: concept.texts.sentences.clone(),
                parts: concept.parts.iter().map(name_of).collect(),
                sets: sets.filter(|(_, known)| labels(known)).map(|(set, _)| set.clone()).collect(),
            }
        });
        VocabularyInfo { concepts: concepts.collect() }
    }
}

/// A hash of the weights, which results refer to.
fn weights_key(model: &Model) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    if let Ok(mut file) = std::fs::File::open(model.dir().join("best.safetensors")) {
        // A file that cannot be read to its end gives another key, which is what it deserves.
        let _ = std::io::copy(&mut file, &mut hash);
    }
    format!("{:x}", hash.finalize())
}

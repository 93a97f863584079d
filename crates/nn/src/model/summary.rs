//! How large a network is.

use burn::tensor::Device;
use serde::{Serialize, Serializer};

use super::BiPvlSegConfig;
use crate::{HeadConfig, init::Initializer, prompts::PromptSeg};

/// Bytes of a weight.
const WEIGHT_BYTES: usize = 4;
/// Bytes of a weight, its gradient and both moments.
const TRAINING_BYTES: usize = 16;

/// Parameters and memory of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelSummary {
    /// Number of classes; 0 for a prompted network, which has none.
    pub classes: usize,
    /// Voxels of a patch.
    pub patch: [usize; 3],
    /// Learned parameters by block, without blocks that have none; serialized as a map.
    #[serde(serialize_with = "as_map")]
    pub parameters: Vec<(&'static str, usize)>,
    /// Learned parameters of all blocks.
    pub total_parameters: usize,
    /// Memory of the weights.
    pub weights_mib: usize,
    /// Memory of weights, gradients and moments: what training needs before activations.
    pub training_state_mib: usize,
}

impl ModelSummary {
    /// Counts the parameters of a network.
    pub fn new(config: &BiPvlSegConfig, head: HeadConfig, patch: [usize; 3]) -> Self {
        let network = config.init(head, patch, &mut Initializer::zeros(&Device::flex()));
        Self::from_parameters(head.num_classes, patch, network.parameters())
    }

    /// Counts the parameters of a prompted network.
    pub fn of_prompts(config: &BiPvlSegConfig, patch: [usize; 3]) -> Self {
        let network = PromptSeg::new(&mut Initializer::zeros(&Device::flex()), config);
        Self::from_parameters(0, patch, network.parameters())
    }

    fn from_parameters(classes: usize, patch: [usize; 3], parameters: Vec<(&'static str, usize)>) -> Self {
        let parameters: Vec<_> = parameters.into_iter().filter(|(_, parameters)| *parameters > 0).collect();
        let total: usize = parameters.iter().map(|(_, parameters)| parameters).sum();
        Self {
            classes,
            patch,
            parameters,
            total_parameters: total,
            weights_mib: (total * WEIGHT_BYTES) >> 20,
            training_state_mib: (total * TRAINING_BYTES) >> 20,
        }
    }
}

fn as_map<S: Serializer>(parameters: &[(&str, usize)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(parameters.iter().copied())
}

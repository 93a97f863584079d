//! The weights of a run: the tensors of the network under [`NETWORK_PREFIX`] in a safetensors file.

use std::path::Path;

use bipvl_nn::{
    BiPvlSeg,
    weights::{self, StateDict, load_state_dict},
};

use crate::Result;

/// Precedes the names of all learned tensors, the network and the loss weights.
pub const WEIGHTS_PREFIX: &str = "weights.";
/// Precedes the names of the tensors of the network.
pub const NETWORK_PREFIX: &str = "weights.model.";

/// Loads the weights into a network of the same architecture; other tensors of the file are ignored.
///
/// # Errors
///
/// When the file cannot be read, or a tensor is missing, unexpected or of another shape.
pub fn load_network(path: &Path, network: BiPvlSeg) -> Result<BiPvlSeg> {
    let (tensors, _) = weights::load(path)?;
    let tensors: StateDict = tensors
        .into_iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(NETWORK_PREFIX)?.to_owned(), tensor)))
        .collect();
    Ok(load_state_dict(network, tensors, path)?)
}

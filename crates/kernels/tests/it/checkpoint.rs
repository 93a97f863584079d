//! Gradient checkpointing against the same blocks with saved activations.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bipvl_kernels::{checkpoint, conv3d, gelu, instance_norm_add, linear};
use burn::{
    module::{Module, Param},
    tensor::{Device, Gradients, Tensor},
};

use crate::random::random;

const CHANNELS: usize = 6;
const SHAPE: [usize; 5] = [2, 4, 3, 5, CHANNELS];

#[derive(Module, Debug)]
struct Block {
    filter: Param<Tensor<5>>,
    weight: Param<Tensor<2>>,
    unused: Param<Tensor<1>>,
}

impl Block {
    fn new(device: &Device) -> Self {
        Self {
            filter: Param::from_tensor(random([3, 3, 3, CHANNELS, CHANNELS], 1, device)),
            weight: Param::from_tensor(random([CHANNELS, CHANNELS], 2, device)),
            unused: Param::from_tensor(random([3], 3, device)),
        }
    }

    fn forward(&self, [map, residual]: [Tensor<5>; 2]) -> Tensor<5> {
        let hidden = gelu(linear(conv3d(map.clone(), self.filter.val()), self.weight.val(), None));
        instance_norm_add(hidden * map, residual, 1e-5, 0.01)
    }
}

/// Three passes through one block: how often it was computed, then the output and the gradients of map, residual, filter
/// and weight.
fn chain(device: &Device, map_requires_grad: bool) -> (usize, Vec<Tensor<1>>) {
    let block = Block::new(device);
    let map = random(SHAPE, 4, device).set_require_grad(map_requires_grad);
    let residual = random(SHAPE, 5, device).require_grad();
    let calls = Arc::new(AtomicUsize::new(0));
    let pass = |map: Tensor<5>| {
        let calls = Arc::clone(&calls);
        checkpoint(&block, [map, residual.clone()], move |block, inputs| {
            calls.fetch_add(1, Ordering::Relaxed);
            block.forward(inputs)
        })
    };
    let output = pass(pass(pass(map.clone())));
    let found = output.clone().inner();
    let gradients = (output * random(SHAPE, 6, device)).sum().backward();
    assert!(block.unused.val().grad(&gradients).is_none());
    let filter = flat(block.filter.val(), &gradients);
    let weight = flat(block.weight.val(), &gradients);
    let inputs = [&map, &residual].map(|input| flat(input.clone(), &gradients));
    let all = [Some(found.flatten(0, 4)), filter, weight].into_iter().chain(inputs).flatten();
    (calls.load(Ordering::Relaxed), all.collect())
}

fn flat<const D: usize>(tensor: Tensor<D>, gradients: &Gradients) -> Option<Tensor<1>> {
    tensor.grad(gradients).map(|gradient| gradient.flatten(0, D - 1))
}

#[test]
fn checkpointing_gives_the_same_gradients_to_the_bit() {
    let device = Device::flex().autodiff();
    for map_requires_grad in [true, false] {
        let (calls, saved) = chain(&device, map_requires_grad);
        let (recomputed_calls, recomputed) =
            chain(&device.clone().gradient_checkpointing(), map_requires_grad);
        assert_eq!((calls, recomputed_calls), (3, 6));
        assert_eq!(
            (saved.len(), recomputed.len()),
            (4 + usize::from(map_requires_grad), 4 + usize::from(map_requires_grad))
        );
        for (saved, recomputed) in saved.into_iter().zip(recomputed) {
            recomputed.into_data().assert_eq(&saved.into_data(), true);
        }
    }
}

#[test]
fn parameters_get_gradients_where_no_input_requires_one() {
    let gradient = |device: &Device| {
        let block = Block::new(device);
        let inputs = [random(SHAPE, 4, device), random(SHAPE, 5, device)];
        let output = checkpoint(&block, inputs, Block::forward);
        flat(block.filter.val(), &(output * random(SHAPE, 6, device)).sum().backward()).unwrap().into_data()
    };
    let device = Device::flex().autodiff();
    gradient(&device.clone().gradient_checkpointing()).assert_eq(&gradient(&device), true);
}

#[test]
fn a_frozen_block_gets_no_gradient() {
    let device = Device::flex().autodiff().gradient_checkpointing();
    let block = Block::new(&device).no_grad();
    let map = random(SHAPE, 4, &device).require_grad();
    let pass = |map| checkpoint(&block, [map, random(SHAPE, 5, &device)], Block::forward);
    assert!(!pass(random(SHAPE, 4, &device)).is_tracked());
    let gradients = pass(map.clone()).sum().backward();
    assert!(map.grad(&gradients).is_some() && block.filter.val().grad(&gradients).is_none());
}

#[test]
fn without_autodiff_a_block_is_computed_once() {
    let (device, calls) = (Device::flex(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&calls);
    let inputs = [random(SHAPE, 4, &device), random(SHAPE, 5, &device)];
    checkpoint(&Block::new(&device), inputs, move |block, inputs| {
        counted.fetch_add(1, Ordering::Relaxed);
        block.forward(inputs)
    });
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

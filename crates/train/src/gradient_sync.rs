//! Sums gradients over all ranks while the backward pass computes them.
//!
//! Parameters are put in buckets, the last of the network first, since the backward pass reaches them first. A thread
//! sums one bucket after another, each as soon as all of its gradients are there: in a fixed order, whatever the order
//! in which they come. What never comes (a parameter that no loss of this rank depends on) counts as zero.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use bipvl_kernels::with_grad_hook;
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{Gradients, Tensor, TensorData},
};

use crate::{Error, Result, checkpoint::TrainState, communicator::Communicator};

/// Values of a bucket at least: messages of 16 MiB use a network well, and there are many in a network.
const BUCKET: usize = 4 << 20;

/// A gradient, by the position of its parameter.
type Arrival = (usize, Vec<f32>);

/// The gradients of all parameters, in their order; `None` where there is none.
type GradientValues = Vec<Option<Vec<f32>>>;

/// The sum over all ranks for one step.
#[derive(Debug)]
pub struct GradientSync {
    parameters: HashMap<ParamId, usize>,
    arrivals: Sender<Arrival>,
    thread: JoinHandle<GradientValues>,
}

impl GradientSync {
    /// Begins a step: `before` are the gradients of this rank's earlier batches of the step, to which those that come
    /// are added.
    pub fn start<M: Module>(
        communicator: Arc<dyn Communicator>,
        module: &M,
        before: Option<&Gradients>,
    ) -> Self {
        let mut collector =
            Collector { gradients: before, sizes: Vec::new(), ids: HashMap::new(), values: Vec::new() };
        module.visit(&mut collector);
        let Collector { sizes, ids: parameters, values: before, .. } = collector;
        let (arrivals, received) = channel();
        let thread = thread::spawn(move || sum_buckets(&*communicator, &sizes, &received, before));
        Self { parameters, arrivals, thread }
    }

    /// The module, whose gradients are sent while they are computed.
    pub fn watch<M: Module>(&self, module: M) -> M {
        module.map(&mut Watcher { sync: self })
    }

    /// Waits for the sums, which replace the gradients of `module`.
    ///
    /// # Panics
    ///
    /// When the thread that sums has panicked.
    pub fn finish<M: Module>(self, module: &M, gradients: &mut Gradients) {
        let Self { parameters, arrivals, thread } = self;
        drop(arrivals);
        let mut sums = thread.join().expect("the sum of gradients failed");
        module.visit(&mut Replacer { gradients, parameters: &parameters, sums: &mut sums });
    }
}

/// Compares the weights of all ranks.
///
/// # Errors
///
/// [`Error::RanksDiverged`] if they differ, as they may after the same steps on CPUs of different kinds.
pub fn ensure_same_weights<M: Module>(communicator: &dyn Communicator, state: &TrainState<M>) -> Result<()> {
    if communicator.size() == 1 {
        return Ok(());
    }
    let mut checksum = Checksum(0x811c_9dc5);
    state.module.visit(&mut checksum);
    if communicator.agree(checksum.0) {
        Ok(())
    } else {
        Err(Error::RanksDiverged { step: state.progress.step })
    }
}

/// FNV-1a over the bits of all weights.
struct Checksum(u32);
impl ModuleVisitor for Checksum {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 = values(param.val())
            .into_iter()
            .fold(self.0, |hash, value| (hash ^ value.to_bits()).wrapping_mul(0x0100_0193));
    }
}

/// Parameters of each bucket, as a range of positions; the last parameters are in the first bucket.
fn buckets(sizes: &[usize]) -> Vec<Range<usize>> {
    let mut buckets = Vec::new();
    let (mut end, mut values) = (sizes.len(), 0);
    for index in (0..sizes.len()).rev() {
        values += sizes[index];
        if values >= BUCKET || index == 0 {
            buckets.push(index..end);
            (end, values) = (index, 0);
        }
    }
    buckets
}

fn sum_buckets(
    communicator: &dyn Communicator,
    sizes: &[usize],
    received: &Receiver<Arrival>,
    mut before: GradientValues,
) -> GradientValues {
    let mut arrived: GradientValues = vec![None; sizes.len()];
    let mut sums: GradientValues = vec![None; sizes.len()];
    let mut is_open = true;
    for bucket in buckets(sizes) {
        while is_open && arrived[bucket.clone()].iter().any(Option::is_none) {
            match received.recv() {
                Ok((index, gradient)) => arrived[index] = Some(gradient),
                Err(_) => is_open = false,
            }
        }
        let own = bucket.clone().map(|index| added(before[index].take(), arrived[index].take()));
        for (index, sum) in bucket.clone().zip(summed(communicator, &sizes[bucket], own)) {
            sums[index] = sum;
        }
    }
    sums
}

fn added(before: Option<Vec<f32>>, gradient: Option<Vec<f32>>) -> Option<Vec<f32>> {
    match (before, gradient) {
        (Some(mut sum), Some(more)) => {
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            Some(sum)
        }
        (one, other) => one.or(other),
    }
}

/// One message: the values of all gradients, then for each how many ranks have it.
fn summed(
    communicator: &dyn Communicator,
    sizes: &[usize],
    own: impl Iterator<Item = Option<Vec<f32>>>,
) -> Vec<Option<Vec<f32>>> {
    let mut message = Vec::with_capacity(sizes.iter().sum::<usize>() + sizes.len());
    let mut counts = Vec::with_capacity(sizes.len());
    for (gradient, size) in own.zip(sizes) {
        counts.push(if gradient.is_some() { 1.0 } else { 0.0 });
        match gradient {
            Some(values) => message.extend(values),
            None => message.resize(message.len() + size, 0.0),
        }
    }
    let num_values = message.len();
    message.extend(counts);
    communicator.sum(&mut message);
    let (mut values, counts) = message.split_at(num_values);
    let mut sums = Vec::with_capacity(sizes.len());
    for (size, count) in sizes.iter().zip(counts) {
        let (gradient, rest) = values.split_at(*size);
        sums.push((*count > 0.0).then(|| gradient.to_vec()));
        values = rest;
    }
    sums
}

/// Finds the parameters and what they have so far.
struct Collector<'a> {
    gradients: Option<&'a Gradients>,
    sizes: Vec<usize>,
    ids: HashMap<ParamId, usize>,
    values: GradientValues,
}

impl ModuleVisitor for Collector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weights = param.val();
        self.ids.insert(param.id, self.sizes.len());
        self.sizes.push(weights.dims().iter().product());
        let gradient = self.gradients.and_then(|gradients| weights.grad(gradients));
        self.values.push(gradient.map(values));
    }
}

/// Sends gradients as they are computed.
struct Watcher<'a> {
    sync: &'a GradientSync,
}

impl ModuleMapper for Watcher<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let index = self.sync.parameters[&param.id];
        let arrivals = self.sync.arrivals.clone();
        param.map(|weights| {
            if !weights.is_require_grad() {
                return weights;
            }
            with_grad_hook(
                weights,
                Arc::new(move |gradient| {
                    // Nobody listens only after a panic, which will be reported.
                    let _ = arrivals.send((index, gradient.to_vec()));
                }),
            )
        })
    }
}

/// Puts the sums in the place of the gradients.
struct Replacer<'a> {
    gradients: &'a mut Gradients,
    parameters: &'a HashMap<ParamId, usize>,
    sums: &'a mut GradientValues,
}

impl ModuleVisitor for Replacer<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(sum) = self.sums[self.parameters[&param.id]].take() else { return };
        let weights = param.val();
        let data = TensorData::new(sum, weights.dims());
        let sum = Tensor::<D>::from_data(data, &weights.clone().inner().device());
        weights.grad_replace(self.gradients, sum);
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("values of 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_every_parameter_once_and_the_last_come_first() {
        let sizes = [10, BUCKET, 3, BUCKET - 3, 5];
        assert_eq!(buckets(&sizes), [3..5, 1..3, 0..1]);
        assert!(buckets(&[]).is_empty());
        assert_eq!(buckets(&[7, 1]), vec![0..2]);
    }
}

//! Batches: samples as tensors on a device.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::Sample;

/// Several samples of one shape, on a device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Preprocessed intensities, `[batch, channels, x, y, z]`.
    pub image: Tensor<5>,
    /// Channel indices, `[batch, x, y, z]`, as in [`Sample`].
    pub labels: Tensor<4, Int>,
}

impl Batch {
    /// Stacks samples.
    ///
    /// # Panics
    ///
    /// When there is no sample or the samples differ in shape.
    pub fn new(samples: &[Sample], device: &Device) -> Self {
        let first = samples.first().expect("a batch has at least one sample");
        let shape = first.image.dim();
        assert!(
            samples.iter().all(|sample| sample.image.dim() == shape),
            "samples of a batch have one shape"
        );
        let (channels, x, y, z) = shape;
        let image: Vec<f32> = samples.iter().flat_map(|sample| sample.image.iter().copied()).collect();
        let labels: Vec<i32> =
            samples.iter().flat_map(|sample| sample.labels.iter().copied().map(i32::from)).collect();
        Self {
            image: Tensor::from_data(TensorData::new(image, [samples.len(), channels, x, y, z]), device),
            labels: Tensor::from_data(TensorData::new(labels, [samples.len(), x, y, z]), device),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Array4};

    use super::*;

    #[test]
    fn a_batch_keeps_the_position_of_every_voxel() {
        let image =
            Array4::from_shape_fn((2, 3, 4, 5), |(c, x, y, z)| (c * 1000 + x * 100 + y * 10 + z) as f32);
        let labels = Array3::from_shape_fn((3, 4, 5), |(x, y, z)| (x + y + z) as u8);
        let sample = |image, labels| Sample { case_id: "a".to_owned(), image, labels };
        let first = sample(image.clone(), labels.clone());
        let second = sample(image + 5000.0, labels + 100);
        let batch = Batch::new(&[first, second], &Device::default());
        assert_eq!(batch.image.dims(), [2, 2, 3, 4, 5]);
        assert_eq!(batch.labels.dims(), [2, 3, 4, 5]);
        assert_eq!(batch.image.slice([1..2, 1..2, 2..3, 3..4, 4..5]).into_scalar::<f32>() as u32, 6234);
        assert_eq!(batch.labels.slice([1..2, 2..3, 3..4, 4..5]).into_scalar::<i64>(), 109);
    }
}

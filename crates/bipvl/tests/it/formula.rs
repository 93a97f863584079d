//! Weights and inputs that Python and Rust make alike; the twin of `tests/reference/formula.py`.

use bipvl::nn::weights::HostTensor;

/// Values in `-bound..bound` by splitmix64 from the FNV-1a hash of a name.
pub(crate) fn uniform(name: &str, shape: &[usize], bound: f32) -> HostTensor {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let value = |index: u64| {
        let mut z = seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let unit = (z >> 40) as f32 / (1 << 24) as f32;
        (unit * 2.0 - 1.0) * bound
    };
    let count = shape.iter().product::<usize>() as u64;
    HostTensor { shape: shape.to_vec(), values: (1..=count).map(value).collect() }
}

/// A tensor of a PyTorch module as `fill` of the Python twin sets it.
pub(crate) fn filled(name: &str, shape: &[usize]) -> HostTensor {
    if shape.len() == 1 {
        let mut weights = uniform(name, shape, 0.1);
        if name.to_lowercase().contains("norm") && name.ends_with("weight") {
            weights.values.iter_mut().for_each(|value| *value += 1.0);
        }
        return weights;
    }
    let fan_in: usize = shape[1..].iter().product();
    uniform(name, shape, (1.0 / (fan_in as f64).sqrt()) as f32)
}

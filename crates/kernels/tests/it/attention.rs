//! Tiled attention against the whole matrix in Burn's operations.

use bipvl_kernels::{AttentionInput, attention};
use burn::tensor::{Tensor, activation};
use proptest::prelude::*;

use crate::{assert_close, device, random::random};

fn burn_attention(input: AttentionInput) -> Tensor<4> {
    let [batch, queries, heads, width] = input.query.dims();
    let keys = input.key.dims()[1];
    let [query, key, value] = [input.query, input.key, input.value].map(|t| t.swap_dims(1, 2));
    let mut scores = query.matmul(key.transpose()) / (width as f64).sqrt();
    if let Some(bias) = input.bias {
        scores = scores + bias.unsqueeze_dim(0);
    }
    if let Some(mask) = input.mask {
        let [groups, rows, _] = mask.dims();
        let mask = mask.unsqueeze_dim::<4>(1).repeat_dim(0, batch / groups);
        scores = scores + mask.expand([batch, 1, rows, keys]).expand([batch, heads, queries, keys]);
    }
    activation::softmax(scores, 3).matmul(value).swap_dims(1, 2)
}

struct Case {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    width: usize,
    mask: Option<[usize; 2]>,
}

fn check(case: Case, with_bias: impl Fn() -> Option<Tensor<3>>) {
    let Case { batch, queries, keys, heads, width, mask } = case;
    let device = device();
    let tokens = |count, seed| (random([batch, count, heads, width], seed, &device) * 3.0).require_grad();
    let (query, key, value) = (tokens(queries, 1), tokens(keys, 2), tokens(keys, 3));
    let bias = with_bias();
    let mask = mask.map(|[groups, rows]| random([groups, rows, keys], 5, &device) * 2.0);
    let input = AttentionInput {
        query: query.clone(),
        key: key.clone(),
        value: value.clone(),
        bias: bias.clone(),
        mask,
    };
    let weight = random([batch, queries, heads, width], 6, &device);
    let (ours, theirs) = (attention(input.clone()), burn_attention(input));
    assert_close("output", ours.clone(), theirs.clone());
    let (ours, theirs) = ((ours * weight.clone()).sum().backward(), (theirs * weight).sum().backward());
    for (what, tensor) in [("query", query), ("key", key), ("value", value)] {
        assert_close(what, tensor.grad(&ours).unwrap(), tensor.grad(&theirs).unwrap());
    }
    if let Some(bias) = bias {
        assert_close("bias", bias.grad(&ours).unwrap(), bias.grad(&theirs).unwrap());
    }
}

#[test]
fn windows_with_bias_and_shift_mask_equal_burn() {
    let case = Case { batch: 6, queries: 27, keys: 27, heads: 3, width: 4, mask: Some([3, 27]) };
    check(case, || Some(random([3, 27, 27], 4, &device()).require_grad()));
}

#[test]
fn padded_text_equals_burn() {
    check(Case { batch: 3, queries: 10, keys: 10, heads: 2, width: 8, mask: Some([3, 1]) }, || None);
}

#[test]
fn cross_attention_equals_burn() {
    check(Case { batch: 2, queries: 5, keys: 41, heads: 4, width: 3, mask: None }, || None);
}

#[test]
fn scores_of_many_tiles_equal_burn() {
    let case = Case { batch: 1, queries: 50, keys: 7000, heads: 2, width: 4, mask: Some([1, 1]) };
    check(case, || None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// At least two keys: with a single one the gradients of query and key are nothing but rounding.
    #[test]
    fn any_shape_equals_burn(
        [groups, repeats] in prop::array::uniform2(1usize..4),
        (queries, keys) in (8usize..70, 2usize..70),
        (heads, width) in (1usize..6, 1usize..20),
        (is_masked, is_mask_shared, is_biased) in any::<(bool, bool, bool)>(),
    ) {
        let mask = is_masked.then_some([groups, if is_mask_shared { 1 } else { queries }]);
        let case = Case { batch: groups * repeats, queries, keys, heads, width, mask };
        check(case, || is_biased.then(|| random([heads, queries, keys], 4, &device()).require_grad()));
    }
}

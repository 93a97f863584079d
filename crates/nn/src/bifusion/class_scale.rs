//! A learned scale per class and channel of the text tokens, before fusion (`FiLM` without shift).
//!
//! Not in the paper: there, the tokens of all classes enter one attention, and only the words of a title
//! distinguish the classes. An added code would be lost in the mean over all tokens that the first attention computes; a
//! multiplied one binds a token's content to its class, and survives the mean.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::{Cost, init::Initializer};

/// Standard deviation of the initial scales around 1, wide enough that no two classes start with nearly the same.
const STD: f32 = 1.0;

/// One factor per class and channel.
#[derive(Module, Debug)]
pub struct ClassScale {
    /// `[classes, hidden]`, as the difference from 1.
    pub scale: Param<Tensor<2>>,
}

impl ClassScale {
    /// Randomly initialized for `num_classes` foreground classes.
    pub fn new(init: &mut Initializer, num_classes: usize, hidden: usize) -> Self {
        Self { scale: init.normal([num_classes, hidden], STD) }
    }

    /// # Shapes
    ///
    /// - `tokens`, output: `[texts · classes, tokens, hidden]`
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [classes, hidden] = self.scale.dims();
        let texts = tokens.dims()[0] / classes;
        let scale = self.scale.val().add_scalar(1.0).reshape([classes, 1, hidden]);
        tokens * scale.repeat_dim(0, texts)
    }

    /// Its parameters; the scaled tokens count to the fusion blocks that read them.
    pub fn cost(&self) -> Cost {
        Cost::new(self.num_params(), 0, 0)
    }
}

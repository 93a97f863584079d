//! Which class a text is of, written into its tokens before they meet the image.
//!
//! Not of the paper: there, the tokens of all classes enter one attention, and only what a title says can tell
//! whose they are. A code that is added would be lost in the mean of all tokens that the first attention makes; a
//! code that multiplies binds what is said to the class, and outlives the mean.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::init::Initializer;

/// Spread of the first codes around 1, wide enough that no two classes begin with nearly the same.
const SPREAD: f32 = 1.0;

/// One factor for each class and channel.
#[derive(Module, Debug)]
pub struct ClassScale {
    /// `[classes, hidden]`, as the difference from 1.
    pub codes: Param<Tensor<2>>,
}

impl ClassScale {
    /// First codes for `classes` foreground classes.
    pub fn new(init: &mut Initializer, classes: usize, hidden: usize) -> Self {
        Self { codes: init.normal([classes, hidden], SPREAD) }
    }

    /// Tokens of every class, times its code.
    ///
    /// # Shapes
    ///
    /// - `tokens`, output: `[texts · classes, tokens, hidden]`
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [classes, hidden] = self.codes.dims();
        let texts = tokens.dims()[0] / classes;
        let codes = self.codes.val().add_scalar(1.0).reshape([classes, 1, hidden]);
        tokens * codes.repeat_dim(0, texts)
    }
}

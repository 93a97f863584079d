//! What the repository promises about itself: its form, its references, its recipes.
//!
//! A crate of its own with nothing but this test binary: it reads sources and builds none, so it is done in
//! a second, while the tests of the crates it reads take minutes to build.

mod form;
mod recipes;
mod references;
mod repository;

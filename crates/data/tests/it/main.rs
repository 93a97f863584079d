//! Data sets as others write them: what is read, and what is reported.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod folder;
mod ignore;
mod integrity;
mod nnunet;
mod splits;

//! How good is a label map

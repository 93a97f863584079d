//! Fast CPU kernels for three-dimensional networks

//! Exists so that the build dependencies of this package count.
fn main() {}

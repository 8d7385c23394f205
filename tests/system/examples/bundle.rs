//! Writes a small bundle that nobody has signed, for tests in other languages: `cargo run -p system-tests --example bundle -- FILE`.

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).context("name the file to be written")?;
    std::fs::write(path, system_tests::bundle::small()?)?;
    Ok(())
}

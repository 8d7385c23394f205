//! Draws the crates of this workspace and what each rests on: `cargo run -p system-tests --example crates > docs/crates.svg`.

fn main() -> anyhow::Result<()> {
    print!("{}", system_tests::crates::drawing(&system_tests::crates::crates()?));
    Ok(())
}

//! What the programs say of themselves and of mistakes. `TRYCMD=overwrite cargo test -p system-tests --test transcripts` takes
//! over changes; read them before they are committed.

use system_tests::binary;

#[test]
fn transcripts() {
    trycmd::TestCases::new()
        .register_bin("pumua", binary("pumua"))
        .register_bin("pumua-box", binary("pumua-box"))
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .case("transcripts/*.trycmd");
}

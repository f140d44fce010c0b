//! What README shows at a prompt is what happens.

#[test]
fn the_console_blocks_show_what_happens() {
    trycmd::TestCases::new()
        .register_bin(
            "tidegate",
            std::path::Path::new(env!("CARGO_BIN_EXE_tidegate")),
        )
        .case("../README.md");
}

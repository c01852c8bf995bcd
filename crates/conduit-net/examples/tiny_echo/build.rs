//! Leaves out of the binary what a small program has no use for.

fn main() {
    for argument in [
        "-Wl,--gc-sections",
        "-Wl,-z,noseparate-code",
        "-Wl,-z,norelro",
        "-Wl,--build-id=none",
        "-Wl,--hash-style=gnu",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}

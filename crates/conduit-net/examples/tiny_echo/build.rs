//! Excludes sections that a small binary does not need.

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

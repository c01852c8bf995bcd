//! Builds the C loop that the others are measured against.

fn main() {
    println!("cargo:rerun-if-changed=c/echo.c");
    cc::Build::new().file("c/echo.c").opt_level(3).compile("c_echo");
}

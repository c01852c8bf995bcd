//! Builds the C loop, which is the baseline of the comparison.

fn main() {
    println!("cargo:rerun-if-changed=c/echo.c");
    cc::Build::new().file("c/echo.c").opt_level(3).compile("c_echo");
}

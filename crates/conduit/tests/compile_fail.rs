//! Every mistake with the attributes and `routes!` has its message, at the user's own line.
//!
//! `TRYBUILD=overwrite cargo test --all-features --test compile_fail` records the messages again: they list implementations, which
//! depend on the features.

#[path = "compile_fail/pass/handlers.rs"]
mod handlers;

#[test]
fn every_form_of_a_handler_compiles() {
    handlers::main();
}

#[test]
fn each_mistake_has_its_message() {
    let cases = trybuild::TestCases::new();
    // With a case that passes the others are built too, and not only checked: some assertions need that.
    cases.pass("tests/compile_fail/pass/*.rs");
    cases.compile_fail("tests/compile_fail/*.rs");
}

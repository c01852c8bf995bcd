//! The attacks on memory in their short form; the program `memory` runs the full ones.

use std::process::Command;

#[test]
fn no_attack_exceeds_its_bound_of_memory() {
    let output = Command::new(env!("CARGO_BIN_EXE_memory"))
        .arg("--short")
        .output()
        .expect("it starts");
    let report = String::from_utf8_lossy(&output.stdout);
    eprint!("{report}");
    assert!(
        output.status.success(),
        "{report}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

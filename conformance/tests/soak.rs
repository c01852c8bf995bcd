//! The soak for some seconds; `soak 600` is the full run.

use std::process::Command;

#[test]
fn mixed_traffic_with_faults_leaks_nothing() {
    // The started program is in the same directory.
    let _ = env!("CARGO_BIN_EXE_target");
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .arg("12")
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

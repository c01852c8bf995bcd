//! `memory`: the resident memory of a server before, at the peak of, and after each attack on its memory, as a table.
//!
//! Each attack has a new server, which is this program started as `memory serve`. The peak is the high-water mark of the
//! process (`VmHWM`). The memory after an attack is read when the server has released the descriptors of its connections.
//! With `--short` each attack is smaller, and the program fails if a bound is exceeded.

#![forbid(unsafe_code)]

mod attacks;
mod bodies;
mod server;

use attacks::ATTACKS;
use server::Server;

/// The settings of the servers, unless the environment sets others: the bounds hold on any machine, and connections that clients
/// have ended are released soon.
const SETTINGS: [(&str, &str); 2] = [("CONDUIT_BODY_MEMORY", "256MiB"), ("CONDUIT_IDLE_TIMEOUT", "1s")];

/// The size of the attacks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Full,
    Short,
}

impl Size {
    /// The number of repetitions in this size.
    fn of(self, full: usize, short: usize) -> usize {
        match self {
            Size::Full => full,
            Size::Short => short,
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn main() -> conduit::Result {
    let argument = std::env::args().nth(1);
    let size = match argument.as_deref() {
        Some("serve") => return server::serve(),
        Some("--short") => Size::Short,
        Some(other) => return Err(format!("unknown argument {other:?}: expected --short or none").into()),
        None => Size::Full,
    };
    let _ = conduit_conformance::process::descriptor_limit();
    println!("| attack | MiB before | MiB at the peak | MiB after |");
    println!("| --- | ---: | ---: | ---: |");
    let mut exceeded = Vec::new();
    for attack in ATTACKS {
        let server = Server::start(attack.output);
        assert!(server.answers(), "{}: no response before the attack", attack.name);
        let before = server.mebibytes("VmRSS:");
        let descriptors = server.descriptors();
        let connections = (attack.run)(&server, size);
        let peak = server.mebibytes("VmHWM:");
        drop(connections);
        let is_released = server.wait_for_descriptors(descriptors);
        let after = server.mebibytes("VmRSS:");
        println!("| {} | {before:.0} | {peak:.0} | {after:.0} |", attack.name);
        if !is_released {
            exceeded.push(format!("{}: connections remain", attack.name));
        }
        if !server.answers() {
            exceeded.push(format!("{}: no response after the attack", attack.name));
        }
        if peak - before > attack.bound_mebibytes {
            let bound = attack.bound_mebibytes;
            exceeded.push(format!(
                "{}: {:.0} MiB more than before, bound {bound}",
                attack.name,
                peak - before
            ));
        }
    }
    match (size, exceeded.is_empty()) {
        (Size::Short, false) => Err(exceeded.join("\n").into()),
        _ => Ok(()),
    }
}

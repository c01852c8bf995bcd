//! Writes the set of 1,000 routes: an API of 100 resources, each with ten routes.

use std::fmt::Write;
use std::{env, fs, path::Path};

const FIRST: [&str; 10] = [
    "user",
    "order",
    "invoice",
    "team",
    "project",
    "build",
    "artifact",
    "message",
    "account",
    "deployment",
];
const SECOND: [&str; 10] = [
    "groups",
    "templates",
    "policies",
    "reports",
    "settings",
    "events",
    "keys",
    "labels",
    "members",
    "schedules",
];
const ROUTES: [&str; 10] = [
    "",
    "/{id}",
    "/search",
    "/{id}/history",
    "/{id}/comments",
    "/{id}/comments/{comment}",
    "/{id}/attachments/{attachment}",
    "/{id}/attachments/{attachment}/content",
    "/{id}/permissions/{subject}",
    "/batch/delete",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut parts = String::new();
    for first in FIRST {
        for second in SECOND {
            for route in ROUTES {
                writeln!(parts, "    get(\"/api/v2/{first}-{second}{route}\"),").expect("a string takes all");
            }
        }
    }
    let text =
        format!("/// 1,000 routes.\npub const TABLE: &conduit_route::Table = conduit_route::table![\n{parts}];\n");
    let directory = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&directory).join("thousand.rs"), text).expect("the directory can be written");
}

//! Writes 999 handlers, an API of resources with nine routes each, and the two lists.

use std::fmt::Write;
use std::{env, fs, path::Path};

const PATHS: [&str; 9] = [
    "",
    "/{id}",
    "/search",
    "/{id}/history",
    "/{id}/comments",
    "/{id}/comments/{comment}",
    "/{id}/attachments/{attachment}",
    "/{id}/permissions/{subject}",
    "/batch/delete",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut text = String::new();
    let mut names = Vec::new();
    for resource in 0..111 {
        for (number, path) in PATHS.iter().enumerate() {
            let name = format!("handler_{resource}_{number}");
            let arguments = path.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0));
            let arguments: Vec<_> = arguments.map(|name| format!("{name}: Path<u64>")).collect();
            let used: Vec<_> = arguments
                .iter()
                .map(|argument| argument.split(':').next().expect("a name"))
                .collect();
            let sum = used
                .iter()
                .map(|name| format!("*{name}"))
                .reduce(|sum, name| sum + " + " + &name);
            let sum = sum.unwrap_or_else(|| "0_u64".to_owned());
            writeln!(
                text,
                "#[get(\"/api/v2/resource-{resource}{path}\")]\nasync fn {name}({}) -> String {{ u64::to_string(&({sum})) }}",
                arguments.join(", ")
            )
            .expect("a string takes all");
            names.push(name);
        }
    }
    for (list, count) in [("TEN", 9), ("THOUSAND", 999)] {
        writeln!(
            text,
            "const {list}: Routes<()> = routes![{}, plaintext];",
            names[..count].join(", ")
        )
        .expect("a string takes all");
    }
    let directory = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&directory).join("routes.rs"), text).expect("the directory can be written");
}

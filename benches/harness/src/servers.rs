//! The servers, and their build and start.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rows::Ability::{self, Echo, Edge, Events, Grpc, Http2, Http2Upload, Plain, Routes, Topic};
use crate::rows::{self, GRPC_CALL, LINE, PLAINTEXT, UPLOAD};
use crate::{Result, benches};

/// One measured server.
pub(crate) struct Server {
    /// The name in the tables.
    pub(crate) name: &'static str,
    /// The measured abilities, with a program for each; the reported size is that of the first.
    pub(crate) programs: &'static [(Ability, Source)],
    /// The crate with the displayed version.
    pub(crate) crate_name: Option<&'static str>,
    /// A remark about its configuration.
    pub(crate) note: &'static str,
}

/// The source of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// The package in `peers/`, and its binary. It is started as `PROGRAM ADDRESS [tls]`.
    Package(&'static str),
    /// The same, started as `PROGRAM ADDRESS CANNED`: it needs the request in advance.
    RequestInAdvance(&'static str),
    /// The C program in `benches/`, for the library with this pkg-config name from this Debian package. It is started as
    /// `PROGRAM ADDRESS [tls]`.
    Compiled(&'static str, &'static str, &'static str),
    /// An installed program: its name, the name of the Debian package, and the function that writes its configuration.
    Installed(&'static str, &'static str, fn(SocketAddr, bool) -> String),
    /// The script in `benches/`, for this version of the runtime Bun from npm. It is started as `bun SCRIPT ADDRESS`.
    Script(&'static str, &'static str),
}

use Source::{Compiled, Installed, Package, RequestInAdvance, Script};

/// The name of the server of this project.
pub(crate) const CONDUIT: &str = "conduit";
/// The name of the library that serves HTTP/2 with the least CPU.
pub(crate) const LIBH2O: &str = "libh2o";
/// The name of the runtime with uWebSockets.
pub(crate) const BUN: &str = "bun";
/// The name of the lower bound for any server.
pub(crate) const FLOOR: &str = "floor";

pub(crate) const ALL: &[Server] = &[
    Server {
        name: CONDUIT,
        programs: &[
            (Plain, Package("bench-conduit")),
            (Edge, Package("bench-conduit-edge")),
            (Routes, RequestInAdvance("bench-conduit-routes")),
            (Http2, Package("bench-conduit-http2")),
            (Http2Upload, Package("bench-conduit-http2")),
            (Grpc, Package("bench-conduit-grpc")),
            (Echo, Package("bench-conduit-live")),
            (Topic, Package("bench-conduit-live")),
            (Events, Package("bench-conduit-live")),
        ],
        crate_name: Some("conduit-web"),
        note: "one worker; files by `Files`, topics by `Hub`",
    },
    Server {
        name: "axum",
        programs: &[
            (Plain, Package("bench-axum")),
            (Edge, Package("bench-axum-edge")),
            (Http2, Package("bench-axum-http2")),
            (Http2Upload, Package("bench-axum-http2")),
            (Echo, Package("bench-axum-live")),
            (Topic, Package("bench-axum-live")),
            (Events, Package("bench-axum-live")),
        ],
        crate_name: Some("axum"),
        note: "current-thread tokio runtime; HTTPS by axum-server (rustls), files by tower-http, topics by a broadcast channel of tokio",
    },
    Server {
        name: "actix-web",
        programs: &[
            (Plain, Package("bench-actix")),
            (Edge, Package("bench-actix-edge")),
            (Http2, Package("bench-actix-http2")),
            (Http2Upload, Package("bench-actix-http2")),
            (Echo, Package("bench-actix-live")),
            (Topic, Package("bench-actix-live")),
            (Events, Package("bench-actix-live")),
        ],
        crate_name: Some("actix-web"),
        note: "one worker thread, and a separate accept thread; HTTPS by rustls, files by actix-files, WebSockets by actix-ws, topics by a broadcast channel of tokio",
    },
    Server {
        name: "ntex",
        programs: &[(Plain, Package("bench-ntex"))],
        crate_name: Some("ntex"),
        note: "its neon runtime (io_uring where allowed); one worker thread, and a separate accept thread",
    },
    Server {
        name: "xitca-web",
        programs: &[(Plain, Package("bench-xitca"))],
        crate_name: Some("xitca-web"),
        note: "one worker thread, and a separate accept thread",
    },
    Server {
        name: "hyper",
        programs: &[
            (Plain, Package("bench-hyper")),
            (Http2, Package("bench-hyper-http2")),
            (Http2Upload, Package("bench-hyper-http2")),
        ],
        crate_name: Some("hyper"),
        note: "a hand-written service without a router; current-thread tokio runtime",
    },
    Server {
        name: "may_minihttp",
        programs: &[(Plain, Package("bench-may"))],
        crate_name: Some("may_minihttp"),
        note: "a hand-written match without a router; one coroutine worker",
    },
    Server {
        name: "salvo",
        programs: &[(Plain, Package("bench-salvo"))],
        crate_name: Some("salvo"),
        note: "current-thread tokio runtime",
    },
    Server {
        name: "tonic",
        programs: &[(Grpc, Package("bench-tonic-grpc"))],
        crate_name: Some("tonic"),
        note: "current-thread tokio runtime; Conduit serves the same service as its fallback",
    },
    Server {
        name: "fastwebsockets",
        programs: &[(Echo, Package("bench-fastwebsockets"))],
        crate_name: Some("fastwebsockets"),
        note: "on hyper and a current-thread tokio runtime",
    },
    Server {
        name: "tokio-websockets",
        programs: &[(Echo, Package("bench-tokio-websockets"))],
        crate_name: Some("tokio-websockets"),
        note: "current-thread tokio runtime",
    },
    Server {
        name: BUN,
        programs: &[(Echo, BUN_SCRIPT), (Topic, BUN_SCRIPT)],
        crate_name: None,
        note: "uWebSockets and its topics, with handlers in JavaScript; one thread, and those of the runtime",
    },
    Server {
        name: "nginx",
        programs: &[
            (Edge, Installed("nginx", "nginx-light", nginx_files)),
            (Http2, Installed("nginx", "nginx-light", nginx_http2)),
        ],
        crate_name: None,
        note: "one process; HTTPS by OpenSSL, files by sendfile",
    },
    Server {
        name: "h2o",
        programs: &[(Edge, Installed("h2o", "h2o", h2o))],
        crate_name: None,
        note: "one thread; HTTPS by OpenSSL; its plain text is a file, because a handler would need an interpreter",
    },
    Server {
        name: LIBH2O,
        programs: &[
            (
                Http2,
                Compiled("libh2o", "libh2o-evloop", "libh2o-evloop-dev libssl-dev"),
            ),
            (
                Http2Upload,
                Compiled("libh2o", "libh2o-evloop", "libh2o-evloop-dev libssl-dev"),
            ),
        ],
        crate_name: None,
        note: "handlers in C on its event loop, one thread; TLS by OpenSSL",
    },
    Server {
        name: FLOOR,
        programs: &[
            (Plain, RequestInAdvance("bench-floor")),
            (Echo, Package("bench-floor-websocket")),
        ],
        crate_name: None,
        note: "a bare epoll loop with canned responses, or one that echoes frames: without validation, routing and limits",
    },
];

const BUN_SCRIPT: Source = Script("bun/server.js", "1.3.3");

pub(crate) fn named(name: &str) -> Option<&'static Server> {
    ALL.iter().find(|server| server.name == name)
}

impl Server {
    pub(crate) fn source(&self, ability: Ability) -> Option<Source> {
        self.programs
            .iter()
            .find(|program| program.0 == ability)
            .map(|program| program.1)
    }

    /// The version in Cargo.lock, or the one that an installed program prints.
    pub(crate) fn version(&self) -> String {
        if let Some((_, Installed(program, ..))) = self.programs.first() {
            let output = Command::new(path_of(program)).arg("-v").output();
            let text = output
                .map(|output| [output.stdout, output.stderr].concat())
                .unwrap_or_default();
            return installed_version(&String::from_utf8_lossy(&text))
                .unwrap_or_default()
                .to_owned();
        }
        if let Some((_, Script(_, version))) = self.programs.first() {
            return (*version).to_owned();
        }
        if let Some((_, Compiled(_, library, _))) = self.programs.first() {
            let output = Command::new("pkg-config").args(["--modversion", library]).output();
            return output.map_or_else(
                |_| String::new(),
                |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            );
        }
        let lock = std::fs::read_to_string(benches().join("Cargo.lock")).unwrap_or_default();
        self.crate_name
            .and_then(|name| locked_version(&lock, name))
            .unwrap_or_default()
            .to_owned()
    }
}

impl Source {
    /// Builds the program with the workspace's release profile, or finds it, and returns its path. Each is built separately: in one
    /// build, cargo would enable the union of the features that they request.
    ///
    /// # Errors
    ///
    /// Returns the last lines of cargo's output, or the package to install.
    pub(crate) fn build(self, jobs: u32) -> Result<PathBuf> {
        let package = match self {
            Package(package) | RequestInAdvance(package) => package,
            Compiled(name, library, packages) => return compile(name, library, packages),
            Script(_, version) => return install_bun(version),
            Installed(program, package, _) => {
                let path = path_of(program);
                return match path.is_file() {
                    true => Ok(path),
                    false => Err(format!(
                        "{program} is not installed; get it with `apt-get install {package}` (Debian, Ubuntu)"
                    )),
                };
            }
        };
        let output = Command::new(env!("CARGO"))
            .args(["build", "--release", "--package", package])
            .args(["--jobs", &jobs.to_string()])
            .current_dir(benches())
            .output()
            .map_err(|error| format!("cannot start cargo: {error}"))?;
        if !output.status.success() {
            return Err(excerpt(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok(target_directory().join("release").join(package))
    }

    /// Returns the command that starts the program on `address`, with the files that [`furnish`] has written to `directory`.
    ///
    /// # Errors
    ///
    /// Returns an error if its configuration cannot be written.
    pub(crate) fn command(
        self,
        program: &Path,
        address: SocketAddr,
        canned: &str,
        tls: bool,
        directory: &Path,
    ) -> Result<Command> {
        let mut command = Command::new(program);
        command.current_dir(directory);
        match self {
            Package(_) | Compiled(..) => command.arg(address.to_string()).args(tls.then_some("tls")),
            RequestInAdvance(_) => command.arg(address.to_string()).arg(canned),
            Script(script, _) => command.arg(benches().join(script)).arg(address.to_string()),
            Installed(name, _, configuration) => {
                let path = directory.join(format!("{name}.conf"));
                std::fs::write(&path, configuration(address, tls))
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                command.arg("-c").arg(path);
                if name == "nginx" {
                    command.arg("-p").arg(directory);
                }
                &mut command
            }
        };
        Ok(command)
    }
}

/// A configuration with no more features than the servers of the frameworks: one process, no log, persistent connections.
fn nginx(address: SocketAddr, tls: bool) -> String {
    let ssl = if tls { " ssl" } else { "" };
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\nerror_log stderr crit;\npid nginx.pid;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n  access_log off;\n  default_type text/plain;\n  sendfile on;\n  tcp_nopush on;\n  \
         keepalive_requests 1000000000;\n  ssl_protocols TLSv1.2 TLSv1.3;\n  ssl_certificate certificate.pem;\n  \
         ssl_certificate_key key.pem;\n  server {{\n    listen {address}{ssl} backlog=4096;\n    \
         location = /plaintext {{ return 200 \"Hello, World!\"; }}\n    location /static/ {{ root .; }}\n  }}\n}}\n"
    )
}

/// Precompressed files, and HTTP/2 by ALPN.
fn nginx_files(address: SocketAddr, tls: bool) -> String {
    let text = nginx(address, tls).replace("root .;", "root .; gzip_static on;");
    match tls {
        true => text.replace(&format!("{address} ssl"), &format!("{address} ssl http2")),
        false => text,
    }
}

/// HTTP/2 with the same responses: the user is a constant, because `return` cannot use a validated part of a path.
fn nginx_http2(address: SocketAddr, tls: bool) -> String {
    let ssl = if tls { " ssl" } else { "" };
    nginx(address, tls)
        .replace(&format!("{address}{ssl}"), &format!("{address}{ssl} http2"))
        .replace(
            "location /static/ { root .; }",
            "location = /json { default_type application/json; return 200 '{\"message\":\"Hello, World!\"}'; }\n    \
             location = /users/42 { return 200 42; }\n    location = /download { alias static/1m.txt; }",
        )
}

/// The same for h2o.
fn h2o(address: SocketAddr, tls: bool) -> String {
    let mut text = String::from("num-threads: 1\nuser: root\nmax-connections: 16384\nfile.send-compressed: ON\n");
    // Writing to a string cannot fail.
    let _ = write!(text, "listen:\n  host: {}\n  port: {}\n", address.ip(), address.port());
    if tls {
        text += "  ssl:\n    certificate-file: certificate.pem\n    key-file: key.pem\n";
    }
    text + "hosts:\n  default:\n    paths:\n      /plaintext:\n        file.file: plaintext.txt\n      /static:\n        \
            file.dir: static\n"
}

/// Writes the input of the servers into a directory: `certificate.pem` and `key.pem` for `localhost`, the files, and the plain text
/// for servers that send it from a file.
///
/// # Errors
///
/// Returns an error if a file cannot be written.
pub(crate) fn furnish(directory: &Path) -> Result<()> {
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name.trim_start_matches('/'));
        let parent = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        parent
            .and_then(|()| std::fs::write(&path, bytes))
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .map_err(|error| format!("cannot make a certificate: {error}"))?;
    write("certificate.pem", certified.cert.pem().as_bytes())?;
    write("key.pem", certified.signing_key.serialize_pem().as_bytes())?;
    write("plaintext.txt", PLAINTEXT.body.0.as_bytes())?;
    // `h2load` sends it.
    write("upload.txt", LINE.repeat(UPLOAD.upload_bytes / LINE.len()).as_bytes())?;
    write("grpc.bin", GRPC_CALL)?;
    for question in rows::files() {
        write(question.path, &question.plain_body())?;
        if question.gzip {
            write(&format!("{}.gz", question.path), &question.sent_body())?;
        }
    }
    Ok(())
}

/// Compiles `NAME/main.c`, and returns the path of the program.
///
/// # Errors
///
/// Returns the output of the compiler, or the packages to install.
fn compile(name: &str, library: &str, packages: &str) -> Result<PathBuf> {
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", library])
        .output();
    let flags = flags.ok().filter(|output| output.status.success());
    let flags = flags.ok_or_else(|| {
        format!("{library} is not installed; get it with `apt-get install {packages}` (Debian, Ubuntu)")
    })?;
    let flags = String::from_utf8_lossy(&flags.stdout).into_owned();
    let directory = target_directory().join("release");
    std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let program = directory.join(format!("bench-{name}"));
    let output = Command::new("cc")
        .args(["-O3", "-DH2O_USE_EPOLL=1", "-o"])
        .arg(&program)
        .arg(benches().join(name).join("main.c"))
        .args(flags.split_ascii_whitespace())
        .args(["-lssl", "-lcrypto"])
        .output()
        .map_err(|error| format!("cannot start cc: {error}"))?;
    match output.status.success() {
        true => Ok(program),
        false => Err(excerpt(&String::from_utf8_lossy(&output.stderr))),
    }
}

/// Installs Bun from npm in a directory below the target directory, and returns the path of the program.
///
/// # Errors
///
/// Returns the output of npm.
fn install_bun(version: &str) -> Result<PathBuf> {
    let folder = target_directory().join(format!("bun-{version}"));
    let program = folder.join("node_modules/.bin/bun");
    if program.exists() {
        return Ok(program);
    }
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(&folder)
        .arg(format!("bun@{version}"))
        .output()
        .map_err(|error| format!("cannot start npm: {error}; get it with `apt-get install npm` (Debian, Ubuntu)"))?;
    match output.status.success() {
        true => Ok(program),
        false => Err(format!(
            "npm could not install bun: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// The path of an installed program: in `PATH`, or in the directories of Debian for servers.
fn path_of(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| program.into())
}

/// `nginx version: nginx/1.22.1`, `h2o version 2.2.5`.
fn installed_version(text: &str) -> Option<&str> {
    let is_version = |word: &&str| word.starts_with(|character: char| character.is_ascii_digit());
    text.split([' ', '/', '\n']).find(is_version)
}

/// The last error in one line, then the lines around it.
fn excerpt(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.trim_start().starts_with("Compiling"))
        .collect();
    let last_error = lines
        .iter()
        .rfind(|line| line.starts_with("error"))
        .unwrap_or(&"no error was printed");
    format!(
        "does not build: {last_error}\n{}",
        lines[lines.len().saturating_sub(30)..].join("\n")
    )
}

fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => benches().join(directory),
        None => benches().join("target"),
    }
}

fn locked_version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"axum-core\"\nversion = \"0.5.0\"\n\n[[package]]\nname = \"axum\"\nversion = \"0.8.9\"\n";
        assert_eq!(locked_version(lock, "axum"), Some("0.8.9"));
        assert_eq!(locked_version(lock, "rocket"), None);
    }

    #[test]
    fn version_of_an_installed_program_is_found() {
        assert_eq!(installed_version("nginx version: nginx/1.22.1\n"), Some("1.22.1"));
        assert_eq!(installed_version("h2o version 2.2.5\nOpenSSL: 3.0"), Some("2.2.5"));
        assert_eq!(installed_version(""), None);
    }

    #[test]
    fn every_crate_is_locked() {
        for server in ALL.iter().filter(|server| server.crate_name.is_some()) {
            assert_ne!(server.version(), "", "{} is missing from Cargo.lock", server.name);
        }
    }
}

//! An echo server for thousands of clients on one thread.
//!
//! ```text
//! echo [--bind HOST:PORT] [--udp | --unix PATH | --tls CERTIFICATES KEY]
//! ```
//! Default: TCP on 0.0.0.0:8080. Try `echo "Hello Conduit" | nc localhost 8080`.
#![allow(clippy::print_stdout, reason = "the banner is for the terminal")]

#[cfg_attr(feature = "tls", path = "tls.rs")]
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod secure;
mod streams;
mod udp;

use conduit_net::{ListenOptions, TcpListener, UdpSocket, UnixAddress, UnixListener, resolve};
use std::error::Error;
use std::process::ExitCode;

const USAGE: &str = "usage: echo [--bind HOST:PORT] [--udp | --unix PATH | --tls CERTIFICATES KEY]";

/// The parsed arguments.
struct Arguments {
    bind: String,
    mode: Mode,
}

enum Mode {
    Tcp,
    Udp,
    Unix(String),
    Tls(String, String),
}

fn main() -> ExitCode {
    let served = parse(std::env::args().skip(1)).map_err(Into::into).and_then(serve);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments {
        bind: "0.0.0.0:8080".into(),
        mode: Mode::Tcp,
    };
    while let Some(argument) = arguments.next() {
        let mut value = |what| {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs {what}; {USAGE}"))
        };
        match argument.as_str() {
            "--bind" => parsed.bind = value("HOST:PORT")?,
            "--udp" => parsed.mode = Mode::Udp,
            "--unix" => parsed.mode = Mode::Unix(value("PATH")?),
            "--tls" => parsed.mode = Mode::Tls(value("CERTIFICATES and KEY")?, value("KEY after CERTIFICATES")?),
            other => return Err(format!("unknown argument {other}; {USAGE}")),
        }
    }
    Ok(parsed)
}

fn serve(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    match arguments.mode {
        Mode::Tcp => {
            let listener = TcpListener::bind_host(&arguments.bind, &ListenOptions::new().no_delay(true))?;
            println!("echo: TCP on {}; stop with Ctrl-C", listener.local_addr()?);
            streams::serve(&listener, || Ok(Box::new(listener.accept()?.0)))
        }
        Mode::Tls(certificates, key) => {
            let wrap = secure::server(&certificates, &key)?;
            let listener = TcpListener::bind_host(&arguments.bind, &ListenOptions::new().no_delay(true))?;
            println!("echo: TLS on {}; stop with Ctrl-C", listener.local_addr()?);
            streams::serve(&listener, || wrap(listener.accept()?.0))
        }
        Mode::Unix(path) => {
            let listener = UnixListener::bind(&UnixAddress::from_path(path.as_str())?)?;
            println!("echo: Unix stream on {path}; stop with Ctrl-C");
            streams::serve(&listener, || Ok(Box::new(listener.accept()?.0)))
        }
        Mode::Udp => {
            let address = resolve(&arguments.bind)?[0];
            let socket = UdpSocket::bind(address)?;
            println!("echo: UDP on {}; stop with Ctrl-C", socket.local_addr()?);
            udp::serve(&socket)
        }
    }
}

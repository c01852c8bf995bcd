//! `cargo run --release`: the number of instructions of a request with one extractor or layer, in Conduit and in axum.
//!
//! Each case is a separate server under callgrind, which counts the instructions outside of the kernel. Unlike times, counts do
//! not depend on the load of the machine.

#![forbid(unsafe_code)]

mod cases;
mod shared;
mod with_axum;
mod with_conduit;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cases::{ALL, Case, NONE, NOTHING};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Requests before the count, so that retained memory is already allocated.
const WARM_UP: u32 = 200;
const REQUESTS: u32 = 1000;
const SIGN_IN: &[u8] = b"GET /sign-in HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// The maximum time of a server for its start, and for a response.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", "conduit", case, address] => {
            with_conduit::serve(case, address).map_err(|error| error.to_string().into())
        }
        ["serve", "axum", case, address] => Ok(with_axum::serve(case, address)?),
        [] => compare(ALL),
        [name] => match Case::named(name) {
            Some(case) => compare(std::slice::from_ref(case)),
            None => Err(format!("no case is called {name}").into()),
        },
        _ => Err("usage: bench-layers [CASE]".into()),
    }
}

/// Counts the cases and prints them as a table.
fn compare(cases: &[Case]) -> Result {
    let mut table = String::from(
        "| Conduit | axum | Conduit, instructions | axum, instructions | ratio | it adds in Conduit | it adds in axum |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut base = None;
    for case in cases {
        let conduit = count("conduit", case)?;
        let axum = match case.titles.1 {
            NONE => None,
            _ => Some(count("axum", case)?),
        };
        if case.name == NOTHING {
            base = Some((conduit, axum));
        }
        let base = base.unwrap_or_default();
        let text = |count: Option<u64>| count.map_or(NONE.to_owned(), |count| count.to_string());
        let added = |count: Option<u64>, base: Option<u64>| match (count, base) {
            (Some(count), Some(base)) => format!("{:+}", count as i64 - base as i64),
            _ => NONE.to_owned(),
        };
        writeln!(
            table,
            "| {} | {} | {conduit} | {} | {} | {} | {} |",
            case.titles.0,
            case.titles.1,
            text(axum),
            axum.map_or(NONE.to_owned(), |axum| format!("{:.2}", conduit as f64 / axum as f64)),
            added(Some(conduit), Some(base.0).filter(|base| *base > 0)),
            added(axum, base.1),
        )?;
        eprintln!("{}: conduit {conduit}, axum {axum:?}", case.name);
    }
    print!("{table}");
    Ok(())
}

/// The instructions of one request.
fn count(framework: &str, case: &Case) -> Result<u64> {
    let directory = std::env::temp_dir().join(format!("bench-layers-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let server = Server::start(framework, case, &directory)?;
    let counted = server.count(case);
    drop(server);
    std::fs::remove_dir_all(&directory)?;
    counted.map_err(|error| format!("{framework}, {}: {error}", case.name).into())
}

/// A server under callgrind, which ends when this is dropped.
struct Server {
    process: Child,
    address: String,
    directory: PathBuf,
}

impl Server {
    fn start(framework: &str, case: &Case, directory: &Path) -> Result<Self> {
        // The port was free a moment ago: these servers do not report a port that the system selects.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let process = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=counts"])
            .arg(std::env::current_exe()?)
            .args(["serve", framework, case.name, &address])
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start valgrind (apt-get install valgrind): {error}"))?;
        Ok(Server {
            process,
            address,
            directory: directory.into(),
        })
    }

    fn count(&self, case: &Case) -> Result<u64> {
        let mut client = BufReader::new(self.connect()?);
        let cookie = match case.is_signed_in() {
            true => ask(&mut client, SIGN_IN)?.ok_or("no cookie was set")?,
            false => String::new(),
        };
        let request = case.request(&cookie);
        for _ in 0..WARM_UP {
            ask(&mut client, &request)?;
        }
        self.executed(1)?;
        for _ in 0..REQUESTS {
            ask(&mut client, &request)?;
        }
        Ok(self.executed(2)? / u64::from(REQUESTS))
    }

    fn connect(&self) -> Result<TcpStream> {
        let start = Instant::now();
        loop {
            match TcpStream::connect(&self.address) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(TIMEOUT))?;
                    return Ok(stream);
                }
                Err(error) if start.elapsed() > TIMEOUT => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The instructions since the previous call; `number` counts the calls.
    fn executed(&self, number: u32) -> Result<u64> {
        let output = Command::new("callgrind_control")
            .args(["--dump", &self.process.id().to_string()])
            .output()?;
        let path = self.directory.join(format!("counts.{number}"));
        let text = std::fs::read_to_string(&path).map_err(|error| {
            format!(
                "{}: {error}: {}",
                path.display(),
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(total.ok_or("callgrind has counted nothing")?.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends the request, and reads the whole response, which must be a success. Returns the cookie that it sets.
fn ask(client: &mut BufReader<TcpStream>, request: &[u8]) -> Result<Option<String>> {
    client.get_mut().write_all(request)?;
    let mut line = String::new();
    client.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200 ") {
        return Err(format!("answered with {line:?}").into());
    }
    let (mut length, mut chunked, mut cookie) = (0, false, None);
    loop {
        line.clear();
        client.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse()?,
            "transfer-encoding" => chunked = true,
            "set-cookie" => cookie = value.split(';').next().map(str::to_owned),
            _ => {}
        }
    }
    let mut body = Vec::new();
    loop {
        if chunked {
            line.clear();
            client.read_line(&mut line)?;
            length = u64::from_str_radix(line.trim_end(), 16)?;
        }
        let read = client.take(length).read_to_end(&mut body)?;
        if read as u64 != length || body == b"no" {
            return Err(format!("answered with {:?}", String::from_utf8_lossy(&body)).into());
        }
        if !chunked {
            return Ok(cookie);
        }
        line.clear();
        client.read_line(&mut line)?;
        if length == 0 {
            return Ok(cookie);
        }
    }
}

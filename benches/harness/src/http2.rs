//! HTTP/2: the load of `h2load`, the check of a response with `curl`, and a request on a connection that then stays idle.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::load::Report;
use crate::probe::{AfterAnswer, Connection};
use crate::rows::{Load, PLAINTEXT, Question};

/// The name of the file that uploads are sent from, in the directory of the servers' files.
const UPLOAD: &str = "upload.txt";
/// The file for calls of gRPC, and their fields.
const GRPC_CALL: &str = "grpc.bin";
const GRPC_FIELDS: [&str; 2] = ["content-type: application/grpc", "te: trailers"];
const LOG: &str = "h2load.log";

/// Requests the path of the load once with `curl`, and checks the response.
///
/// # Errors
///
/// Returns a description of the fault in the response, or how to install `curl`.
pub(crate) fn rehearse(address: SocketAddr, load: &Load, directory: &Path) -> Result<AfterAnswer> {
    for question in std::iter::once(load.question).chain(load.others) {
        rehearse_one(address, load, question, directory)?;
    }
    Ok(AfterAnswer::StillOpen)
}

fn rehearse_one(address: SocketAddr, load: &Load, question: &Question, directory: &Path) -> Result<()> {
    let mut command = Command::new("curl");
    command
        .current_dir(directory)
        .args(["--silent", "--show-error", "--insecure", "--include", "--max-time", "5"])
        .arg(if load.tls { "--http2" } else { "--http2-prior-knowledge" });
    if let Some((file, fields)) = upload(question) {
        command.arg("--data-binary").arg(format!("@{file}"));
        for field in fields {
            command.arg("--header").arg(field);
        }
    }
    command.arg(url(address, load.tls, question));
    let output = command
        .output()
        .map_err(|error| format!("cannot start curl: {error}; get it with `apt-get install curl` (Debian, Ubuntu)"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    check(&output.stdout, question)
}

/// Checks a head and a body as `curl --include` prints them.
fn check(output: &[u8], question: &Question) -> Result<()> {
    let path = question.path;
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.ok_or_else(|| format!("answers {path} without a head"))?;
    let (head, body) = (
        String::from_utf8_lossy(&output[..end]).to_lowercase(),
        &output[end + 4..],
    );
    if !head.starts_with("http/2 200") {
        return Err(format!(
            "answers {path} with {:?}, not HTTP/2 and 200",
            head.lines().next()
        ));
    }
    let content_type = format!("\ncontent-type: {}", question.content_type);
    if !head.contains(&content_type) {
        return Err(format!(
            "answers {path} without Content-Type {:?}",
            question.content_type
        ));
    }
    if !head.contains("\ndate: ") {
        return Err(format!("answers {path} without a date"));
    }
    let (text, times) = question.body;
    if body != question.sent_body() {
        return Err(format!(
            "answers {path} with {} bytes, not {times} times {text:?}",
            body.len()
        ));
    }
    Ok(())
}

/// Sends `load` to a server for `seconds`, with `streams` concurrent requests on each connection.
///
/// # Errors
///
/// Returns an error if `h2load` or any request fails.
pub(crate) fn run(load: &Load, streams: u32, address: SocketAddr, seconds: u32, directory: &Path) -> Result<Report> {
    let log = directory.join(LOG);
    // `h2load` would append to the log of an earlier run.
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new("h2load");
    command
        .current_dir(directory)
        .arg("--threads=1")
        .arg(format!("--clients={}", load.connections))
        .arg(format!("--max-concurrent-streams={streams}"))
        .arg(format!("--duration={seconds}"))
        .arg(format!("--log-file={LOG}"));
    if let Some((file, fields)) = upload(load.question) {
        command.arg(format!("--data={file}"));
        for field in fields {
            command.arg(format!("--header={field}"));
        }
    }
    let questions = std::iter::once(load.question).chain(load.others);
    command.args(questions.map(|question| url(address, load.tls, question)));
    let output = command.output().map_err(|error| {
        format!("cannot start h2load: {error}; get it with `apt-get install nghttp2-client` (Debian, Ubuntu)")
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let log = std::fs::read_to_string(&log).map_err(|error| format!("{}: {error}\n{text}", log.display()))?;
    report(&text, &log).map_err(|error| format!("{error}\n{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The file of a request's body, and the fields that the request needs.
fn upload(question: &Question) -> Option<(&'static str, &'static [&'static str])> {
    match question.content_type {
        _ if question.upload_bytes == 0 => None,
        "application/grpc" => Some((GRPC_CALL, &GRPC_FIELDS)),
        _ => Some((UPLOAD, &[])),
    }
}

fn url(address: SocketAddr, tls: bool, question: &Question) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}{}", question.path)
}

/// Reads the summary of `h2load` and its log, a line for each request: the time of its start, the status, and the time that it
/// took, in µs.
fn report(text: &str, log: &str) -> Result<Report> {
    if !text
        .lines()
        .any(|line| line == "Application protocol: h2c" || line == "Application protocol: h2")
    {
        return Err("h2load did not use HTTP/2".into());
    }
    let line = |start: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.ok_or_else(|| format!("h2load printed no line {start:?}"))
    };
    let number = |line: &str, name: &str| {
        let entry = line.split(',').find_map(|entry| entry.trim().strip_suffix(name));
        entry.and_then(|entry| entry.trim().parse::<u64>().ok())
    };
    let requests = line("requests: ")?;
    let counts = ["succeeded", "failed", "errored", "timeout"].map(|name| number(requests, name));
    let [Some(succeeded), Some(failed), Some(errored), Some(timeouts)] = counts else {
        return Err(format!("h2load printed an unknown line {requests:?}"));
    };
    if failed + errored + timeouts > 0 || succeeded == 0 {
        return Err(format!("h2load counted {requests}"));
    }
    let statuses = line("status codes: ")?;
    if ["3xx", "4xx", "5xx"]
        .iter()
        .any(|class| number(statuses, class) != Some(0))
    {
        return Err(format!("h2load counted the status codes {statuses}"));
    }
    let seconds = line("finished in ")?;
    let seconds = seconds
        .split_once("s,")
        .and_then(|(seconds, _)| seconds.parse::<f64>().ok());
    let seconds = seconds.ok_or("h2load printed no duration in seconds")?;
    let mut times: Vec<u64> = log
        .lines()
        .filter_map(|line| line.rsplit('\t').next()?.parse().ok())
        .collect();
    times.sort_unstable();
    let percentile = |part: usize| times.get(times.len().saturating_sub(1) * part / 100).copied();
    Ok(Report::clean(
        succeeded,
        (seconds * 1e6).round() as u64,
        percentile(50).unwrap_or_default(),
        percentile(99).unwrap_or_default(),
    ))
}

/// A frame's length, type and flags, without its stream.
const FRAME_HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const ACK_OR_END_STREAM: u8 = 1;

/// Sends the preface and one request for the plain text, and reads until its stream ends. The connection stays open.
///
/// # Errors
///
/// Returns an error if the response differs, or if the server closes the connection.
pub(crate) fn ask(connection: &mut Connection) -> Result<()> {
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    request.extend([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
    // Indexed fields of the static table (RFC 7541, appendix A): GET, http; then the path and the authority as literals.
    let mut block = vec![0x82, 0x86, 0x04, PLAINTEXT.path.len() as u8];
    block.extend(PLAINTEXT.path.bytes());
    block.extend([0x01, 9]);
    block.extend(b"localhost");
    request.extend([0, 0, block.len() as u8, HEADERS, 0x05, 0, 0, 0, 1]);
    request.extend(block);
    connection.send(&request)?;
    let failed = |error| format!("did not answer: {error}");
    let (mut body, mut is_acknowledged) = (Vec::new(), false);
    loop {
        let mut head = [0; FRAME_HEAD_BYTES];
        connection.read_exact(&mut head).map_err(failed)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, ends) = (head[3], head[4] & ACK_OR_END_STREAM != 0);
        let mut payload = vec![0; length];
        connection.read_exact(&mut payload).map_err(failed)?;
        if kind == SETTINGS && !ends {
            connection.send(&[0, 0, 0, SETTINGS, ACK_OR_END_STREAM, 0, 0, 0, 0])?;
            is_acknowledged = true;
        }
        if kind == DATA {
            body.extend(payload);
        }
        if (kind == DATA || kind == HEADERS) && ends {
            break;
        }
    }
    if body != PLAINTEXT.body.0.as_bytes() {
        return Err(format!(
            "answers with {} bytes in place of {:?}",
            body.len(),
            PLAINTEXT.body.0
        ));
    }
    if !is_acknowledged {
        return Err("sent a response before its SETTINGS".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Application protocol: h2c\n\nfinished in 2.01s, 314600.00 req/s, 12.00MB/s\n\
        requests: 7 total, 9 started, 7 done, 7 succeeded, 0 failed, 0 errored, 0 timeout\n\
        status codes: 7 2xx, 0 3xx, 0 4xx, 0 5xx\n";

    #[test]
    fn summary_and_log_are_read() {
        let report = report(TEXT, "100\t200\t30\n101\t200\t10\n102\t200\t20\n").unwrap();
        assert_eq!((report.requests, report.microseconds), (7, 2_010_000));
        assert_eq!((report.p50_us, report.p99_us), (20, 20));
    }

    #[test]
    fn failed_requests_and_other_protocols_fail_the_measurement() {
        assert!(report(&TEXT.replace("0 failed", "1 failed"), "").is_err());
        assert!(report(&TEXT.replace("0 5xx", "3 5xx"), "").is_err());
        assert!(report(&TEXT.replace("h2c", "http/1.1"), "").is_err());
    }

    #[test]
    fn response_with_another_body_or_protocol_is_rejected() {
        let text = "HTTP/2 200 \r\ncontent-type: text/plain\r\ndate: now\r\n\r\nHello, World!";
        assert_eq!(check(text.as_bytes(), &PLAINTEXT), Ok(()));
        assert!(check(text.replace("World", "Word").as_bytes(), &PLAINTEXT).is_err());
        assert!(check(text.replace("HTTP/2", "HTTP/1.1").as_bytes(), &PLAINTEXT).is_err());
    }
}

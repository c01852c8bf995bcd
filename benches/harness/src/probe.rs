//! What must be true of a server's answers before the clock runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Result;
use crate::rows::{Load, Question};

const PATIENCE: Duration = Duration::from_secs(5);

/// What a server does with `Connection: close`.
#[derive(Debug, PartialEq)]
pub(crate) enum AfterAnswer {
    Closed,
    StillOpen,
}

/// One answer, as far as the checks look at it.
struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn read(reader: &mut impl BufRead) -> Result<Self> {
        let status = line(reader)?;
        let mut headers = Vec::new();
        loop {
            let line = line(reader)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("sent a header without a colon: {line:?}"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Self {
            status,
            headers,
            body: String::new(),
        };
        let length = answer.header("content-length").and_then(|value| value.parse().ok());
        let length: u64 = length.ok_or("sent no Content-Length")?;
        reader
            .take(length)
            .read_to_string(&mut answer.body)
            .map_err(|error| format!("broke off its body: {error}"))?;
        Ok(answer)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    fn check(&self, question: &Question) -> Result<()> {
        let path = question.path;
        if !self.status.starts_with("HTTP/1.1 200 ") {
            return Err(format!("answers {path} with {:?}, not 200", self.status));
        }
        let content_type = self.header("content-type").unwrap_or_default();
        if !content_type.starts_with(question.content_type) {
            return Err(format!(
                "answers {path} with Content-Type {content_type:?}, not {:?}",
                question.content_type
            ));
        }
        if self.body != question.body {
            return Err(format!("answers {path} with {:?}, not {:?}", self.body, question.body));
        }
        match self.header("date") {
            Some(date) if date.ends_with(" GMT") => Ok(()),
            other => Err(format!("answers {path} with Date {other:?}, not a date")),
        }
    }
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Ok(0) => Err("closed the connection in place of an answer".into()),
        Ok(_) => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(format!("did not answer: {error}")),
    }
}

fn request(question: &Question, close: bool) -> String {
    let connection = if close { "Connection: close\r\n" } else { "" };
    format!("GET {} HTTP/1.1\r\nHost: localhost\r\n{connection}\r\n", question.path)
}

fn send(stream: &TcpStream, text: &str) -> Result<()> {
    let prepared = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_nodelay(true));
    let mut writer = stream;
    prepared
        .and_then(|()| writer.write_all(text.as_bytes()))
        .map_err(|error| format!("took no request: {error}"))
}

/// Asks once and checks the answer; the connection stays open.
///
/// # Errors
///
/// What is wrong with the answer.
pub(crate) fn ask(stream: &TcpStream, question: &Question) -> Result<()> {
    send(stream, &request(question, false))?;
    Answer::read(&mut BufReader::new(stream))?.check(question)
}

/// Asks as the load will: as many requests at once, with the same `Connection` header, twice if the connection is kept.
///
/// # Errors
///
/// What is wrong with an answer.
pub(crate) fn rehearse(stream: &TcpStream, load: &Load) -> Result<AfterAnswer> {
    let mut reader = BufReader::new(stream);
    let times = if load.close { 1 } else { 2 };
    for _ in 0..times {
        send(
            stream,
            &request(load.question, load.close).repeat(load.pipeline as usize),
        )?;
        for _ in 0..load.pipeline {
            Answer::read(&mut reader)?.check(load.question)?;
        }
    }
    if !load.close {
        return Ok(AfterAnswer::StillOpen);
    }
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .map_err(|error| error.to_string())?;
    match reader.read(&mut [0]) {
        Ok(0) => Ok(AfterAnswer::Closed),
        Ok(_) => Err("sent more than its answer".into()),
        Err(_) => Ok(AfterAnswer::StillOpen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::PLAINTEXT;

    fn checked(text: &str) -> Result<()> {
        Answer::read(&mut text.as_bytes())?.check(&PLAINTEXT)
    }

    #[test]
    fn a_right_answer_passes() {
        let text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\ncontent-length: 13\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\nHello, World!";
        assert_eq!(checked(text), Ok(()));
    }

    #[test]
    fn a_wrong_status_body_or_date_is_named() {
        let answer = |status, body: &str, date| {
            let length = body.len();
            checked(&format!(
                "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n{date}\r\n{body}"
            ))
        };
        let date = "date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
        assert!(
            answer("404 Not Found", "Hello, World!", date)
                .unwrap_err()
                .contains("not 200")
        );
        assert!(answer("200 OK", "Hello", date).unwrap_err().contains("\"Hello\""));
        assert!(answer("200 OK", "Hello, World!", "").unwrap_err().contains("Date"));
    }

    #[test]
    fn a_connection_that_ends_early_is_named() {
        assert!(checked("").unwrap_err().contains("closed"));
    }
}

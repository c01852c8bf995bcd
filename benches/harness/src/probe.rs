//! Checks of a server's responses before a measurement.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::Result;
use crate::rows::{Load, Question};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The reaction of a server to `Connection: close`.
#[derive(Debug, PartialEq)]
pub(crate) enum AfterAnswer {
    Closed,
    StillOpen,
}

/// The parts of a response that are checked.
struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
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
            body: Vec::new(),
        };
        let length = answer.header("content-length").and_then(|value| value.parse().ok());
        let length: u64 = length.ok_or("sent no Content-Length")?;
        reader
            .take(length)
            .read_to_end(&mut answer.body)
            .map_err(|error| format!("closed the connection within its body: {error}"))?;
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
        let coding = self.header("content-encoding");
        if coding != question.gzip.then_some("gzip") {
            return Err(format!("answers {path} with Content-Encoding {coding:?}"));
        }
        if self.body != question.sent_body() {
            let start = String::from_utf8_lossy(&self.body[..self.body.len().min(100)]);
            let (text, times) = question.body;
            return Err(format!(
                "answers {path} with {} bytes, {start:?}, not {times} times {text:?}",
                self.body.len()
            ));
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
        Ok(0) => Err("closed the connection in place of a response".into()),
        Ok(_) => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(format!("did not answer: {error}")),
    }
}

fn request(question: &Question, close: bool) -> String {
    let connection = if close { "Connection: close\r\n" } else { "" };
    let fields = question.fields();
    format!(
        "GET {} HTTP/1.1\r\nHost: localhost\r\n{fields}{connection}\r\n",
        question.path
    )
}

/// A connection, with or without TLS. Certificates are not verified, because the server is known.
pub(crate) enum Connection {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// # Errors
    ///
    /// Returns an error if the connection cannot be prepared. The first request performs the handshake.
    pub(crate) fn new(stream: TcpStream, tls: bool) -> Result<Self> {
        stream
            .set_read_timeout(Some(TIMEOUT))
            .and_then(|()| stream.set_nodelay(true))
            .map_err(|error| error.to_string())?;
        if !tls {
            return Ok(Self::Plain(stream));
        }
        static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(trusting_config);
        let name = ServerName::try_from("localhost").expect("it is a name");
        let session = ClientConnection::new(CONFIG.clone(), name).map_err(|error| error.to_string())?;
        Ok(Self::Encrypted(Box::new(StreamOwned::new(session, stream))))
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Encrypted(stream) => stream.get_ref(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Encrypted(stream) => stream.write_all(bytes),
        };
        sent.map_err(|error| format!("took no request: {error}"))?;
        // A server with Nagle's algorithm waits for an acknowledgement, which this side would otherwise delay by 40 ms.
        rustix::net::sockopt::set_tcp_quickack(self.stream(), true)
            .map_err(|error| format!("cannot acknowledge at once: {error}"))
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }
}

/// A verifier that accepts any certificate.
fn trusting_config() -> Arc<ClientConfig> {
    #[derive(Debug)]
    struct Anyone(Vec<SignatureScheme>);

    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> std::result::Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.clone()
        }
    }

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions");
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(schemes)));
    Arc::new(builder.with_no_client_auth())
}

/// Sends one request and checks the response; the connection stays open.
///
/// # Errors
///
/// Returns a description of the fault in the response.
pub(crate) fn ask(connection: &mut Connection, question: &Question) -> Result<()> {
    connection.send(request(question, false).as_bytes())?;
    Answer::read(&mut BufReader::new(connection))?.check(question)
}

/// Sends requests like those of the load: the same number at once, with the same `Connection` header, twice if the connection
/// persists.
///
/// # Errors
///
/// Returns a description of the fault in a response.
pub(crate) fn rehearse(stream: TcpStream, load: &Load) -> Result<AfterAnswer> {
    let mut reader = BufReader::new(Connection::new(stream, load.tls)?);
    let times = if load.close { 1 } else { 2 };
    for _ in 0..times {
        let requests = request(load.question, load.close).repeat(load.pipeline as usize);
        reader.get_mut().send(requests.as_bytes())?;
        for _ in 0..load.pipeline {
            Answer::read(&mut reader)?.check(load.question)?;
        }
    }
    for question in load.others {
        reader.get_mut().send(request(question, load.close).as_bytes())?;
        Answer::read(&mut reader)?.check(question)?;
    }
    if !load.close {
        return Ok(AfterAnswer::StillOpen);
    }
    reader
        .get_ref()
        .stream()
        .set_read_timeout(Some(Duration::from_secs(1)))
        .map_err(|error| error.to_string())?;
    match reader.read(&mut [0]) {
        Ok(0) => Ok(AfterAnswer::Closed),
        Ok(_) => Err("sent more than its response".into()),
        // A TLS stream that ends without a closing alert is closed, too.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(AfterAnswer::Closed),
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
    fn a_correct_response_passes() {
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

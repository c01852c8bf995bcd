//! Certificates and keys as PEM text (RFC 7468). Errors name the file, the line or the kind of the fault, and the
//! remedy.

use super::TlsError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// The maximum size of a file in bytes: twenty times the public certificates of a Linux distribution.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// An error message names at most this many sections of a file.
const SECTIONS_SHOWN: usize = 3;
const ENCRYPTED_KEY: &str = "ENCRYPTED PRIVATE KEY";

/// Reads a regular file of at most 4 MiB with certificates or keys. Devices, pipes and directories are rejected before
/// a read, so the call cannot block on a writer.
///
/// # Errors
/// The file is of another kind, too large, or not readable. The error contains the path.
pub fn read_pem_file(path: impl AsRef<Path>) -> Result<Vec<u8>, TlsError> {
    let path = path.as_ref();
    read(path).map_err(|why| TlsError::configuration("the file", path.display(), why))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |cause: std::io::Error| cause.to_string();
    // Opening some devices has side effects, so the path is examined first; the open file is examined again, because
    // the path may have changed.
    examine(&std::fs::metadata(path).map_err(failed)?)?;
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(failed)?;
    examine(&file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large());
    }
    Ok(bytes)
}

fn examine(file: &Metadata) -> Result<(), String> {
    let kind = file.file_type();
    let kind = if kind.is_file() {
        return if file.len() > MAX_FILE_BYTES {
            Err(too_large())
        } else {
            Ok(())
        };
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(format!("it is {kind}; use a regular file"))
}

fn too_large() -> String {
    format!(
        "it is larger than {} MiB; use a file that contains only PEM text",
        MAX_FILE_BYTES >> 20
    )
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(pem: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        result => {
            let cause = result.err().map(|cause| cause.to_string());
            let why = fault(pem, Wanted::Certificate, cause);
            Err(TlsError::configuration("the certificates in", place, why))
        }
    }
}

/// The first private key of a PEM file.
pub(super) fn private_key(pem: &[u8], place: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|cause| {
        let why = fault(pem, Wanted::Key, Some(cause.to_string()));
        TlsError::configuration("the private key in", place, why)
    })
}

#[derive(Clone, Copy)]
enum Wanted {
    Certificate,
    Key,
}

/// The reason why a PEM file contains no section of the wanted kind, and the remedy. `cause` is the parser's error, if any.
fn fault(pem: &[u8], wanted: Wanted, cause: Option<String>) -> String {
    let (label, command) = match wanted {
        Wanted::Certificate => ("CERTIFICATE", "x509"),
        Wanted::Key => ("PRIVATE KEY", "pkey"),
    };
    if pem.iter().all(u8::is_ascii_whitespace) {
        return format!("it is empty; it must contain a section -----BEGIN {label}-----");
    }
    // An ASN.1 sequence with a length of two bytes.
    if pem.starts_with(&[0x30, 0x82]) {
        return format!("it is DER instead of PEM; convert it with `openssl {command} -inform der -in DER -out PEM`");
    }
    let text = String::from_utf8_lossy(pem);
    let found = sections(&text);
    if let Wanted::Key = wanted
        && let Some(section) = found.iter().find(|section| section.is_encrypted)
    {
        return format!(
            "the key at line {} is encrypted, and passphrases are not supported; decrypt it with `openssl pkey -in KEY -out \
             PLAIN`, and protect the output by file permissions",
            section.line
        );
    }
    if let Some((line, why)) = found.iter().find_map(|section| section.fault) {
        return format!("line {line} {why}; the file is damaged; create it again");
    }
    match (found.as_slice(), cause) {
        ([], _) => format!("it is not PEM; it must contain a section -----BEGIN {label}-----"),
        (found, Some(cause)) if found.iter().any(|section| section.label.ends_with(label)) => cause,
        (found, _) => {
            let shown: Vec<String> = found
                .iter()
                .take(SECTIONS_SHOWN)
                .map(|section| format!("{} (line {})", section.label, section.line))
                .collect();
            format!(
                "no section -----BEGIN {label}-----, only {}; check that the paths of certificate and key are not interchanged",
                shown.join(", ")
            )
        }
    }
}

/// A section of a PEM text.
struct Section<'a> {
    label: &'a str,
    /// The number of its first line, from 1.
    line: usize,
    is_encrypted: bool,
    /// The line with a syntax error, and the error.
    fault: Option<(usize, &'static str)>,
}

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut found: Vec<Section<'_>> = Vec::new();
    let mut is_open = false;
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim_end();
        if let Some(begin) = text.strip_prefix("-----BEGIN ") {
            if is_open && let Some(before) = found.last_mut() {
                let line = before.line;
                before.fault.get_or_insert((line, "starts a section without an end"));
            }
            let label = begin.strip_suffix("-----");
            let shown = label.unwrap_or(begin);
            let end = shown.char_indices().nth(40).map_or(shown.len(), |(end, _)| end);
            found.push(Section {
                label: &shown[..end],
                line,
                is_encrypted: shown == ENCRYPTED_KEY,
                fault: label.is_none().then_some((line, "starts a section without its -----")),
            });
            is_open = true;
        } else if text.starts_with("-----END ") {
            is_open = false;
        } else if is_open && let Some(section) = found.last_mut() {
            // The header fields of RFC 1421, which OpenSSL still writes into encrypted keys.
            section.is_encrypted |= text.starts_with("Proc-Type:") && text.ends_with("ENCRYPTED");
            if !text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/= \t".contains(&byte))
            {
                section.fault.get_or_insert((line, "is not base64"));
            }
        }
    }
    if is_open && let Some(last) = found.last_mut() {
        let line = last.line;
        last.fault.get_or_insert((line, "starts a section without an end"));
    }
    found
}

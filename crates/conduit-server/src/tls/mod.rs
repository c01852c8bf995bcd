//! The server's TLS, by rustls: certificates and their hosts, certificates of clients, and reloading when files
//! change.
//!
//! `session` is one connection. All connections share `Certificates`.

mod session;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use conduit_net::tls::{Identity, TlsServer, Validity, read_pem_file};
use http::HeaderValue;
use httpdate::fmt_http_date;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

use super::transport::{TlsAcceptor, TlsConfig, TlsStream, Transport};
use crate::error::{Error, Result};
use crate::panics::emit;
use session::Session;

/// The number of stored TLS 1.2 sessions for clients without support of tickets; each takes a few hundred bytes.
const REMEMBERED_SESSIONS: usize = 1024;

/// The application protocols that the server offers in the handshake (ALPN, RFC 7301), the preferred one first.
const ALPN_PROTOCOLS: &[&str] = if cfg!(feature = "http2") {
    &["h2", "http/1.1", "http/1.0"]
} else {
    &["http/1.1", "http/1.0"]
};

/// The TLS settings of a server: its certificates, and the requirements for its clients. For `App::tls`.
///
/// TLS 1.3 and 1.2 (RFC 8446, RFC 5246), with tickets, so that a returning client resumes its session.
/// Files are checked once a second, and at SIGHUP: when one of them has changed, all are read again. New connections use
/// the new certificates; open connections are unaffected. Invalid files are logged, and the server keeps
/// the previous certificates. A certificate that has expired, or is not valid yet, does not replace one that is valid.
///
/// # Example
///
/// A site with two names, a redirect from HTTP, and `Strict-Transport-Security` for a year:
///
/// ```no_run
/// use conduit::prelude::*;
/// use conduit::Tls;
/// use std::time::Duration;
///
/// #[get("/")]
/// async fn hello() -> &'static str {
///     "Hello, World!"
/// }
///
/// fn main() -> conduit::Result {
///     App::new(())
///         .routes(routes![hello])
///         .tls(
///             Tls::files("/etc/site/chain.pem", "/etc/site/key.pem")
///                 .host_files("other.example", "/etc/other/chain.pem", "/etc/other/key.pem")
///                 .redirect_http()
///                 .hsts(Duration::from_secs(31_536_000)),
///         )
///         .listen(["[::]:443", "http://[::]:80"])?
///         .run()
/// }
/// ```
#[derive(Clone)]
pub struct Tls {
    identity: Source,
    hosts: Vec<(String, Source)>,
    clients: Option<Clients>,
    redirect: bool,
    hsts: Option<Duration>,
}

/// The source of a certificate chain and its key.
#[derive(Clone)]
enum Source {
    Files(PathBuf, PathBuf),
    Pem(Vec<u8>, Vec<u8>),
    SelfSigned,
}

/// The accepted issuers of client certificates, and whether a certificate is required.
#[derive(Clone)]
struct Clients {
    issuers: Issuers,
    required: bool,
}

#[derive(Clone)]
enum Issuers {
    File(PathBuf),
    Pem(Vec<u8>),
}

impl Tls {
    /// Reads the certificate from this PEM file, followed by its chain, and the key from the other one (PKCS #8,
    /// PKCS #1 or SEC 1). Both must be regular files of at most 4 MiB.
    pub fn files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Tls::with(Source::Files(chain.into(), key.into()))
    }

    /// Takes the certificate and the key from these PEM texts.
    pub fn pem(chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Tls::with(Source::Pem(chain.into(), key.into()))
    }

    /// Generates a self-signed certificate for `localhost`, `127.0.0.1` and `::1` at the start: for
    /// development. No client trusts it.
    pub fn self_signed() -> Self {
        Tls::with(Source::SelfSigned)
    }

    fn with(identity: Source) -> Self {
        Tls {
            identity,
            hosts: Vec::new(),
            clients: None,
            redirect: false,
            hsts: None,
        }
    }

    /// Adds a certificate and key, in PEM files, for clients that request this host (SNI, RFC 6066). `*.example.com`
    /// matches each name with one label before `example.com` that has no separate certificate. Clients that request another
    /// name, or no name, get the first certificate.
    pub fn host_files(mut self, host: impl Into<String>, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.hosts.push((host.into(), Source::Files(chain.into(), key.into())));
        self
    }

    /// Adds a certificate and key as [`host_files`](Self::host_files) does, from PEM texts.
    pub fn host_pem(mut self, host: impl Into<String>, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.hosts.push((host.into(), Source::Pem(chain.into(), key.into())));
        self
    }

    /// Requires of each client a certificate whose issuer is in this PEM file;
    /// `ClientCertificate` extracts it. Default: no certificate is requested.
    pub fn require_clients(self, issuers: impl Into<PathBuf>) -> Self {
        self.with_clients(Issuers::File(issuers.into()), true)
    }

    /// Requests a certificate as [`require_clients`](Self::require_clients) does, but accepts clients without one. A certificate
    /// that is sent must be valid.
    pub fn accept_clients(self, issuers: impl Into<PathBuf>) -> Self {
        self.with_clients(Issuers::File(issuers.into()), false)
    }

    /// Requires certificates as [`require_clients`](Self::require_clients) does, with the issuers in a PEM text.
    pub fn require_clients_pem(self, issuers: impl Into<Vec<u8>>) -> Self {
        self.with_clients(Issuers::Pem(issuers.into()), true)
    }

    /// Accepts certificates as [`accept_clients`](Self::accept_clients) does, with the issuers in a PEM text.
    pub fn accept_clients_pem(self, issuers: impl Into<Vec<u8>>) -> Self {
        self.with_clients(Issuers::Pem(issuers.into()), false)
    }

    fn with_clients(mut self, issuers: Issuers, required: bool) -> Self {
        self.clients = Some(Clients { issuers, required });
        self
    }

    /// Redirects requests on plain TCP to the same URL over HTTPS: 308, to the host of the request and the port of the
    /// first address with TLS. Unix sockets are unaffected. Default: addresses with `http://` serve the application.
    pub fn redirect_http(mut self) -> Self {
        self.redirect = true;
        self
    }

    /// Sends `Strict-Transport-Security` (RFC 6797): clients use HTTPS only, for this time after their last visit. It cannot
    /// be revoked earlier. Default: off.
    pub fn hsts(mut self, limit: Duration) -> Self {
        self.hsts = Some(limit);
        self
    }

    /// Each file, in the order in which they are read.
    fn files_read(&self) -> Vec<&Path> {
        let mut files: Vec<&Path> = Vec::new();
        for source in std::iter::once(&self.identity).chain(self.hosts.iter().map(|(_, source)| source)) {
            if let Source::Files(chain, key) = source {
                files.extend([chain.as_path(), key.as_path()]);
            }
        }
        if let Some(Clients {
            issuers: Issuers::File(path),
            ..
        }) = &self.clients
        {
            files.push(path);
        }
        files
    }
}

/// Without keys.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<&str> = self.hosts.iter().map(|(host, _)| host.as_str()).collect();
        f.debug_struct("Tls")
            .field("hosts", &hosts)
            .field("files", &self.files_read())
            .finish_non_exhaustive()
    }
}

impl TlsConfig for Tls {
    fn load(&self) -> Result<Arc<dyn TlsAcceptor>> {
        let mut settings = self.clone();
        if let Source::SelfSigned = settings.identity {
            settings.identity = self_signed().map_err(Error::from)?;
        }
        Ok(Arc::new(Certificates::open(settings)?))
    }
}

fn self_signed() -> Result<Source, rcgen::Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)?;
    Ok(Source::Pem(
        made.cert.pem().into_bytes(),
        made.signing_key.serialize_pem().into_bytes(),
    ))
}

/// The certificates of a server, which all its connections share.
#[derive(Debug)]
struct Certificates {
    settings: Tls,
    hsts: Option<HeaderValue>,
    current: RwLock<Arc<ServerConfig>>,
    /// The end of the validity that ends first, in seconds since 1970.
    not_after: AtomicU64,
    failed_reloads: AtomicU64,
    state: Mutex<TlsState>,
}

#[derive(Debug)]
struct TlsState {
    /// The state of the files at the last check, whether they were used or not.
    seen: Vec<Option<Stamp>>,
    loaded: Loaded,
    /// Certificates that are not valid now, while those in use are.
    waiting: Option<Loaded>,
}

/// The files as they were read at one time.
#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    sessions: Sessions,
    /// The first identity, and those of the further hosts in their order.
    identities: Vec<Identity>,
}

impl Loaded {
    /// The first certificate that is valid in `before` and not here: the two of them.
    fn worse_than<'a>(&'a self, before: &'a Loaded, now: SystemTime) -> Option<(&'a Identity, &'a Identity)> {
        let mut pairs = before.identities.iter().zip(&self.identities);
        pairs.find(|(before, after)| before.validity().contains(now) && !after.validity().contains(now))
    }

    fn warn_of_invalid(&self, now: SystemTime) {
        for identity in &self.identities {
            if !identity.validity().contains(now) {
                let (file, validity) = (identity.place(), interval(identity.validity()));
                emit(&|| {
                    tracing::error!(
                        file,
                        validity,
                        "the certificate is not valid now, and clients reject it: renew it"
                    )
                });
            }
        }
    }

    fn not_after(&self) -> u64 {
        let ends = self.identities.iter().map(|identity| {
            let since = identity.validity().not_after.duration_since(UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        });
        ends.min().unwrap_or(0)
    }
}

fn interval(validity: Validity) -> String {
    let [from, to] = [validity.not_before, validity.not_after].map(fmt_http_date);
    format!("{from} to {to}")
}

/// The identity of a file's version: its device, inode, size, and time to the nanosecond. Links are followed, so that
/// a changed target is a change.
type Stamp = (u64, u64, u64, i64, i64);

/// The state for resuming sessions. It survives a reload, so that clients can resume after it, unless the trusted issuers
/// of client certificates have changed: a ticket contains the client's identity.
#[derive(Clone, Debug)]
struct Sessions {
    tickets: Arc<dyn ProducesTickets>,
    remembered: Arc<dyn StoresServerSessions>,
    /// The issuers that the sessions are valid for.
    issuers: Option<Vec<u8>>,
}

impl Sessions {
    fn new(issuers: Option<Vec<u8>>) -> Result<Self> {
        Ok(Sessions {
            tickets: Ticketer::new()?,
            remembered: ServerSessionMemoryCache::new(REMEMBERED_SESSIONS),
            issuers,
        })
    }
}

impl Certificates {
    fn open(settings: Tls) -> Result<Self> {
        let seen = stamps(&settings);
        let loaded = load(&settings, None)?;
        loaded.warn_of_invalid(SystemTime::now());
        let hsts = settings.hsts.map(|limit| {
            HeaderValue::try_from(format!("max-age={}", limit.as_secs())).expect("digits are a value of a field")
        });
        Ok(Certificates {
            settings,
            hsts,
            current: RwLock::new(Arc::clone(&loaded.config)),
            not_after: loaded.not_after().into(),
            failed_reloads: AtomicU64::new(0),
            state: Mutex::new(TlsState {
                seen,
                loaded,
                waiting: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, TlsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads everything again.
    fn read_again(&self, state: &mut TlsState) {
        state.waiting = None;
        let loaded = match load(&self.settings, Some(&state.loaded.sessions)) {
            Ok(loaded) => loaded,
            Err(error) => {
                self.failed_reloads.fetch_add(1, Relaxed);
                emit(&|| tracing::error!(%error, "cannot use the changed certificates; keeping the previous ones"));
                return;
            }
        };
        if let Some((before, after)) = loaded.worse_than(&state.loaded, SystemTime::now()) {
            self.failed_reloads.fetch_add(1, Relaxed);
            let (file, validity) = (after.place(), interval(after.validity()));
            let previous = interval(before.validity());
            emit(&|| {
                tracing::error!(
                    file,
                    validity,
                    previous,
                    "the new certificate is not valid now; keeping the previous ones while they are valid: renew it"
                )
            });
            state.waiting = Some(loaded);
            return;
        }
        self.adopt(state, loaded);
    }

    fn adopt(&self, state: &mut TlsState, loaded: Loaded) {
        loaded.warn_of_invalid(SystemTime::now());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&loaded.config);
        self.not_after.store(loaded.not_after(), Relaxed);
        state.loaded = loaded;
        emit(&|| tracing::info!("read the certificates again"));
    }
}

impl TlsAcceptor for Certificates {
    fn accept(&self, below: Transport) -> io::Result<Box<dyn TlsStream>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        Ok(Box::new(Session::new(config, below)?))
    }

    fn reload_if_changed(&self) {
        let found = stamps(&self.settings);
        let mut state = self.state();
        if state.seen != found {
            state.seen = found;
            self.read_again(&mut state);
            return;
        }
        let TlsState { loaded, waiting, .. } = &mut *state;
        let now = SystemTime::now();
        if let Some(better) = waiting.take_if(|waiting| waiting.worse_than(loaded, now).is_none()) {
            self.adopt(&mut state, better);
        }
    }

    fn reload(&self) {
        let mut state = self.state();
        state.seen = stamps(&self.settings);
        self.read_again(&mut state);
    }

    fn not_after(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.not_after.load(Relaxed))
    }

    fn failed_reloads(&self) -> u64 {
        self.failed_reloads.load(Relaxed)
    }

    fn has_files(&self) -> bool {
        !self.settings.files_read().is_empty()
    }

    fn hsts(&self) -> Option<HeaderValue> {
        self.hsts.clone()
    }

    fn redirects(&self) -> bool {
        self.settings.redirect
    }
}

fn stamps(settings: &Tls) -> Vec<Option<Stamp>> {
    let stamp = |path: &Path| {
        let file = fs::metadata(path).ok()?;
        Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
    };
    settings.files_read().into_iter().map(stamp).collect()
}

/// Reads the files and texts of the settings. `before` has the sessions that are continued.
fn load(settings: &Tls, before: Option<&Sessions>) -> Result<Loaded> {
    let mut identities = vec![identity(&settings.identity)?];
    let mut builder = TlsServer::builder(identities[0].clone()).protocols(ALPN_PROTOCOLS);
    for (host, source) in &settings.hosts {
        let identity = identity(source)?;
        builder = builder.identity_for(host, identity.clone());
        identities.push(identity);
    }
    let mut issuers = None;
    if let Some(clients) = &settings.clients {
        let pem = match &clients.issuers {
            Issuers::Pem(pem) => pem.clone(),
            Issuers::File(path) => read_pem_file(path)?,
        };
        builder = if clients.required {
            builder.require_client_certificates(&pem)?
        } else {
            builder.accept_client_certificates(&pem)?
        };
        issuers = Some(pem);
    }
    let sessions = match before {
        Some(before) if before.issuers == issuers => before.clone(),
        _ => Sessions::new(issuers)?,
    };
    let mut config = ServerConfig::clone(builder.build()?.rustls());
    config.ticketer = Arc::clone(&sessions.tickets);
    config.session_storage = Arc::clone(&sessions.remembered);
    Ok(Loaded {
        config: Arc::new(config),
        sessions,
        identities,
    })
}

fn identity(source: &Source) -> Result<Identity> {
    Ok(match source {
        Source::Files(chain, key) => Identity::from_pem_files(chain, key)?,
        Source::Pem(chain, key) => Identity::from_pem(chain, key)?,
        Source::SelfSigned => unreachable!("the self-signed identity is created before this call"),
    })
}

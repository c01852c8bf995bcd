//! Static files from a directory, or from the program.

mod cache;
mod disk;
pub(crate) mod embedded;
mod listing;
mod patterns;
mod representation;
mod response;
mod settings;

use std::cell::OnceCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use conduit_net::{Directory, Waiting};
use conduit_proto::file_path::file_path;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, VARY};

use self::disk::{Disk, Object};
pub use self::embedded::Embedded;
use self::embedded::Table;
use self::representation::{FileCoding, Representation};
use self::response::respond;
use self::settings::{FilesSettings, IMMUTABLE, REVALIDATE};
use crate::layer::accepted;
use crate::openapi::Operation;
use crate::plain_value::plain_value;
use crate::problem::{Excerpt, Problem};
use crate::request::Request;
use crate::response::{IntoResponse, Redirect, Response};
use crate::route::{Mount, MountEntry, ParameterPlace};

/// The files of a directory, or of an embedded directory, as an entry of [`routes!`](crate::routes).
///
/// ```
/// use conduit::Files;
/// use conduit::prelude::*;
///
/// #[get("/api/time")]
/// async fn time() -> &'static str {
///     "noon"
/// }
///
/// let app = App::new(()).routes(routes![time, "/static" => Files::new("public")]);
/// ```
///
/// With a prefix, the entry serves all paths below it; without one, all paths that no other route matches. Write the prefix at the
/// entry itself: an entry without one, in a list under `/docs`, does not serve `/docs/`.
///
/// # Requests
///
/// `GET` and `HEAD`; other methods result in a 405. Preconditions, `Range` with up to 16 ranges, and `If-Range` follow
/// RFC 9110. A file's strong `etag` differs for each coding, and depends on its length, its times and its inode: two copies of a
/// file have different tags. The path of a directory without a trailing slash redirects to the path with one, which serves
/// [`index.html`](Files::index).
///
/// The following result in a 404: names that begin with a dot, except for `.well-known` in the directory itself; symbolic links to
/// files outside the directory, and absolute ones; devices, pipes and sockets; paths with a NUL, a backslash or an encoded slash;
/// files that the process may not read.
///
/// # Caches
///
/// `cache-control` is `no-cache` unless a [pattern](Files::cache_control) sets another: browsers cache the file, and revalidate it
/// before each use. Each worker keeps [open files](crate::App::file_cache), and sends them without reading them (sendfile) on
/// connections without TLS.
///
/// Requires the feature `files`.
#[derive(Clone, Debug)]
pub struct Files {
    source: Source,
    settings: Arc<FilesSettings>,
}

#[derive(Debug)]
enum Source {
    Disk(Disk),
    /// The table is built on each worker.
    Embedded(Embedded, OnceCell<Table>),
}

impl Clone for Source {
    fn clone(&self) -> Self {
        match self {
            Source::Disk(disk) => Source::Disk(disk.clone()),
            Source::Embedded(embedded, _) => Source::Embedded(*embedded, OnceCell::new()),
        }
    }
}

impl Files {
    /// Serves the files of a directory. A relative path is relative to the working directory at the time of this call.
    ///
    /// A directory that does not exist is logged as an error by this call, and every request results in a 404 until it exists.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        let disk = Disk::new(directory.as_ref());
        if let Err(error) = Directory::open(disk.path(), Waiting::Allowed) {
            let path = disk.path().display();
            tracing::error!(%path, %error, "cannot open the directory of Files; requests for its files get a 404: create it, or correct the path");
        }
        Files::of(Source::Disk(disk))
    }

    /// Serves the files of a directory that [`embed!`](macro@crate::embed) compiled into the program: from memory, compressed, and
    /// cached without revalidation under their hashed names. Debug builds read them from the directory.
    pub fn embedded(embedded: Embedded) -> Self {
        let files = match embedded.on_disk() {
            Some(directory) => Files::new(directory),
            None => Files::of(Source::Embedded(embedded, OnceCell::new())).precompressed(),
        };
        files.set(|settings| settings.is_embedded = true)
    }

    fn of(source: Source) -> Self {
        Files {
            source,
            settings: Arc::default(),
        }
    }

    fn set(mut self, change: impl FnOnce(&mut FilesSettings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Sets the name of the file that is served for a directory. Default: `index.html`.
    pub fn index(self, name: impl Into<String>) -> Self {
        self.set(|settings| settings.index = Some(relative(name.into())))
    }

    /// Serves no file for a directory.
    pub fn without_index(self) -> Self {
        self.set(|settings| settings.index = None)
    }

    /// Lists directories without an index file, up to 10,000 entries, as a page without scripts and external resources. By default
    /// they result in a 404.
    pub fn listing(self) -> Self {
        self.set(|settings| settings.lists = true)
    }

    /// Serves files and directories whose names begin with a dot; an embedded directory has none of them.
    pub fn hidden_files(self) -> Self {
        self.set(|settings| settings.shows_hidden = !settings.is_embedded)
    }

    /// Serves `app.js.zst`, `app.js.br` or `app.js.gz` as `app.js` to clients that accept that coding, if there is such a file
    /// next to `app.js`. All responses then have `vary: accept-encoding`. Compress the file again whenever it changes.
    pub fn precompressed(self) -> Self {
        self.set(|settings| settings.has_neighbours = true)
    }

    /// Serves this file if no other file matches and the request is a navigation: for single-page applications, which route in the
    /// browser. A navigation has `sec-fetch-mode: navigate` or, from browsers older than 2023, accepts `text/html`. A missing
    /// script or image still results in a 404.
    ///
    /// This call logs an error if the directory is readable, or in the program, and has no such file.
    pub fn single_page(self, path: impl Into<String>) -> Self {
        let page = relative(path.into());
        let missing = match &self.source {
            Source::Disk(disk) => {
                let path = disk.path().join(&page);
                (disk.path().is_dir() && !path.is_file()).then(|| path.display().to_string())
            }
            Source::Embedded(embedded, _) => (!embedded.contains(&page)).then(|| page.clone()),
        };
        if let Some(path) = missing {
            tracing::error!(
                path,
                "the page of Files::single_page does not exist; navigations get a 404: create it, or correct the path"
            );
        }
        self.set(|settings| settings.single_page = Some(page))
    }

    /// Sets `cache-control` for the files that a pattern matches. The first matching pattern applies. Default: `no-cache`.
    ///
    /// In a pattern `*` is any text without a slash, `**` any text, and `?` one character. A pattern without a slash matches
    /// the name of a file in any directory.
    ///
    /// # Panics
    ///
    /// Panics if the value contains anything but visible ASCII and spaces.
    ///
    /// # Example
    ///
    /// Images are kept for a day:
    ///
    /// ```
    /// use conduit::Files;
    /// use conduit::prelude::*;
    ///
    /// let app = App::new(()).routes(routes![
    ///     Files::new("public").immutable("assets/**").cache_control("*.png", "public, max-age=86400"),
    /// ]);
    /// ```
    #[track_caller]
    pub fn cache_control(self, pattern: impl Into<String>, value: impl AsRef<str>) -> Self {
        let value = plain_value("cache-control", value.as_ref());
        self.set(|settings| settings.cache_control.push((pattern.into(), value)))
    }

    /// Lets browsers cache the files that a pattern matches for a year without revalidation: for names with a hash of the content,
    /// as bundlers generate them.
    pub fn immutable(self, pattern: impl Into<String>) -> Self {
        self.cache_control(pattern, IMMUTABLE)
    }

    /// Sets `content-type` for the files that a pattern matches, in place of the type for the file extension. The first matching
    /// pattern applies.
    ///
    /// # Panics
    ///
    /// Panics if the value contains anything but visible ASCII and spaces.
    #[track_caller]
    pub fn content_type(self, pattern: impl Into<String>, value: impl AsRef<str>) -> Self {
        let value = plain_value("content-type", value.as_ref());
        self.set(|settings| settings.content_types.push((pattern.into(), value)))
    }
}

impl Mount for Files {
    const HANDLER: &'static str = "conduit::Files";

    async fn call(self: Rc<Self>, request: Request, entry: MountEntry) -> Response {
        match self.answer(&request, entry).await {
            Ok(response) => response,
            Err(error) => {
                if Directory::is_exhaustion(&error) {
                    cache::clear();
                }
                Problem::from(error).into_response()
            }
        }
    }

    /// Files are not operations of an API.
    fn describe(operation: &mut Operation) {
        operation.hide();
    }
}

impl Files {
    async fn answer(&self, request: &Request, entry: MountEntry) -> io::Result<Response> {
        let rest = match entry {
            MountEntry::Slash => "",
            MountEntry::Below => match request.parameter_at("path", ParameterPlace::FromEnd(0)) {
                Some(rest) => rest,
                None => return self.without_file(request).await,
            },
            MountEntry::Prefix => return Ok(redirect(request)),
        };
        let Some(path) = file_path(rest, self.settings.shows_hidden) else {
            return self.without_file(request).await;
        };
        if path.is_empty() || path.ends_with(b"/") {
            return self.directory(request, &path).await;
        }
        match self.find(&path, None).await? {
            Object::File(file) => self.file(request, &path, file, None).await,
            Object::Directory => Ok(redirect(request)),
            Object::Absent => self.without_file(request).await,
        }
    }

    /// Returns the response for a directory, whose path is empty or has a trailing slash.
    async fn directory(&self, request: &Request, path: &[u8]) -> io::Result<Response> {
        if let Some(index) = &self.settings.index {
            let index = [path, index.as_bytes()].concat();
            if let Object::File(file) = self.find(&index, None).await? {
                return self.file(request, &index, file, None).await;
            }
        }
        if self.settings.lists
            && let Source::Disk(disk) = &self.source
        {
            let inner = path.strip_suffix(b"/").unwrap_or(path);
            if let Some((entries, is_cut)) = disk.list(inner, listing::ENTRIES).await? {
                let shows_hidden = self.settings.shows_hidden;
                return Ok(listing::page(path, path.is_empty(), &entries, is_cut, shows_hidden));
            }
        }
        self.without_file(request).await
    }

    /// Returns the response with a file, in the available coding that the client prefers.
    async fn file(
        &self,
        request: &Request,
        path: &[u8],
        mut file: Arc<Representation>,
        cache_control: Option<&'static str>,
    ) -> io::Result<Response> {
        if self.settings.has_neighbours {
            for place in accepted(request, FileCoding::NAMES) {
                if let Object::File(coded) = self.find(path, Some(FileCoding::ALL[place])).await? {
                    file = coded;
                    break;
                }
            }
        }
        Ok(respond(request, &file, self.vary(), cache_control))
    }

    /// Returns a 404, or the page of a single-page application.
    async fn without_file(&self, request: &Request) -> io::Result<Response> {
        if let Some(page) = &self.settings.single_page
            && is_navigation(request)
            && let Object::File(file) = self.find(page.as_bytes(), None).await?
        {
            // The path may be that of a file after the next deployment.
            return self.file(request, page.as_bytes(), file, Some(REVALIDATE)).await;
        }
        let mut problem = Problem::not_found(format!("no file matches {}", Excerpt::new(request.path())));
        if let Some(vary) = self.vary() {
            problem = problem.with_header(VARY, HeaderValue::from_static(vary));
        }
        Ok(problem.into_response())
    }

    async fn find(&self, path: &[u8], coding: Option<FileCoding>) -> io::Result<Object> {
        match &self.source {
            Source::Disk(disk) => disk.find(path, coding, &self.settings).await,
            Source::Embedded(embedded, table) => {
                let table = table.get_or_init(|| Table::new(*embedded, &self.settings));
                Ok(table.find(path, coding))
            }
        }
    }

    /// The fields of requests that choose among the responses of a path.
    fn vary(&self) -> Option<&'static str> {
        match (self.settings.has_neighbours, self.settings.single_page.is_some()) {
            (false, false) => None,
            (true, false) => Some("accept-encoding"),
            (false, true) => Some("accept, sec-fetch-mode"),
            (true, true) => Some("accept, accept-encoding, sec-fetch-mode"),
        }
    }
}

/// Returns a path relative to the directory: without the slash at its beginning.
fn relative(path: String) -> String {
    match path.strip_prefix('/') {
        Some(relative) => relative.trim_start_matches('/').to_owned(),
        None => path,
    }
}

/// Redirects to the path with a slash at the end. The location is relative, so that it is correct behind a proxy that removes a
/// prefix, and cannot name another host.
fn redirect(request: &Request) -> Response {
    let last = request.path().rsplit('/').next().unwrap_or_default();
    let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Redirect::permanent(format!("./{last}/{query}")).into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static(REVALIDATE));
    response
}

/// Returns whether a request loads a page rather than a resource of a page (Fetch Metadata).
fn is_navigation(request: &Request) -> bool {
    match request.header("sec-fetch-mode") {
        Some(mode) => mode == b"navigate",
        None => request.header_all("accept").any(|accept| {
            let mut members = accept.split(|&byte| byte == b',').map(|member| {
                let name = member.split(|&byte| byte == b';').next().unwrap_or_default();
                name.trim_ascii()
            });
            members.any(|name| name.eq_ignore_ascii_case(b"text/html"))
        }),
    }
}

/// The URL of a file in an [`Embedded`] directory, checked at compile time: `asset!(ASSETS, "app.css")` is
/// `"/assets/app-1a2b3c4d5e6f7a8b.css"`, and a compile error if the file does not exist. In debug builds the URL has no hash.
#[macro_export]
macro_rules! asset {
    ($directory:expr, $path:expr $(,)?) => {
        const { $directory.url($path) }
    };
}

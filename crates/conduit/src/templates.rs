//! `Templates`: minijinja templates, which are reloaded in development when a file changes.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use conduit_core::internal::error_form::is_development_on_this_thread;
use minijinja::value::{FunctionArgs, FunctionResult, Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, TemplateSource, UndefinedBehavior, context, functions};
use serde::Serialize;

use crate::extract::{FromRef, FromRequest};
use crate::layer::CspNonce;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::Html;

/// The number of lines around an error that a page of development shows.
const LINES_AROUND: usize = 3;

/// Templates of [minijinja](https://docs.rs/minijinja) in a directory or in the program: a part of the state, and an
/// argument of handlers. Clones share the templates. Requires the feature `minijinja`.
///
/// All values are escaped as HTML, including slashes. An undefined name is an error, except in an `if`. Each template is compiled
/// at its first use. In [development](crate::App::development) a changed file is read again by the next request, without a restart,
/// and an error is a page with the file, the line and the lines around it; in production it is logged, and the response is a plain
/// 500.
///
/// # Example
///
/// A template with a link, which the compiler checks, and a script for a strict content security policy:
///
/// ```
/// use conduit::layer::SecurityHeaders;
/// use conduit::minijinja::context;
/// use conduit::prelude::*;
/// use conduit::testing::TestClient;
/// use conduit::Templates;
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let page = r#"<a href="{{ show(id) }}">{{ title }}</a><script nonce="{{ csp_nonce }}">1</script>"#;
/// # std::fs::write(directory.path().join("book.html"), page).unwrap();
/// #[get("/books/{id}", link)]
/// async fn show(id: Path<u32>, templates: Templates) -> Result<Html<String>, Problem> {
///     templates.render("book.html", context! { id => *id + 1, title => "<next>" })
/// }
///
/// // book.html: <a href="{{ show(id) }}">{{ title }}</a><script nonce="{{ csp_nonce }}">1</script>
/// let templates = Templates::new(directory.path()).function("show", |id: u32| show::path(id));
/// let headers = SecurityHeaders::new().content_security_policy("default-src 'none'; script-src {nonce}");
/// let app = App::new(templates).routes(routes![show]).layer(headers);
///
/// let page = TestClient::new(app).get("/books/7").send();
/// page.assert_text_contains(r#"<a href="&#x2f;books&#x2f;8">&lt;next&gt;</a><script nonce=""#);
/// ```
#[derive(Clone)]
pub struct Templates {
    environment: Arc<Environment<'static>>,
    files: TemplateFiles,
    nonce: Option<CspNonce>,
}

/// The files of the templates.
#[derive(Clone, Debug)]
enum TemplateFiles {
    Directory(Arc<Path>),
    #[cfg(feature = "files")]
    Embedded(crate::Embedded),
}

impl Templates {
    /// Creates templates from the files of a directory and its subdirectories. The name of a template is its path relative to the
    /// directory, with slashes.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        let path = directory.as_ref();
        // The working directory may change.
        let directory: Arc<Path> = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into();
        let mut environment = environment();
        let root = Arc::clone(&directory);
        environment.set_loader(move |name| load(&root, name));
        Templates {
            environment: Arc::new(environment),
            files: TemplateFiles::Directory(directory),
            nonce: None,
        }
    }

    /// Creates templates from a directory that [`embed!`](macro@crate::embed) compiles into the program. A debug build
    /// reads the directory instead, so that changes need no build.
    #[cfg(feature = "files")]
    pub fn embedded(embedded: crate::Embedded) -> Self {
        if let Some(directory) = embedded.on_disk() {
            return Templates::new(directory);
        }
        let mut environment = environment();
        environment.set_loader(move |name| {
            let text = embedded.content(name).map(str::from_utf8).transpose();
            text.map_err(|error| failure(format!("the template {name} is not UTF-8"), error))
        });
        Templates {
            environment: Arc::new(environment),
            files: TemplateFiles::Embedded(embedded),
            nonce: None,
        }
    }

    /// Adds a function to all templates, such as one that returns a link: `.function("show", |id: u32| show::path(id))`. A renamed
    /// handler, or another type of its parameter, is then a compile error here.
    pub fn function<F, Output, Arguments>(self, name: &'static str, function: F) -> Self
    where
        F: functions::Function<Output, Arguments>,
        Output: FunctionResult,
        Arguments: for<'a> FunctionArgs<'a>,
    {
        self.configure(|environment| environment.add_function(name, function))
    }

    /// Changes the environment of minijinja: filters, tests, globals, and other settings.
    pub fn configure(mut self, change: impl FnOnce(&mut Environment<'static>)) -> Self {
        change(Arc::make_mut(&mut self.environment));
        self
    }

    /// Renders a template with these values: those of `context!`, a struct or a map. The value `csp_nonce` is the [`CspNonce`] of
    /// the request, if the templates are an argument of the handler and the request has one.
    ///
    /// # Errors
    ///
    /// Returns a 500 for a missing template, and for one that fails; the error names the file and the line.
    pub fn render(&self, name: &str, values: impl Serialize) -> Result<Html<String>, Problem> {
        let values = Value::from(Serde(values));
        let values = match &self.nonce {
            Some(nonce) => context! { csp_nonce => nonce.as_str(), ..values },
            None => values,
        };
        let template = self.environment.get_template(name);
        let rendered = template.and_then(|template| template.render(values));
        rendered.map(Html).map_err(|error| {
            let problem = Problem::internal(&error);
            match excerpt(&error) {
                Some(excerpt) if is_development_on_this_thread() => problem.with("template", excerpt),
                _ => problem,
            }
        })
    }

    /// Compiles all templates: for a test, or before the server starts. Every file of the directory or of the program
    /// is a template, unless a component of its path begins with a dot.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read, or contains an error.
    pub fn check(&self) -> crate::Result<(), minijinja::Error> {
        let compile = |name: &str| self.environment.get_template(name).map(drop);
        match &self.files {
            TemplateFiles::Directory(directory) => {
                let names = names_in(directory)
                    .map_err(|error| failure(format!("cannot read the directory {}", directory.display()), error))?;
                names.iter().try_for_each(|name| compile(name))
            }
            #[cfg(feature = "files")]
            TemplateFiles::Embedded(embedded) => embedded.paths().try_for_each(compile),
        }
    }
}

/// An environment that escapes each value, since each page is HTML.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment
}

fn failure(message: String, cause: impl std::error::Error + Send + Sync + 'static) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, message).with_source(cause)
}

/// Loads the template with this name. Its check detects changes in development only.
fn load(directory: &Path, name: &str) -> Result<Option<TemplateSource>, minijinja::Error> {
    let Some(path) = path_of(directory, name) else {
        return Ok(None);
    };
    // Read the stamp before the content, so that a write between the two counts as a change.
    let before = stamp(&path);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let source = TemplateSource::new(text);
            let is_current = move || !is_development_on_this_thread() || stamp(&path) == before;
            Ok(Some(source.with_uptodate_check(is_current)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(format!("cannot read the template {}", path.display()), error)),
    }
}

/// The path of a template; `None` for a name that is hidden or leads out of the directory.
fn path_of(directory: &Path, name: &str) -> Option<PathBuf> {
    name.split('/').try_fold(directory.to_owned(), |path, segment| {
        is_plain(segment).then(|| path.join(segment))
    })
}

/// Returns whether a file or a directory of this name can be a part of a template's name.
fn is_plain(segment: &str) -> bool {
    !segment.is_empty() && !segment.starts_with('.') && !segment.contains(['\\', '\0'])
}

/// The time and the length of a file.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let of = |metadata: Metadata| Some((metadata.modified().ok()?, metadata.len()));
    fs::metadata(path).ok().and_then(of)
}

/// Returns the names of all templates below a directory, following symbolic links.
fn names_in(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut open = vec![(directory.to_owned(), String::new())];
    // A link may lead to a directory that contains it.
    let mut read = HashSet::new();
    while let Some((directory, prefix)) = open.pop() {
        if !read.insert(fs::canonicalize(&directory)?) {
            continue;
        }
        for entry in fs::read_dir(directory)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let Some(name) = name.to_str().filter(|name| is_plain(name)) else {
                continue;
            };
            let name = format!("{prefix}{name}");
            if path.is_dir() {
                open.push((path, format!("{name}/")));
            } else {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// The lines around the innermost error, with the number of each.
fn excerpt(error: &minijinja::Error) -> Option<Vec<String>> {
    let mut innermost = error;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref() {
            innermost = inner;
        }
        cause = inner.source();
    }
    let (line, source) = (innermost.line()?, innermost.template_source()?);
    let first = line.saturating_sub(LINES_AROUND).max(1);
    let lines = source.lines().enumerate().skip(first - 1).take(2 * LINES_AROUND + 1);
    let show = |(index, text): (usize, &str)| {
        let mark = if index + 1 == line { '>' } else { ' ' };
        format!("{mark} {:>3} | {text}", index + 1)
    };
    let heading = format!("{}:{line}", innermost.name().unwrap_or_default());
    Some(std::iter::once(heading).chain(lines.map(show)).collect())
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Templates
where
    Templates: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Templates {
            nonce: request.extensions().get::<CspNonce>().cloned(),
            ..Templates::from_ref(state)
        })
    }

    /// Templates do not depend on the content of the request.
    fn describe(_: &mut Operation) {}
}

//! The page that a browser gets for an error in development.
//!
//! It is self-contained: it loads nothing and runs nothing. Input from the request is escaped and truncated.

use std::fmt::{self, Write as _};

use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::Value;

use super::context::ErrorContext;
use crate::body::Body;
use crate::problem::Problem;
use crate::response::Response;

const STYLE: &str = include_str!("page.css");

/// The second defence after escaping: injected HTML could load and run nothing.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The maximum length of one shown text, in characters.
const SHOWN: usize = 600;

/// The problem as a page for a developer.
pub(super) fn page(problem: &Problem, context: &ErrorContext<'_>) -> Response {
    let mut page = String::with_capacity(4096);
    write(&mut page, problem, context).expect("writing to a string does not fail");
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = problem.status();
    let headers = response.headers_mut();
    headers.extend(problem.headers().clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn write(page: &mut String, problem: &Problem, context: &ErrorContext<'_>) -> fmt::Result {
    let status = problem.status().as_u16();
    let title = Escaped(problem.title().unwrap_or("Error"));
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{status} {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )?;
    if let (Some(method), Some(path)) = (context.method(), context.path()) {
        let (method, path) = (Escaped(method.as_str()), Escaped(path));
        writeln!(page, "<p class=\"request\"><code>{method} {path}</code></p>")?;
    }
    writeln!(page, "<h1><span>{status}</span> {title}</h1>")?;
    if let Some(detail) = problem.detail() {
        writeln!(page, "<p>{}</p>", Escaped(detail))?;
    }
    for (name, value) in problem.members() {
        match (name, value) {
            ("nearest", Value::Array(routes)) if routes.is_empty() => writeln!(
                page,
                "<h2>Nearest routes</h2>\n<p>No route is similar. Start the program with <code>--routes</code> to see all \
                 of them.</p>"
            )?,
            ("nearest", Value::Array(routes)) => {
                page.push_str("<h2>Nearest routes</h2>\n<ul>\n");
                routes.iter().try_for_each(|route| write_route(page, route))?;
                page.push_str("</ul>\n");
            }
            ("route", route) => {
                page.push_str("<h2>The route that rejected it</h2>\n<ul>\n");
                write_route(page, route)?;
                page.push_str("</ul>\n");
            }
            ("causes", Value::Array(causes)) => {
                page.push_str("<h2>Causes</h2>\n<ol>\n");
                for cause in causes.iter().filter_map(Value::as_str) {
                    writeln!(page, "<li>{}</li>", Escaped(cause))?;
                }
                page.push_str("</ol>\n");
            }
            ("template", Value::Array(lines)) => {
                page.push_str("<h2>The template</h2>\n<pre>");
                for line in lines.iter().filter_map(Value::as_str) {
                    writeln!(page, "{}", Escaped(line))?;
                }
                page.push_str("</pre>\n");
            }
            (name, value) => {
                let value = format!("{value:#}");
                let (name, value) = (Escaped(name), Escaped(&value));
                writeln!(page, "<h2><code>{name}</code></h2>\n<pre>{value}</pre>")?;
            }
        }
    }
    page.push_str(
        "<footer>You see this page because the application is in development and your client asks for \
         <code>text/html</code>; other clients get problem details. In production these details are not shown: set \
         <code>CONDUIT_ENV=production</code> to see the response of production.</footer>\n</main>\n</body>\n</html>\n",
    );
    Ok(())
}

fn write_route(page: &mut String, route: &Value) -> fmt::Result {
    let text = |name| Escaped(route[name].as_str().unwrap_or_default());
    let (method, path) = (text("method"), text("path"));
    let (handler, file, line) = (
        text("handler"),
        text("file"),
        route["line"].as_u64().unwrap_or_default(),
    );
    write!(
        page,
        "<li><strong><code>{method} {path}</code></strong><br><span class=\"where\"><code>{handler}</code>, \
         <code>{file}:{line}</code></span>"
    )?;
    if route["because"].is_string() {
        write!(page, "<br>{}", text("because"))?;
    }
    page.push_str("</li>\n");
    Ok(())
}

/// Text in a page, truncated if it is long.
#[derive(Clone, Copy)]
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, letter) in self.0.chars().enumerate() {
            if count == SHOWN {
                return f.write_char('…');
            }
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                letter if letter.is_control() && letter != '\n' => f.write_char('\u{fffd}')?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

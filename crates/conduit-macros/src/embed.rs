//! `embed!`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use conduit_route::Pattern;
use flate2::Compression;
use flate2::write::GzEncoder;
use proc_macro2::{Literal, TokenStream};
use quote::quote;
use sha2::{Digest, Sha256};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, Ident, LitStr, Token};

/// The file name suffixes of precompressed variants, in the order of `EmbeddedFile::coded`.
const CODED: [&str; 3] = [".zst", ".br", ".gz"];

struct Input {
    directory: LitStr,
    prefix: LitStr,
    /// Debug builds embed the files too.
    is_always: bool,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        const REMEDY: &str =
            "write `embed!(\"assets\", \"/assets\")`: the directory, and the prefix that its routes have";
        let directory: LitStr = input.parse().map_err(|error| Error::new(error.span(), REMEDY))?;
        input
            .parse::<Token![,]>()
            .map_err(|error| Error::new(error.span(), REMEDY))?;
        let prefix: LitStr = input.parse().map_err(|error| Error::new(error.span(), REMEDY))?;
        if !prefix.value().is_empty()
            && let Err(error) = Pattern::parse_prefix(&prefix.value())
        {
            return Err(Error::new(prefix.span(), error));
        }
        let mut is_always = false;
        if input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let word: Ident = input.parse()?;
            is_always = word == "always";
            if !is_always {
                return Err(Error::new(
                    word.span(),
                    "the only option is `always`, which embeds the files in debug builds too",
                ));
            }
        }
        Ok(Input {
            directory,
            prefix,
            is_always,
        })
    }
}

/// A file of the directory with its precompressed variants.
#[derive(Default)]
struct EmbedEntry {
    file: PathBuf,
    coded: [Option<PathBuf>; 3],
}

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let expanded = Input::parse.parse2(input).and_then(|input| {
        let root = std::env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .unwrap_or_default();
        embed(&root, &input)
    });
    expanded.unwrap_or_else(Error::into_compile_error)
}

fn embed(root: &Path, input: &Input) -> Result<TokenStream, Error> {
    let failed = |text: String| Error::new(input.directory.span(), text);
    let directory = root.join(input.directory.value());
    let mut files = BTreeMap::new();
    collect(&directory, "", &mut Vec::new(), &mut files).map_err(failed)?;
    // The setting of the profile that builds procedural macros; a release build turns it off.
    let is_on_disk = cfg!(debug_assertions) && !input.is_always;
    let prefix = input.prefix.value();
    let entries = with_neighbours(files)
        .into_iter()
        .map(|(path, entry)| match is_on_disk {
            true => Ok(without_content(&prefix, &path)),
            false => with_content(&prefix, &path, &entry),
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let directory = directory.to_string_lossy();
    Ok(quote!(::conduit::internal::embedded(#directory, &[#(#entries),*], #is_on_disk)))
}

/// Adds the files below a directory by their paths: those that are not hidden, as `Files` defines it. `around` has the real paths of
/// the directories around it: a link to one of them is omitted.
fn collect(
    directory: &Path,
    path: &str,
    around: &mut Vec<PathBuf>,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), String> {
    let failed = |error: std::io::Error| {
        format!(
            "cannot read the directory {}: {error}; the path of `embed!` is relative to the package's `Cargo.toml`",
            directory.display()
        )
    };
    let real = fs::canonicalize(directory).map_err(failed)?;
    if around.contains(&real) {
        return Ok(());
    }
    around.push(real);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| format!("the name of {} is not UTF-8: rename it", entry.path().display()))?;
        // RFC 8615: the well-known directory is at the root.
        let is_well_known = path.is_empty() && name == ".well-known";
        if name.starts_with('.') && !is_well_known {
            continue;
        }
        let inner = format!("{path}{name}");
        let file = entry.path();
        if file.is_dir() {
            collect(&file, &format!("{inner}/"), around, files)?;
        } else if file.is_file() {
            files.insert(inner, file);
        }
    }
    around.pop();
    Ok(())
}

/// Assigns precompressed variants to their files.
fn with_neighbours(files: BTreeMap<String, PathBuf>) -> BTreeMap<String, EmbedEntry> {
    let mut entries: BTreeMap<String, EmbedEntry> = BTreeMap::new();
    for (path, file) in &files {
        match original(path, &files) {
            Some((original, place)) => {
                entries.entry(original.to_owned()).or_default().coded[place] = Some(file.clone());
            }
            None => entries.entry(path.clone()).or_default().file.clone_from(file),
        }
    }
    entries
}

/// The file of which this one is a precompressed variant, and the index of its coding. A variant has none itself.
fn original<'p>(path: &'p str, files: &BTreeMap<String, PathBuf>) -> Option<(&'p str, usize)> {
    CODED.iter().enumerate().find_map(|(place, end)| {
        let original = path.strip_suffix(end)?;
        let is_file = files.contains_key(original) && self::original(original, files).is_none();
        is_file.then_some((original, place))
    })
}

fn without_content(prefix: &str, path: &str) -> TokenStream {
    let url = format!("{prefix}/{}", encoded(path));
    quote!(::conduit::internal::EmbeddedFile {
        path: #path, hashed: #path, url: #url, tag: "", content: &[],
        coded: [::core::option::Option::None; 3],
    })
}

fn with_content(prefix: &str, path: &str, entry: &EmbedEntry) -> Result<TokenStream, String> {
    let file = &entry.file;
    let content = fs::read(file).map_err(|error| format!("cannot read the file {}: {error}", file.display()))?;
    let digest: String = Sha256::digest(&content)[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let hashed = hashed_path(path, &digest[..16]);
    let url = format!("{prefix}/{}", encoded(&hashed));
    let mut coded = entry.coded.each_ref().map(|neighbour| {
        let file = neighbour.as_ref()?.to_string_lossy().into_owned();
        Some(quote!(::core::include_bytes!(#file)))
    });
    // zstd and brotli at their best cost seconds for a megabyte: a bundler may write such neighbours.
    if coded[2].is_none() {
        coded[2] = compressed(&content)
            .map(|bytes| Literal::byte_string(&bytes))
            .map(|bytes| quote!(#bytes));
    }
    let coded = coded.map(|bytes| match bytes {
        Some(bytes) => quote!(::core::option::Option::Some(#bytes as &'static [::core::primitive::u8])),
        None => quote!(::core::option::Option::None),
    });
    // The compiler builds again when the file changes.
    let file = file.to_string_lossy();
    Ok(quote!(::conduit::internal::EmbeddedFile {
        path: #path, hashed: #hashed, url: #url, tag: #digest, content: ::core::include_bytes!(#file),
        coded: [#(#coded),*],
    }))
}

/// `css/app.css` with the hash is `css/app-0123456789abcdef.css`.
fn hashed_path(path: &str, hash: &str) -> String {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].rfind('.') {
        Some(dot) => format!("{}-{hash}{}", &path[..name + dot], &path[name + dot..]),
        None => format!("{path}-{hash}"),
    }
}

/// Compresses the content with gzip; `None` unless that saves more than 5 %.
fn compressed(content: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).ok()?;
    let bytes = encoder.finish().ok()?;
    (bytes.len() < content.len() - content.len() / 20).then_some(bytes)
}

/// The path in a URL: all bytes percent-encoded but letters, digits, slashes and a few marks (RFC 3986, section 3.3).
fn encoded(path: &str) -> String {
    let mut url = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_before_the_extension() {
        assert_eq!(hashed_path("css/app.min.css", "0"), "css/app.min-0.css");
        assert_eq!(hashed_path("a.b/LICENSE", "0"), "a.b/LICENSE-0");
    }

    #[test]
    fn a_url_has_no_byte_that_ends_it() {
        assert_eq!(encoded("a b/ä?#%.css"), "a%20b/%C3%A4%3F%23%25.css");
    }

    #[test]
    fn hidden_names_and_links_to_a_directory_around_them_are_omitted() {
        let root = std::env::temp_dir().join(format!("conduit-embed-{}", std::process::id()));
        // A killed process with this id may have left it.
        let _ = fs::remove_dir_all(&root);
        for name in ["a/b", ".well-known", "a/.well-known", ".git"] {
            fs::create_dir_all(root.join(name)).expect("a directory");
            fs::write(root.join(name).join("file"), "x").expect("a file");
        }
        fs::write(root.join(".well-known/.hidden"), "x").expect("a file");
        for (link, target) in [("loop", "."), ("a/up", ".."), ("a/b/self", "../b"), ("twice", "a/b")] {
            std::os::unix::fs::symlink(target, root.join(link)).expect("a link");
        }
        let mut files = BTreeMap::new();
        collect(&root, "", &mut Vec::new(), &mut files).expect("a directory");
        fs::remove_dir_all(&root).expect("a directory");
        let paths: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(paths, [".well-known/file", "a/b/file", "twice/file"]);
    }

    #[test]
    fn content_that_does_not_shrink_is_not_compressed() {
        assert!(compressed(&[b'a'; 1000]).is_some());
        assert!(compressed(b"").is_none() && compressed(b"short").is_none());
    }

    #[test]
    fn a_precompressed_variant_has_no_variants() {
        let paths = ["data", "data.gz", "data.gz.br", "other.gz"];
        let files = paths.map(|path| (path.to_owned(), PathBuf::from(path)));
        let entries = with_neighbours(files.into());
        let found: Vec<_> = entries.iter().map(|(path, entry)| (&**path, &*entry.file)).collect();
        assert_eq!(
            found,
            ["data", "data.gz.br", "other.gz"].map(|path| (path, Path::new(path)))
        );
        let coded = entries["data"].coded.iter().flatten().collect::<Vec<_>>();
        assert_eq!(coded, [Path::new("data.gz")]);
    }
}

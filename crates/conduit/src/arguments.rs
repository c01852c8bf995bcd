//! The arguments of a program that [`App::run`](crate::App::run) handles.

use std::ffi::OsString;

/// The output of a program that serves no HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Printout {
    /// `--routes`: the table of routes.
    Routes,
    /// `--openapi`: the OpenAPI document, in 3.1.
    #[cfg(feature = "openapi")]
    OpenApi,
    /// `--openapi 3.2`: the document in 3.2.
    #[cfg(feature = "openapi")]
    OpenApi32,
    /// `--lock`: the summary of the API for `api.lock`.
    #[cfg(feature = "lock")]
    Lock,
    /// `--client typescript`: a client in TypeScript.
    #[cfg(feature = "codegen")]
    TypeScriptClient,
    /// `--client rust`: the source of a client in Rust, and its `Cargo.toml` as a comment at the end.
    #[cfg(feature = "codegen")]
    RustClient,
    /// `--mcp`: the tools, over standard input and output.
    #[cfg(feature = "mcp")]
    Mcp,
}

/// The printout that the arguments request, without the program's name. Only a list that consists of exactly these arguments counts:
/// other arguments, such as those of features that are off, belong to the program.
pub(crate) fn printout(arguments: impl Iterator<Item = OsString>) -> Option<Printout> {
    let arguments: Vec<OsString> = arguments.take(3).collect();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(|argument| argument.to_str())
        .collect::<Option<_>>()?;
    match arguments[..] {
        ["--routes"] => Some(Printout::Routes),
        #[cfg(feature = "openapi")]
        ["--openapi"] | ["--openapi", "3.1"] => Some(Printout::OpenApi),
        #[cfg(feature = "openapi")]
        ["--openapi", "3.2"] => Some(Printout::OpenApi32),
        #[cfg(feature = "lock")]
        ["--lock"] => Some(Printout::Lock),
        #[cfg(feature = "codegen")]
        ["--client", "typescript"] => Some(Printout::TypeScriptClient),
        #[cfg(feature = "codegen")]
        ["--client", "rust"] => Some(Printout::RustClient),
        #[cfg(feature = "mcp")]
        ["--mcp"] => Some(Printout::Mcp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_lists_of_arguments_are_handled() {
        let of = |list: &[&str]| printout(list.iter().map(OsString::from));
        assert_eq!(of(&["--routes"]), Some(Printout::Routes));
        assert_eq!(of(&["--openapi"]).is_some(), cfg!(feature = "openapi"));
        assert_eq!(of(&["--openapi", "3.2"]).is_some(), cfg!(feature = "openapi"));
        #[cfg(feature = "openapi")]
        assert_eq!(of(&["--openapi", "3.2"]), Some(Printout::OpenApi32));
        assert_eq!(of(&["--openapi", "3.3"]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["--route"]), None);
        assert_eq!(of(&["routes"]), None);
        assert_eq!(of(&["--routes", "--verbose"]), None);
        assert_eq!(of(&["serve", "--routes"]), None);
        assert_eq!(of(&["--client", "typescript"]).is_some(), cfg!(feature = "codegen"));
        assert_eq!(of(&["--client", "rust"]).is_some(), cfg!(feature = "codegen"));
        assert_eq!(of(&["--lock"]).is_some(), cfg!(feature = "lock"));
        assert_eq!(of(&["--mcp"]).is_some(), cfg!(feature = "mcp"));
        assert_eq!(of(&["--mcp", "--routes"]), None);
        assert_eq!(of(&["--client"]), None);
        assert_eq!(of(&["--client", "typescript", "--verbose"]), None);
    }
}

//! The arguments of a program that [`App::run`](crate::App::run) handles.

use std::ffi::OsString;

use crate::error::{Error, Result};

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

/// The printout that the arguments of the program request.
///
/// # Errors
///
/// Returns those of [`printout`].
pub(crate) fn requested_printout() -> Result<Option<Printout>> {
    printout(std::env::args_os().skip(1))
}

/// The printout that the arguments request, without the program's name. Only a list that consists of exactly these arguments counts:
/// other lists belong to the program.
///
/// # Errors
///
/// Returns an error for one of these arguments with another value, or with none, and for one whose feature is off: a program that
/// serves instead would not end.
fn printout(arguments: impl Iterator<Item = OsString>) -> Result<Option<Printout>> {
    let arguments: Vec<OsString> = arguments.take(3).collect();
    let arguments: Option<Vec<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    let Some(arguments) = arguments else { return Ok(None) };
    let printout = match arguments[..] {
        ["--routes"] => Printout::Routes,
        #[cfg(feature = "openapi")]
        ["--openapi"] | ["--openapi", "3.1"] => Printout::OpenApi,
        #[cfg(feature = "openapi")]
        ["--openapi", "3.2"] => Printout::OpenApi32,
        #[cfg(feature = "lock")]
        ["--lock"] => Printout::Lock,
        #[cfg(feature = "codegen")]
        ["--client", "typescript"] => Printout::TypeScriptClient,
        #[cfg(feature = "codegen")]
        ["--client", "rust"] => Printout::RustClient,
        #[cfg(feature = "mcp")]
        ["--mcp"] => Printout::Mcp,
        [name] => return invalid(name, None),
        [name, value] if !value.starts_with('-') => return invalid(name, Some(value)),
        _ => return Ok(None),
    };
    Ok(Some(printout))
}

/// Returns an error if the argument is one of those that need a feature.
fn invalid(name: &str, value: Option<&str>) -> Result<Option<Printout>> {
    let expected = match name {
        "--openapi" => "`--openapi`, `--openapi 3.1` or `--openapi 3.2`, with the feature `openapi`",
        "--lock" => "`--lock` alone, with the feature `lock`",
        "--client" => "`--client typescript` or `--client rust`, with the feature `codegen`",
        "--mcp" => "`--mcp` alone, with the feature `mcp`",
        _ => return Ok(None),
    };
    let arguments = [Some(name), value].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Err(Error::arguments(arguments, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[&str]) -> Result<Option<Printout>> {
        printout(list.iter().map(OsString::from))
    }

    #[test]
    fn only_the_exact_lists_of_arguments_are_handled() {
        assert_eq!(of(&["--routes"]).unwrap(), Some(Printout::Routes));
        #[cfg(feature = "openapi")]
        assert_eq!(of(&["--openapi", "3.2"]).unwrap(), Some(Printout::OpenApi32));
        for others in [
            &[][..],
            &["--route"],
            &["routes"],
            &["--routes", "all"],
            &["--routes", "--verbose"],
            &["serve", "--routes"],
            &["--mcp", "--routes"],
            &["--client", "typescript", "--verbose"],
        ] {
            assert_eq!(of(others).unwrap(), None, "{others:?}");
        }
    }

    #[test]
    fn an_argument_whose_feature_is_off_is_an_error() {
        for (list, feature, is_on) in [
            (&["--openapi"][..], "openapi", cfg!(feature = "openapi")),
            (&["--openapi", "3.1"], "openapi", cfg!(feature = "openapi")),
            (&["--openapi", "3.2"], "openapi", cfg!(feature = "openapi")),
            (&["--lock"], "lock", cfg!(feature = "lock")),
            (&["--client", "typescript"], "codegen", cfg!(feature = "codegen")),
            (&["--client", "rust"], "codegen", cfg!(feature = "codegen")),
            (&["--mcp"], "mcp", cfg!(feature = "mcp")),
        ] {
            match of(list) {
                Ok(printout) => assert!(is_on && printout.is_some(), "{list:?}"),
                Err(error) => assert!(!is_on && error.to_string().contains(feature), "{list:?}: {error}"),
            }
        }
    }

    #[test]
    fn an_argument_with_an_invalid_value_is_an_error() {
        for (list, arguments) in [
            (&["--client"][..], "--client"),
            (&["--client", "python"], "--client python"),
            (&["--openapi", "3.3"], "--openapi 3.3"),
            (&["--lock", "api.lock"], "--lock api.lock"),
            (&["--mcp", "stdio"], "--mcp stdio"),
        ] {
            let error = of(list).expect_err("the value is invalid").to_string();
            assert!(
                error.starts_with(&format!("invalid arguments {arguments:?}: expected `{}", list[0])),
                "{error}"
            );
        }
    }
}

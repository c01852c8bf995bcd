//! The arguments of a program that [`App::run`](crate::App::run) answers itself.

use std::ffi::OsString;

/// An action that a program performs instead of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// `--routes`: print the table of routes.
    Routes,
    /// `--openapi`: print the OpenAPI document. Only with the feature `openapi`.
    OpenApi,
}

/// The action in the arguments, without the program's name. Only a single argument that is exactly an own one counts:
/// other arguments belong to the program.
pub(crate) fn asked(mut arguments: impl Iterator<Item = OsString>) -> Option<Asked> {
    let first = arguments.next()?;
    if arguments.next().is_some() {
        return None;
    }
    match first.to_str()? {
        "--routes" => Some(Asked::Routes),
        "--openapi" if cfg!(feature = "openapi") => Some(Asked::OpenApi),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_argument_that_is_exactly_ours_is_taken() {
        let of = |list: &[&str]| asked(list.iter().map(OsString::from));
        assert_eq!(of(&["--routes"]), Some(Asked::Routes));
        assert_eq!(of(&["--openapi"]).is_some(), cfg!(feature = "openapi"));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["--route"]), None);
        assert_eq!(of(&["routes"]), None);
        assert_eq!(of(&["--routes", "--verbose"]), None);
        assert_eq!(of(&["serve", "--routes"]), None);
    }
}

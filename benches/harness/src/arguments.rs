//! The command line.

use lexopt::prelude::*;

use crate::Result;
use crate::rows::{self, Row};
use crate::servers::{self, Server};

pub(crate) const HELP: &str = "\
Measures Conduit and its peers on this machine in one run.

Usage: benches/run [OPTIONS]

  --rounds N        rounds; the tables show medians over them (default 5)
  --seconds N       seconds of load for each measurement (default 3)
  --quick           one round of one second: to check that everything works, not to get a figure
  --only A,B,…      only these servers; the others are not built
  --rows A,B,…      only these rows
  --list            list the servers and the rows, and stop
  --drain           stop a server of Conduit with 10,000 WebSockets, and print the rate at which its clients connect to
                    another one
  --write-docs      put the tables into docs/performance.md (a complete run only)
  --report          measure nothing: print the tables of results/latest.json again and redraw its charts;
                    with --write-docs, put them into the page too
  --server-core N   the core that servers run on (default 0)
  --load-core N     the core that the load comes from (default 1)
  --jobs N          how many jobs cargo builds with (default 2)
  --help            this text

A complete run (no --quick, --only or --rows) replaces results/latest.json and the charts next to it. Any other
writes results/partial.json. The command fails if a server does not build, returns a wrong response, or has socket errors.
";

/// The action of the command.
pub(crate) enum Action {
    Help,
    List,
    Measure(Arguments),
    Drain(Arguments),
}

/// The servers and rows to measure, and the method.
pub(crate) struct Arguments {
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
    pub(crate) quick: bool,
    pub(crate) servers: Vec<&'static Server>,
    pub(crate) rows: Vec<&'static Row>,
    pub(crate) write_docs: bool,
    pub(crate) only_report: bool,
    pub(crate) server_core: usize,
    pub(crate) load_core: usize,
    pub(crate) jobs: u32,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            rounds: 5,
            seconds: 3,
            quick: false,
            servers: servers::ALL.iter().collect(),
            rows: rows::ALL.iter().collect(),
            write_docs: false,
            only_report: false,
            server_core: 0,
            load_core: 1,
            jobs: 2,
        }
    }
}

impl Arguments {
    /// Returns whether every server runs every row for the full time.
    pub(crate) fn is_complete(&self) -> bool {
        !self.quick && self.servers.len() == servers::ALL.len() && self.rows.len() == rows::ALL.len()
    }
}

/// # Errors
///
/// Returns an error for an unknown option or an invalid value.
pub(crate) fn parse() -> Result<Action> {
    parse_from(lexopt::Parser::from_env()).map_err(|error| format!("{error}; --help lists the options"))
}

fn parse_from(mut parser: lexopt::Parser) -> std::result::Result<Action, lexopt::Error> {
    let mut arguments = Arguments::default();
    let mut drains = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => arguments.rounds = parser.value()?.parse()?,
            Long("seconds") => arguments.seconds = parser.value()?.parse()?,
            Long("quick") => arguments.quick = true,
            Long("only") => arguments.servers = names(&parser.value()?.string()?, servers::named)?,
            Long("rows") => arguments.rows = names(&parser.value()?.string()?, rows::named)?,
            Long("list") => return Ok(Action::List),
            Long("drain") => drains = true,
            Long("write-docs") => arguments.write_docs = true,
            Long("report") => arguments.only_report = true,
            Long("server-core") => arguments.server_core = parser.value()?.parse()?,
            Long("load-core") => arguments.load_core = parser.value()?.parse()?,
            Long("jobs") => arguments.jobs = parser.value()?.parse()?,
            Long("help") | Short('h') => return Ok(Action::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    if arguments.quick {
        (arguments.rounds, arguments.seconds) = (1, 1);
    }
    if arguments.rounds == 0 || arguments.seconds == 0 {
        return Err("--rounds and --seconds are at least 1".into());
    }
    if arguments.write_docs && !arguments.is_complete() {
        return Err("--write-docs needs a complete run: drop --quick, --only and --rows".into());
    }
    Ok(match drains {
        true => Action::Drain(arguments),
        false => Action::Measure(arguments),
    })
}

fn names<T>(
    list: &str,
    find: impl Fn(&str) -> Option<&'static T>,
) -> std::result::Result<Vec<&'static T>, lexopt::Error> {
    let find = |name| find(name).ok_or_else(|| format!("{name} is not one of those that --list shows").into());
    list.split(',').map(str::trim).map(find).collect()
}

/// The values of `--only` and `--rows`.
pub(crate) fn list() -> String {
    let mut text = String::from("servers (--only):\n");
    for server in servers::ALL {
        text += &format!("  {:<14} {}\n", server.name, server.note);
    }
    text += "rows (--rows):\n";
    for row in rows::ALL {
        text += &format!("  {:<14} {}\n", row.name, row.title);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> std::result::Result<Arguments, String> {
        match parse_from(lexopt::Parser::from_args(arguments)) {
            Ok(Action::Measure(arguments)) => Ok(arguments),
            Ok(_) => Err("not a measurement".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn without_options_everything_is_measured() {
        let arguments = parse(&[]).unwrap();
        assert!(arguments.is_complete());
        assert_eq!((arguments.rounds, arguments.seconds), (5, 3));
    }

    #[test]
    fn servers_and_rows_are_selected_by_name() {
        let arguments = parse(&["--only", "axum, floor", "--rows=json"]).unwrap();
        let names: Vec<_> = arguments.servers.iter().map(|server| server.name).collect();
        assert_eq!(names, ["axum", "floor"]);
        assert_eq!(arguments.rows.len(), 1);
        assert!(!arguments.is_complete());
    }

    #[test]
    fn an_unknown_name_is_refused_with_a_remedy() {
        let error = parse(&["--only", "rocket"]).err().unwrap();
        assert_eq!(error, "rocket is not one of those that --list shows");
    }

    #[test]
    fn the_page_is_not_written_from_a_partial_run() {
        assert!(parse(&["--quick", "--write-docs"]).is_err());
        assert!(parse(&["--rows", "json", "--write-docs"]).is_err());
    }
}

//! The tables, in Markdown, and their place in `docs/performance.md`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::Result;
use crate::goals::{self, TOTAL, Verdict};
use crate::results::{Build, PacedSample, Results};
use crate::rows::{self, Ability, Row, Work};
use crate::servers::{self, FLOOR};
use crate::statistics::{Spread, spread};

const BEGIN: &str = "<!-- benches/run --write-docs: begin -->";
const END: &str = "<!-- benches/run --write-docs: end -->";
/// The share of other processes in the server's core from which a warning is printed.
const DISTURBED: f64 = 0.03;

/// The report of a run. `write!` into a `String` cannot fail.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = the_run(results);
    text += &the_goals(results);
    text += &cpu_tables(results);
    text += &ratio_table(results);
    text += &latency_table(results);
    text += &paced_table(results);
    text += &memory_table(results);
    text += &live_memory_table(results);
    text += &remarks(results);
    text
}

/// Replaces the text between the two markers of a page.
///
/// # Errors
///
/// Returns an error if the page cannot be read or written, or lacks a marker.
pub(crate) fn write_into(page: &Path, tables: &str) -> Result<()> {
    let name = page.display();
    let text = fs::read_to_string(page).map_err(|error| format!("{name}: {error}"))?;
    let text = replaced(&text, tables).ok_or_else(|| format!("{name} lacks the line {BEGIN} or {END}"))?;
    fs::write(page, text).map_err(|error| format!("{name}: {error}"))
}

fn replaced(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", tables.trim_end()))
}

fn the_run(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = String::from("### The run\n\n");
    let _ = writeln!(
        text,
        "{} UTC, commit `{}`, {} rounds of {} s. {}, {} cores{}{}, {} GiB, Linux {}, {}, {}.",
        results.started.trim_end_matches('Z').replace('T', " "),
        results.commit,
        results.rounds,
        results.seconds,
        machine.cpu,
        machine.cores,
        if machine.virtual_machine {
            " of a virtual machine"
        } else {
            ""
        },
        if machine.siblings {
            " (the two used are threads of one physical core)"
        } else {
            ""
        },
        machine.memory_gib,
        machine.kernel,
        machine.rustc,
        machine.wrk,
    );
    let disturbed = results
        .loads
        .iter()
        .map(|sample| sample.disturbed_seconds / sample.seconds);
    if let Some(disturbed) = spread(disturbed) {
        let _ = writeln!(
            text,
            "Other processes used {:.1} % of the server's core in the median measurement, {:.1} % in the worst.{}",
            disturbed.median * 100.0,
            disturbed.greatest * 100.0,
            if disturbed.median > DISTURBED {
                " **The machine was busy: these figures are no evidence.**"
            } else {
                ""
            },
        );
    }
    text
}

fn the_goals(results: &Results) -> String {
    let mut text = String::from("\n### Goals\n\n| what | goal | measured | |\n| --- | --- | --- | --- |\n");
    for goal in goals::evaluate(results) {
        let verdict = match goal.verdict {
            Verdict::Met => "met",
            Verdict::NotMet => "**not met**",
            Verdict::NotMeasured => "not measured",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {verdict} |",
            goal.what, goal.goal, goal.measured
        );
    }
    text
}

/// The rows of this run with a load.
fn load_rows(results: &Results) -> Vec<&'static Row> {
    let was_tried = |row: &&Row| {
        results.loads.iter().any(|sample| sample.row == row.name)
            || results.failures.iter().any(|failure| failure.row == row.name)
    };
    rows::ALL
        .iter()
        .filter(|row| matches!(row.work, Work::Load(_) | Work::Echo(_) | Work::Broadcast(_)))
        .filter(was_tried)
        .collect()
}

/// The rows of each table: more than four columns are wider than a page, and rows that require different abilities have different
/// servers.
fn tables(results: &Results) -> Vec<Vec<&'static Row>> {
    let rows = load_rows(results);
    let of_one_ability = rows.chunk_by(|before, after| before.ability == after.ability);
    of_one_ability
        .flat_map(|rows| rows.chunks(4))
        .map(<[_]>::to_vec)
        .collect()
}

/// The servers of this run that are measured at these rows, as the tables name them.
fn servers<'a>(results: &'a Results, rows: &[&Row]) -> impl Iterator<Item = (&'a str, String)> {
    let abilities: Vec<_> = rows.iter().map(|row| row.ability).collect();
    let is_able = move |server: &&'a Build| {
        let server = servers::named(&server.name);
        server.is_none_or(|server| abilities.iter().any(|ability| server.source(*ability).is_some()))
    };
    results.servers.iter().filter(is_able).map(|server| {
        let label = format!("{} {}", server.name, server.version);
        (server.name.as_str(), label.trim_end().to_owned())
    })
}

/// A cell without a figure contains the reason.
fn cell(results: &Results, server: &str, row: &str, figure: Option<String>) -> String {
    match figure {
        Some(figure) => figure,
        None if results.has_failed(server, row) => "**failed**".into(),
        None if results.is_not_applicable(server, row) => "n/a".into(),
        None => "–".into(),
    }
}

fn cpu_tables(results: &Results) -> String {
    let mut text = String::from(
        "\n### Server CPU per request\n\nMicroseconds, user + system = median of the rounds (least–greatest); less is better.\n",
    );
    // More columns than this are wider than a page.
    for rows in tables(results) {
        text += "\n| server |";
        for row in &rows {
            let _ = write!(text, " {} |", row.title);
        }
        let _ = writeln!(text, "\n| --- |{}", " ---: |".repeat(rows.len()));
        for (server, label) in servers(results, &rows) {
            let _ = write!(text, "| {label} |");
            for row in &rows {
                let figure = results.cost(server, row.name).map(|cost| {
                    let Spread {
                        median,
                        least,
                        greatest,
                    } = cost.total;
                    format!(
                        "{:.2} + {:.2} = **{median:.2}** ({least:.2}–{greatest:.2})",
                        cost.user, cost.system
                    )
                });
                let _ = write!(text, " {} |", cell(results, server, row.name, figure));
            }
            text += "\n";
        }
    }
    text
}

fn ratio_table(results: &Results) -> String {
    let mut text = String::from(
        "\n### Conduit relative to the others\n\nConduit's median over the other's; below 1 Conduit takes less.\n\n\
         | row | best peer | axum | floor |\n| --- | ---: | ---: | ---: |\n",
    );
    for row in load_rows(results) {
        let ratio = |other| goals::ratio(results, row.name, TOTAL, other);
        let best = ratio(None).map_or("–".into(), |ratio| format!("{:.2}× {}", ratio.value, ratio.other));
        let against = |other| ratio(Some(other)).map_or("–".into(), |ratio| format!("{:.2}×", ratio.value));
        let _ = writeln!(
            text,
            "| {} | {best} | {} | {} |",
            row.title,
            against("axum"),
            against(FLOOR)
        );
    }
    text
}

fn latency_table(results: &Results) -> String {
    let mut text = String::from(
        "\n### Throughput and latency\n\nThousands of requests per second · 50th · 99th percentile of latency in µs; medians of the \
         rounds. Server and load have a core each, so a server that takes less CPU than `wrk` waits for it: compare CPU, \
         not throughput.\n",
    );
    for rows in tables(results) {
        text += "\n| server |";
        for row in &rows {
            let _ = write!(text, " {} |", row.title);
        }
        let _ = writeln!(text, "\n| --- |{}", " ---: |".repeat(rows.len()));
        for (server, label) in servers(results, &rows) {
            let _ = write!(text, "| {label} |");
            for row in &rows {
                let median = |figure: &dyn Fn(&crate::results::LoadSample) -> f64| {
                    spread(results.samples(server, row.name).map(figure)).map(|spread| spread.median)
                };
                let figure =
                    median(&|sample| sample.per_second() / 1e3).filter(|_| !results.has_failed(server, row.name));
                let figure = figure.map(|rate| {
                    let p50 = median(&|sample| sample.p50_us as f64).unwrap_or_default();
                    let p99 = median(&|sample| sample.p99_us as f64).unwrap_or_default();
                    format!("{rate:.1} · {p50:.0} · {p99:.0}")
                });
                let _ = write!(text, " {} |", cell(results, server, row.name, figure));
            }
            text += "\n";
        }
    }
    text
}

fn paced_table(results: &Results) -> String {
    let rows: Vec<&Row> = rows::ALL
        .iter()
        .filter(|row| matches!(row.work, Work::Paced(_)))
        .collect();
    let mut text = String::from(
        "\n### Latency at half of the capacity\n\nThousands of requests per second · 50th · 99th · 99.9th percentile of latency in µs; \
         medians of the rounds. The rate of each server is half of its highest. Each latency counts from the time at which the \
         request is due, so that a stall delays all requests that are due meanwhile.\n\n| server |",
    );
    for row in &rows {
        let _ = write!(text, " {} |", row.title);
    }
    let _ = writeln!(text, "\n| --- |{}", " ---: |".repeat(rows.len()));
    for (server, label) in servers(results, &rows) {
        let _ = write!(text, "| {label} |");
        for row in &rows {
            let median = |figure: fn(&PacedSample) -> f64| {
                let spread = results.paced(server, row.name, figure);
                spread.map(|spread| spread.median)
            };
            let figure = median(|sample| sample.rate as f64 / 1e3).map(|rate| {
                let [p50, p99, p999] = [
                    median(|sample| sample.p50_us),
                    median(|sample| sample.p99_us),
                    median(|sample| sample.p999_us),
                ]
                .map(Option::unwrap_or_default);
                format!("{rate:.1} · {p50:.0} · {p99:.0} · {p999:.0}")
            });
            let _ = write!(text, " {} |", cell(results, server, row.name, figure));
        }
        text += "\n";
    }
    text
}

fn memory_table(results: &Results) -> String {
    let connections = results.idles.first().map_or(0, |sample| sample.connections);
    let mut text = format!(
        "\n### Memory, start and size\n\nUser memory per idle connection is measured over {connections} connections that have each \
         served a request. Resident memory is shown idle, after the first answer, and after 512 connections of plaintext.\n\n\
         | server | per idle connection | the same, HTTPS | the same, HTTP/2 | resident, idle | resident, after load | start to first answer | program |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let idles = rows::ALL
        .iter()
        .filter(|row| matches!(row.work, Work::Idle(_) | Work::Start))
        .filter(|row| row.ability != Ability::Echo);
    for (server, label) in servers(results, &idles.collect::<Vec<_>>()) {
        let idle = |server: &str, row| {
            results
                .idle_bytes(server, row)
                .map(|bytes| format!("{:.0} B", bytes.median))
        };
        let megabytes = |spread: Spread| format!("{:.1} MB", spread.median / 1e6);
        let loaded = spread(
            results
                .samples(server, "plaintext")
                .map(|sample| sample.resident_bytes as f64),
        );
        let binary = results
            .servers
            .iter()
            .find(|build| build.name == server)
            .and_then(|build| build.binary_bytes);
        let cells = [
            cell(results, server, "idle", idle(server, "idle")),
            cell(results, server, "idle-tls", idle(server, "idle-tls")),
            cell(results, server, "idle-h2", idle(server, "idle-h2")),
            cell(
                results,
                server,
                "start",
                results
                    .start(server, |start| start.resident_bytes as f64)
                    .map(megabytes),
            ),
            cell(results, server, "plaintext", loaded.map(megabytes)),
            cell(
                results,
                server,
                "start",
                results
                    .start(server, |start| start.first_answer_seconds * 1e3)
                    .map(|time| format!("{:.2} ms", time.median)),
            ),
            binary.map_or("–".into(), |bytes| format!("{:.2} MB", bytes as f64 / 1e6)),
        ];
        let _ = writeln!(text, "| {label} | {} |", cells.join(" | "));
    }
    text
}

/// The rows of the memory of WebSockets and event streams.
const LIVE: [&str; 4] = ["idle-websocket", "broadcast", "broadcast-deflate", "events"];

fn live_memory_table(results: &Results) -> String {
    let mut text = String::from(
        "\n### Memory of live connections\n\nUser memory of each of 10,000 connections that have received a message.\n\n\
         | server | WebSocket with an echo | WebSocket with a topic | the same, compressed | event stream with a topic |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
    );
    let rows: Vec<&Row> = LIVE.iter().filter_map(|name| rows::named(name)).collect();
    for (server, label) in servers(results, &rows) {
        let cells = LIVE.map(|row| {
            let bytes = results.idle_bytes(server, row);
            cell(
                results,
                server,
                row,
                bytes.map(|bytes| format!("{:.0} B", bytes.median)),
            )
        });
        let _ = writeln!(text, "| {label} | {} |", cells.join(" | "));
    }
    text
}

fn remarks(results: &Results) -> String {
    let mut text = String::from("\n### Configuration of each server\n\n");
    for server in &results.servers {
        let _ = writeln!(text, "- {}: {}", server.name, server.note);
    }
    if !results.not_applicable.is_empty() || !results.failures.is_empty() {
        text += "\nWithout a figure:\n\n";
    }
    for remark in &results.not_applicable {
        let _ = writeln!(text, "- {remark}");
    }
    for failure in &results.failures {
        let first_line = failure.to_string().lines().next().unwrap_or_default().to_owned();
        let _ = writeln!(text, "- **failed:** {first_line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Remark;

    #[test]
    fn only_text_between_the_marks_is_replaced() {
        let page = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let expected = format!("above\n{BEGIN}\nnew\n{END}\nbelow\n");
        assert_eq!(replaced(&page, "new\n").as_deref(), Some(expected.as_str()));
        assert_eq!(replaced("no marks", "new"), None);
    }

    #[test]
    fn a_server_that_does_not_build_is_shown_as_failed() {
        let results = Results {
            servers: vec![Build {
                name: "axum".into(),
                version: "0.8.9".into(),
                ..Build::default()
            }],
            failures: vec![Remark {
                server: "axum".into(),
                row: String::new(),
                text: "does not build: error\nmore".into(),
            }],
            ..Results::default()
        };
        let text = markdown(&results);
        assert!(
            text.contains(
                "| axum 0.8.9 | **failed** | **failed** | **failed** | **failed** | **failed** | **failed** | – |"
            ),
            "{text}"
        );
        assert!(text.contains("- **failed:** axum: does not build: error\n"), "{text}");
    }
}

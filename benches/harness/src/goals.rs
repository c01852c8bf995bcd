//! The goals of the design, and their evaluation for a run.

use crate::results::Results;
use crate::servers::{BUN, CONDUIT, FLOOR, LIBH2O};

/// One goal with its measurement.
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) goal: String,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    Met,
    NotMet,
    NotMeasured,
}

/// A comparison of Conduit with another server: the ratio to its figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) value: f64,
    pub(crate) other: String,
    pub(crate) row: String,
}

/// The compared figure of a server.
type Figure = fn(&Results, &str, &str) -> Option<f64>;

pub(crate) const TOTAL: Figure = |results, server, row| Some(results.cost(server, row)?.total.median);
const USER: Figure = |results, server, row| Some(results.cost(server, row)?.user);

const KEEP_ALIVE: &[&str] = &["plaintext", "json", "user"];
const PER_REQUEST: &str = "CPU per request, 512 keep-alive connections, worst of plaintext, JSON and `/users/{id}`";
const HTTP2: &str = "HTTP/2: CPU per request, worst of plaintext (1 × 100, 64 × 32), JSON and `/users/{id}`";
const HTTP2_ROWS: &[&str] = &["h2-1x100", "h2-64x32", "h2-json", "h2-user"];

const ECHO: &str = "WebSocket echo: CPU per message, worst of all rows";
const ECHO_ROWS: &[&str] = &["ws-16", "ws-16x16", "ws-1k", "ws-1kx16", "ws-64k", "ws-64kx16"];

/// Every goal that this command can evaluate.
pub(crate) fn evaluate(results: &Results) -> Vec<Goal> {
    let worst = |figure, other: Option<&str>| worst(results, KEEP_ALIVE, figure, other);
    let single = |row, other: Option<&str>| worst_of(results, &[row], other);
    vec![
        at_most(PER_REQUEST, 0.85, "the best peer", worst(TOTAL, None)),
        at_most(PER_REQUEST, 0.75, "axum", worst(TOTAL, Some("axum"))),
        at_most(PER_REQUEST, 1.05, "the floor", worst(TOTAL, Some(FLOOR))),
        at_most("its user time alone", 0.50, "the best peer", worst(USER, None)),
        at_most(
            "CPU per request, pipelined ×16",
            1.00,
            "the best peer",
            single("pipelined", None),
        ),
        at_most(
            "CPU per request, pipelined ×16",
            1.30,
            "the floor",
            single("pipelined", Some(FLOOR)),
        ),
        at_most(
            "CPU per request, one connection per request",
            1.00,
            "the best peer",
            single("close", None),
        ),
        single_goal(results, "HTTPS: CPU per request, 512 keep-alive connections", "tls"),
        single_goal(
            results,
            "HTTPS: CPU per request, one connection per request",
            "tls-close",
        ),
        at_most(HTTP2, 0.80, LIBH2O, worst_of(results, HTTP2_ROWS, Some(LIBH2O))),
        at_most(HTTP2, 0.20, "axum", worst_of(results, HTTP2_ROWS, Some("axum"))),
        at_most(
            "HTTP/2 over TLS: CPU per request, worst of 1 × 100 and 64 × 32 streams",
            1.00,
            LIBH2O,
            worst_of(results, &["h2-tls-1x100", "h2-tls-64x32"], Some(LIBH2O)),
        ),
        at_most(
            "a file of 4 KiB: CPU per request",
            1.00,
            "h2o",
            single("file-4k", Some("h2o")),
        ),
        at_most(
            "a file of 1 MiB: CPU per request",
            0.90,
            "nginx",
            single("file-1m", Some("nginx")),
        ),
        at_most(
            "20 files over TLS: CPU per request, worst of HTTP/1.1 and HTTP/2",
            0.80,
            "nginx",
            worst_of(results, &["files-tls", "files-h2"], Some("nginx")),
        ),
        at_most(ECHO, 1.03, "the floor", worst_of(results, ECHO_ROWS, Some(FLOOR))),
        at_most(ECHO, 0.60, BUN, worst_of(results, ECHO_ROWS, Some(BUN))),
        memory_goal(results, "user memory of an idle WebSocket", "idle-websocket"),
        memory_goal(results, "user memory of an idle event stream", "events"),
        flat(
            results,
            "CPU per request from 64 to 10,000 connections",
            ["plaintext-64", "plaintext-10000"],
        ),
        flat(
            results,
            "CPU per request from 10 to 1,000 routes",
            ["routes-10", "routes-1000"],
        ),
        absolute(
            "user memory per idle connection that has served a request",
            (1024.0, "1 KiB"),
            results
                .idle_bytes(CONDUIT, "idle")
                .map(|bytes| (bytes.median, format!("{:.0} B", bytes.median))),
        ),
        absolute(
            "hello-world server, resident memory when idle",
            (4e6, "4 MB"),
            results
                .start(CONDUIT, |start| start.resident_bytes as f64)
                .map(|bytes| (bytes.median, format!("{:.2} MB", bytes.median / 1e6))),
        ),
        absolute(
            "hello-world server, start to first response",
            (5e-3, "5 ms"),
            results
                .start(CONDUIT, |start| start.first_answer_seconds)
                .map(|time| (time.median, format!("{:.2} ms", time.median * 1e3))),
        ),
    ]
}

/// Conduit's figure over the other's, or over the best peer's: the peer with the lowest figure, not the floor.
pub(crate) fn ratio(results: &Results, row: &str, figure: Figure, other: Option<&str>) -> Option<Ratio> {
    let own = figure(results, CONDUIT, row)?;
    let peers = results.servers.iter().map(|server| server.name.as_str());
    let (other, value) = match other {
        Some(other) => (other, figure(results, other, row)?),
        None => peers
            .filter(|name| ![CONDUIT, FLOOR].contains(name))
            .filter_map(|name| Some((name, figure(results, name, row)?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))?,
    };
    Some(Ratio {
        value: own / value,
        other: other.into(),
        row: row.into(),
    })
}

/// The greatest ratio of the rows; `None` if any of them was not measured.
fn worst(results: &Results, rows: &[&str], figure: Figure, other: Option<&str>) -> Option<Ratio> {
    let ratios: Option<Vec<Ratio>> = rows.iter().map(|row| ratio(results, row, figure, other)).collect();
    ratios?.into_iter().max_by(|a, b| a.value.total_cmp(&b.value))
}

fn worst_of(results: &Results, rows: &[&str], other: Option<&str>) -> Option<Ratio> {
    worst(results, rows, TOTAL, other)
}

fn at_most(what: &'static str, bound: f64, other: &str, ratio: Option<Ratio>) -> Goal {
    let goal = format!("≤ {bound:.2}× {other}");
    match ratio {
        // The displayed value with two digits is the one that is compared with the goal.
        Some(ratio) => Goal {
            what,
            goal,
            measured: format!("{:.2}× {} ({})", ratio.value, ratio.other, ratio.row),
            verdict: if (ratio.value * 100.0).round() <= (bound * 100.0).round() {
                Verdict::Met
            } else {
                Verdict::NotMet
            },
        },
        None => Goal {
            what,
            goal,
            measured: "–".into(),
            verdict: Verdict::NotMeasured,
        },
    }
}

fn single_goal(results: &Results, what: &'static str, row: &str) -> Goal {
    at_most(what, 1.00, "the best peer", worst_of(results, &[row], None))
}

fn memory_goal(results: &Results, what: &'static str, row: &str) -> Goal {
    let bytes = results.idle_bytes(CONDUIT, row);
    let measured = bytes.map(|bytes| (bytes.median, format!("{:.0} B", bytes.median)));
    absolute(what, (700.0, "700 B"), measured)
}

/// Returns whether Conduit's cost in two rows is equal to within a tenth.
fn flat(results: &Results, what: &'static str, rows: [&str; 2]) -> Goal {
    let [before, after] = rows.map(|row| TOTAL(results, CONDUIT, row));
    let ratio = before.zip(after).map(|(before, after)| after / before);
    Goal {
        what,
        goal: "within ±10 %".into(),
        measured: ratio.map_or("–".into(), |ratio| format!("{:+.1} %", (ratio - 1.0) * 100.0)),
        verdict: match ratio {
            Some(ratio) if (ratio - 1.0).abs() <= 0.1 => Verdict::Met,
            Some(_) => Verdict::NotMet,
            None => Verdict::NotMeasured,
        },
    }
}

fn absolute(what: &'static str, (bound, words): (f64, &str), measured: Option<(f64, String)>) -> Goal {
    let goal = format!("≤ {words}");
    match measured {
        Some((value, measured)) => {
            let verdict = if value <= bound { Verdict::Met } else { Verdict::NotMet };
            Goal {
                what,
                goal,
                measured,
                verdict,
            }
        }
        None => Goal {
            what,
            goal,
            measured: "–".into(),
            verdict: Verdict::NotMeasured,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Build, IdleSample, LoadSample};

    fn results(figures: &[(&str, u64)]) -> Results {
        let mut results = Results::default();
        for (server, nanoseconds) in figures {
            results.servers.push(Build {
                name: (*server).into(),
                ..Build::default()
            });
            for row in KEEP_ALIVE {
                results.loads.push(LoadSample {
                    server: (*server).into(),
                    row: (*row).into(),
                    requests: 1,
                    cpu_nanoseconds: *nanoseconds,
                    user_ticks: 1,
                    system_ticks: 1,
                    ..LoadSample::default()
                });
            }
        }
        results
    }

    #[test]
    fn the_best_peer_is_neither_conduit_nor_the_floor() {
        let results = results(&[(CONDUIT, 300), (FLOOR, 200), ("axum", 500), ("hyper", 400)]);
        let ratio = ratio(&results, "json", TOTAL, None).unwrap();
        assert!((ratio.value - 0.75).abs() < 1e-9, "{ratio:?}");
        assert_eq!(ratio.other, "hyper");
    }

    #[test]
    fn a_cost_is_flat_within_a_tenth() {
        let mut results = results(&[]);
        for (row, nanoseconds) in [("plaintext-64", 1_000), ("plaintext-10000", 1_101)] {
            results.loads.push(LoadSample {
                server: CONDUIT.into(),
                row: row.into(),
                requests: 1,
                cpu_nanoseconds: nanoseconds,
                ..LoadSample::default()
            });
        }
        let judged = |rows| flat(&results, "", rows);
        let higher = judged(["plaintext-64", "plaintext-10000"]);
        assert_eq!((higher.measured.as_str(), higher.verdict), ("+10.1 %", Verdict::NotMet));
        let lower = judged(["plaintext-10000", "plaintext-64"]);
        assert_eq!((lower.measured.as_str(), lower.verdict), ("-9.2 %", Verdict::Met));
    }

    #[test]
    fn goals_are_met_missed_or_not_measured() {
        let mut results = results(&[(CONDUIT, 300), (FLOOR, 200), ("axum", 400)]);
        results.idles.push(IdleSample {
            server: CONDUIT.into(),
            row: "idle".into(),
            bytes_per_connection: 1024.0,
            ..IdleSample::default()
        });
        let verdicts: Vec<_> = evaluate(&results).iter().map(|goal| goal.verdict).collect();
        use Verdict::{Met, NotMeasured, NotMet};
        assert_eq!(
            verdicts,
            [
                Met,
                Met,
                NotMet,
                NotMet,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                // HTTPS, HTTP/2, files, live connections and flatness have no figures either.
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                NotMeasured,
                Met,
                NotMeasured,
                NotMeasured
            ]
        );
    }
}

//! Bar charts as SVG: one for each row that has figures.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::results::Results;
use crate::rows::{self, Work};
use crate::servers::{CONDUIT, FLOOR};

const WIDTH: f64 = 760.0;
const LABELS: f64 = 150.0;
const BARS: f64 = 470.0;
const TOP: f64 = 74.0;
const STEP: f64 = 34.0;
const BAR: f64 = 20.0;
const BOTTOM: f64 = 18.0;

/// One bar: a name, its parts from left to right, and the figure at its end.
struct Bar {
    name: String,
    parts: Vec<f64>,
    figure: String,
}

struct Chart {
    title: String,
    subtitle: String,
    /// The names of the parts of a bar; empty for one part.
    legend: &'static [&'static str],
    bars: Vec<Bar>,
}

/// Dark and light, for user and system time.
struct Colours {
    parts: [&'static str; 2],
    text: &'static str,
}

/// Writes `NAME.svg` for each measured row, and returns the paths.
///
/// # Errors
///
/// Returns an error if a file cannot be written.
pub(crate) fn write_all(results: &Results, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for row in rows::ALL {
        let title = row.title.replace('`', "");
        let chart = match row.work {
            Work::Load(_) | Work::Echo(_) | Work::Broadcast(_) => cpu(results, row.name, title),
            Work::Idle(_) => idle(results, row),
            Work::Start => start(results),
            // Three percentiles of each server are shown in a table instead.
            Work::Paced(_) => continue,
        };
        if chart.bars.is_empty() {
            continue;
        }
        let path = directory.join(format!("{}.svg", row.name));
        fs::write(&path, chart.draw()).map_err(|error| format!("{}: {error}", path.display()))?;
        paths.push(path);
    }
    Ok(paths)
}

fn cpu(results: &Results, row: &str, title: String) -> Chart {
    let bars = bars(results, |server| {
        let cost = results.cost(server, row)?;
        Some((vec![cost.user, cost.system], format!("{:.2} µs", cost.total.median)))
    });
    let subtitle = "Server CPU per request; less is better".to_owned();
    Chart {
        title,
        subtitle,
        legend: &["user", "system"],
        bars,
    }
}

fn idle(results: &Results, row: &rows::Row) -> Chart {
    let bars = bars(results, |server| {
        let bytes = results.idle_bytes(server, row.name)?.median.max(0.0);
        let figure = if bytes < 1024.0 {
            format!("{bytes:.0} B")
        } else {
            format!("{:.1} KiB", bytes / 1024.0)
        };
        Some((vec![bytes], figure))
    });
    Chart {
        title: format!("Memory: {}", row.title),
        subtitle: "User memory per keep-alive connection that has served a request; less is better".into(),
        legend: &[],
        bars,
    }
}

fn start(results: &Results) -> Chart {
    let bars = bars(results, |server| {
        let time = results.start(server, |start| start.first_answer_seconds * 1e3)?.median;
        Some((vec![time], format!("{time:.2} ms")))
    });
    Chart {
        title: "Start to first answer".into(),
        subtitle: "From the start of the program to its first response; less is better".into(),
        legend: &[],
        bars,
    }
}

/// The least first, and the floor last, because it is not a competitor.
fn bars(results: &Results, figure: impl Fn(&str) -> Option<(Vec<f64>, String)>) -> Vec<Bar> {
    let names = results.servers.iter().map(|server| server.name.clone());
    let mut bars: Vec<Bar> = names
        .filter_map(|name| {
            let (parts, figure) = figure(&name)?;
            Some(Bar { name, parts, figure })
        })
        .collect();
    bars.sort_by(|a, b| {
        (a.name == FLOOR)
            .cmp(&(b.name == FLOOR))
            .then(a.length().total_cmp(&b.length()))
    });
    bars
}

impl Bar {
    fn length(&self) -> f64 {
        self.parts.iter().sum()
    }

    fn colours(&self) -> Colours {
        match self.name.as_str() {
            CONDUIT => Colours {
                parts: ["#0f766e", "#5eb5ac"],
                text: "#0f5f59",
            },
            FLOOR => Colours {
                parts: ["#94a3b8", "#dbe2ea"],
                text: "#64748b",
            },
            _ => Colours {
                parts: ["#64748b", "#a9b6c6"],
                text: "#334155",
            },
        }
    }
}

impl Chart {
    fn draw(&self) -> String {
        let height = TOP + STEP * self.bars.len() as f64 + BOTTOM;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
             role=\"img\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n"
        );
        // An explicit background, for dark pages.
        let _ = writeln!(
            svg,
            "<rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>"
        );
        let _ = writeln!(svg, "<title>{}</title>", escaped(&self.title));
        let _ = writeln!(
            svg,
            "<text x=\"20\" y=\"31\" font-size=\"17\" font-weight=\"600\" fill=\"#0f172a\">{}</text>\n\
             <text x=\"20\" y=\"52\" font-size=\"13\" fill=\"#64748b\">{}</text>",
            escaped(&self.title),
            escaped(&self.subtitle)
        );
        self.draw_legend(&mut svg);
        let longest = self.bars.iter().map(Bar::length).fold(f64::MIN_POSITIVE, f64::max);
        for (index, bar) in self.bars.iter().enumerate() {
            draw_bar(&mut svg, bar, TOP + STEP * index as f64, BARS / longest);
        }
        svg + "</svg>\n"
    }

    fn draw_legend(&self, svg: &mut String) {
        let mut x = WIDTH - 20.0 - 82.0 * self.legend.len() as f64;
        for (name, colour) in self.legend.iter().zip(["#64748b", "#a9b6c6"]) {
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"42\" width=\"11\" height=\"11\" rx=\"2\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"52\" font-size=\"13\" fill=\"#64748b\">{name}</text>",
                x + 17.0
            );
            x += 72.0;
        }
    }
}

fn draw_bar(svg: &mut String, bar: &Bar, y: f64, scale: f64) {
    let colours = bar.colours();
    let weight = if bar.name == CONDUIT { 700 } else { 400 };
    let baseline = y + BAR / 2.0 + 4.5;
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{baseline}\" font-size=\"14\" font-weight=\"{weight}\" text-anchor=\"end\" fill=\"{}\">{}</text>",
        LABELS - 12.0,
        colours.text,
        escaped(&bar.name)
    );
    let mut x = LABELS;
    for (part, colour) in bar.parts.iter().zip(colours.parts) {
        let width = part * scale;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
        );
        x += width;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{baseline}\" font-size=\"14\" font-weight=\"{weight}\" fill=\"{}\">{}</text>",
        x + 8.0,
        colours.text,
        escaped(&bar.figure)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Build, IdleSample};

    #[test]
    fn the_least_is_first_and_the_floor_last() {
        let row = rows::named("idle").unwrap();
        let mut results = Results::default();
        for (server, bytes) in [("axum", 30_000.0), (FLOOR, 0.0), (CONDUIT, 500.0)] {
            results.servers.push(Build {
                name: server.into(),
                ..Build::default()
            });
            let sample = IdleSample {
                server: server.into(),
                row: row.name.into(),
                bytes_per_connection: bytes,
                ..IdleSample::default()
            };
            results.idles.push(sample);
        }
        let names: Vec<_> = idle(&results, row).bars.into_iter().map(|bar| bar.name).collect();
        assert_eq!(names, [CONDUIT, "axum", FLOOR]);
    }

    #[test]
    fn text_is_escaped_in_the_drawing() {
        assert_eq!(escaped("a < b & c"), "a &lt; b &amp; c");
    }
}

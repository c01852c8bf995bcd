//! Times `conduit-route` and `matchit`: `cargo run --release` in this directory.
//!
//! Both get the same routes and the same paths, one for each route, in the same random order. First both must return the same route
//! and the same parameters for each path, and for each path with a missing, added or changed part. Then their rounds alternate; the
//! output has the median round and, as the spread, the tenth and the ninetieth percentile.
//!
//! `conduit-route` also compares the method, which `matchit` leaves to its user.
//!
//! The compile time of the table of 1,000 routes is the difference between `touch src/main.rs; CARGO_INCREMENTAL=0 cargo check`
//! with and without `--no-default-features`.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::Instant;

use conduit_route::{Definition, Parameters, Part, Table};

mod github;
/// The generated routes.
#[cfg(feature = "thousand")]
mod thousand {
    use crate::get;

    include!(concat!(env!("OUT_DIR"), "/thousand.rs"));
}

const ROUNDS: usize = 201;
/// The minimum number of matched paths in one round.
const MATCHES_PER_ROUND: usize = 20_000;

/// A route of the benchmark.
pub(crate) const fn get(path: &'static str) -> Part {
    Part::Route(Definition {
        method: "GET",
        path,
        handler: "",
        file: "",
        line: 0,
        disconnect: None,
        of_prefix: &[],
        link: None,
        tool: None,
    })
}

fn main() {
    compare("130 routes of GitHub's API", github::TABLE);
    #[cfg(feature = "thousand")]
    compare("1,000 routes, generated", thousand::TABLE);
}

fn compare(name: &str, table: &'static Table) {
    let mut peer = matchit::Router::new();
    for (route, definition) in table.definitions().iter().enumerate() {
        peer.insert(definition.path, route).expect("matchit takes the route");
    }
    let mut random = Random(0x5EED);
    let mut paths: Vec<String> = table
        .definitions()
        .iter()
        .map(|definition| filled(definition.path, &mut random))
        .collect();
    for last in (1..paths.len()).rev() {
        paths.swap(last, random.below(last + 1));
    }
    let checked = check(table, &peer, &paths);

    let passes = MATCHES_PER_ROUND.div_ceil(paths.len());
    let matches = (passes * paths.len()) as f64;
    let mut own = Vec::with_capacity(ROUNDS);
    let mut others = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        // The order alternates, so that neither is always second.
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                own.push(time(passes, || match_all(table, &paths)) / matches);
            } else {
                others.push(time(passes, || match_all_peer(&peer, &paths)) / matches);
            }
        }
    }
    let (own, others) = (Spread::of(own), Spread::of(others));
    println!("{name} ({checked} paths checked)");
    println!("  conduit-route  {own}");
    println!("  matchit        {others}");
    println!("  ratio          {:.2}", own.median / others.median);
}

#[inline(never)]
fn match_all(table: &Table, paths: &[String]) {
    let mut parameters = Parameters::new();
    for path in paths {
        let route = table
            .find(black_box("GET"), black_box(path), &mut parameters)
            .expect("the path has a route");
        black_box(route);
        black_box(&parameters);
    }
}

#[inline(never)]
fn match_all_peer(peer: &matchit::Router<usize>, paths: &[String]) {
    for path in paths {
        let found = peer.at(black_box(path)).expect("the path has a route");
        black_box(*found.value);
        black_box(&found.params);
    }
}

/// Nanoseconds that `passes` calls take.
fn time(passes: usize, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..passes {
        run();
    }
    start.elapsed().as_nanos() as f64
}

/// Checks that both return the same result for each path and for faulty variants of it. Returns the number of paths.
fn check(table: &Table, peer: &matchit::Router<usize>, paths: &[String]) -> usize {
    let mut checked = 0;
    let mut parameters = Parameters::new();
    let mut same = |path: &str| {
        let own = table.find("GET", path, &mut parameters).ok().map(|route| {
            let values = (0..parameters.len())
                .map(|at| parameters.get(at, path).unwrap_or_default())
                .collect();
            (route, values)
        });
        let other = peer.at(path).ok().map(|found| {
            let values: Vec<&str> = found.params.iter().map(|(_, value)| value).collect();
            (*found.value, values)
        });
        assert_eq!(own, other, "{path}");
        checked += 1;
    };
    for path in paths {
        for end in 1..=path.len() {
            same(&path[..end]);
        }
        for place in 1..path.len() {
            let (head, tail) = path.split_at(place);
            same(&format!("{head}/{tail}"));
            same(&format!("{head}x{tail}"));
            same(&format!("{head}{}", &tail[1..]));
        }
        same(&format!("{path}/"));
        same(&format!("{path}/more"));
    }
    checked
}

/// The path of a route, with a likely value for each parameter.
fn filled(path: &str, random: &mut Random) -> String {
    const VALUES: [&str; 8] = [
        "42",
        "1048576",
        "octocat",
        "rust-lang",
        "hello-world",
        "main",
        "6dcb09b5b57875f334f61aebed695e2e4193db5e",
        "9",
    ];
    let segments = path.split('/').map(|segment| match segment.starts_with('{') {
        true => VALUES[random.below(VALUES.len())],
        false => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Numbers that are the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// The median of some rounds, in nanoseconds per match, and their spread.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |percent: usize| rounds[(rounds.len() - 1) * percent / 100];
        Spread {
            low: at(10),
            median: at(50),
            high: at(90),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{:6.1} ns a match ({:.1} to {:.1})",
            self.median, self.low, self.high
        )
    }
}

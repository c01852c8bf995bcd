//! The loads.

/// One kind of load.
pub(crate) struct Row {
    /// As `--rows` and the JSON call it.
    pub(crate) name: &'static str,
    /// As the tables call it.
    pub(crate) title: &'static str,
    pub(crate) ability: Ability,
    pub(crate) work: Work,
}

/// The ability that a row requires of a server. Each ability may have a separate program, so that a plain server does not
/// contain the code of the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ability {
    /// HTTP/1.1 with the three routes.
    Plain,
    /// HTTPS, and files.
    Edge,
    /// The plain text among 9 or 999 other routes.
    Routes,
    /// HTTP/2 with the three routes and a download, in cleartext and over TLS.
    Http2,
    /// HTTP/2 with a route that reads a body: a server that only sends files has none.
    Http2Upload,
    /// A unary call of gRPC.
    Grpc,
}

/// The load of a row.
pub(crate) enum Work {
    /// Requests from `wrk`, or from `h2load`.
    Load(Load),
    /// Many connections that have each served a request and now wait.
    Idle { tls: bool, http2: bool },
    /// From the start of the program to its first answer.
    Start,
    /// Requests at half of the rate that the load of another row reaches, each measured from the time at which it is due.
    Paced(Load),
}

/// The requests of `wrk`, or of `h2load`.
pub(crate) struct Load {
    pub(crate) question: &'static Question,
    pub(crate) connections: u32,
    /// Requests that are sent at once on each connection.
    pub(crate) pipeline: u32,
    /// Set if each request has a separate connection.
    pub(crate) close: bool,
    /// The concurrent streams of each connection, if it is HTTP/2.
    pub(crate) streams: Option<u32>,
    /// Set if it is encrypted.
    pub(crate) tls: bool,
    /// The header fields of each request besides `Host`.
    pub(crate) fields: &'static [&'static str],
}

/// The fields of Firefox's request to a site that it has visited before.
const BROWSER: &[&str] = &[
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Connection: keep-alive",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; lang=en",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Sec-Fetch-User: ?1",
    "Priority: u=0, i",
];

impl Load {
    /// The factor by which this load runs longer than the others. Opening and closing the connections is in every figure; with
    /// ten thousand of them it would be most of it.
    pub(crate) fn times(&self) -> u32 {
        if self.connections >= 10_000 { 5 } else { 1 }
    }
}

/// A request and what must come back.
pub(crate) struct Question {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    /// The bytes of the request's body, which makes it a `POST`.
    pub(crate) upload_bytes: usize,
    /// This text, so often.
    pub(crate) body: (&'static str, usize),
    /// The second argument of `peers/floor`, which calls its canned answers so, and of the servers with many routes.
    pub(crate) canned: &'static str,
}

/// The text that the files repeat.
pub(crate) const LINE: &str = "Sixty-four bytes of a file, which a server gives away as it is.\n";

pub(crate) static PLAINTEXT: Question = Question {
    path: "/plaintext",
    content_type: "text/plain",
    upload_bytes: 0,
    body: ("Hello, World!", 1),
    canned: "plaintext",
};
static JSON: Question = Question {
    path: "/json",
    content_type: "application/json",
    upload_bytes: 0,
    body: (r#"{"message":"Hello, World!"}"#, 1),
    canned: "json",
};
static USER: Question = Question {
    path: "/users/42",
    content_type: "text/plain",
    upload_bytes: 0,
    body: ("42", 1),
    canned: "user",
};

static SMALL_FILE: Question = Question {
    path: "/static/4k.txt",
    content_type: "text/plain",
    upload_bytes: 0,
    body: (LINE, 64),
    canned: "plaintext",
};
static LARGE_FILE: Question = Question {
    path: "/static/1m.txt",
    content_type: "text/plain",
    upload_bytes: 0,
    body: (LINE, 16 * 1024),
    canned: "plaintext",
};
static AMONG_10: Question = Question {
    path: "/plaintext",
    content_type: "text/plain",
    upload_bytes: 0,
    body: ("Hello, World!", 1),
    canned: "10",
};
static AMONG_1000: Question = Question {
    path: "/plaintext",
    content_type: "text/plain",
    upload_bytes: 0,
    body: ("Hello, World!", 1),
    canned: "1000",
};
pub(crate) static UPLOAD: Question = Question {
    path: "/upload",
    content_type: "text/plain",
    upload_bytes: 10 * 1024,
    body: ("10240", 1),
    canned: "plaintext",
};
/// `SayHello` of `helloworld.Greeter`, with a message for "Conduit".
pub(crate) static GRPC: Question = Question {
    path: "/helloworld.Greeter/SayHello",
    content_type: "application/grpc",
    upload_bytes: GRPC_CALL.len(),
    // `curl` prints the trailers after the body.
    body: ("\0\0\0\0\x10\n\x0eHello Conduit!grpc-status: 0\r\n", 1),
    canned: "plaintext",
};
/// The prefix of a message, and the message.
pub(crate) const GRPC_CALL: &[u8] = b"\0\0\0\0\x09\n\x07Conduit";
static DOWNLOAD: Question = Question {
    path: "/download",
    content_type: "text/plain",
    upload_bytes: 0,
    body: (LINE, 16 * 1024),
    canned: "plaintext",
};
/// The files, by the names that the servers find them under.
pub(crate) static FILES: [&Question; 2] = [&SMALL_FILE, &LARGE_FILE];

const fn keep_alive(question: &'static Question, connections: u32) -> Work {
    Work::Load(Load {
        question,
        connections,
        pipeline: 1,
        close: false,
        streams: None,
        tls: false,
        fields: &[],
    })
}

const fn encrypted(connections: u32, close: bool) -> Work {
    Work::Load(Load {
        question: &PLAINTEXT,
        connections,
        pipeline: 1,
        close,
        streams: None,
        tls: true,
        fields: &[],
    })
}

const fn multiplexed(question: &'static Question, connections: u32, streams: u32, tls: bool) -> Work {
    Work::Load(Load {
        question,
        connections,
        pipeline: 1,
        close: false,
        streams: Some(streams),
        tls,
        fields: &[],
    })
}

pub(crate) static ALL: &[Row] = &[
    Row {
        name: "plaintext",
        title: "`GET /plaintext`, 512 connections",
        ability: Ability::Plain,
        work: keep_alive(&PLAINTEXT, 512),
    },
    Row {
        name: "json",
        title: "`GET /json`, 512 connections",
        ability: Ability::Plain,
        work: keep_alive(&JSON, 512),
    },
    Row {
        name: "user",
        title: "`GET /users/{id}`, 512 connections",
        ability: Ability::Plain,
        work: keep_alive(&USER, 512),
    },
    Row {
        name: "plaintext-10000",
        title: "`GET /plaintext`, 10,000 connections",
        ability: Ability::Plain,
        work: keep_alive(&PLAINTEXT, 10_000),
    },
    Row {
        name: "plaintext-64",
        title: "`GET /plaintext`, 64 connections",
        ability: Ability::Plain,
        work: keep_alive(&PLAINTEXT, 64),
    },
    Row {
        name: "plaintext-1",
        title: "`GET /plaintext`, 1 connection",
        ability: Ability::Plain,
        work: keep_alive(&PLAINTEXT, 1),
    },
    Row {
        name: "pipelined",
        title: "`GET /plaintext` pipelined ×16, 64 connections",
        ability: Ability::Plain,
        work: Work::Load(Load {
            question: &PLAINTEXT,
            connections: 64,
            pipeline: 16,
            close: false,
            streams: None,
            tls: false,
            fields: &[],
        }),
    },
    Row {
        name: "browser",
        title: "`GET /plaintext` with a browser's 12 header fields, 64 connections",
        ability: Ability::Plain,
        work: Work::Load(Load {
            question: &PLAINTEXT,
            connections: 64,
            pipeline: 1,
            close: false,
            streams: None,
            tls: false,
            fields: BROWSER,
        }),
    },
    Row {
        name: "close",
        title: "`GET /plaintext`, one connection per request, 64 at a time",
        ability: Ability::Plain,
        work: Work::Load(Load {
            question: &PLAINTEXT,
            connections: 64,
            pipeline: 1,
            close: true,
            streams: None,
            tls: false,
            fields: &[],
        }),
    },
    Row {
        name: "idle",
        title: "idle connections",
        ability: Ability::Plain,
        work: Work::Idle {
            tls: false,
            http2: false,
        },
    },
    Row {
        name: "start",
        title: "start to first answer",
        ability: Ability::Plain,
        work: Work::Start,
    },
    Row {
        name: "routes-10",
        title: "`GET /plaintext` of 10 routes, 64 connections",
        ability: Ability::Routes,
        work: keep_alive(&AMONG_10, 64),
    },
    Row {
        name: "routes-1000",
        title: "`GET /plaintext` of 1,000 routes, 64 connections",
        ability: Ability::Routes,
        work: keep_alive(&AMONG_1000, 64),
    },
    Row {
        name: "tls",
        title: "HTTPS, `GET /plaintext`, 512 connections",
        ability: Ability::Edge,
        work: encrypted(512, false),
    },
    Row {
        name: "tls-close",
        title: "HTTPS, one connection per request, 64 at a time",
        ability: Ability::Edge,
        work: encrypted(64, true),
    },
    Row {
        name: "file-4k",
        title: "a file of 4 KiB, 64 connections",
        ability: Ability::Edge,
        work: keep_alive(&SMALL_FILE, 64),
    },
    Row {
        name: "file-1m",
        title: "a file of 1 MiB, 64 connections",
        ability: Ability::Edge,
        work: keep_alive(&LARGE_FILE, 64),
    },
    Row {
        name: "idle-tls",
        title: "idle HTTPS connections",
        ability: Ability::Edge,
        work: Work::Idle {
            tls: true,
            http2: false,
        },
    },
    Row {
        name: "h2-1x100",
        title: "HTTP/2, `GET /plaintext`, 1 connection × 100 streams",
        ability: Ability::Http2,
        work: multiplexed(&PLAINTEXT, 1, 100, false),
    },
    Row {
        name: "h2-64x32",
        title: "HTTP/2, `GET /plaintext`, 64 × 32",
        ability: Ability::Http2,
        work: multiplexed(&PLAINTEXT, 64, 32, false),
    },
    Row {
        name: "h2-json",
        title: "HTTP/2, `GET /json`, 64 × 32",
        ability: Ability::Http2,
        work: multiplexed(&JSON, 64, 32, false),
    },
    Row {
        name: "h2-user",
        title: "HTTP/2, `GET /users/{id}`, 64 × 32",
        ability: Ability::Http2,
        work: multiplexed(&USER, 64, 32, false),
    },
    Row {
        name: "h2-download",
        title: "HTTP/2, 1 MiB from memory, 8 × 4",
        ability: Ability::Http2,
        work: multiplexed(&DOWNLOAD, 8, 4, false),
    },
    Row {
        name: "h2-tls-1x100",
        title: "HTTP/2 over TLS, `GET /plaintext`, 1 × 100",
        ability: Ability::Http2,
        work: multiplexed(&PLAINTEXT, 1, 100, true),
    },
    Row {
        name: "h2-tls-64x32",
        title: "HTTP/2 over TLS, `GET /plaintext`, 64 × 32",
        ability: Ability::Http2,
        work: multiplexed(&PLAINTEXT, 64, 32, true),
    },
    Row {
        name: "h2-tls-download",
        title: "HTTP/2 over TLS, 1 MiB from memory, 8 × 4",
        ability: Ability::Http2,
        work: multiplexed(&DOWNLOAD, 8, 4, true),
    },
    Row {
        name: "idle-h2",
        title: "idle HTTP/2 connections",
        ability: Ability::Http2,
        work: Work::Idle {
            tls: false,
            http2: true,
        },
    },
    Row {
        name: "h2-upload",
        title: "HTTP/2, `POST` of 10 KiB, 64 × 32",
        ability: Ability::Http2Upload,
        work: multiplexed(&UPLOAD, 64, 32, false),
    },
    Row {
        name: "grpc",
        title: "unary gRPC, 64 × 32",
        ability: Ability::Grpc,
        work: multiplexed(&GRPC, 64, 32, false),
    },
    Row {
        name: "paced",
        title: "`GET /plaintext` at half of the capacity",
        ability: Ability::Plain,
        work: Work::Paced(Load {
            question: &PLAINTEXT,
            connections: 64,
            pipeline: 1,
            close: false,
            streams: None,
            tls: false,
            fields: &[],
        }),
    },
    Row {
        name: "h2-paced",
        title: "HTTP/2, `GET /plaintext` at half of the capacity",
        ability: Ability::Http2,
        work: Work::Paced(Load {
            question: &PLAINTEXT,
            connections: 8,
            pipeline: 1,
            close: false,
            streams: Some(64),
            tls: false,
            fields: &[],
        }),
    },
];

pub(crate) fn named(name: &str) -> Option<&'static Row> {
    ALL.iter().find(|row| row.name == name)
}

//! The loads.

use std::io::Write as _;

use crate::broadcast::Subscribers;
use crate::websocket::Echo;

/// One kind of load.
pub(crate) struct Row {
    /// The name in `--rows` and the JSON.
    pub(crate) name: &'static str,
    /// The name in the tables.
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
    /// HTTP/2 with a route that reads a body, which a server of static files does not have.
    Http2Upload,
    /// A unary call of gRPC.
    Grpc,
    /// WebSockets that echo.
    Echo,
    /// WebSockets that receive published messages.
    Topic,
    /// The same for event streams.
    Events,
}

/// The load of a row.
pub(crate) enum Work {
    /// Requests from `wrk`, or from `h2load`.
    Load(Load),
    /// Many idle connections, each of which has served one request.
    Idle(Idle),
    /// From the start of the program to its first answer.
    Start,
    /// Requests at half of the rate that the load of another row reaches, each measured from the time at which it is due.
    Paced(Load),
    /// Texts that the server echoes.
    Echo(Echo),
    /// Messages to ten thousand subscribers, after the memory of each was measured.
    Broadcast(Subscribers),
}

/// The protocol of idle connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Idle {
    Http1,
    Https,
    Http2,
    WebSocket,
}

/// The requests of `wrk`, or of `h2load`.
pub(crate) struct Load {
    pub(crate) question: &'static Question,
    /// Files that are requested in turn with it.
    pub(crate) others: &'static [Question],
    pub(crate) connections: u32,
    /// Requests that are sent at once on each connection.
    pub(crate) pipeline: u32,
    /// Set if each request has a separate connection.
    pub(crate) close: bool,
    /// The concurrent streams of each connection, if it is HTTP/2.
    pub(crate) streams: Option<u32>,
    /// Set if the connection uses TLS.
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
    /// The factor by which this load runs longer than the others. Every figure includes opening and closing the connections, which
    /// would dominate with ten thousand connections.
    pub(crate) fn times(&self) -> u32 {
        if self.connections >= 10_000 { 5 } else { 1 }
    }
}

/// A request and the expected response.
pub(crate) struct Question {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    /// The bytes of the request's body, which makes it a `POST`.
    pub(crate) upload_bytes: usize,
    /// This text, repeated this many times.
    pub(crate) body: (&'static str, usize),
    /// Set if the body is gzip-compressed, from a file next to the original.
    pub(crate) gzip: bool,
    /// The second argument of `peers/floor`, which selects a canned response, and of the servers with many routes.
    pub(crate) canned: &'static str,
}

/// The text that the files repeat.
pub(crate) const LINE: &str = "Sixty-four bytes of a file, which a server gives away as it is.\n";

pub(crate) static PLAINTEXT: Question = Question {
    path: "/plaintext",
    content_type: "text/plain",
    upload_bytes: 0,
    body: ("Hello, World!", 1),
    gzip: false,
    canned: "plaintext",
};
static JSON: Question = Question {
    path: "/json",
    content_type: "application/json",
    upload_bytes: 0,
    body: (r#"{"message":"Hello, World!"}"#, 1),
    gzip: false,
    canned: "json",
};
static USER: Question = Question {
    path: "/users/42",
    content_type: "text/plain",
    upload_bytes: 0,
    body: ("42", 1),
    gzip: false,
    canned: "user",
};

static SMALL_FILE: Question = file("/static/4k.txt", 64);
static LARGE_FILE: Question = file("/static/1m.txt", 16 * 1024);
static KIBIBYTE_FILE: Question = file("/static/1k.txt", 16);
static HUGE_FILE: Question = file("/static/100m.txt", 1600 * 1024);
/// 64 KiB, and fewer bytes when compressed.
static CODED_FILE: Question = Question {
    gzip: true,
    ..file("/static/coded.txt", 1024)
};
/// The files of a page: from 1 to 8 KiB.
static PAGE_FILES: [Question; 20] = [
    file("/static/page/00.txt", 16),
    file("/static/page/01.txt", 32),
    file("/static/page/02.txt", 48),
    file("/static/page/03.txt", 64),
    file("/static/page/04.txt", 80),
    file("/static/page/05.txt", 96),
    file("/static/page/06.txt", 112),
    file("/static/page/07.txt", 128),
    file("/static/page/08.txt", 16),
    file("/static/page/09.txt", 32),
    file("/static/page/10.txt", 48),
    file("/static/page/11.txt", 64),
    file("/static/page/12.txt", 80),
    file("/static/page/13.txt", 96),
    file("/static/page/14.txt", 112),
    file("/static/page/15.txt", 128),
    file("/static/page/16.txt", 16),
    file("/static/page/17.txt", 32),
    file("/static/page/18.txt", 48),
    file("/static/page/19.txt", 64),
];

/// A file with this number of lines.
const fn file(path: &'static str, lines: usize) -> Question {
    Question {
        path,
        content_type: "text/plain",
        upload_bytes: 0,
        body: (LINE, lines),
        gzip: false,
        canned: "plaintext",
    }
}
static AMONG_10: Question = Question {
    path: "/plaintext",
    content_type: "text/plain",
    upload_bytes: 0,
    body: ("Hello, World!", 1),
    gzip: false,
    canned: "10",
};
static AMONG_1000: Question = Question {
    path: "/plaintext",
    content_type: "text/plain",
    upload_bytes: 0,
    body: ("Hello, World!", 1),
    gzip: false,
    canned: "1000",
};
pub(crate) static UPLOAD: Question = Question {
    path: "/upload",
    content_type: "text/plain",
    upload_bytes: 10 * 1024,
    body: ("10240", 1),
    gzip: false,
    canned: "plaintext",
};
/// `SayHello` of `helloworld.Greeter`, with a message for "Conduit".
pub(crate) static GRPC: Question = Question {
    path: "/helloworld.Greeter/SayHello",
    content_type: "application/grpc",
    upload_bytes: GRPC_CALL.len(),
    // `curl` prints the trailers after the body.
    body: ("\0\0\0\0\x10\n\x0eHello Conduit!grpc-status: 0\r\n", 1),
    gzip: false,
    canned: "plaintext",
};
/// The prefix of a message, and the message.
pub(crate) const GRPC_CALL: &[u8] = b"\0\0\0\0\x09\n\x07Conduit";
static DOWNLOAD: Question = Question {
    path: "/download",
    content_type: "text/plain",
    upload_bytes: 0,
    body: (LINE, 16 * 1024),
    gzip: false,
    canned: "plaintext",
};
/// The files, by their names in the directory of the servers.
pub(crate) fn files() -> impl Iterator<Item = &'static Question> {
    let single = [&SMALL_FILE, &LARGE_FILE, &KIBIBYTE_FILE, &HUGE_FILE, &CODED_FILE];
    single.into_iter().chain(&PAGE_FILES)
}

impl Question {
    /// The body without its coding.
    pub(crate) fn plain_body(&self) -> Vec<u8> {
        self.body.0.repeat(self.body.1).into_bytes()
    }

    /// The body as sent.
    pub(crate) fn sent_body(&self) -> Vec<u8> {
        if !self.gzip {
            return self.plain_body();
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        // Writing to memory cannot fail.
        let written = encoder.write_all(&self.plain_body());
        written.and_then(|()| encoder.finish()).unwrap_or_default()
    }

    /// The fields of a request besides `Host`, each with the end of its line.
    pub(crate) fn fields(&self) -> &'static str {
        if self.gzip { "Accept-Encoding: gzip\r\n" } else { "" }
    }
}

const fn keep_alive(question: &'static Question, connections: u32) -> Work {
    Work::Load(Load {
        question,
        others: &[],
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
        others: &[],
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
        others: &[],
        connections,
        pipeline: 1,
        close: false,
        streams: Some(streams),
        tls,
        fields: &[],
    })
}

/// The files of a page in turn, over TLS.
const fn page(connections: u32, streams: Option<u32>) -> Work {
    let [question, others @ ..] = &PAGE_FILES;
    Work::Load(Load {
        question,
        others,
        connections,
        pipeline: 1,
        close: false,
        streams,
        tls: true,
        fields: &[],
    })
}

const fn echo(name: &'static str, title: &'static str, bytes: usize, pipeline: usize) -> Row {
    Row {
        name,
        title,
        ability: Ability::Echo,
        work: Work::Echo(Echo { bytes, pipeline }),
    }
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
            others: &[],
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
            others: &[],
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
            others: &[],
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
        work: Work::Idle(Idle::Http1),
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
        name: "file-1k",
        title: "a file of 1 KiB, 64 connections",
        ability: Ability::Edge,
        work: keep_alive(&KIBIBYTE_FILE, 64),
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
        name: "file-100m",
        title: "a file of 100 MiB, 4 connections",
        ability: Ability::Edge,
        work: keep_alive(&HUGE_FILE, 4),
    },
    Row {
        name: "file-gzip",
        title: "a file of 64 KiB with a compressed neighbour, 64 connections",
        ability: Ability::Edge,
        work: Work::Load(Load {
            question: &CODED_FILE,
            others: &[],
            connections: 64,
            pipeline: 1,
            close: false,
            streams: None,
            tls: false,
            fields: &["Accept-Encoding: gzip"],
        }),
    },
    Row {
        name: "files-tls",
        title: "20 files over TLS, 64 connections",
        ability: Ability::Edge,
        work: page(64, None),
    },
    Row {
        name: "files-h2",
        title: "20 files over TLS, HTTP/2, 64 × 20",
        ability: Ability::Edge,
        work: page(64, Some(20)),
    },
    Row {
        name: "idle-tls",
        title: "idle HTTPS connections",
        ability: Ability::Edge,
        work: Work::Idle(Idle::Https),
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
        work: Work::Idle(Idle::Http2),
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
            others: &[],
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
            others: &[],
            connections: 8,
            pipeline: 1,
            close: false,
            streams: Some(64),
            tls: false,
            fields: &[],
        }),
    },
    echo("ws-16", "WebSocket echo of 16 B, 64 connections", 16, 1),
    echo("ws-16x16", "WebSocket echo of 16 B, 16 at once", 16, 16),
    echo("ws-1k", "WebSocket echo of 1 KiB, 64 connections", 1024, 1),
    echo("ws-1kx16", "WebSocket echo of 1 KiB, 16 at once", 1024, 16),
    echo("ws-64k", "WebSocket echo of 64 KiB, 64 connections", 64 * 1024, 1),
    echo("ws-64kx16", "WebSocket echo of 64 KiB, 16 at once", 64 * 1024, 16),
    Row {
        name: "idle-websocket",
        title: "idle WebSockets",
        ability: Ability::Echo,
        work: Work::Idle(Idle::WebSocket),
    },
    Row {
        name: "broadcast",
        title: "a delivery to one of 10,000 WebSockets",
        ability: Ability::Topic,
        work: Work::Broadcast(Subscribers::WebSockets { compressed: false }),
    },
    Row {
        name: "broadcast-deflate",
        title: "a compressed delivery to one of 10,000 WebSockets",
        ability: Ability::Topic,
        work: Work::Broadcast(Subscribers::WebSockets { compressed: true }),
    },
    Row {
        name: "events",
        title: "a delivery to one of 10,000 event streams",
        ability: Ability::Events,
        work: Work::Broadcast(Subscribers::EventStreams),
    },
];

pub(crate) fn named(name: &str) -> Option<&'static Row> {
    ALL.iter().find(|row| row.name == name)
}

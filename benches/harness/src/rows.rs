//! The loads.

/// One kind of load.
pub(crate) struct Row {
    /// As `--rows` and the JSON call it.
    pub(crate) name: &'static str,
    /// As the tables call it.
    pub(crate) title: &'static str,
    pub(crate) work: Work,
}

/// What a row does to a server.
pub(crate) enum Work {
    /// Requests from `wrk`.
    Load(Load),
    /// Many connections that have each served a request and now wait.
    Idle,
    /// From the start of the program to its first answer.
    Start,
}

/// How `wrk` asks.
pub(crate) struct Load {
    pub(crate) question: &'static Question,
    pub(crate) connections: u32,
    /// Requests that are sent at once on each connection.
    pub(crate) pipeline: u32,
    /// Whether each request has a connection of its own.
    pub(crate) close: bool,
}

/// A request and what must come back.
pub(crate) struct Question {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: &'static str,
    /// What `peers/floor` calls its canned answer.
    pub(crate) canned: &'static str,
}

pub(crate) static PLAINTEXT: Question = Question {
    path: "/plaintext",
    content_type: "text/plain",
    body: "Hello, World!",
    canned: "plaintext",
};
static JSON: Question = Question {
    path: "/json",
    content_type: "application/json",
    body: r#"{"message":"Hello, World!"}"#,
    canned: "json",
};
static USER: Question = Question {
    path: "/users/42",
    content_type: "text/plain",
    body: "42",
    canned: "user",
};

const fn keep_alive(question: &'static Question, connections: u32) -> Work {
    Work::Load(Load {
        question,
        connections,
        pipeline: 1,
        close: false,
    })
}

pub(crate) static ALL: &[Row] = &[
    Row {
        name: "plaintext",
        title: "`GET /plaintext`, 512 connections",
        work: keep_alive(&PLAINTEXT, 512),
    },
    Row {
        name: "json",
        title: "`GET /json`, 512 connections",
        work: keep_alive(&JSON, 512),
    },
    Row {
        name: "user",
        title: "`GET /users/{id}`, 512 connections",
        work: keep_alive(&USER, 512),
    },
    Row {
        name: "plaintext-64",
        title: "`GET /plaintext`, 64 connections",
        work: keep_alive(&PLAINTEXT, 64),
    },
    Row {
        name: "plaintext-1",
        title: "`GET /plaintext`, 1 connection",
        work: keep_alive(&PLAINTEXT, 1),
    },
    Row {
        name: "pipelined",
        title: "`GET /plaintext` pipelined ×16, 64 connections",
        work: Work::Load(Load {
            question: &PLAINTEXT,
            connections: 64,
            pipeline: 16,
            close: false,
        }),
    },
    Row {
        name: "close",
        title: "`GET /plaintext`, one connection per request, 64 at a time",
        work: Work::Load(Load {
            question: &PLAINTEXT,
            connections: 64,
            pipeline: 1,
            close: true,
        }),
    },
    Row {
        name: "idle",
        title: "idle connections",
        work: Work::Idle,
    },
    Row {
        name: "start",
        title: "start to first answer",
        work: Work::Start,
    },
];

pub(crate) fn named(name: &str) -> Option<&'static Row> {
    ALL.iter().find(|row| row.name == name)
}

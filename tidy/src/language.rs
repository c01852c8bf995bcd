//! The language of comments, documentation and messages, of scripts and manifests too: the patterns that a program can detect.
//!
//! A sentence has a noun as its subject and an active verb. Words that the standards of the field do not use for code
//! (`tell`, `nobody`, `anew`, …) have a plain alternative in almost every place.

use crate::Finding;
use crate::source::Source;

const RULE: &str = "language";
const TEST_NAME: &str = "test-name";

/// Words that have a plainer alternative, and the alternative.
const WORDS: [(&str, &str); 27] = [
    ("tell", "return, report, notify"),
    ("tells", "returns, reports, notifies"),
    ("told", "reported, notified"),
    ("telling", "returning, reporting"),
    ("say", "return, report, state, describe"),
    ("says", "returns, reports, states, describes"),
    ("said", "reported, stated, described"),
    ("saying", "reporting, stating"),
    ("hear", "receive, notice"),
    ("hears", "receives, notices"),
    ("heard", "received, noticed"),
    ("hearing", "receiving"),
    ("anew", "again"),
    ("nobody", "no caller, no client"),
    ("somebody", "a caller, a client"),
    ("whoever", "a noun"),
    ("whatever", "any"),
    ("whom", "a noun"),
    ("beside", "besides, next to"),
    ("stand", "be"),
    ("stands", "is"),
    ("stood", "was"),
    ("nought", "zero"),
    ("whence", "from where"),
    ("kin", "similar ones, by name"),
    ("anybody", "any user, any client"),
    ("everybody", "all users, all clients"),
];

/// Phrases that have a plainer alternative, and the alternative.
const PHRASES: [(&[&str], &str); 51] = [
    (&["is", "none"], "does not exist, is not one"),
    (&["are", "none"], "do not exist"),
    (&["is", "no", "more"], "no longer exists"),
    (&["of", "its", "own"], "own, separate"),
    (&["of", "their", "own"], "own, separate"),
    (&["of", "one's", "own"], "custom"),
    (&["as", "it", "comes"], "unchanged"),
    (&["what", "there", "is"], "a noun"),
    (&["so", "much", "is"], "a number or a noun"),
    (&["is", "there", "is"], "a noun"),
    (&["what", "came"], "the received bytes, the input"),
    (&["what", "comes"], "the next bytes, the input"),
    (&["what", "is", "left"], "the rest, the remaining bytes"),
    (&["as", "they", "come"], "unchanged, in order"),
    (&["break", "off"], "abort, close"),
    (&["breaks", "off"], "aborts, closes"),
    (&["broken", "off"], "aborted, closed"),
    (&["thrown", "away"], "discarded"),
    (&["throws", "away"], "discards"),
    (&["gives", "up"], "times out, stops"),
    (&["given", "up"], "closed, stopped"),
    (&["for", "want", "of"], "because of missing"),
    (&["of", "ones", "own"], "custom"),
    (&["goes", "on"], "continues"),
    (&["what", "it", "is", "around"], "the wrapped handler"),
    (&["all", "the", "same"], "nevertheless, too"),
    (&["broke", "off"], "aborted, closed"),
    (&["breaking", "off"], "aborting, closing"),
    (&["for", "ever"], "permanently"),
    (&["how", "often"], "the number of times"),
    (&["again", "and", "again"], "repeatedly"),
    (&["so", "many"], "this number of"),
    (&["so", "often"], "this number of times"),
    (&["looked", "at"], "checked, read"),
    (&["looks", "at"], "checks, reads"),
    (&["has", "gone"], "has disconnected, has ended"),
    (&["is", "gone"], "does not exist, has ended"),
    (&["are", "gone"], "do not exist, have ended"),
    (&["hands", "over"], "passes, sends"),
    (&["handed", "over"], "passed, sent"),
    (&["has", "come"], "has arrived"),
    (&["have", "come"], "have arrived"),
    (&["let", "go"], "disconnected, released"),
    (&["put", "together"], "joined, assembled"),
    (&["leave", "out"], "omit"),
    (&["leaves", "out"], "omits"),
    (&["left", "out"], "omitted"),
    (&["once", "more"], "again"),
    (&["go", "on"], "continue"),
    (&["under", "way"], "in progress"),
    (&["taken", "for"], "treated as, parsed as"),
];

/// Words that open a clause in place of a noun.
const OPENINGS: [&str; 7] = ["What", "Whatever", "Who", "Whoever", "Whose", "Whether", "How"];

/// Words that a test's name must not have, besides those of prose: they open a clause in place of a noun.
const NAME_CLAUSES: [&str; 2] = ["what", "who"];

/// A thing can be behind these in the usual sense of the field.
const BEHIND: [&str; 12] = [
    "proxy",
    "proxies",
    "nginx",
    "balancer",
    "balancers",
    "feature",
    "features",
    "trait",
    "traits",
    "flag",
    "NAT",
    "lock",
];

/// A server serves on a thing that begins with one of these words.
const PLACES: [&str; 5] = ["a", "an", "the", "this", "one"];

/// Checks the prose of a file.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    // Its tables and tests quote the patterns.
    if source.path == "tidy/src/language.rs" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let prose = if source.is_rust() {
        rust_prose(&source.text)
    } else if source.is_markdown() {
        markdown_prose(&source.text)
    } else if let Some(mark) = source.comment_mark() {
        comments(&source.text, mark)
    } else {
        return findings;
    };
    let mut starts_sentence = true;
    let mut last_line = 0;
    for (line, text) in prose {
        // A paragraph begins with a sentence.
        starts_sentence |= line != last_line + 1;
        last_line = line;
        for message in faults(&text, starts_sentence) {
            findings.push(Finding {
                rule: RULE,
                path: source.path.clone(),
                line,
                message,
            });
        }
        let end = text.trim_end();
        starts_sentence = end.is_empty() || end.ends_with(['.', '!', '?', ':']);
    }
    if source.is_rust() {
        findings.extend(test_names(source));
    }
    findings
}

/// The tests whose names have a word that prose must not have: `a_reset_is_told_as_readable`.
fn test_names(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_test = false;
    let mut open_brackets = 0;
    for (index, line) in source.text.lines().enumerate() {
        let line = line.trim_start();
        // An attribute may extend over several lines, and a comment may follow it.
        if line.starts_with("#[") || open_brackets > 0 {
            let path = line.split(['(', ']']).next().filter(|_| open_brackets == 0);
            is_test |= path.is_some_and(|path| path.ends_with("test"));
            open_brackets += line.matches('[').count();
            open_brackets = open_brackets.saturating_sub(line.matches(']').count());
            continue;
        }
        if line.starts_with("//") {
            continue;
        }
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        let name = function.and_then(|rest| rest.split(['(', '<']).next());
        if let Some(name) = name.filter(|_| is_test) {
            let words: Vec<&str> = name.split('_').collect();
            let mut faults = word_faults(&words);
            let clauses = words.iter().filter(|word| NAME_CLAUSES.contains(word));
            faults.extend(clauses.map(|word| format!("`{word}`: use a noun")));
            findings.extend(faults.into_iter().map(|fault| Finding {
                rule: TEST_NAME,
                path: source.path.clone(),
                line: index + 1,
                message: format!("the name of a test: {fault}"),
            }));
        }
        is_test = false;
    }
    findings
}

/// The text of each comment and string literal, with its line. A literal of several lines has a text for each of them.
fn rust_prose(text: &str) -> Vec<(usize, String)> {
    let mut prose = Vec::new();
    let mut literal: Option<Literal> = None;
    for (index, line) in text.lines().enumerate() {
        let mut texts = Vec::new();
        let mut rest = line;
        loop {
            if let Some(open) = literal.take() {
                let (text, after) = open.read(rest);
                // A literal with spaces is a sentence for a reader, one without is a name.
                texts.extend(Some(text).filter(|text| text.contains(' ')));
                let Some(after) = after else {
                    literal = Some(open);
                    break;
                };
                rest = after;
            }
            match next_text(rest) {
                Some(Text::Comment(comment)) => {
                    texts.push(comment.to_owned());
                    break;
                }
                Some(Text::Literal(open, after)) => {
                    literal = Some(open);
                    rest = after;
                }
                None => break,
            }
        }
        prose.extend(texts.iter().map(|text| (index + 1, without_code(text))));
    }
    prose
}

/// A string literal, of which the beginning has been read.
struct Literal {
    /// The number of `#` of a raw literal, which has no escapes.
    raw: Option<usize>,
}

/// The next comment or string literal in a line.
enum Text<'a> {
    /// The text after the slashes.
    Comment(&'a str),
    /// The literal, and the line after its quotation mark.
    Literal(Literal, &'a str),
}

impl Literal {
    /// Returns the text up to the end of the literal, and the line after it; `None` if the literal continues in the next line.
    fn read<'a>(&self, line: &'a str) -> (String, Option<&'a str>) {
        if let Some(hashes) = self.raw {
            let end = format!("\"{}", "#".repeat(hashes));
            return match line.split_once(&end) {
                Some((text, after)) => (text.to_owned(), Some(after)),
                None => (line.to_owned(), None),
            };
        }
        let mut text = String::new();
        let mut characters = line.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => text.extend(characters.next().map(|(_, next)| if next == 'n' { ' ' } else { next })),
                '"' => return (text, Some(&line[at + 1..])),
                other => text.push(other),
            }
        }
        (text, None)
    }
}

/// Finds the next comment or literal in code. A quotation mark in a character literal begins no string.
fn next_text(code: &str) -> Option<Text<'_>> {
    let mut rest = code;
    while let Some(at) = rest.find(['"', '\'', '/']) {
        let start = code.len() - rest.len();
        let (mark, after) = rest[at..].split_at(1);
        let before = &code[..start + at];
        match mark {
            "\"" => {
                let raw = before.trim_end_matches('#');
                let is_raw = raw.ends_with('r')
                    && !raw[..raw.len() - 1].ends_with(|letter: char| letter.is_alphanumeric() && letter != 'b');
                let raw = is_raw.then(|| before.len() - raw.len());
                return Some(Text::Literal(Literal { raw }, after));
            }
            "/" if after.starts_with('/') => {
                return Some(Text::Comment(after.trim_start_matches(['/', '!'])));
            }
            "'" => {
                let length = after.chars().next().map_or(0, char::len_utf8);
                rest = match after.strip_prefix('\\') {
                    Some(escaped) => escaped
                        .get(1..)
                        .and_then(|escaped| escaped.split_once('\''))
                        .map_or("", |(_, after)| after),
                    None => after[length..].strip_prefix('\'').unwrap_or(after),
                };
            }
            _ => rest = after,
        }
    }
    None
}

/// The comments of a language whose comments extend from a mark to the end of the line.
fn comments(text: &str, mark: &str) -> Vec<(usize, String)> {
    let comment = |line: &str| {
        let is_comment = |at: usize| at == 0 || line[..at].ends_with([' ', '\t']);
        let at = line.match_indices(mark).map(|(at, _)| at).find(|at| is_comment(*at))?;
        let comment = &line[at + mark.len()..];
        (!comment.starts_with('!')).then(|| without_code(comment))
    };
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| Some((index + 1, comment(line)?)))
        .collect()
}

/// Lines outside of blocks of code.
fn markdown_prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut prose = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.push((index + 1, without_code(line)));
        }
    }
    prose
}

/// The text with spans of code replaced by a word.
fn without_code(text: &str) -> String {
    let mut plain = String::new();
    for (index, part) in text.split('`').enumerate() {
        plain.push_str(if index % 2 == 0 { part } else { "CODE" });
    }
    plain
}

fn faults(text: &str, starts_sentence: bool) -> Vec<String> {
    let words: Vec<&str> = text
        .split(|character: char| !(character.is_alphanumeric() || character == '\''))
        .map(|word| word.strip_suffix("'s").unwrap_or(word))
        .filter(|word| !word.is_empty())
        .collect();
    let mut faults = word_faults(&words);
    // A question is a sentence of another kind.
    if !text.contains('?') {
        for opening in sentence_openings(text, starts_sentence) {
            faults.push(format!(
                "a sentence opens with `{opening}`: open it with a noun or a verb"
            ));
        }
    }
    faults
}

/// The words and phrases of prose, or of a test's name, that have a plainer alternative.
fn word_faults(words: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    for (index, word) in lower.iter().enumerate() {
        if let Some((_, instead)) = WORDS.iter().find(|(banned, _)| banned == word) {
            let stands_for =
                (word == "stands" || word == "stand") && lower.get(index + 1).is_some_and(|next| next == "for");
            if !stands_for {
                faults.push(format!("`{word}`: use {instead}"));
            }
        }
        if word == "behind" {
            let follows = words[index + 1..].iter().take(4);
            if !follows.clone().any(|next| BEHIND.contains(next)) {
                faults.push("`behind`: use after, or name the proxy".to_owned());
            }
        }
        // Servers serve on sockets and threads, but continue to serve.
        if word == "serves" && lower.get(index + 1).is_some_and(|next| next == "on") {
            let place = lower.get(index + 2);
            if !place.is_some_and(|next| PLACES.contains(&next.as_str())) {
                faults.push("`serves on`: use continues to serve".to_owned());
            }
        }
    }
    for (phrase, instead) in PHRASES {
        if lower.windows(phrase.len()).any(|window| window == phrase) {
            faults.push(format!("`{}`: use {instead}", phrase.join(" ")));
        }
    }
    faults
}

fn sentence_openings(text: &str, starts_sentence: bool) -> Vec<&'static str> {
    let mut found = Vec::new();
    let first = text.trim_start_matches(|character: char| !character.is_alphanumeric());
    let mut sentences: Vec<&str> = text.split(". ").skip(1).collect();
    if starts_sentence {
        sentences.push(first);
    }
    for sentence in sentences {
        let sentence = sentence.trim_start();
        for opening in OPENINGS {
            let is_word = sentence
                .strip_prefix(opening)
                .is_some_and(|rest| rest.starts_with(' ') && !rest.starts_with(" to "));
            if is_word {
                found.push(opening);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&crate::source(path, text)).len()
    }

    #[test]
    fn words_and_phrases_are_found_in_comments_messages_and_pages() {
        assert_eq!(count("a.rs", "/// The poller tells the worker.\n"), 1);
        assert_eq!(count("a.rs", "let x = \"nobody reads this\";\n"), 1);
        assert_eq!(count("a.rs", "/// The lock is nobody's.\n"), 1);
        assert_eq!(count("a.rs", "/// The peer broke off, and the rest is left out.\n"), 2);
        assert_eq!(count("a.rs", "let x = 1; // set anew\n"), 1);
        assert_eq!(count("a.md", "The file has a lock of its own.\n"), 1);
    }

    #[test]
    fn comments_of_scripts_and_manifests_are_prose() {
        assert_eq!(count("Cargo.toml", "# Nobody reads this.\nname = \"told\"\n"), 1);
        assert_eq!(count("run", "#!/bin/sh\nstep tell # reads it anew\n"), 1);
        assert_eq!(count("run", "#!/bin/sh\necho $# told\n"), 0);
        assert_eq!(count("a.sql", "-- What the table has.\nselect 1;\n"), 1);
    }

    #[test]
    fn code_is_not_prose() {
        assert_eq!(count("a.rs", "fn tell() { told(whatever) }\n"), 0);
        assert_eq!(count("a.rs", "/// Calls `tell`.\n"), 0);
        assert_eq!(count("a.md", "```rust\n// nobody\n```\n"), 0);
        assert_eq!(count("a.rs", "let x = \"tell\";\n"), 0);
        assert_eq!(
            count("a.rs", "let x = ('\"', '\\'', told(\"a\"), told::<'_>(b'\"'));\n"),
            0
        );
    }

    #[test]
    fn literals_of_several_lines_are_prose() {
        let literal = "let x = \"a line \\\n    that nobody reads, \\\"\n    told\"; told();\n";
        assert_eq!(count("a.rs", &format!("fn f() {{}}\n{literal}")), 2);
        let raw = "let x = r#\"a \"line\n    that nobody reads\"#; told(); // told\n";
        assert_eq!(count("a.rs", raw), 2);
        assert_eq!(check(&crate::source("a.rs", raw))[0].line, 2);
    }

    #[test]
    fn a_sentence_does_not_open_with_a_clause() {
        assert_eq!(count("a.rs", "/// What the poller returns.\n"), 1);
        assert_eq!(count("a.rs", "/// The length. Whether it fits.\n"), 1);
        assert_eq!(count("a.rs", "/// Whose turn it is.\n"), 1);
        assert_eq!(count("a.rs", "/// The answer depends on\n/// What follows.\n"), 0);
        assert_eq!(count("a.md", "How to build it\n"), 0);
        assert_eq!(count("a.md", "What does it cost?\n"), 0);
    }

    #[test]
    fn test_names_follow_the_rules_for_prose() {
        assert_eq!(count("a.rs", "#[test]\nfn a_reset_is_told_as_readable() {}\n"), 1);
        assert_eq!(count("a.rs", "    #[tokio::test]\n    async fn nobody_reads() {}\n"), 1);
        assert_eq!(
            count("a.rs", "#[test]\n#[cfg(unix)]\nfn what_is_sent_is_received() {}\n"),
            1
        );
        assert_eq!(count("a.rs", "#[test]\nfn a_key_of_ones_own() {}\n"), 1);
        assert_eq!(count("a.rs", "#[test]\nfn requests_behind_a_large_body() {}\n"), 1);
        assert_eq!(
            count("a.rs", "#[test]\nfn behind_a_proxy_the_server_serves_on() {}\n"),
            1
        );
        assert_eq!(count("a.rs", "#[test]\nfn reset_is_reported_as_readable() {}\n"), 0);
        assert_eq!(count("a.rs", "fn told() {}\n#[cfg(test)]\nmod tests {}\n"), 0);
        let attribute = "#[test]\n#[cfg(any(\n    unix,\n    windows\n))]\n// A comment.\n";
        assert_eq!(count("a.rs", &format!("{attribute}fn a_reset_is_told() {{}}\n")), 1);
        assert_eq!(count("a.rs", &format!("{attribute}fn a() {{}}\nfn told() {{}}\n")), 0);
    }

    #[test]
    fn behind_is_for_proxies() {
        assert_eq!(count("a.md", "A server behind a reverse proxy.\n"), 0);
        assert_eq!(count("a.md", "The bytes behind the head.\n"), 1);
    }
}

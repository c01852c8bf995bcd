//! Doc comments of the printed source. The code in the texts of a service is no test of its client, so that each code block has the
//! language `text`.
//!
//! Blocks are those of CommonMark 0.31, sections 4 and 5: a quote and an item of a list contain blocks, too. HTML counts as text.

use std::fmt::Write as _;

/// The indentation of code without a fence.
const CODE_INDENT: usize = 4;

/// A doc comment with this text.
pub(super) fn comment(text: &str, indent: usize) -> String {
    let margin = "    ".repeat(indent);
    let lines: Vec<String> = text.lines().map(without_tabs_before_text).collect();
    let mut all = String::new();
    for line in blocks(&lines).0 {
        let _ = writeln!(all, "{}", format!("{margin}/// {line}").trim_end());
    }
    all
}

/// The end of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The next line begins a block.
    Closed,
    /// A paragraph, which the next line may continue.
    Paragraph,
    /// A paragraph in a quote or in an item, which the next line may continue.
    InnerParagraph,
}

impl End {
    /// The end of a quote or an item whose last block ends like this.
    fn outside(self) -> Self {
        match self {
            End::Closed => End::Closed,
            End::Paragraph | End::InnerParagraph => End::InnerParagraph,
        }
    }
}

/// A block at the beginning of some lines: the number of these lines, its own lines, and its end.
type Block = (usize, Vec<String>, End);

/// These lines with the language of each code block.
fn blocks(mut lines: &[String]) -> (Vec<String>, End) {
    let (mut all, mut end) = (Vec::new(), End::Closed);
    while let Some(line) = lines.first() {
        let is_indented = spaces(line) >= CODE_INDENT;
        let (count, written, ended) = if line.trim().is_empty() {
            (1, vec![String::new()], End::Closed)
        } else if is_indented && end == End::Closed {
            indented_code(lines)
        } else if is_indented {
            (1, vec![line.clone()], end)
        } else {
            fenced_code(lines)
                .or_else(|| quote(lines))
                .or_else(|| item(lines, end == End::Paragraph))
                .unwrap_or_else(|| (1, vec![line.clone()], end_of_text(line.trim(), end)))
        };
        all.extend(written);
        (lines, end) = (&lines[count..], ended);
    }
    (all, end)
}

/// The end of a line of text after a block.
fn end_of_text(line: &str, before: End) -> End {
    let is_made_of = |mark: char| line.chars().all(|letter| letter == mark);
    let title = line.trim_start_matches('#');
    let is_heading = (1..=6).contains(&(line.len() - title.len())) && (title.is_empty() || title.starts_with(' '));
    let is_underline = before == End::Paragraph && (is_made_of('=') || is_made_of('-'));
    match before {
        _ if is_heading || is_underline || is_break(line) => End::Closed,
        End::InnerParagraph => End::InnerParagraph,
        End::Closed | End::Paragraph => End::Paragraph,
    }
}

/// Returns whether a line separates sections.
fn is_break(line: &str) -> bool {
    let marks: String = line.split_whitespace().collect();
    let is_made_of = |mark: char| marks.chars().all(|letter| letter == mark);
    marks.len() >= 3 && (is_made_of('-') || is_made_of('*') || is_made_of('_'))
}

/// Code without a fence gets one.
fn indented_code(lines: &[String]) -> Block {
    let is_code = |line: &&String| line.trim().is_empty() || spaces(line) >= CODE_INDENT;
    let block: Vec<&String> = lines.iter().take_while(is_code).collect();
    let last = block.iter().rposition(|line| !line.trim().is_empty());
    let count = last.map_or(1, |last| last + 1);
    let code = block[..count]
        .iter()
        .map(|line| line.get(CODE_INDENT..).unwrap_or_default());
    let runs = block.iter().flat_map(|line| line.split(|letter| letter != '`'));
    let fence = "`".repeat(runs.map(str::len).max().map_or(3, |longest| (longest + 1).max(3)));
    let mut written = vec![format!("{fence}text")];
    written.extend(code.map(str::to_owned));
    written.push(fence);
    (count, written, End::Closed)
}

fn fenced_code(lines: &[String]) -> Option<Block> {
    let mark = fence(&lines[0])?;
    let is_end = |line: &String| fence(line).is_some_and(|end| end.starts_with(mark) && line.trim() == end);
    let end = lines[1..].iter().position(is_end);
    let count = end.map_or(lines.len(), |end| end + 2);
    let mut written = lines[..count].to_vec();
    written[0] = format!("{}{mark}text", " ".repeat(spaces(&lines[0])));
    Some((count, written, End::Closed))
}

/// The mark in a line that begins or ends a code block.
fn fence(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let mark = text.chars().next().filter(|mark| "`~".contains(*mark))?;
    let rest = text.trim_start_matches(mark);
    let fence = &text[..text.len() - rest.len()];
    let is_fence = spaces(line) < CODE_INDENT && fence.len() >= 3 && !(mark == '`' && rest.contains('`'));
    is_fence.then_some(fence)
}

fn quote(lines: &[String]) -> Option<Block> {
    let content = |line: &String| {
        let text = line
            .trim_start()
            .strip_prefix('>')
            .filter(|_| spaces(line) < CODE_INDENT)?;
        Some(text.strip_prefix(' ').unwrap_or(text).to_owned())
    };
    let contents: Vec<String> = lines.iter().map_while(content).collect();
    let (written, end) = blocks(&contents);
    let written = written.iter().map(|line| format!("> {line}").trim_end().to_owned());
    (!contents.is_empty()).then(|| (contents.len(), written.collect(), end.outside()))
}

/// An item of a list.
fn item(lines: &[String], follows_paragraph: bool) -> Option<Block> {
    let first = &lines[0];
    let width = item_indent(first, follows_paragraph)?;
    let is_part = |line: &&String| line.trim().is_empty() || spaces(line) >= width;
    // An item begins with at most one blank line.
    let is_empty = first.len() <= width && lines.get(1).is_none_or(|line| line.trim().is_empty());
    let others = if is_empty { &[][..] } else { &lines[1..] };
    let mut contents = vec![first.get(width..).unwrap_or_default().to_owned()];
    let others = others.iter().take_while(is_part);
    contents.extend(others.map(|line| line.get(width..).unwrap_or_default().to_owned()));
    let (written, end) = blocks(&contents);
    let margin = " ".repeat(width);
    let marker = format!("{:width$}", first.get(..width).unwrap_or(first));
    let written = written.iter().enumerate().map(|(index, line)| {
        let start = if index == 0 { &marker } else { &margin };
        format!("{start}{line}").trim_end().to_owned()
    });
    Some((contents.len(), written.collect(), end.outside()))
}

/// The indentation of an item's blocks; `None` if the line does not begin an item. Not every item may follow a line of a paragraph.
fn item_indent(line: &str, follows_paragraph: bool) -> Option<usize> {
    let text = line.trim_start();
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let after = match digits {
        0 => text.strip_prefix(['-', '*', '+'])?,
        1..=9 => text[digits..].strip_prefix(['.', ')'])?,
        _ => return None,
    };
    let marker = line.len() - after.len();
    let is_empty = after.trim().is_empty();
    let may_follow = !is_empty && (digits == 0 || &text[..digits] == "1");
    if is_break(text) || (follows_paragraph && !may_follow) || !(is_empty || after.starts_with(' ')) {
        return None;
    }
    Some(match spaces(after) {
        _ if is_empty => marker + 1,
        count if count > CODE_INDENT => marker + 1,
        count => marker + count,
    })
}

fn spaces(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// A line whose tabs before the text, among markers of quotes and items, are spaces (CommonMark, section 2.2).
fn without_tabs_before_text(line: &str) -> String {
    let mut text = String::new();
    let mut is_before_text = true;
    for letter in line.chars() {
        is_before_text &= " \t>-*+.)0123456789".contains(letter);
        match letter {
            '\t' if is_before_text => text.push_str(&" ".repeat(4 - text.len() % 4)),
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_block_in_a_comment_is_no_test() {
        let text = "A:\n\n```\nsend()?;\n```\n  ~~~~rust,no_run\n~~~\n```\n~~~~\n```a``` b";
        let expected = "/// A:\n///\n/// ```text\n/// send()?;\n/// ```\n///   ~~~~text\n/// ~~~\n/// ```\n/// ~~~~\n/// ```a``` b\n";
        assert_eq!(comment(text, 0), expected);
    }

    /// Each row is a text and the text of its comment.
    #[test]
    fn indented_code_in_a_comment_is_no_test() {
        for (text, expected) in [
            (
                "A:\n\n    send();\n\n      b\n\nC",
                "A:\n\n```text\nsend();\n\n  b\n```\n\nC",
            ),
            ("# A\n    send();", "# A\n```text\nsend();\n```"),
            ("A\n===\n    send();", "A\n===\n```text\nsend();\n```"),
            ("A\n---\n\tsend();", "A\n---\n```text\nsend();\n```"),
            ("    ````", "`````text\n````\n`````"),
            (
                "> A\n>\n>     send();\n> ```\n> b\n> ```",
                "> A\n>\n> ```text\n> send();\n> ```\n> ```text\n> b\n> ```",
            ),
            ("- A\n\n      send();\n- b", "- A\n\n  ```text\n  send();\n  ```\n- b"),
            (
                "-     send();\n- ```\n  b\n  ```",
                "- ```text\n  send();\n  ```\n- ```text\n  b\n  ```",
            ),
            (
                "1. A\n   - b\n\n         send();",
                "1. A\n   - b\n\n     ```text\n     send();\n     ```",
            ),
            ("- A\n\nb\n\n    send();", "- A\n\nb\n\n```text\nsend();\n```"),
            ("-\n\n    send();", "-\n\n```text\nsend();\n```"),
            ("A\n-\n    send();", "A\n-\n```text\nsend();\n```"),
        ] {
            let lines: Vec<String> = expected
                .lines()
                .map(|line| format!("/// {line}").trim_end().to_owned() + "\n")
                .collect();
            assert_eq!(comment(text, 0), lines.concat(), "{text}");
        }
    }

    #[test]
    fn indented_text_in_a_comment_is_unchanged() {
        for text in [
            "A\n    b",
            "- A\n    b\n\n  c",
            "1. A\n\n    b\n2. c\n\n   d\n",
            "10) A\n\n    b",
            "* * *\n\nA",
            "> A\n    b",
            "- A\nb\n    c",
            "A\n2. b\n    c",
            "-A\n    b",
            "\u{e4}\n    \u{f6}",
        ] {
            let lines: Vec<String> = text
                .lines()
                .map(|line| format!("    /// {line}").trim_end().to_owned() + "\n")
                .collect();
            assert_eq!(comment(text, 1), lines.concat(), "{text}");
        }
    }
}

//! Doc comments, rendered as rustdoc does.

use super::Operation;

/// One `#[doc]` attribute of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocComment<'t> {
    /// The text of a comment, `/// …` or `/** … */`, without these marks.
    Comment(&'t str),
    /// The value of `#[doc = "…"]`, written out or by a macro such as `include_str!`.
    Attribute(&'t str),
}

impl Operation {
    /// Takes a doc comment: the first paragraph is the summary, the rest the description.
    ///
    /// Stars at the margin of a block comment and the indentation that all lines share are removed, as rustdoc does.
    pub fn documentation(&mut self, parts: &[DocComment<'_>]) -> &mut Self {
        let text = rendered(parts);
        let (summary, description) = text.split_once("\n\n").unwrap_or((&text, ""));
        let summary: Vec<&str> = summary.lines().map(str::trim).collect();
        self.parts.summary = (!summary.is_empty()).then(|| summary.join(" "));
        let description = description.trim_matches('\n').trim_end();
        self.parts.description = (!description.is_empty()).then(|| description.to_owned());
        self
    }
}

/// The text of all parts, each on separate lines, without their common indentation.
fn rendered(parts: &[DocComment<'_>]) -> String {
    let is_comment = |part: &DocComment<'_>| matches!(part, DocComment::Comment(_));
    // The space after `///` is missing in an attribute, so where both occur it is not counted.
    let is_mixed = parts.iter().any(is_comment) && !parts.iter().all(is_comment);
    let mut lines: Vec<(&str, usize)> = Vec::new();
    for part in parts {
        match *part {
            DocComment::Comment(text) => lines.extend(without_stars(text).into_iter().map(|line| (line, 0))),
            DocComment::Attribute(text) => {
                let surplus = usize::from(is_mixed);
                // An empty attribute is an empty line.
                lines.extend(text.split('\n').map(|line| (line.trim_end_matches('\r'), surplus)));
            }
        }
    }
    let is_blank = |line: &str| line.trim().is_empty();
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let shared = lines.iter().filter(|(line, _)| !is_blank(line));
    let shared = shared.map(|(line, surplus)| indent(line) + surplus).min().unwrap_or(0);
    let lines = lines.iter().map(|(line, surplus)| match is_blank(line) {
        true => "",
        false => &line[shared.saturating_sub(*surplus)..],
    });
    let lines: Vec<&str> = lines.collect();
    let text = lines.join("\n");
    text.trim_end().trim_start_matches('\n').to_owned()
}

/// The lines of a comment; of a block comment without lines of stars at its ends, and without a column of stars.
fn without_stars(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.len() < 2 {
        return if lines.is_empty() { vec![""] } else { lines };
    }
    let has_only_stars = |line: &str| !line.is_empty() && line.bytes().all(|byte| byte == b'*');
    if has_only_stars(lines[0]) {
        lines.remove(0);
    }
    if lines.last().is_some_and(|line| has_only_stars(line.trim())) {
        lines.pop();
    }
    let star = |line: &str| {
        line.trim_start_matches([' ', '\t'])
            .starts_with('*')
            .then(|| line.find('*'))
            .flatten()
    };
    // The first line follows `/**` and need not have a star.
    let first = usize::from(lines.first().is_some_and(|line| star(line).is_none()));
    let margin = lines[first.min(lines.len())..]
        .iter()
        .filter(|line| !line.trim().is_empty());
    let columns: Vec<Option<usize>> = margin.map(|line| star(line)).collect();
    if let [Some(column), rest @ ..] = &columns[..]
        && rest.iter().all(|other| *other == Some(*column))
    {
        for line in &mut lines[first..] {
            *line = line.get(column + 1..).unwrap_or_default();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::DocComment::{Attribute, Comment};
    use super::*;

    #[test]
    fn the_space_of_line_comments_is_not_part_of_the_text() {
        assert_eq!(
            rendered(&[Comment(" One."), Comment(""), Comment("   * two"), Comment("     deep")]),
            "One.\n\n  * two\n    deep"
        );
        assert_eq!(rendered(&[Comment("   One."), Comment("   two")]), "One.\ntwo");
        assert_eq!(rendered(&[Comment("One."), Comment(" two")]), "One.\n two");
        assert_eq!(rendered(&[]), "");
    }

    #[test]
    fn attributes_and_comments_share_one_margin() {
        assert_eq!(
            rendered(&[Comment(" One."), Attribute("two"), Comment("   three")]),
            "One.\ntwo\n  three"
        );
        assert_eq!(
            rendered(&[Attribute("one"), Attribute(""), Attribute(" two")]),
            "one\n\n two"
        );
        assert_eq!(rendered(&[Attribute("  one\n  two")]), "one\ntwo");
        assert_eq!(rendered(&[Comment(" One."), Attribute("  two")]), "One.\n  two");
    }

    #[test]
    fn the_stars_of_a_block_comment_are_removed() {
        let expected = "List users.\n\nThe newest first:\n\n* one\n* two";
        for text in [
            "\n * List users.\n *\n * The newest first:\n *\n * * one\n * * two\n ",
            "*\n * List users.\n *\n * The newest first:\n *\n * * one\n * * two\n **",
            " List users.\n\n    The newest first:\n\n    * one\n    * two\n",
            "\n    List users.\n\n    The newest first:\n\n    * one\n    * two\n    ",
        ] {
            let rendered = rendered(&[Comment(text)]);
            let found: Vec<&str> = rendered.lines().map(str::trim).collect();
            assert_eq!(found.join("\n"), expected, "{text}");
        }
        assert_eq!(rendered(&[Comment("\n * One\n *   two\n ")]), "One\n  two");
        assert_eq!(rendered(&[Comment(" * one")]), "* one");
    }
}

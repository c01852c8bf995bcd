//! The relative links of Markdown pages: the file and the heading that a link names exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::Finding;
use crate::source::Source;

/// Finds links to a missing file below `root`, or to a missing heading of a page.
pub(crate) fn check(root: &Path, sources: &[Source]) -> Vec<Finding> {
    let pages: Vec<&Source> = sources.iter().filter(|source| source.is_markdown()).collect();
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        pages.iter().map(|page| (page.path.as_str(), anchors(page))).collect();
    let mut findings = Vec::new();
    for page in pages {
        for (line, link) in links(page) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = resolve(&page.path, file);
            let missing = match anchors.get(target.as_str()) {
                Some(headings) if anchor.is_empty() || headings.contains(anchor) => continue,
                Some(_) => format!("heading `#{anchor}` in {target}"),
                None if root.join(&target).exists() => continue,
                None => format!("file {target}"),
            };
            findings.push(Finding {
                rule: "links",
                path: page.path.clone(),
                line,
                message: format!("the link `{link}` names a missing {missing}: correct the link"),
            });
        }
    }
    findings
}

/// The targets of relative links, with their lines. A target is on one line.
fn links(page: &Source) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (line, text) in page.prose() {
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                links.push((line, target));
            }
        }
    }
    links
}

/// The anchors of a page's headings, as GitHub forms them.
fn anchors(page: &Source) -> BTreeSet<String> {
    let headings = page.prose().filter_map(|(_, line)| line.strip_prefix('#'));
    headings
        .map(|heading| anchor(heading.trim_start_matches('#').trim()))
        .collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|character| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        other => other.is_alphanumeric().then_some(other),
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// The path from the root of a file that a page links to; an empty link is the page itself.
fn resolve(page: &str, file: &str) -> String {
    if file.is_empty() {
        return page.to_owned();
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(pages: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = pages.iter().map(|(path, text)| crate::source(path, text)).collect();
        check(Path::new("/missing"), &sources)
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn links_to_pages_and_headings_are_valid() {
        let limits = "# Limits\n\n## HTTP/1.1, and `h2`\n";
        let pages = [
            (
                "README.md",
                "[a](docs/limits.md), [b](docs/limits.md#http11-and-h2), [c](https://a.example/b#c)\n",
            ),
            (
                "docs/guide/a.md",
                "[a](../limits.md#limits) [b](#own)\n# Own\n```\n[c](missing.md)\n```\n",
            ),
            ("docs/limits.md", limits),
        ];
        assert_eq!(messages(&pages), [""; 0]);
    }

    #[test]
    fn missing_files_and_headings_are_found() {
        let pages = [("docs/a.md", "# A\n[b](b.md)\n[c](#c)\n")];
        assert_eq!(
            messages(&pages),
            [
                "the link `b.md` names a missing file docs/b.md: correct the link",
                "the link `#c` names a missing heading `#c` in docs/a.md: correct the link",
            ]
        );
    }
}

//! A report in Markdown.

use base::{Shown, ShownLines};

use super::{Block, Figure, Line, Span, Table, anchor, headings};

/// Writes a document; pictures are links to the folder `figures`.
pub(crate) fn render(title: &str, blocks: &[Block]) -> String {
    let mut text = format!("# {}\n\n", escape(title));
    for block in blocks {
        text += &part(block, blocks);
    }
    text
}

fn part(block: &Block, whole: &[Block]) -> String {
    match block {
        Block::Heading(level, words) => format!("{} {}\n\n", "#".repeat(usize::from(*level)), escape(words)),
        Block::Text(words) => format!("{}\n\n", line(words)),
        Block::Notice(words) => format!("> **{}**\n\n", escape(words)),
        Block::List(points) => points.iter().map(|point| format!("- {}\n", line(point))).collect::<String>() + "\n",
        Block::Facts(facts) => {
            let facts = facts.iter().map(|(name, what)| format!("- {}: {}\n", escape(name), escape(what)));
            facts.collect::<String>() + "\n"
        }
        Block::Beside(parts) => parts.iter().flatten().map(|block| part(block, whole)).collect(),
        Block::Table(rows) => table(rows) + "\n",
        Block::Figures(figures) => {
            let link = |Figure { name, title, .. }: &Figure| format!("![{}](figures/{name}.svg)\n", escape(title));
            figures.iter().map(link).collect::<String>() + "\n"
        }
        Block::Code(code) => {
            // Longer than any within, so that the code ends where it should.
            let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or_default();
            let fence = "`".repeat(3.max(longest + 1));
            format!("{fence}toml\n{}\n{fence}\n\n", ShownLines(code.trim_end()))
        }
        Block::Details(summary, blocks) => {
            let inside: String = blocks.iter().map(|block| part(block, whole)).collect();
            format!("<details><summary>{}</summary>\n\n{inside}</details>\n\n", escape(summary))
        }
        Block::Contents => {
            let entry = |(level, words): (u8, &str)| {
                format!("{}- [{}](#{})\n", "  ".repeat(usize::from(level - 2)), escape(words), anchor(words))
            };
            headings(whole).map(entry).collect::<String>() + "\n"
        }
    }
}

fn line(words: &Line) -> String {
    words
        .iter()
        .map(|span| match span {
            Span::Plain(words) => escape(words),
            Span::Small(words) => format!(" ({})", escape(words)),
            Span::Strong(words) => format!("**{}**", escape(words)),
            Span::Link(words) => format!("[{}](#{})", escape(words), anchor(words)),
        })
        .collect()
}

fn table(table: &Table) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rule = (0..table.columns.len()).map(|i| if i < table.words { "---" } else { "---:" }.to_owned());
    let mut text = row(table.columns.iter().map(|name| escape(name)).collect()) + &row(rule.collect());
    for cells in &table.rows {
        text += &row(cells.iter().map(line).collect());
    }
    text
}

/// Takes the meaning from what Markdown would read as marks, and spells out what cannot be seen.
pub fn escape(words: &str) -> String {
    let words = Shown(words.replace('\n', " ")).to_string();
    let mut text = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '<' => text += "&lt;",
            '&' => text += "&amp;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '$' => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_not_read_as_marks() {
        let table = Table {
            columns: vec!["a|b", "n"],
            words: 1,
            rows: vec![vec![vec!["<b>*x*\n\r\u{1b}\u{202e}".into()], vec![Span::Link("sgd-l2".to_owned())]]],
        };
        assert_eq!(
            render("T", &[Block::Table(table)]),
            "# T\n\n| a\\|b | n |\n| --- | ---: |\n| &lt;b>\\*x\\* \\\\u{d}\\\\u{1b}\\\\u{202e} | [sgd-l2](#sgd-l2) |\n\n"
        );
    }
}

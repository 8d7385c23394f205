//! A report in one HTML file, which needs nothing from elsewhere.

use super::{Block, Figure, Line, Span, Table, anchor, headings};
use crate::plots::{escape, escape_lines};

/// What a browser may load for the page: nothing but what is in it. Whatever a name in it might hold, nothing runs and nothing
/// is sent anywhere.
pub(crate) const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// Writes a document; pictures are inside.
pub(crate) fn render(title: &str, blocks: &[Block]) -> String {
    let title = escape(title);
    let body: String = blocks.iter().map(|block| part(block, blocks)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n",
        include_str!("style.css")
    )
}

fn part(block: &Block, whole: &[Block]) -> String {
    match block {
        Block::Heading(level, words) => {
            format!("<h{level} id=\"{}\">{}</h{level}>\n", escape(&anchor(words)), escape(words))
        }
        Block::Text(words) => format!("<p>{}</p>\n", line(words)),
        Block::Notice(words) => format!("<p class=\"notice\" role=\"note\">{}</p>\n", escape(words)),
        Block::List(points) => {
            let points: String = points.iter().map(|point| format!("<li>{}</li>\n", line(point))).collect();
            format!("<ul>\n{points}</ul>\n")
        }
        Block::Facts(facts) => {
            let fact = |(name, what): &(&str, String)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(what));
            format!("<dl>\n{}</dl>\n", facts.iter().map(fact).collect::<String>())
        }
        Block::Beside(parts) => {
            let inside = |blocks: &Vec<Block>| blocks.iter().map(|block| part(block, whole)).collect::<String>();
            let parts: String = parts.iter().map(|blocks| format!("<div>\n{}</div>\n", inside(blocks))).collect();
            format!("<div class=\"beside\">\n{parts}</div>\n")
        }
        Block::Table(rows) => table(rows),
        Block::Figures(figures) => {
            format!("<div class=\"figures\">\n{}</div>\n", figures.iter().map(figure).collect::<String>())
        }
        Block::Code(code) => format!("<pre tabindex=\"0\">{}</pre>\n", escape_lines(code.trim_end())),
        Block::Details(summary, blocks) => {
            let inside: String = blocks.iter().map(|block| part(block, whole)).collect();
            format!("<details><summary>{}</summary>\n{inside}</details>\n", escape(summary))
        }
        Block::Contents => {
            let entry = |(level, words): (u8, &str)| {
                let (link, words) = (escape(&anchor(words)), escape(words));
                format!("<li class=\"level{level}\"><a href=\"#{link}\">{words}</a></li>\n")
            };
            format!("<nav><ul>\n{}</ul></nav>\n", headings(whole).map(entry).collect::<String>())
        }
    }
}

fn figure(Figure { svg, caption, .. }: &Figure) -> String {
    let caption =
        if caption.is_empty() { String::new() } else { format!("<figcaption>{}</figcaption>", escape(caption)) };
    format!("<figure>{svg}{caption}</figure>\n")
}

fn line(words: &Line) -> String {
    words
        .iter()
        .map(|span| match span {
            Span::Plain(words) => escape(words),
            Span::Strong(words) => format!("<strong>{}</strong>", escape(words)),
            Span::Small(words) => format!("<small>{}</small>", escape(words)),
            Span::Link(words) => format!("<a href=\"#{}\">{}</a>", escape(&anchor(words)), escape(words)),
        })
        .collect()
}

/// A table that scrolls by itself where the screen is narrow.
fn table(table: &Table) -> String {
    let class = |i| if i < table.words { "" } else { " class=\"n\"" };
    let heads: String =
        table.columns.iter().enumerate().map(|(i, name)| format!("<th{}>{}</th>", class(i), escape(name))).collect();
    let mut rows = String::new();
    for cells in &table.rows {
        let cells: String =
            cells.iter().enumerate().map(|(i, cell)| format!("<td{}>{}</td>", class(i), line(cell))).collect();
        rows += &format!("<tr>{cells}</tr>\n");
    }
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_not_read_as_tags() {
        let evil = "<script>\"&'";
        assert!(render("a\u{1b}\u{202e}b", &[]).contains("a\\u{1b}\\u{202e}b"));
        let blocks = [
            Block::Heading(2, evil.to_owned()),
            Block::Text(vec![evil.into(), Span::Link(evil.to_owned())]),
            Block::Notice(evil.to_owned()),
            Block::Code(evil.to_owned()),
            Block::Table(Table {
                columns: vec!["a<b"],
                words: 0,
                rows: vec![vec![vec![Span::Small(evil.to_owned())]]],
            }),
            Block::Contents,
        ];
        let html = render(evil, &blocks);
        assert!(!html.contains("<script>") && !html.contains("a<b"), "{html}");
        assert!(html.contains("<a href=\"#script\">&lt;script&gt;&quot;&amp;&#39;</a>"), "{html}");
    }
}

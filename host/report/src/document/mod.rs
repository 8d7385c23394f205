//! What a report says, apart from how it is written: the same blocks become HTML and Markdown.

pub(crate) mod html;
pub(crate) mod markdown;

/// A picture with its name and title.
pub(crate) struct Figure {
    /// Name of its file, without the ending.
    pub(crate) name: String,
    /// What it shows.
    pub(crate) title: String,
    /// The picture.
    pub(crate) svg: String,
    /// What can be read from it, also by anyone who cannot see it; empty where the title says enough.
    pub(crate) caption: String,
}

/// Where there is nothing to show.
pub(crate) const NOTHING: &str = "–";

/// A share, such as an accuracy, or a loss.
pub(crate) fn share(value: f64) -> String {
    format!("{value:.4}").replace('-', "−")
}

/// From a lower to an upper share.
pub(crate) fn range(low: f64, high: f64) -> String {
    let to = if low < 0.0 { " to " } else { "–" };
    format!("{low:.3}{to}{high:.3}").replace('-', "−")
}

/// A part of a report.
pub(crate) enum Block {
    /// A heading of level 2, 3 or 4; its anchor is [`anchor`] of it.
    Heading(u8, String),
    /// Words.
    Text(Line),
    /// Something not to be overlooked.
    Notice(String),
    /// Points.
    List(Vec<Line>),
    /// Names and what they stand for.
    Facts(Vec<(&'static str, String)>),
    /// Parts that may stand beside each other.
    Beside(Vec<Vec<Block>>),
    /// A table.
    Table(Table),
    /// Pictures beside each other.
    Figures(Vec<Figure>),
    /// Something to be copied, in TOML.
    Code(String),
    /// What is shown only when asked for, under its summary.
    Details(&'static str, Vec<Block>),
    /// Links to the headings of the levels 2 and 3 of the whole report.
    Contents,
}

/// Words in a line.
pub(crate) type Line = Vec<Span>;

/// Words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Span {
    /// As they are.
    Plain(String),
    /// Stressed.
    Strong(String),
    /// Beside what counts.
    Small(String),
    /// That link to the heading of the same words.
    Link(String),
}

impl From<&str> for Span {
    fn from(words: &str) -> Self {
        Self::Plain(words.to_owned())
    }
}

impl From<String> for Span {
    fn from(words: String) -> Self {
        Self::Plain(words)
    }
}

/// Rows under names of columns.
pub(crate) struct Table {
    /// Names.
    pub(crate) columns: Vec<&'static str>,
    /// Columns from the left that hold words; the others hold numbers.
    pub(crate) words: usize,
    /// As many cells as columns each.
    pub(crate) rows: Vec<Vec<Line>>,
}

/// The anchor of a heading, as forges make it: lower case, hyphens for spaces, no punctuation.
pub(crate) fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The headings of the levels 2 and 3: level and words.
pub(crate) fn headings(blocks: &[Block]) -> impl Iterator<Item = (u8, &str)> {
    blocks.iter().filter_map(|block| match block {
        Block::Heading(level @ 2..=3, words) => Some((*level, words.as_str())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_forges() {
        assert_eq!(anchor("Does the whole data help?"), "does-the-whole-data-help");
        assert_eq!(anchor("adam-whole-96px"), "adam-whole-96px");
        assert_eq!(anchor("\"><script>"), "script");
    }
}

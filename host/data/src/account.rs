//! What was taken of data and what was not, a line for each kind.

use std::collections::BTreeMap;

use super::{Catalogue, Label, Part, SkipReason, Skipped};

impl Catalogue {
    /// The account of a loading, for people: what was taken; what folders were taken for; of what was left out each kind, how
    /// many there are, and the first of them.
    pub fn account(&self) -> Vec<String> {
        let line = |count: usize, words: &str| format!("{count:>7}  {words}");
        let (normal, pneumonia) = (self.count(Label::Normal), self.count(Label::Pneumonia));
        let mut taken = format!("taken: {normal} normal, {pneumonia} pneumonia");
        let of_part = |part: Part| self.samples.iter().filter(|sample| sample.official == Some(part)).count();
        let parts: Vec<String> = Part::ALL
            .into_iter()
            .map(|part| (part, of_part(part)))
            .filter(|(_, count)| *count > 0)
            .map(|(part, count)| format!("{count} {part}"))
            .collect();
        if !parts.is_empty() {
            taken += &format!("; by folder {}", parts.join(", "));
        }
        let mut lines = vec![line(self.samples.len(), &taken)];
        lines.extend(self.notes.iter().map(|note| format!("{:>7}  {note}", "")));
        let mut kinds: BTreeMap<String, Vec<&Skipped>> = BTreeMap::new();
        for skipped in &self.skipped {
            kinds.entry(skipped.reason.kind()).or_default().push(skipped);
        }
        lines.extend(kinds.into_iter().map(|(kind, skipped)| {
            let files = skipped.iter().map(|skipped| skipped.reason.files()).sum();
            let which = if skipped.len() == 1 { "it is" } else { "the first is" };
            let first = skipped.first().map_or("", |skipped| &skipped.name);
            line(files, &format!("left out: {kind} ({which} {first})"))
        }));
        lines
    }
}

impl SkipReason {
    /// How many files it is the reason for.
    fn files(&self) -> usize {
        if let Self::CopyOf { files, .. } = self { *files } else { 1 }
    }

    /// The reason in words that are the same for all files of its kind.
    fn kind(&self) -> String {
        match self {
            Self::CopyOf { other, .. } => format!("all files of a folder that are in {other} as well"),
            Self::DuplicateOf(_) => "the same file as another one".to_owned(),
            Self::Contradicts(_) => "the same file under both labels".to_owned(),
            Self::OtherLabel { .. } => "labelled otherwise by labels.csv than by its folder".to_owned(),
            Self::Refused(_)
            | Self::Unreadable(_)
            | Self::NoPicture
            | Self::OtherFolder(_)
            | Self::ListedTwice
            | Self::Missing
            | Self::Outside => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sample;

    #[test]
    fn each_kind_has_a_line() {
        let mut sample = Sample::new("valid/NORMAL/a.png", Label::Normal, "a");
        sample.official = Some(Part::Validation);
        let skipped = |name: &str, reason| Skipped { name: name.to_owned(), reason };
        let other = || SkipReason::OtherFolder("COVID19".to_owned());
        let catalogue = Catalogue {
            samples: vec![sample],
            skipped: vec![
                skipped("COVID19/a.png", other()),
                skipped("COVID19/b.png", other()),
                skipped("b.png", SkipReason::DuplicateOf("a.png".to_owned())),
            ],
            notes: vec!["the folder valid is taken for validation".to_owned()],
            ..Catalogue::default()
        };
        assert_eq!(
            catalogue.account(),
            [
                "      1  taken: 1 normal, 0 pneumonia; by folder 1 validation",
                "         the folder valid is taken for validation",
                "      2  left out: in the folder COVID19, which is neither NORMAL nor PNEUMONIA (the first is COVID19/a.png)",
                "      1  left out: the same file as another one (it is b.png)",
            ]
        );
    }
}

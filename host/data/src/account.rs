//! What was taken of data and what was not, a line for each kind.

use std::collections::BTreeMap;

use super::{Catalogue, Label, Part, SkipReason, Skipped};

/// Lines about folders; those that come after are counted.
const MOST: usize = 10;

impl Catalogue {
    /// Number of files that were left out, those of copied folders among them.
    pub fn files_left_out(&self) -> usize {
        self.skipped.iter().map(|skipped| skipped.reason.files()).sum()
    }

    /// The account of a loading, for people: what was taken; what folders were taken for; of what was left out each kind, how
    /// many there are, and the first of them. Of many folders the first ten have lines of their own.
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
        lines.extend(self.notes.iter().take(MOST).map(|note| format!("{:>7}  {note}", "")));
        if self.notes.len() > MOST {
            lines.push(format!("{:>7}  and {} more folders", "", self.notes.len() - MOST));
        }
        let mut kinds: BTreeMap<String, Vec<&Skipped>> = BTreeMap::new();
        for skipped in &self.skipped {
            kinds.entry(skipped.reason.kind()).or_default().push(skipped);
        }
        let (mut folders, mut files_of_more) = (0, 0);
        for (kind, skipped) in kinds {
            let files: usize = skipped.iter().map(|skipped| skipped.reason.files()).sum();
            let is_of_folder = skipped.first().is_some_and(|skipped| skipped.reason.names_a_folder());
            folders += usize::from(is_of_folder);
            if is_of_folder && folders > MOST {
                files_of_more += files;
                continue;
            }
            let which = if skipped.len() == 1 { "it is" } else { "the first is" };
            let first = skipped.first().map_or("", |skipped| &skipped.name);
            lines.push(line(files, &format!("left out: {kind} ({which} {first})")));
        }
        if folders > MOST {
            lines.push(line(files_of_more, &format!("left out: in {} more folders", folders - MOST)));
        }
        lines
    }
}

impl SkipReason {
    /// How many files it is the reason for.
    fn files(&self) -> usize {
        if let Self::CopyOf { files, .. } = self { *files } else { 1 }
    }

    /// True if [`Self::kind`] names a folder, so that there are as many kinds as folders.
    fn names_a_folder(&self) -> bool {
        matches!(self, Self::OtherFolder(_) | Self::CopyOf { .. })
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
        assert_eq!(catalogue.files_left_out(), 3);
    }

    #[test]
    fn of_many_folders_the_first_have_lines() {
        let skipped = |number: usize| {
            let folder = format!("class-{number:02}");
            Skipped { name: format!("{folder}/a.png"), reason: SkipReason::OtherFolder(folder) }
        };
        let copy = SkipReason::CopyOf { files: 7, other: "the top folder".to_owned() };
        let mut catalogue = Catalogue {
            skipped: (0..13).map(skipped).chain([Skipped { name: "copy".to_owned(), reason: copy }]).collect(),
            notes: (0..12).map(|number| format!("note {number}")).collect(),
            ..Catalogue::default()
        };
        assert_eq!(catalogue.files_left_out(), 20);
        let lines = catalogue.account();
        assert_eq!(lines.len(), 1 + 11 + 11, "{lines:#?}");
        assert_eq!(lines[11], "         and 2 more folders");
        assert_eq!(
            lines[12],
            "      7  left out: all files of a folder that are in the top folder as well (it is copy)"
        );
        assert!(lines[21].contains("class-08"), "{lines:#?}");
        assert_eq!(lines[22], "      4  left out: in 4 more folders");

        catalogue.skipped.truncate(10);
        catalogue.notes.truncate(10);
        assert!(!catalogue.account().iter().any(|line| line.contains("more folders")));
    }
}

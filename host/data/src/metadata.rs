//! What the path of a radiograph says: label, official part, patient, kind of pneumonia.
//!
//! File names of the published data: `personN_bacteria_M.jpeg`, `personN_virus_M.jpeg`, `IM-NNNN-MMMM.jpeg`,
//! `NORMAL2-IM-NNNN-MMMM.jpeg` and, in its later edition, `BACTERIA-N-M.jpeg`, `VIRUS-N-M.jpeg`, `NORMAL-N-M.jpeg`.
//! N is the patient, with its prefix and within one official folder.

use super::{Label, Part, Subtype};

/// How the names of synthetic radiographs begin.
const SYNTHETIC: &str = "synthetic-";

/// Name of the file of synthetic radiograph `number`: `synthetic-0001-pneumonia.png`.
pub fn synthetic(number: u64, label: Label) -> String {
    format!("{SYNTHETIC}{number:04}-{label}.png")
}

/// True for the files that `pumua synthetic` writes.
pub(super) fn is_synthetic(name: &str) -> bool {
    file_name(name).starts_with(SYNTHETIC)
}

/// What a path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Folders above the official part or, without one, above the label.
    pub(super) prefix: String,
    /// From there on.
    pub(super) rest: String,
    pub(super) label: Label,
    pub(super) official: Option<Part>,
}

/// True for what no program shows: hidden files and folders, and the copies of metadata that macOS puts into archives.
pub(super) fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.') && part != "." || part == "__MACOSX")
}

/// True for what computers and people put beside pictures: by its name it is none.
pub fn is_no_picture(path: &str) -> bool {
    const NAMES: [&str; 5] = ["thumbs.db", "ehthumbs.db", "desktop.ini", "autorun.inf", "dicomdir"];
    const ENDINGS: [&str; 9] = ["csv", "tsv", "txt", "md", "json", "html", "sha256", "md5", "log"];
    let name = file_name(path).to_ascii_lowercase();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    NAMES.contains(&&*name) || ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

/// Finds label and official part among the folders of `path` (separated by `/`). `None` for what is not a labelled file:
/// other folders, hidden files, and the copies of metadata that macOS puts into archives.
pub(super) fn place(path: &str) -> Option<Place> {
    let components: Vec<&str> = path.split('/').filter(|c| !c.is_empty() && *c != ".").collect();
    let (_, folders) = components.split_last()?;
    if is_hidden(path) {
        return None;
    }
    let (at, label) = folders.iter().enumerate().rev().find_map(|(i, f)| Some((i, Label::named(f)?)))?;
    let official = at.checked_sub(1).and_then(|above| Part::named(folders[above]));
    let start = if official.is_some() { at - 1 } else { at };
    Some(Place { prefix: components[..start].join("/"), rest: components[start..].join("/"), label, official })
}

/// The patient of a radiograph. A file whose name gives none counts as its own patient.
pub(super) fn patient(name: &str, official: Option<Part>) -> String {
    // The publishers' later `val` folder was taken out of `train`; the two count their patients together.
    let folder = match official {
        Some(Part::Train | Part::Validation) => "train/",
        Some(Part::Test) => "test/",
        None => "",
    };
    match patient_in_file_name(file_name(name)) {
        Some(patient) => format!("{folder}{patient}"),
        None => format!("file/{name}"),
    }
}

fn patient_in_file_name(file: &str) -> Option<&str> {
    const PREFIXES: [&str; 6] = ["person", "IM-", "NORMAL2-IM-", "BACTERIA-", "VIRUS-", "NORMAL-"];
    PREFIXES.into_iter().find_map(|prefix| {
        let number = digits(file.strip_prefix(prefix)?);
        let rest = &file[prefix.len() + number.len()..];
        (!number.is_empty() && rest.starts_with(['_', '-'])).then(|| &file[..prefix.len() + number.len()])
    })
}

/// The kind of pneumonia that a file name gives.
pub(super) fn subtype(name: &str) -> Option<Subtype> {
    let file = file_name(name).to_ascii_lowercase();
    if file.contains("_bacteria_") || file.starts_with("bacteria-") {
        Some(Subtype::Bacteria)
    } else if file.contains("_virus_") || file.starts_with("virus-") {
        Some(Subtype::Virus)
    } else {
        None
    }
}

/// The last part of a path.
pub(super) fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_recognised() {
        let p = place("chest_xray/train/NORMAL/IM-0115-0001.jpeg").unwrap();
        assert_eq!((p.prefix.as_str(), p.rest.as_str()), ("chest_xray", "train/NORMAL/IM-0115-0001.jpeg"));
        assert_eq!((p.label, p.official), (Label::Normal, Some(Part::Train)));
        let p = place("pneumonia/scan.png").unwrap();
        assert_eq!((p.prefix.as_str(), p.label, p.official), ("", Label::Pneumonia, None));
        assert_eq!(place("val/PNEUMONIA/a.png").unwrap().official, Some(Part::Validation));
        for other in ["__MACOSX/chest_xray/train/NORMAL/._a.jpeg", "train/NORMAL/.DS_Store", "readme.txt", "NORMAL", ""]
        {
            assert_eq!(place(other), None, "{other}");
        }
    }

    #[test]
    fn parts_and_labels_have_several_names() {
        for (path, part, label) in [
            ("valid/NORMAL/a.png", Part::Validation, Label::Normal),
            ("Validation/Normal/a.png", Part::Validation, Label::Normal),
            ("DEV/PNEUMONIA /a.png", Part::Validation, Label::Pneumonia),
            ("training/ pneumonia/a.png", Part::Train, Label::Pneumonia),
            ("Testing/NORMAL/a.png", Part::Test, Label::Normal),
        ] {
            let found = place(path).unwrap();
            assert_eq!((found.official, found.label, &*found.rest), (Some(part), label, path));
        }
        for other in ["COVID19/a.png", "Pneumonia-Bacterial/a.png", "NORMAL2/a.png"] {
            assert_eq!(place(other), None, "{other}");
        }
        assert_eq!(place("holdout/NORMAL/a.png").unwrap().official, None);
    }

    #[test]
    fn what_lies_beside_pictures_is_known_by_its_name() {
        for name in ["a/Thumbs.db", "desktop.ini", "labels.csv", "x/README.txt", "DICOMDIR"] {
            assert!(is_no_picture(name), "{name}");
        }
        for name in ["a.png", "IM000001", "scan.dcm", "thumbs.db.png", "csv"] {
            assert!(!is_no_picture(name), "{name}");
        }
        assert!(is_hidden("a/._b.png") && is_hidden("__MACOSX/a.png") && is_hidden(".git/x") && !is_hidden("./a.b"));
    }

    #[test]
    fn patients_are_read_from_file_names() {
        let of = |file: &str| patient(&format!("train/X/{file}"), Some(Part::Train));
        assert_eq!(of("person12_bacteria_46.jpeg"), "train/person12");
        assert_eq!(of("person12_virus_47_1.jpeg"), "train/person12");
        assert_eq!(of("IM-0115-0001.jpeg"), "train/IM-0115");
        assert_eq!(of("IM-0115-0001-0002.jpeg"), "train/IM-0115");
        assert_eq!(of("NORMAL2-IM-0115-0001.jpeg"), "train/NORMAL2-IM-0115");
        assert_eq!(of("VIRUS-7421-0003.jpeg"), "train/VIRUS-7421");
        for unknown in ["scan7.png", "person_bacteria_1.jpeg", "IM-.jpeg", "person7.jpeg"] {
            assert_eq!(of(unknown), format!("file/train/X/{unknown}"));
        }
        assert_eq!(patient("test/PNEUMONIA/person1_virus_6.jpeg", Some(Part::Test)), "test/person1");
        assert_eq!(patient("val/PNEUMONIA/person1_virus_6.jpeg", Some(Part::Validation)), "train/person1");
    }

    #[test]
    fn drawings_are_known_by_their_names() {
        assert_eq!(synthetic(1, Label::Pneumonia), "synthetic-0001-pneumonia.png");
        assert!(is_synthetic(&format!("PNEUMONIA/{}", synthetic(1, Label::Pneumonia))));
        assert!(!is_synthetic("synthetic-1/PNEUMONIA/person1_virus_6.jpeg"));
    }

    #[test]
    fn subtypes_are_read_from_file_names() {
        assert_eq!(subtype("train/PNEUMONIA/person12_bacteria_46.jpeg"), Some(Subtype::Bacteria));
        assert_eq!(subtype("VIRUS-1-2.jpeg"), Some(Subtype::Virus));
        assert_eq!(subtype("IM-0115-0001.jpeg"), None);
    }
}

//! `labels.csv`: a table that says of each radiograph its label, and its patient, age and view where they are known.
//!
//! Comma-separated, in UTF-8, with names of columns in the first line: `path` and `label`, and any of `patient`, `age`,
//! `view`, in any order and case; other columns are not looked at. Paths are relative to the folder of the table, with `/`
//! or `\`. No file is opened by such a path: it only has to be that of a file that was found.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use base::{
    cell,
    files::{read_up_to, text_of},
};
use shared::{
    limits::MAX_IMAGE_BYTES,
    text::{OtherEncoding, unmarked},
    verdict::Refusal,
};

use super::{
    DataError, Label, SkipReason, Skipped, View,
    metadata::Place,
    source::{Entry as Found, Source},
};

/// Name of the table.
const FILE: &str = "labels.csv";

/// Largest table, in bytes (32 MiB): one of 100,000 radiographs has a tenth.
const MAX_BYTES: u64 = MAX_IMAGE_BYTES as u64;

/// Longest path and longest patient, in bytes.
const MAX_TEXT: usize = 1024;

/// Nobody is older than so many years.
const OLDEST: f32 = 130.0;

/// What is wrong with a line of `labels.csv`.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum LabelsFault {
    /// the table is not in UTF-8
    #[error(transparent)]
    Encoding(#[from] OtherEncoding),
    /// the table is not CSV
    #[error("not a line of a table in UTF-8 with commas between its columns ({0}): save it as CSV (UTF-8)")]
    NotCsv(String),
    /// the table is too large
    #[error("the table has more than {MAX_BYTES} bytes: leave out the columns that are not needed")]
    TooLarge,
    /// a column is missing or there twice
    #[error("there must be one column `{0}`, and commas between the columns")]
    Column(&'static str),
    /// a path or a patient that nobody would write
    #[error("the {0} is empty or longer than {MAX_TEXT} bytes")]
    Length(&'static str),
    /// another label
    #[error("the label is neither NORMAL nor PNEUMONIA")]
    Label,
    /// not an age
    #[error("the age is not a number of years from 0 to {OLDEST}: leave it empty where it is not known")]
    Age,
    /// not a view
    #[error("the view is neither PA, AP nor LATERAL: leave it empty where it is not known")]
    View,
}

/// What is known of a radiograph beside its label.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) patient: Option<String>,
    pub(super) age: Option<f32>,
    pub(super) view: Option<View>,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    label: Label,
    facts: Facts,
    /// Taken from the side.
    lateral: bool,
}

/// The rows that are about files below a folder.
#[derive(Default)]
pub(super) struct Labels {
    /// By path below the folder; `None` where rows disagree.
    rows: BTreeMap<String, Option<Row>>,
    /// Paths that lead out of the folder of the table.
    outside: Vec<Skipped>,
}

impl Labels {
    /// The table of a folder or an archive: in it, else in the one folder that holds everything, else, of a folder, in the
    /// folder above. Where the second is so, paths of `entries` are from that one folder on afterwards. Without a table
    /// there are no rows.
    pub(super) fn find(path: &Path, source: &Source, entries: &mut [Found]) -> Result<Self, DataError> {
        let fault = |table: &Path, line, fault| DataError::Labels { path: table.to_owned(), line, fault };
        let top = common_folder(entries);
        for start in [String::new(), top] {
            let name = format!("{start}{FILE}");
            let Some(table) = entries.iter().find(|entry| entry.path == name) else { continue };
            source.check_form(path, [table])?;
            let bytes = source.read(table).map_err(|reason| match reason {
                SkipReason::Refused(Refusal::TooManyBytes) => fault(&path.join(&name), 1, LabelsFault::TooLarge),
                reason => fault(&path.join(&name), 1, LabelsFault::NotCsv(reason.to_string())),
            })?;
            for entry in entries.iter_mut().filter(|entry| entry.path.starts_with(&start)) {
                entry.path.drain(..start.len());
            }
            return Self::read(&bytes, "").map_err(|(line, what)| fault(&path.join(name), line, what));
        }
        let read_error = |source| DataError::Read { path: path.to_owned(), source };
        let here = path.canonicalize().map_err(read_error)?;
        let (Some(above), Some(folder), true) = (here.parent(), here.file_name(), here.is_dir()) else {
            return Ok(Self::default());
        };
        let table = above.join(FILE);
        if !table.is_file() {
            return Ok(Self::default());
        }
        let bytes = read_up_to(&table, MAX_BYTES + 1).map_err(read_error)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(fault(&table, 1, LabelsFault::TooLarge));
        }
        Self::read(&bytes, &format!("{}/", text_of(folder.as_ref()))).map_err(|(line, what)| fault(&table, line, what))
    }

    /// The rows about files below `folder`, which ends with `/` or is empty. An error comes with its line.
    fn read(bytes: &[u8], folder: &str) -> Result<Self, (u64, LabelsFault)> {
        let not_csv = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            (line, LabelsFault::NotCsv(error.to_string()))
        };
        let text = unmarked(bytes).map_err(|encoding| (1, encoding.into()))?;
        if let Err(error) = str::from_utf8(text) {
            let line = 1 + text[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            return Err((line as u64, OtherEncoding::Unknown.into()));
        }
        let mut table = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let header = table.headers().map_err(not_csv)?.clone();
        let [path, label, patient, age, view] = ["path", "label", "patient", "age", "view"].map(|name| {
            let mut found = header.iter().enumerate().filter(|(_, column)| column.eq_ignore_ascii_case(name));
            match (found.next(), found.next()) {
                (Some((index, _)), None) => Ok(Some(index)),
                (None, _) if !["path", "label"].contains(&name) => Ok(None),
                _ => Err((1, LabelsFault::Column(name))),
            }
        });
        let columns = [path?, label?, patient?, age?, view?];
        let mut labels = Self::default();
        for record in table.records() {
            let record = record.map_err(not_csv)?;
            let line = record.position().map_or(1, csv::Position::line);
            let cells = columns.map(|column| column.and_then(|column| record.get(column)).unwrap_or_default());
            labels.add(cells, folder).map_err(|fault| (line, fault))?;
        }
        Ok(labels)
    }

    fn add(&mut self, [path, label, patient, age, view]: [&str; 5], folder: &str) -> Result<(), LabelsFault> {
        if path.is_empty() || path.len() > MAX_TEXT {
            return Err(LabelsFault::Length("path"));
        }
        if patient.len() > MAX_TEXT {
            return Err(LabelsFault::Length("patient"));
        }
        let label = Label::named(label).ok_or(LabelsFault::Label)?;
        let [path, patient] = [path, patient].map(text_in);
        let patient = Some(patient.to_owned()).filter(|patient| !patient.is_empty());
        let years = |age: &str| age.parse().ok().filter(|years| (0.0..=OLDEST).contains(years));
        let age = if age.is_empty() { None } else { Some(years(age).ok_or(LabelsFault::Age)?) };
        let lateral = view.eq_ignore_ascii_case("lateral");
        let view = match View::ALL.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(view)) {
            None if !view.is_empty() && !lateral => return Err(LabelsFault::View),
            view => view,
        };
        let Some(path) = tidy(path) else {
            self.outside.push(Skipped { name: path.to_owned(), reason: SkipReason::Outside });
            return Ok(());
        };
        let Some(path) = path.strip_prefix(folder) else { return Ok(()) };
        let row = Some(Row { label, facts: Facts { patient, age, view }, lateral });
        match self.rows.entry(path.to_owned()) {
            Entry::Vacant(place) => {
                place.insert(row);
            }
            Entry::Occupied(mut other) if *other.get() != row => {
                other.insert(None);
            }
            Entry::Occupied(_) => {}
        }
        Ok(())
    }

    /// What is known of the file at `path`, whose folders say `place`: by its row, else by the folders alone. `None` if
    /// neither labels it.
    pub(super) fn take(
        &mut self,
        path: &str,
        place: Option<Place>,
    ) -> Result<Option<(Place, Option<Facts>)>, SkipReason> {
        let Some(row) = self.rows.remove(path) else { return Ok(place.map(|place| (place, None))) };
        let Row { label, facts, lateral } = row.ok_or(SkipReason::ListedTwice)?;
        match place.as_ref().map(|place| place.label) {
            Some(folder) if folder != label => Err(SkipReason::OtherLabel { listed: label, folder }),
            _ if lateral => Err(SkipReason::Refused(Refusal::SideView)),
            _ => {
                let alone = || Place { prefix: String::new(), rest: path.to_owned(), label, official: None };
                Ok(Some((place.unwrap_or_else(alone), Some(facts))))
            }
        }
    }

    /// What the table names in vain: paths outside, and files that were not taken.
    pub(super) fn in_vain(self) -> impl Iterator<Item = Skipped> {
        let missing = self.rows.into_keys().map(|name| Skipped { name, reason: SkipReason::Missing });
        self.outside.into_iter().chain(missing)
    }
}

/// The folder in which all files lie, with `/` after it; empty if there is none. The copies of metadata that macOS puts into
/// archives do not count.
fn common_folder(files: &[Found]) -> String {
    let folder = |path: &str| path.split_once('/').map_or("", |(folder, _)| folder).to_owned();
    let mut folders = files.iter().map(|file| folder(&file.path)).filter(|folder| folder != "__MACOSX");
    let first = folders.next().unwrap_or_default();
    if first.is_empty() || folders.any(|folder| folder != first) { String::new() } else { first + "/" }
}

/// The text in a cell. A table of this program's own has an apostrophe before what a spreadsheet would run or take for a number;
/// any other apostrophe is part of the text.
fn text_in(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| cell::text(text) == cell).unwrap_or(cell)
}

/// A relative path with `/` and without `.`; `None` if it leads out of its folder.
fn tidy(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let drive = path.as_bytes().get(1) == Some(&b':');
    let mut components = path.split('/').filter(|component| !component.is_empty() && *component != ".").peekable();
    let outside = path.starts_with('/') || drive || components.clone().any(|component| component == "..");
    let inside = !outside && components.peek().is_some();
    inside.then(|| components.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests;

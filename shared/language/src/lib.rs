//! What Pumua says to a clinic, on the screen of the box and elsewhere, one table for each language.
//!
//! A table is a [`Words`]; refusals, faults, verdicts and steps are matched one by one, so that a text that a table lacks
//! does not compile. The English texts of refusals and faults are those of [`shared::verdict`], which the host and the log
//! show, too; they stay English whatever the screen says.
//!
//! The French, Portuguese and Swahili texts have not been reviewed by clinicians who speak them. Have that done before
//! anybody relies on them.

mod english;
mod french;
mod portuguese;
mod swahili;

use shared::{
    age::{ADULT, AgeNote, Span},
    appliance::Language,
    verdict::{Fault, ModelRefusal, OperatingPoint, Refusal, SiteRefusal, SoftwareRefusal, Trust, Verdict},
};

/// What the box is doing at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Drivers are being loaded.
    Drivers,
    /// The place where results are kept is being opened.
    Storage,
    /// The model is being loaded.
    Model,
    /// The lines to the hosts are being opened.
    Lines,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 4] = [Self::Drivers, Self::Storage, Self::Model, Self::Lines];
}

/// Why nothing on a memory stick is judged, written onto it, or taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StickTrouble {
    /// There is no X-ray on it.
    NoFilms,
    /// There are more files on it than the box looks through.
    TooMany,
    /// It has no file system that the box reads.
    Unreadable,
    /// A film could not be read to its end, mostly because the stick was pulled out.
    Pulled,
    /// A computer has used the box all the time.
    Busy,
    /// Not all results were written, mostly because the stick was pulled out.
    Interrupted,
    /// The results have no room on it.
    Full,
    /// It is protected against writing.
    WriteProtected,
    /// The folder into which results are written is not there any more.
    NoMark,
    /// Every name for the results is taken.
    NoName,
    /// The stored results cannot be read.
    NoResults,
    /// The results are on it, and what was last written may not be.
    NotClosed,
    /// The program on it was not taken to its end.
    ProgramNotTaken,
}

impl StickTrouble {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::NoFilms,
        Self::TooMany,
        Self::Unreadable,
        Self::Pulled,
        Self::Busy,
        Self::Interrupted,
        Self::Full,
        Self::WriteProtected,
        Self::NoMark,
        Self::NoName,
        Self::NoResults,
        Self::NotClosed,
        Self::ProgramNotTaken,
    ];
}

/// Why an X-ray machine may not send to the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// It calls somebody else: the title that it calls, and the box's own.
    NotCalled,
    /// It calls itself otherwise than the settings say: its title.
    NotNamed,
    /// The settings name nobody at its address: that address.
    Stranger,
    /// Nothing that it offers can be judged: its title.
    Unfit,
}

impl Console {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::NotCalled, Self::NotNamed, Self::Stranger, Self::Unfit];
}

/// The table of a language.
pub fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &english::WORDS,
        Language::French => &french::WORDS,
        Language::Portuguese => &portuguese::WORDS,
        Language::Swahili => &swahili::WORDS,
    }
}

/// What is written large, and the line below it.
#[derive(Debug, Clone, Copy)]
pub struct Notice {
    /// A word or two in capitals.
    pub word: &'static str,
    /// A short sentence without a full stop; that of a verdict may have two lines.
    pub meaning: &'static str,
}

/// The texts of one language. `{}` stands for a number.
#[derive(Debug)]
pub struct Words {
    /// On every screen.
    pub disclaimer: &'static str,
    /// On every screen of a model that was trained on synthetic radiographs.
    pub synthetic: &'static str,
    /// On every screen of a box that takes models which nobody has signed.
    pub unsigned: &'static str,
    /// On every screen of a box whose model may have been signed by anybody.
    pub test_key: &'static str,
    /// The same, where the model also stands in for another one.
    pub test_key_fell_back: &'static str,
    /// On every screen of a model that stands in for one that is damaged or has failed.
    pub fell_back: &'static str,
    /// Before the model's name.
    pub model: &'static str,
    /// Above what is being done at the start.
    pub starting: &'static str,
    /// What is being done at the start.
    pub step: fn(Step) -> &'static str,
    /// The program has ended.
    pub stopped: Notice,
    /// An image may be sent.
    pub ready: Notice,
    /// The same, after a result that is shown no longer.
    pub blanked: Notice,
    /// Above and below a code that is to be typed on the computer.
    pub pairing: Notice,
    /// Before the number of results that there have been.
    pub results: &'static str,
    /// Before the model's digest, on the day on which it was installed.
    pub changed: &'static str,
    /// Before the version of the program, on the day on which it was first started.
    pub program_changed: &'static str,
    /// Below that an image may be sent, where another program is tried at the next start.
    pub program_staged: &'static str,
    /// The same, where another program was tried and did not start.
    pub program_went_back: &'static str,
    /// The same, where other settings count from the next start on.
    pub settings_staged: &'static str,
    /// The same, on the day on which other settings were first in force.
    pub settings_new: &'static str,
    /// The same, where the settings that were sent cannot be used.
    pub settings_not_used: &'static str,
    /// The same, where a person has added a key of the clinic, until settings are sent.
    pub settings_key_added: &'static str,
    /// Who says that the model is good.
    pub signed: fn(Trust) -> &'static str,
    /// Before the model's digest.
    pub digest: &'static str,
    /// Before the version of the program.
    pub version: &'static str,
    /// An image comes in.
    pub receiving: &'static str,
    /// An update comes in.
    pub updating: &'static str,
    /// Another program comes in.
    pub updating_program: &'static str,
    /// An image is being judged.
    pub analysing: Notice,
    /// A verdict and what it means.
    pub verdict: fn(Verdict) -> Notice,
    /// Before the probability, in two lines.
    pub probability: [&'static str; 2],
    /// Between the whole part of a number and the rest.
    pub decimal: &'static str,
    /// In hundredths, where the verdict changes from normal to pneumonia and nothing is referred.
    pub threshold: &'static str,
    /// The range of *refer* in hundredths, from its lower end to its upper.
    pub band: &'static str,
    /// Before what the box says of 100 X-rays with pneumonia.
    pub of_pneumonia: &'static str,
    /// Before what the box says of 100 normal X-rays.
    pub of_normal: &'static str,
    /// What the box says of them, in a sentence: one of the two before, and so many called normal, referred, and called
    /// pneumonia.
    pub said: &'static str,
    /// Where that was measured: in so many hospitals, if that is known.
    pub measured_on: fn(Option<u16>) -> String,
    /// Before the host's name for the examination.
    pub exam: &'static str,
    /// Which image of its examination it is, from 2 on.
    pub nth: fn(usize) -> String,
    /// Before the number of the result.
    pub record: &'static str,
    /// Of a result of an image that the computer had prepared.
    pub prepared: &'static str,
    /// An age in months or years.
    pub span: fn(Span) -> String,
    /// Of two ages that contradict each other.
    pub either: &'static str,
    /// The age `{}` of the patient.
    pub patient_age: &'static str,
    /// The file does not say it.
    pub age_unknown: &'static str,
    /// The model is not for patients of the age `{}`, and the image was judged all the same.
    pub age_overridden: &'static str,
    /// Where that was done: for children of so many years it is, if that is known.
    pub meant: fn(Option<[u8; 2]>) -> String,
    /// Of a result of this minute.
    pub now: &'static str,
    /// The age of a result in minutes.
    pub minutes_ago: &'static str,
    /// The age of a result in hours.
    pub hours_ago: &'static str,
    /// Of a result that may be another child's; `{}` is its age.
    pub past: &'static str,
    /// Below a radiograph on which evidence is drawn, in two lines.
    pub caption: [&'static str; 2],
    /// An image is refused.
    pub not_judged: &'static str,
    /// The box could not do what was asked.
    pub error: &'static str,
    /// The box judges nothing, because it has failed again and again.
    pub safe_mode: &'static str,
    /// Before the code of a refusal or fault.
    pub code: &'static str,
    /// Cause and remedy of a refusal, with `: ` between them.
    pub refusal: fn(Refusal) -> String,
    /// Cause and remedy of a fault, with `: ` between them.
    pub fault: fn(Fault) -> String,
    /// Cause and remedy of a model that is not installed, with `: ` between them.
    pub model_refusal: fn(ModelRefusal) -> String,
    /// Cause and remedy of a program that is not taken, with `: ` between them.
    pub software_refusal: fn(SoftwareRefusal) -> String,
    /// Cause and remedy of settings that are not taken, with `: ` between them.
    pub site_refusal: fn(SiteRefusal) -> String,
    /// Cause and remedy of a lost line, with `: ` between them.
    pub line_lost: &'static str,
    /// Cause and remedy of safe mode, with `: ` between them.
    pub safe: &'static str,
    /// Cause and remedy of a journal that cannot be written, with `: ` between them.
    pub no_storage: &'static str,
    /// Cause and remedy of a journal of which something was changed or lost, with `: ` between them.
    pub chain_broken: &'static str,
    /// Cause and remedy of an X-ray machine that may not send, with `: ` between them. `{}` stands in the cause for what the reason
    /// names, and in the remedy for the box's own title.
    pub console: fn(Console) -> &'static str,
    /// Before the number and digest of the journal's last entry.
    pub journal: &'static str,
    /// Of a journal whose chain is broken before the entry `{}`.
    pub broken: &'static str,
    /// Above the films on a memory stick.
    pub stick: &'static str,
    /// Beside the newest of them.
    pub newest: &'static str,
    /// Below them, while the newest is to be judged in `{}` seconds.
    pub stick_countdown: &'static str,
    /// The same, while somebody chooses.
    pub stick_choose: &'static str,
    /// The same, while one is being read.
    pub stick_reading: &'static str,
    /// Above what else can be done with a stick, where there are no films on it.
    pub stick_marked: &'static str,
    /// A row of the list: the program `{}` on the stick is taken.
    pub stick_program: &'static str,
    /// A row of the list: the results are written onto the stick.
    pub stick_results: &'static str,
    /// Below the list, while such a row is chosen.
    pub stick_take: &'static str,
    /// Whether the `{}` results are to be written, and how, with `: ` between the two.
    pub results_asked: Notice,
    /// Above how far that has got.
    pub results_writing: &'static str,
    /// How far it has got: so many results of so many.
    pub results_done: &'static str,
    /// That they are in files of the name `{}`, and what to do now, with `: ` between the two.
    pub results_written: Notice,
    /// Whether the program `{}` is to be taken, and how, with `: ` between the two.
    pub program_asked: Notice,
    /// Above the table of the results on a printed page.
    pub results_page: &'static str,
    /// Above the times in that table.
    pub time: &'static str,
    /// Above the verdicts in it.
    pub verdicts: &'static str,
    /// Above what else is to be said of each result.
    pub notes: &'static str,
    /// Cause and remedy of a stick on which nothing is judged, with `: ` between them.
    pub stick_trouble: fn(StickTrouble) -> &'static str,
    /// What to do about an error that ended the program.
    pub restart: &'static str,
    /// Above the past results.
    pub history: &'static str,
    /// Where there has been none.
    pub no_results: &'static str,
    /// Beside a past result of another model than the one that judges now.
    pub other_model: &'static str,
    /// Before the number of the page.
    pub page: &'static str,
    /// Of a result from before the clock was set.
    pub time_unknown: &'static str,
    /// Above what the box is.
    pub about: &'static str,
    /// Before whom the model is made for.
    pub made_for: &'static str,
    /// Whom the model is made for: children of so many years, if that is known.
    pub ages: fn(Option<[u8; 2]>) -> String,
    /// Before what was measured.
    pub measured: &'static str,
    /// Where nothing was measured by the operating point in force.
    pub not_measured: &'static str,
    /// Before how a person goes back to the program of before.
    pub way_back: &'static str,
    /// How that is done: `{}` is the program.
    pub go_back_offer: &'static str,
    /// A person is asked once more whether to go back. Below it what that means and which keys do it, with `: ` between them; `{}` stands
    /// in the first part for the program.
    pub go_back: Notice,
    /// Behind the remedy of a model that is older than one that the box has had: how a person lets it in, in sentences.
    pub older_offer: &'static str,
    /// A person is asked once more whether to do that. Below it what that means and which keys do it, with `: ` between them.
    pub older_model: Notice,
    /// Cause and remedy of settings that an unknown key has signed, which a person may add, with `: ` between them. `{}` stands in the cause
    /// for the key.
    pub offered_key: &'static str,
    /// A person is asked once more whether to do that. Below it what that means and which keys do it, with `: ` between them; `{}` stands
    /// in the first part for the key.
    pub add_key: Notice,
    /// Above what the clinic's own settings and keys are.
    pub site_page: &'static str,
    /// Beside what the box is: which key leads there.
    pub site_offer: &'static str,
    /// What the settings that were sent are called, their counter, and the key that has signed them; each has a `{}`.
    pub site_file: &'static str,
    /// The keys `{}` of the clinic.
    pub site_keys: &'static str,
    /// How a person has all of it forgotten, without a full stop.
    pub forget_offer: &'static str,
    /// A person is asked once more whether to do that. Below it what that means and which keys do it, with `: ` between them.
    pub forget_site: Notice,
}

impl Words {
    /// A probability as it is shown, with more digits where it would read like an end of the band. Where there is none, it is
    /// not called so: that would read as zero.
    pub fn percent(&self, probability: f32, point: &OperatingPoint) -> String {
        if !(0.0..=1.0).contains(&probability) {
            return "-".to_owned();
        }
        let [decimals, ..] = point.decimals(probability, 100.0, 0);
        format!("{} %", self.number(probability, decimals))
    }

    /// Both ends of the band of *refer* as they are shown beside a probability, in hundredths.
    pub fn ends(&self, probability: f32, point: &OperatingPoint) -> [String; 2] {
        let [_, from, to] = point.decimals(probability, 100.0, 0);
        [self.number(point.refer_from, from), self.number(point.refer_to, to)]
    }

    /// Where the verdict changes, in hundredths, as it is shown beside a probability: the band of *refer*, or the threshold where
    /// there is no band.
    pub fn changes(&self, probability: f32, point: &OperatingPoint) -> String {
        let [from, to] = self.ends(probability, point);
        if point.refer_from == point.refer_to {
            return filled(self.threshold, [from]);
        }
        filled(self.band, [from, to])
    }

    fn number(&self, probability: f32, decimals: usize) -> String {
        rounded(probability, decimals).replace('.', self.decimal)
    }

    /// What a result notes of the patient's age; nothing of one that notes none.
    pub fn age(&self, note: AgeNote) -> Option<String> {
        let text = match note {
            AgeNote::NotNoted => return None,
            AgeNote::Unknown => return Some(self.age_unknown.to_owned()),
            AgeNote::Meant(_) => self.patient_age,
            AgeNote::Overridden(_) => self.age_overridden,
        };
        let ages: Vec<String> = note.age()?.each().map(|months| (self.span)(Span::of(months))).collect();
        let ages = match &ages[..] {
            [one, other] => self.either.replacen("{}", one, 1).replacen("{}", other, 1),
            _ => ages.concat(),
        };
        Some(text.replace("{}", &ages))
    }
}

/// A probability in hundredths, never a certainty that the model did not claim.
pub fn hundredths(probability: f32) -> String {
    rounded(probability, 0)
}

/// The same with decimals.
fn rounded(probability: f32, decimals: usize) -> String {
    let hundredths = f64::from(probability) * 100.0;
    let least = 0.1_f64.powi(decimals as i32);
    match hundredths {
        h if h < least / 2.0 => format!("<{least:.decimals$}"),
        h if h >= 100.0 - least / 2.0 => format!(">{:.decimals$}", 100.0 - least),
        h => format!("{h:.decimals$}"),
    }
}

/// The text with these in its places.
pub fn filled(text: &str, values: impl IntoIterator<Item = String>) -> String {
    values.into_iter().fold(text.to_owned(), |text, value| text.replacen("{}", &value, 1))
}

/// Cause and remedy, which have `: ` between them, as two sentences.
pub fn cause_and_remedy(text: &str) -> [String; 2] {
    let (cause, remedy) = text.split_once(": ").unwrap_or((text, ""));
    [cause, remedy].map(sentence)
}

/// The words with a capital letter first and a full stop; nothing of none.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

/// What a number has behind it, in every language.
const UNITS: [&str; 5] = ["MiB", "Mio", "min", "h", "s"];

/// A text for a page, on which no line begins with a unit, or with a sign that has a space before it.
pub fn unbroken(text: &str) -> String {
    let mut words = text.split(' ');
    let mut joined = words.next().unwrap_or_default().to_owned();
    for word in words {
        let is_unit = UNITS.contains(&word.trim_end_matches(|c: char| c.is_ascii_punctuation()));
        let stays =
            word.starts_with(['%', ':', ';', '?', '!']) || is_unit && joined.ends_with(|c: char| c.is_ascii_digit());
        joined.push(if stays { '\u{a0}' } else { ' ' });
        joined.push_str(word);
    }
    joined
}

/// Whether those are children of whom the oldest are of so many years.
fn children(oldest: u8) -> bool {
    oldest < ADULT
}

#[cfg(test)]
mod tests {
    use shared::age::Age;

    use super::*;

    #[test]
    fn every_refusal_and_fault_has_one_cause_and_one_remedy() {
        for language in Language::ALL {
            let words = words(language);
            let refusals = Refusal::ALL.iter().map(|&refusal| (words.refusal)(refusal));
            let faults = Fault::ALL.iter().map(|&fault| (words.fault)(fault));
            let updates = ModelRefusal::ALL.iter().map(|&refusal| (words.model_refusal)(refusal));
            let programs = SoftwareRefusal::ALL.iter().map(|&refusal| (words.software_refusal)(refusal));
            let settings = SiteRefusal::ALL.iter().map(|&refusal| (words.site_refusal)(refusal));
            let mut texts: Vec<String> = refusals
                .chain(faults)
                .chain(updates)
                .chain(programs)
                .chain(settings)
                .chain([words.line_lost, words.safe, words.no_storage, words.chain_broken].map(str::to_owned))
                .chain(StickTrouble::ALL.map(|trouble| (words.stick_trouble)(trouble).to_owned()))
                .chain(Console::ALL.map(|reason| (words.console)(reason).to_owned()))
                .chain([words.go_back, words.older_model].map(|notice| notice.meaning.to_owned()))
                .chain([words.add_key.meaning, words.forget_site.meaning, words.offered_key].map(str::to_owned))
                .collect();
            for text in &texts {
                assert_eq!(text.matches(": ").count(), 1, "{language}: {text}");
                assert!(!text.ends_with('.') && text.trim() == text, "{language}: {text}");
            }
            let count = texts.len();
            texts.sort();
            texts.dedup();
            assert_eq!(texts.len(), count, "{language}: each says something of its own");
        }
    }

    #[test]
    fn ages_are_said_in_each_language() {
        let age = |months| Age::months(months).unwrap();
        let notes = [
            AgeNote::NotNoted,
            AgeNote::Unknown,
            AgeNote::Meant(age(18)),
            AgeNote::Meant(age(36)),
            AgeNote::Overridden(age(108)),
            AgeNote::Overridden(age(1).either(age(36))),
        ];
        let said = |language| notes.map(|note| words(language).age(note).unwrap_or_default()).join(", ");
        for (language, texts) in [
            (
                Language::English,
                ", Age unknown, Age: 18 months, Age: 3 years, Age overridden: 9 years, \
                 Age overridden: 1 month or 3 years",
            ),
            (
                Language::French,
                ", Âge inconnu, Âge : 18 mois, Âge : 3 ans, Âge ignoré : 9 ans, \
                 Âge ignoré : 1 mois ou 3 ans",
            ),
            (
                Language::Portuguese,
                ", Idade desconhecida, Idade: 18 meses, Idade: 3 anos, Idade ignorada: 9 anos, \
                 Idade ignorada: 1 mês ou 3 anos",
            ),
            (
                Language::Swahili,
                ", Umri haujulikani, Umri: miezi 18, Umri: miaka 3, Umri umepuuzwa: miaka 9, \
                 Umri umepuuzwa: mwezi 1 au miaka 3",
            ),
        ] {
            assert_eq!(said(language), texts);
        }
    }

    #[test]
    fn what_is_shown_never_contradicts_the_verdict() {
        let point = OperatingPoint { threshold: 0.699_27, refer_from: 0.082_274_25, refer_to: 0.969_438_43 };
        let shown = |language, probability| {
            let words = words(language);
            format!("{}, {}", words.percent(probability, &point), words.changes(probability, &point))
        };
        for (probability, text) in [
            (0.001, "<1 %, Refer from 8 to 97 %"),
            (0.08, "8.0 %, Refer from 8.2 to 97 %"),
            (0.0822, "8.22 %, Refer from 8.23 to 97 %"),
            (0.085, "9 %, Refer from 8 to 97 %"),
            (0.97, "97.0 %, Refer from 8 to 96.9 %"),
            (1.0, ">99 %, Refer from 8 to 97 %"),
            (f32::NAN, "-, Refer from 8 to 97 %"),
        ] {
            assert_eq!(shown(Language::English, probability), text);
        }
        assert_eq!(shown(Language::French, 0.08), "8,0 %, À référer de 8,2 à 97 %");
        assert_eq!(shown(Language::Portuguese, 0.08), "8,0 %, Encaminhar de 8,2 a 97 %");
        assert_eq!(shown(Language::Swahili, 0.08), "8.0 %, Rufaa kuanzia 8.2 hadi 97 %");
        let narrow = OperatingPoint { threshold: 0.083, refer_from: 0.081, refer_to: 0.084 };
        assert_eq!(words(Language::English).changes(0.5, &narrow), "Refer from 8.1 to 8.4 %");
        // No certainty with decimals either.
        assert_eq!([0.000_01, 0.999_99].map(|p| rounded(p, 1)), ["<0.1", ">99.9"]);
    }

    #[test]
    fn a_number_and_its_unit_stay_in_one_line() {
        for (text, expected) in [
            ("Below 8.2 %: NORMAL.", "Below 8.2\u{a0}%: NORMAL."),
            ("Moins de 8,2 % : NORMAL ; non", "Moins de 8,2\u{a0}%\u{a0}: NORMAL\u{a0}; non"),
            ("at most 32 MiB each, in 5 s.", "at most 32\u{a0}MiB each, in 5\u{a0}s."),
            ("il y a 3 h", "il y a 3\u{a0}h"),
            ("5 small h s  ", "5 small h s  "),
            ("", ""),
        ] {
            assert_eq!(unbroken(text), expected);
        }
        // What stands for a number is one when it is filled in.
        for language in Language::ALL {
            let words = words(language);
            for text in [words.minutes_ago, words.hours_ago, words.threshold, words.band, words.stick_countdown] {
                let said = unbroken(&text.replace("{}", "7"));
                let apart = said.split(' ').any(|word| word.starts_with('%') || UNITS.contains(&word));
                assert!(!apart, "{language}: {said}");
            }
        }
    }

    #[test]
    fn a_file_that_is_no_picture_is_told_of_every_kind_that_is() {
        for language in Language::ALL {
            let text = (words(language).refusal)(Refusal::UnknownFormat);
            for kind in ["DICOM", "JPEG", "PNG", "TIFF", "BMP", "WebP"] {
                assert!(text.contains(kind), "{language}: {text}");
            }
        }
    }

    #[test]
    fn the_figures_have_their_places() {
        for language in Language::ALL {
            let words = words(language);
            for text in [
                words.minutes_ago,
                words.hours_ago,
                words.past,
                words.broken,
                words.patient_age,
                words.age_overridden,
                words.stick_countdown,
                words.go_back_offer,
                words.site_keys,
            ] {
                assert_eq!(text.matches("{}").count(), 1, "{language}: {text}");
            }
            for text in [words.go_back.meaning, words.add_key.meaning, words.offered_key] {
                let parts = text.split_once(": ");
                let places = parts.map(|(cause, remedy)| [cause, remedy].map(|part| part.matches("{}").count()));
                assert_eq!(places, Some([1, 0]), "{language}: {text}");
            }
            assert!(words.older_offer.ends_with('.'), "{language}");
            for text in [words.results_asked.meaning, words.results_written.meaning, words.program_asked.meaning] {
                let (before, after) = text.split_once(": ").unwrap();
                assert!(before.matches("{}").count() == 1 && !after.contains(['{', ':']), "{language}: {text}");
            }
            assert_eq!(words.stick_program.matches("{}").count(), 1, "{language}");
            assert_eq!(words.results_done.matches("{}").count(), 2, "{language}");
            assert_eq!(words.site_file.matches("{}").count(), 3, "{language}");
            for text in [words.of_pneumonia, words.of_normal] {
                assert!(text.matches("100").count() == 1, "{language}: {text}");
            }
            for reason in Console::ALL {
                let text = (words.console)(reason);
                let named = if reason == Console::NotCalled { [2, 1] } else { [1, 0] };
                let parts =
                    text.split_once(": ").map(|(cause, remedy)| [cause, remedy].map(|it| it.matches("{}").count()));
                assert_eq!(parts, Some(named), "{language}: {text}");
            }
            assert_eq!(words.said.matches("{}").count(), 4, "{language}: {}", words.said);
            assert_eq!(words.either.matches("{}").count(), 2, "{language}");
            for (text, figures) in [(words.threshold, 1), (words.band, 2)] {
                assert!(text.matches("{}").count() == figures && text.ends_with("{} %"), "{language}: {text}");
            }
        }
    }
}

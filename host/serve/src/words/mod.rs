//! What the page says besides what the screen of the box says, one table for each language. Verdicts, refusals, faults, ages
//! and the figures beside them are in the words of [`language`].
//!
//! The French, Portuguese and Swahili texts have not been reviewed by clinicians who speak them. Have that done before
//! anybody relies on them.

mod english;
mod french;
mod portuguese;
mod swahili;

use shared::appliance::Language;

use crate::{
    node::What,
    outbox::Trouble,
    record::{Opinion, Source},
    store::Filter,
};

/// The table of a language.
pub(crate) fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &english::WORDS,
        Language::French => &french::WORDS,
        Language::Portuguese => &portuguese::WORDS,
        Language::Swahili => &swahili::WORDS,
    }
}

/// What a language calls itself.
pub(crate) fn own_name(language: Language) -> &'static str {
    match language {
        Language::English => "English",
        Language::French => "Français",
        Language::Portuguese => "Português",
        Language::Swahili => "Kiswahili",
    }
}

/// The texts of one language. `{}` stands for a number or a word.
#[derive(Debug)]
pub(crate) struct Words {
    /// Over the list, and in the menu.
    pub(crate) films: &'static str,
    /// Over the state, and in the menu.
    pub(crate) state: &'static str,
    /// Over the help, and in the menu.
    pub(crate) help: &'static str,
    /// Ends a session.
    pub(crate) leave: &'static str,
    /// Before the languages.
    pub(crate) language: &'static str,
    /// Jumps over the menu.
    pub(crate) skip: &'static str,
    /// Over what takes files.
    pub(crate) judge_films: &'static str,
    /// Where files are dropped.
    pub(crate) drop: &'static str,
    /// Of the button that opens the choice of files.
    pub(crate) choose: &'static str,
    /// What files there may be.
    pub(crate) kinds: &'static str,
    /// Before the field in which an exam is typed: what it is for.
    pub(crate) exam_field: &'static str,
    /// What an exam is for, and what it may be called.
    pub(crate) exam_hint: &'static str,
    /// An exam has other letters.
    pub(crate) exam_wrong: &'static str,
    /// Of the button that sends.
    pub(crate) judge: &'static str,
    /// Of the button that takes a file off the list.
    pub(crate) remove: &'static str,
    /// Of a file that is being sent.
    pub(crate) sending: &'static str,
    /// Of a film that waits for its answer.
    pub(crate) waiting: &'static str,
    /// Before how many others have their turn before it.
    pub(crate) ahead: &'static str,
    /// On the page of a film that was there already.
    pub(crate) known: &'static str,
    /// The same in a list; what is known of it follows.
    pub(crate) here: &'static str,
    /// A film was there already in another exam, which is told in the middle.
    pub(crate) other_exam: &'static str,
    /// Of a file that could not be sent; the reason follows.
    pub(crate) not_sent: &'static str,
    /// The server does not answer.
    pub(crate) silent: &'static str,
    /// Where scripts are off.
    pub(crate) script: &'static str,
    /// Before what is looked for.
    pub(crate) search: &'static str,
    /// Before the kinds of records.
    pub(crate) show: &'static str,
    /// Of the button that looks.
    pub(crate) find: &'static str,
    /// Of a kind of records.
    pub(crate) filter: fn(Filter) -> Option<&'static str>,
    /// Where there are no records.
    pub(crate) none: &'static str,
    /// None is what is searched for.
    pub(crate) no_match: &'static str,
    /// What a search looks at.
    pub(crate) searched: &'static str,
    /// Leads back to all records.
    pub(crate) clear: &'static str,
    /// So many to so many of so many.
    pub(crate) part: &'static str,
    /// To the next page of older ones.
    pub(crate) older: &'static str,
    /// To the page of newer ones.
    pub(crate) newer: &'static str,
    /// Downloads a table.
    pub(crate) csv: &'static str,
    /// Before the time at which a film came in.
    pub(crate) received: &'static str,
    /// How a film came in.
    pub(crate) source: fn(Source) -> &'static str,
    /// Before the time of the answer.
    pub(crate) judged: &'static str,
    /// Over verdicts.
    pub(crate) answer: &'static str,
    /// Before the place.
    pub(crate) site: &'static str,
    /// Over what the clinician says.
    pub(crate) clinician: &'static str,
    /// An opinion for which the screen has no word.
    pub(crate) opinion: fn(Opinion) -> Option<&'static str>,
    /// None of them is chosen.
    pub(crate) choose_one: &'static str,
    /// Of the button that keeps it.
    pub(crate) save: &'static str,
    /// It is kept since then.
    pub(crate) saved: &'static str,
    /// Below that probability a verdict is given.
    pub(crate) below: &'static str,
    /// From that probability on a verdict is given.
    pub(crate) from: &'static str,
    /// What to do next after each verdict: normal, pneumonia, refer.
    pub(crate) next: [&'static str; 3],
    /// The same after a verdict on which nobody may rely.
    pub(crate) unreliable: &'static str,
    /// What to look at before a verdict is used.
    pub(crate) check: &'static str,
    /// Over the pictures of a film that was judged.
    pub(crate) seen: &'static str,
    /// Over those of one that was not.
    pub(crate) sent: &'static str,
    /// Below the film.
    pub(crate) film: &'static str,
    /// Below what the network sees.
    pub(crate) square: &'static str,
    /// What the outlines on a film are for.
    pub(crate) evidence: &'static str,
    /// Below a film on which nothing is outlined.
    pub(crate) no_evidence: &'static str,
    /// Where there are no pictures.
    pub(crate) no_pictures: &'static str,
    /// Over what technicians want to know.
    pub(crate) details: &'static str,
    /// Number of the result in the journal of the box.
    pub(crate) box_record: &'static str,
    /// A page to print.
    pub(crate) slip: &'static str,
    /// Of the button that prints.
    pub(crate) print: &'static str,
    /// Where somebody signs.
    pub(crate) signature: &'static str,
    /// Who judges.
    pub(crate) judges: &'static str,
    /// Where nobody has yet.
    pub(crate) nobody_yet: &'static str,
    /// What is wrong.
    pub(crate) trouble: &'static str,
    /// Where nothing is.
    pub(crate) no_trouble: &'static str,
    /// How many results there are, of how many.
    pub(crate) of: &'static str,
    /// Before the space that films take.
    pub(crate) space: &'static str,
    /// Before the folder that is watched.
    pub(crate) folder: &'static str,
    /// So many films were taken from it since the start, and so many files passed over.
    pub(crate) taken: &'static str,
    /// No folder is.
    pub(crate) no_folder: &'static str,
    /// Before the DICOM node.
    pub(crate) node: &'static str,
    /// There is none.
    pub(crate) no_node: &'static str,
    /// Title, address and port of the node, as they are entered on a console.
    pub(crate) node_is: &'static str,
    /// Before the archive to which answers go.
    pub(crate) pacs: &'static str,
    /// There is none.
    pub(crate) no_pacs: &'static str,
    /// So many answers wait to be sent, so many were sent since the start.
    pub(crate) pacs_waits: &'static str,
    /// Before the time when the last one was.
    pub(crate) pacs_last: &'static str,
    /// So many were refused for good; why the last one was follows.
    pub(crate) pacs_aside: &'static str,
    /// What keeps answers from the archive, and what to do. Places are filled as [`Trouble`] says.
    pub(crate) pacs_trouble: fn(Trouble) -> &'static str,
    /// Over what consoles did last.
    pub(crate) consoles_did: &'static str,
    /// None has sent anything.
    pub(crate) no_consoles: &'static str,
    /// What a console did; what is wrong and what to do, where something is. Places are filled as [`What`] says.
    pub(crate) consoles: fn(What) -> &'static str,
    /// Over what updates the box.
    pub(crate) update: &'static str,
    /// Where the file is dropped.
    pub(crate) update_drop: &'static str,
    /// Of the button that opens the choice of a file.
    pub(crate) update_choose: &'static str,
    /// What file that is.
    pub(crate) update_hint: &'static str,
    /// Of the button that sends it.
    pub(crate) update_send: &'static str,
    /// Of the button that stops it.
    pub(crate) update_stop: &'static str,
    /// The file has more bytes than a bundle.
    pub(crate) update_large: &'static str,
    /// Another update is under way.
    pub(crate) update_other: &'static str,
    /// Nobody has signed it.
    pub(crate) update_unsigned: &'static str,
    /// So much of this version is sent, in percent.
    pub(crate) update_sending: &'static str,
    /// The box stores this version.
    pub(crate) update_installing: &'static str,
    /// What keeps this version from the box follows.
    pub(crate) update_troubled: &'static str,
    /// The box has this version, and starts it the next time.
    pub(crate) update_staged: &'static str,
    /// The box runs this version already.
    pub(crate) update_running: &'static str,
    /// The box does not take this version; why follows.
    pub(crate) update_refused: &'static str,
    /// This version was given up; why follows.
    pub(crate) update_given_up: &'static str,
    /// Somebody has stopped the update to this version.
    pub(crate) update_stopped: &'static str,
    /// Steps of the help.
    pub(crate) steps: [&'static str; 6],
    /// What the help says of each verdict, and the scale of a band: normal, pneumonia, refer.
    pub(crate) meant: [&'static str; 3],
    /// The same of an X-ray that is not judged.
    pub(crate) meant_not_judged: &'static str,
    /// Asks for the code.
    pub(crate) code: &'static str,
    /// It is the wrong one.
    pub(crate) wrong_code: &'static str,
    /// No code is taken now.
    pub(crate) locked: &'static str,
    /// Of the button that enters.
    pub(crate) enter: &'static str,
    /// Whoever asks is not let in any more.
    pub(crate) foreign: &'static str,
    /// There is no such page.
    pub(crate) missing: &'static str,
    /// Leads back to the list.
    pub(crate) back: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_everything() {
        for language in Language::ALL {
            let words = words(language);
            let all = format!("{words:?}");
            assert!(!all.contains("\"\""), "{language}: {all}");
            for (text, places) in [
                (words.part, 3),
                (words.of, 2),
                (words.taken, 2),
                (words.saved, 1),
                (words.not_sent, 1),
                (words.ahead, 1),
                (words.here, 1),
                (words.other_exam, 1),
                (words.below, 2),
                (words.from, 2),
                (words.node_is, 3),
                (words.pacs_waits, 2),
                (words.pacs_aside, 1),
                (words.update_sending, 2),
                (words.update_installing, 1),
                (words.update_troubled, 2),
                (words.update_staged, 1),
                (words.update_running, 1),
                (words.update_refused, 2),
                (words.update_given_up, 2),
                (words.update_stopped, 1),
            ] {
                assert_eq!(text.matches("{}").count(), places, "{language}: {text}");
            }
            // What is 64 MiB in the words is so in the program.
            assert_eq!(shared::limits::MAX_BUNDLE_BYTES, 64 << 20);
            assert!(words.update_large.contains("64") && words.update_hint.contains(".pumua"), "{language}");
            for kind in ["DICOM", "JPEG", "PNG", "TIFF", "BMP", "WebP"] {
                assert!(words.kinds.contains(kind), "{language}: {}", words.kinds);
            }
            for what in What::ALL {
                let text = (words.consoles)(what);
                assert_eq!(text.matches("{}").count(), what.places(), "{language}: {text}");
                assert_eq!(what.is_trouble(), text.contains(": ") && !text.ends_with(": {}"), "{language}: {text}");
            }
            for trouble in Trouble::ALL {
                let text = (words.pacs_trouble)(trouble);
                assert_eq!(text.matches("{}").count(), trouble.places(), "{language}: {text}");
                assert!(text.contains(": ") && !text.ends_with(": {}"), "{language}: {text}");
            }
            assert!(Source::ALL.into_iter().all(|source| !(words.source)(source).is_empty()), "{language}");
            let named = Filter::ALL.into_iter().filter(|&filter| (words.filter)(filter).is_some()).count();
            assert_eq!(named, 3, "{language}: the others have words of the screen");
            assert_eq!(Opinion::ALL.into_iter().filter(|&it| (words.opinion)(it).is_some()).count(), 2, "{language}");
        }
    }
}

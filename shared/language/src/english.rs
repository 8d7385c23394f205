use shared::verdict::{Trust, Verdict};

use super::{Console, Notice, Step, StickTrouble, Words, children};

pub(crate) static WORDS: Words = Words {
    disclaimer: "Research aid, not a medical device",
    synthetic: "SYNTHETIC MODEL: NO MEDICAL MEANING",
    unsigned: "DEVELOPMENT: UNSIGNED MODELS ARE TAKEN",
    test_key: "TEST KEY: ANYBODY CAN SIGN A MODEL",
    test_key_fell_back: "TEST KEY; ANOTHER MODEL WAS MEANT",
    fell_back: "MODEL NOT USABLE: ANOTHER ONE JUDGES",
    model: "Model",
    starting: "STARTING",
    step: |step| match step {
        Step::Drivers => "Loading the drivers",
        Step::Storage => "Opening the storage",
        Step::Model => "Loading the model",
        Step::Lines => "Opening the connections",
    },
    stopped: Notice { word: "STOPPED", meaning: "The box has been stopped" },
    ready: Notice { word: "READY", meaning: "Send an X-ray" },
    blanked: Notice { word: "READY", meaning: "The last result is under past results" },
    pairing: Notice { word: "CODE", meaning: "For a computer that wants to read the results" },
    results: "Results",
    changed: "New model",
    program_changed: "New program",
    program_staged: "New program: switch the box off and on",
    program_went_back: "The new program did not start: the old one is still running",
    settings_staged: "Other settings: switch the box off and on",
    settings_new: "New settings are in force",
    settings_not_used: "The settings that were sent cannot be used",
    settings_key_added: "Key added: send the settings again",
    signed: |trust| match trust {
        Trust::Signed => "signed",
        Trust::BuiltIn => "built in",
        Trust::TestKey => "TEST KEY",
        Trust::Unsigned => "not signed",
    },
    digest: "Model digest",
    version: "Version",
    receiving: "RECEIVING",
    updating: "UPDATING",
    updating_program: "NEW PROGRAM",
    analysing: Notice { word: "ANALYSING", meaning: "Please wait" },
    verdict: |verdict| match verdict {
        Verdict::Normal => Notice { word: "NORMAL", meaning: "No pneumonia seen;\nnot ruled out" },
        Verdict::Pneumonia => Notice { word: "PNEUMONIA", meaning: "Pneumonia suspected" },
        Verdict::Refer => Notice { word: "REFER", meaning: "A clinician must decide" },
    },
    probability: ["Probability", "of pneumonia"],
    decimal: ".",
    threshold: "Threshold {} %",
    band: "Refer from {} to {} %",
    of_pneumonia: "Of 100 pneumonias",
    of_normal: "Of 100 normal X-rays",
    said: "{}: {} called normal, {} referred, {} called pneumonia",
    measured_on: |hospitals| match hospitals {
        None => "on test images of unknown hospitals".to_owned(),
        Some(1) => "on test images of one hospital".to_owned(),
        Some(n) => format!("on test images of {n} hospitals"),
    },
    exam: "Exam",
    nth: |n| format!("{n}{} image of this exam", ordinal(n)),
    record: "Record",
    prepared: "prepared",
    span: |span| span.to_string(),
    either: "{} or {}",
    patient_age: "Age: {}",
    age_unknown: "Age unknown",
    age_overridden: "Age overridden: {}",
    meant: |ages| match ages {
        Some([from, to]) => format!("The model is for {} of {from} to {to} years", who(to)),
        None => "The ages that the model is for are not known".to_owned(),
    },
    now: "just now",
    minutes_ago: "{} min ago",
    hours_ago: "{} h ago",
    past: "PAST RESULT: {}",
    caption: ["Outlined: where the model looked.", "It is not a finding."],
    not_judged: "NOT JUDGED",
    error: "ERROR",
    safe_mode: "SAFE MODE",
    code: "Code",
    refusal: |refusal| refusal.to_string(),
    fault: |fault| fault.to_string(),
    model_refusal: |refusal| refusal.to_string(),
    software_refusal: |refusal| refusal.to_string(),
    site_refusal: |refusal| refusal.to_string(),
    line_lost: "the connection to the computer is lost: plug the cable in again; the box continues by itself",
    safe: "the program of the box has failed again and again, so that it judges nothing now: fetch the results, then cut the power and switch it on again; if this comes back, flash the card again",
    no_storage: "results cannot be stored, so nothing is judged: fetch the results, then use another memory card",
    chain_broken: "stored results were changed or lost: fetch the results, and tell whoever looks after the box",
    console: |reason| match reason {
        Console::NotCalled => {
            "the X-ray machine calls us {}, but we are {}: enter {} there as the AE title that it calls"
        }
        Console::NotNamed => {
            "the X-ray machine calls itself {}, but the settings of the box say otherwise: correct one of the two"
        }
        Console::Stranger => {
            "an X-ray machine at {} tried to send, and may not: add its address to `peers` in the settings of the box"
        }
        Console::Unfit => {
            "nothing that {} offers can be judged: have it send uncompressed, as CR, DX or Secondary Capture"
        }
    },
    journal: "Journal",
    broken: "changed before {}",
    stick: "X-RAYS ON THE STICK",
    newest: "newest",
    stick_countdown: "The newest is judged in {} s. Arrow keys choose another one.",
    stick_choose: "Enter judges the chosen one, Escape leaves the list.",
    stick_reading: "Reading from the stick. Leave it in.",
    stick_marked: "ON THE STICK",
    stick_program: "Take the new program {}",
    stick_results: "Write the results onto this stick",
    stick_take: "Enter does what is chosen, Escape leaves the list.",
    results_asked: Notice {
        word: "WRITE RESULTS?",
        meaning: "the box has {} results: press Enter to write them onto the stick, or pull the stick out to leave",
    },
    results_writing: "WRITING RESULTS",
    results_done: "{} of {}",
    results_written: Notice {
        word: "RESULTS WRITTEN",
        meaning: "they are in the folder PUMUA of the stick, as {}: pull the stick out",
    },
    program_asked: Notice {
        word: "NEW PROGRAM?",
        meaning: "on the stick is the program {}: press Enter to take it, or pull the stick out to leave",
    },
    results_page: "Results of the box",
    time: "Time",
    verdicts: "Verdict",
    notes: "Notes",
    stick_trouble: |trouble| match trouble {
        StickTrouble::NoFilms => {
            "there is no X-ray on the stick: copy DICOM, JPEG or PNG files of at most 32 MiB onto it"
        }
        StickTrouble::TooMany => "there are too many files on the stick: copy those of one patient onto an empty stick",
        StickTrouble::Unreadable => {
            "the stick cannot be read: format it as FAT32 or exFAT on a computer, and copy the X-rays onto it again"
        }
        StickTrouble::Pulled => {
            "an X-ray on the stick could not be read to its end: plug it in again, and leave it in until there is a result"
        }
        StickTrouble::Busy => {
            "a computer is using the box, so nothing on the stick is judged: wait until it has finished, then plug the stick in again"
        }
        StickTrouble::Interrupted => {
            "the stick was pulled out, or failed, before all results were written, and nothing in the box is lost: plug it in again and write them once more"
        }
        StickTrouble::Full => {
            "the stick is full, so not all results were written: make room on it, or take another one"
        }
        StickTrouble::WriteProtected => "the stick is protected against writing: move its switch, or take another one",
        StickTrouble::NoMark => {
            "the folder PUMUA is not on the stick any more: make it on a computer, then plug the stick in again"
        }
        StickTrouble::NoName => {
            "the folder PUMUA holds these results under every name that the box gives: move the files out of it on a computer"
        }
        StickTrouble::NoResults => {
            "the stored results cannot be read, so not all were written: fetch them with a computer, and check the memory card of the box"
        }
        StickTrouble::NotClosed => {
            "the results were written, but the stick did not confirm that all of it is there: check the files on a computer"
        }
        StickTrouble::ProgramNotTaken => {
            "the new program on the stick was not taken to its end: plug the stick in again, and leave it in; the box goes on where it was"
        }
    },
    restart: "Correct this and start the box again.",
    history: "PAST RESULTS",
    no_results: "No results yet",
    other_model: "Other model",
    page: "Page",
    time_unknown: "time unknown",
    about: "ABOUT THE BOX",
    made_for: "Made for",
    ages: |ages| match ages {
        Some([from, to]) => format!("frontal chest X-rays of {} aged {from} to {to} years", who(to)),
        None => "frontal chest X-rays; it is not known of which ages".to_owned(),
    },
    measured: "Measured",
    not_measured: "not for this operating point",
    way_back: "Going back",
    go_back_offer: "Hold Enter for three seconds to go back to the program of before ({})",
    go_back: Notice {
        word: "GO BACK?",
        meaning: "the program of before ({}) would run again, with the faults that it had: hold Enter again for three seconds to go back to it; Escape leaves",
    },
    older_offer: "Hold Enter for three seconds if you really want the older model; it is then taken once within ten minutes.",
    older_model: Notice {
        word: "AN OLDER MODEL?",
        meaning: "its results may be worse: hold Enter again for three seconds, then send the model again within ten minutes; Escape leaves",
    },
    offered_key: "an unknown key ({}) has signed these settings: compare it with the computer; if both are the same, hold Enter for three seconds",
    add_key: Notice {
        word: "ADD THIS KEY?",
        meaning: "whoever has the key {} may change settings of this box from then on: compare it once more, hold Enter again for three seconds, then send the settings again; Escape leaves",
    },
    site_page: "THE CLINIC'S SETTINGS",
    site_offer: "Settings: i",
    site_file: "settings {}, counter {}, key {}",
    site_keys: "keys of the clinic {}",
    forget_offer: "hold Enter for three seconds to have them forgotten; then the settings on the card count",
    forget_site: Notice {
        word: "FORGET THEM?",
        meaning: "the settings that were sent and the keys of the clinic are gone then: hold Enter again for three seconds to have them forgotten; Escape leaves",
    },
};

/// Whom a model is for whose oldest patients are of so many years.
fn who(oldest: u8) -> &'static str {
    if children(oldest) { "children" } else { "patients" }
}

fn ordinal(number: usize) -> &'static str {
    match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_those_of_english() {
        let ordinals: String = [2, 3, 4, 11, 12, 13, 21, 22, 111].map(ordinal).join(" ");
        assert_eq!(ordinals, "nd rd th th th th st nd th");
    }
}

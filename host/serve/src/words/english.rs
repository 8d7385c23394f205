use super::Words;
use crate::{
    node::What,
    outbox::Trouble,
    record::{Opinion, Source},
    store::Filter,
};

pub(super) static WORDS: Words = Words {
    films: "X-rays",
    state: "Status",
    help: "Help",
    leave: "End session",
    language: "Language",
    skip: "Go to the content",
    judge_films: "Judge X-rays",
    drop: "Drop X-ray files here, or",
    choose: "Choose files",
    kinds: "DICOM, JPEG, PNG, TIFF, BMP or WebP; at most 32 MiB each",
    exam_field: "Exam, to find it again",
    exam_hint: "by it the X-ray is found again, and it cannot be added later. Letters, digits, '.', '_', '-'. Never a patient's name",
    exam_wrong: "Only letters from A to Z, digits, '.', '_' and '-', and no spaces",
    judge: "Judge",
    remove: "Remove",
    sending: "Sending",
    waiting: "Waiting",
    ahead: "X-rays before this one: {}",
    known: "This X-ray was sent before, as this exam.",
    here: "Here already: {}",
    other_exam: "The same X-ray was sent before: {}. Check which exam is right.",
    not_sent: "Not sent: {}",
    silent: "Pumua does not answer: check that it runs, then try again",
    script: "To send files, let this page run its script.",
    search: "Exam or record",
    show: "Show",
    find: "Search",
    filter: |filter| match filter {
        Filter::All => Some("All"),
        Filter::Waiting => Some("Waiting"),
        Filter::Unanswered => Some("Without a clinician's answer"),
        _ => None,
    },
    none: "No X-rays here",
    no_match: "Nothing matches this search.",
    searched: "What is searched: the exam, or a part of it, and the number of the record. Names of files are not kept.",
    clear: "Clear the search",
    part: "{} to {} of {}",
    older: "Older",
    newer: "Newer",
    csv: "Download as a table (CSV)",
    received: "Received",
    source: |source| match source {
        Source::Page => "from this page",
        Source::Folder => "from the watched folder",
        Source::Node => "from the X-ray machine",
    },
    judged: "Judged",
    answer: "Verdict",
    site: "Site",
    clinician: "The clinician says",
    opinion: |opinion| match opinion {
        Opinion::Other => Some("Something else"),
        Opinion::Undecided => Some("Undecided"),
        _ => None,
    },
    choose_one: "Choose one of these answers",
    save: "Save",
    saved: "Saved {}",
    below: "Below {} %: {}.",
    from: "From {} %: {}.",
    next: [
        "A clinician looks at the child as usual. A child who looks ill needs a clinician, whatever the verdict.",
        "A clinician reads the X-ray and sees the child.",
        "There is no opinion: a clinician reads the X-ray and sees the child.",
    ],
    unreliable: "Do not rely on this verdict: a clinician reads the X-ray.",
    check: "Check the picture: is it this child's X-ray, and is the whole chest within the blue line?",
    seen: "What was judged",
    sent: "What was sent",
    film: "The X-ray. The model sees only what is inside the blue line, if there is one",
    square: "What the model sees",
    evidence: "It is there to show when an answer rests on something outside the lungs.",
    no_evidence: "The model found no single place that points clearly to pneumonia.",
    no_pictures: "There is no picture of this X-ray, or it is no longer kept.",
    details: "Details",
    box_record: "Record of the box",
    slip: "Slip to print",
    print: "Print",
    signature: "Clinician, date, signature",
    judges: "Who judges",
    nobody_yet: "not known before the first answer",
    trouble: "Trouble",
    no_trouble: "none",
    of: "{} of {}",
    space: "Space for X-rays, MiB",
    folder: "Watched folder",
    taken: "X-rays taken since the start: {}; other files passed over: {}",
    no_folder: "none",
    node: "DICOM node",
    no_node: "none",
    node_is: "AE title {}, address {}, port {}",
    pacs: "To the PACS",
    no_pacs: "none",
    pacs_waits: "answers that wait to be sent: {}; sent since the start: {}",
    pacs_last: "Last sent",
    pacs_aside: "Not sent before tomorrow or the next start: {}",
    pacs_trouble: |trouble| match trouble {
        Trouble::Unreachable => {
            "no connection to the PACS: check its address and port after --pacs, the cable and the network"
        }
        Trouble::Silent => "the PACS does not answer in time: check that it runs, and the network",
        Trouble::Foreign => "what answers is not a PACS as agreed: check the address and port after --pacs",
        Trouble::Cut => "the PACS has broken off: check in its log why it does not let this computer send",
        Trouble::Busy => "the PACS refuses for now, too many are sending: wait, it is tried again",
        Trouble::OwnTitle => {
            "the PACS does not know us as {}: enter that AE title and the address of this computer there, or change --aet"
        }
        Trouble::ItsTitle => "the PACS is not called {}: correct its AE title after --pacs",
        Trouble::Rejected => {
            "the PACS refuses to be called: see its log for the reason, and let this computer send there"
        }
        Trouble::NoCapture => "the PACS does not take Secondary Capture: allow that kind of image there",
        Trouble::NoReport => {
            "the PACS does not take structured reports: allow Comprehensive SR there, then start `pumua serve` again"
        }
        Trouble::Full => "the PACS is out of resources: make room there, it is tried again",
        Trouble::NotNow(_) => "the PACS takes an answer not now (status {}): see its log, it is tried again",
        Trouble::Refused(_) => {
            "the PACS has refused an answer (status {}): see its log, mend it, then start `pumua serve` again, which tries once more"
        }
        Trouble::NotMade => {
            "an answer cannot be made ready to be sent, its X-ray is gone or has changed: read the answer on this page"
        }
        Trouble::Disk => "the disk fails, answers are not sent now: make room on it, or mend its rights",
    },
    consoles_did: "What consoles did last",
    no_consoles: "Nothing yet",
    consoles: |what| match what {
        What::Echo => "C-ECHO of {} answered",
        What::Taken => "received {} from {}, {} of them here already",
        What::Nothing => "{} connected and sent nothing",
        What::Idle => "ended, nothing was asked for in two minutes",
        What::NotCalled => {
            "refused, the console calls us {}, we are {}: enter {} on the console as the AE title that it calls"
        }
        What::Stranger => "refused, nobody at this address may send: name it with --peer when you start `pumua serve`",
        What::NotNamed => "refused, the console calls itself {}, and --peer says otherwise: correct one of the two",
        What::Busy => "refused for now, too many send at once: wait, then send again",
        What::NoKind => "nothing that {} offers is taken: send it as CR, DX or Secondary Capture",
        What::NoSyntax => "no way of writing that {} offers is taken: send uncompressed",
        What::Foreign => {
            "ended, what came is not DICOM as agreed: check address and port on the console, and try C-ECHO"
        }
        What::Slow => "ended, too little came in its time: check the cable and the network",
        What::Cut => "broken off in the middle of an X-ray, which is not kept: send it again",
        What::TooLarge => "not kept, an X-ray of more than 32 MiB: send it at a smaller size",
        What::NoRoom => "not kept, there is no room or the disk fails: make room, then send again",
        What::OtherKind => "not kept, an X-ray is not what was announced: send it as CR, DX or Secondary Capture",
        What::NotUnderstood => {
            "not kept, an X-ray that cannot be read: send uncompressed, and have the console checked"
        }
    },
    update: "Update the box",
    update_drop: "Drop the file here, or",
    update_choose: "Choose a file",
    update_hint: "A file that ends with .pumua, with another program for the box. The box itself checks who has signed it. A model is sent with `pumua update`.",
    update_send: "Send to the box",
    update_stop: "Stop the update",
    update_large: "the file is larger than 64 MiB, so it is no program for a box: choose another one",
    update_other: "another update is under way: wait until it has ended, or stop it",
    update_unsigned: "Nobody has signed it: only a box for development takes it.",
    update_sending: "{} goes to the box: {} %. X-rays go first.",
    update_installing: "The box checks {} and stores it: leave it on.",
    update_troubled: "{} waits, and goes on by itself: {}",
    update_staged: "The box has {}: switch it off and on to start it.",
    update_running: "The box already runs {}.",
    update_refused: "The box does not take {}, and keeps the program that it has: {}",
    update_given_up: "Sending {} has failed: {}. The box keeps its present program, and what has arrived of the new one. Send the same file again to continue.",
    update_stopped: "Sending {} was stopped. The box keeps its present program, and what has arrived of the new one. Send the same file again to continue.",
    steps: [
        "Drop one or more X-ray files on the page, or choose them. A file is one frontal chest X-ray of a child.",
        "Type what the exam is called, if you want to find it again. Never type a patient's name.",
        "Press Judge, and wait a few seconds.",
        "Read the verdict. A clinician decides, whatever it says; a child who looks ill needs a clinician.",
        "Look at what was judged: is it this child's X-ray, and is the whole chest within the blue line?",
        "Say what the clinician says, and print the slip.",
    ],
    meant: [
        "No sign of pneumonia was seen. Some pneumonias are missed.",
        "Pneumonia is suspected. It is wrong on some normal X-rays.",
        "There is no opinion: a clinician must decide.",
    ],
    meant_not_judged: "There is no answer. The text says why, and what to do.",
    code: "Type the six digits that the terminal of Pumua shows",
    wrong_code: "This is not the code.",
    locked: "Wrong codes were typed: wait a minute or longer, and take the code that the terminal shows then.",
    enter: "Continue",
    foreign: "The session has ended, or the request does not come from this page: open the page again.",
    missing: "There is no such page.",
    back: "All X-rays",
};

//! What goes wrong, and how the screen explains it.

use shared::verdict::{Fault, ModelRefusal, Refusal, SiteRefusal, SoftwareRefusal};
use trust::PublicKey;
use wire::SiteStage;

use super::{Confirm, Console, Language, SiteStanding, StickTrouble, language};
use crate::site::SiteFile;

/// What is wrong with the box or its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The box could not do what was asked.
    Fault(Fault),
    /// A model was sent and is not installed.
    Update(ModelRefusal),
    /// The same of one that is older than one that the box has had, where a person may let it in by holding a key.
    OlderModel,
    /// A program was sent and is not taken.
    Program(SoftwareRefusal),
    /// Settings were sent and are not taken, or are not changed as a person wants.
    Settings(SiteRefusal),
    /// Settings were sent that this unknown key has signed, which a person may add by holding a key.
    OfferedKey(PublicKey),
    /// The line to the host is gone.
    LineLost,
    /// The program has failed again and again, and judges nothing now.
    SafeMode,
    /// The journal cannot be written: nothing is judged.
    NoStorage,
    /// Entries of the journal were changed or lost.
    ChainBroken,
    /// Nothing on a memory stick is judged.
    Stick(StickTrouble),
    /// An X-ray machine may not send.
    Console(ConsoleRefused),
    /// The program cannot continue; the cause as the log has it.
    Failed(String),
}

/// An X-ray machine that may not send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleRefused {
    /// Why.
    pub reason: Console,
    /// What the reason names: the title that it calls, its own title, or its address.
    pub named: String,
    /// What the box is called.
    pub own: String,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Why an image is refused, or what is wrong with the box, and what to do about it, in a language of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Stable code for programs, where there is one.
    pub code: Option<u16>,
    /// What is wrong, as a sentence.
    pub cause: String,
    /// What to do about it, as a sentence.
    pub remedy: String,
}

impl Explanation {
    /// Of an image that is refused.
    pub fn of_refusal(refusal: Refusal, language: Language) -> Self {
        Self::split(Some(refusal.code()), &(language::words(language).refusal)(refusal))
    }

    /// Of something wrong with the box or its line.
    pub fn of_trouble(trouble: &Trouble, language: Language) -> Self {
        let words = language::words(language);
        match trouble {
            Trouble::Fault(fault) => Self::split(Some(fault.code()), &(words.fault)(*fault)),
            Trouble::Update(refusal) => Self::split(Some(refusal.code()), &(words.model_refusal)(*refusal)),
            Trouble::OlderModel => {
                let refusal = ModelRefusal::Older;
                let refused = Self::split(Some(refusal.code()), &(words.model_refusal)(refusal));
                Self { remedy: format!("{} {}", refused.remedy, words.older_offer), ..refused }
            }
            Trouble::Program(refusal) => Self::split(Some(refusal.code()), &(words.software_refusal)(*refusal)),
            Trouble::Settings(refusal) => Self::split(Some(refusal.code()), &(words.site_refusal)(*refusal)),
            Trouble::OfferedKey(key) => {
                let code = Some(SiteRefusal::KeyOffered.code());
                Self { code, ..Self::naming(words.offered_key, &compared(key)) }
            }
            Trouble::LineLost => Self::split(None, words.line_lost),
            Trouble::SafeMode => Self::split(None, words.safe),
            Trouble::NoStorage => Self::split(Some(Fault::Storage.code()), words.no_storage),
            Trouble::ChainBroken => Self::split(None, words.chain_broken),
            Trouble::Stick(trouble) => Self::split(None, (words.stick_trouble)(*trouble)),
            Trouble::Console(ConsoleRefused { reason, named, own }) => {
                let text = (words.console)(*reason);
                // Parted first: what is filled in is from outside, and may hold what parts them.
                let (cause, remedy) = text.split_once(": ").unwrap_or((text, ""));
                let cause = language::sentence(&filled(cause, &[named.as_str(), own.as_str()]));
                Self { code: None, cause, remedy: language::sentence(&filled(remedy, &[own.as_str()])) }
            }
            Trouble::Failed(cause) => {
                Self { code: None, cause: language::sentence(cause), remedy: words.restart.to_owned() }
            }
        }
    }

    /// Of what a person is asked once more: what it means, and which keys do it or leave it.
    pub fn of_confirm(confirm: &Confirm, language: Language) -> Self {
        let words = language::words(language);
        match confirm {
            Confirm::GoBack(way_back) => Self::naming(words.go_back.meaning, &way_back.shown()),
            Confirm::OlderModel => Self::split(None, words.older_model.meaning),
            Confirm::AddKey(key) => Self::naming(words.add_key.meaning, &compared(key)),
            Confirm::ForgetSite => Self::split(None, words.forget_site.meaning),
        }
    }

    /// Of the clinic's own settings and keys.
    pub fn of_site(site: &SiteStanding, language: Language) -> Self {
        let words = language::words(language);
        let not_used = (site.stage == SiteStage::NotUsed).then(|| words.settings_not_used.to_owned());
        let file = site.file.as_ref().map(|SiteFile { name, counter, key, .. }| {
            filled(words.site_file, &[name.as_str(), counter.to_string().as_str(), key.to_string().as_str()])
        });
        let ids: Vec<String> = site.keys.iter().map(|key| key.id.to_string()).collect();
        let keys = (!ids.is_empty()).then(|| filled(words.site_keys, &[ids.join(", ").as_str()]));
        let told: Vec<String> =
            [not_used, file, keys].into_iter().flatten().map(|it| language::sentence(&it)).collect();
        Self { code: None, cause: told.join(" "), remedy: language::sentence(words.forget_offer) }
    }

    /// Of what is asked or told: a text whose cause has something filled in, which may hold anything.
    pub(super) fn naming(text: &str, named: &str) -> Self {
        let [cause, remedy] = language::cause_and_remedy(text);
        Self { code: None, cause: filled(&cause, &[named]), remedy }
    }

    /// `text`: cause and remedy with `: ` between them.
    fn split(code: Option<u16>, text: &str) -> Self {
        let [cause, remedy] = language::cause_and_remedy(text);
        Self { code, cause, remedy }
    }
}

/// A key as two people compare it.
fn compared(key: &PublicKey) -> String {
    format!("{}, {}", key.id, key.fingerprint())
}

/// The text with these in its places, whatever they hold.
fn filled(text: &str, values: &[&str]) -> String {
    let mut parts = text.split("{}");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for (value, part) in values.iter().zip(parts) {
        filled.push_str(value);
        filled.push_str(part);
    }
    filled
}

#[cfg(test)]
mod tests {
    use shared::verdict::{Digest, Trust};
    use trust::KeyId;

    use super::*;

    #[test]
    fn a_console_that_calls_somebody_else_is_told_what_to_enter_whatever_it_calls() {
        let of = |reason, named: &str| {
            let refused = ConsoleRefused { reason, named: named.to_owned(), own: "PUMUA".to_owned() };
            Explanation::of_trouble(&Trouble::Console(refused), Language::English)
        };
        let told = of(Console::NotCalled, "A: {} B");
        assert_eq!(told.cause, "The X-ray machine calls us A: {} B, but we are PUMUA.");
        assert_eq!(told.remedy, "Enter PUMUA there as the AE title that it calls.");
        let told = of(Console::Stranger, "192.168.7.9");
        assert!(told.cause.contains("192.168.7.9") && told.remedy.contains("`peers`"), "{told:?}");
    }

    #[test]
    fn what_the_settings_are_is_named_whatever_they_are_called() {
        let key = KeyId([0xb7; 8]);
        let (digest, trust) = (Digest::of(b"settings"), Trust::Signed);
        let file = SiteFile { name: "ward-{}".to_owned(), counter: 2, digest, key, trust, is_own: false };
        let site = SiteStanding { stage: SiteStage::InForce, file: Some(file), keys: Vec::new(), is_new: false };
        for (language, told) in [
            (Language::English, "Settings ward-{}, counter 2, key B7B7B7B7B7B7B7B7."),
            (Language::French, "Réglages ward-{}, compteur 2, clé B7B7B7B7B7B7B7B7."),
            (Language::Portuguese, "Definições ward-{}, contador 2, chave B7B7B7B7B7B7B7B7."),
            (Language::Swahili, "Mipangilio ward-{}, nambari 2, ufunguo B7B7B7B7B7B7B7B7."),
        ] {
            assert_eq!(Explanation::of_site(&site, language).cause, told);
        }
    }

    #[test]
    fn causes_and_remedies_are_sentences() {
        let Explanation { code, cause, remedy } = Explanation::of_refusal(Refusal::Mirrored, Language::French);
        assert_eq!((code, cause.as_str()), (Some(221), "La gauche et la droite semblent inversées."));
        assert!(remedy.starts_with("Vérifiez") && remedy.ends_with("clinicien."), "{remedy}");
        let failed = Trouble::Failed("no model".to_owned());
        let Explanation { code, cause, remedy } = Explanation::of_trouble(&failed, Language::Portuguese);
        assert_eq!((code, cause.as_str()), (None, "No model."));
        assert_eq!(remedy, "Corrija isto e volte a ligar o aparelho.");
    }
}

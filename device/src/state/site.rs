//! The clinic's own settings: what the screen, the journal and a host are told of them.

use shared::verdict::{Digest, SiteRefusal};
use wire::{EventKind, Installed, Reply, SiteStage};

use super::{DAY_MS, Effect, State, hold::OFFER_MS};
use crate::{
    screen::{SettingsNews, Trouble, View},
    site::{Ask, NotDone, Standing},
};

impl State {
    /// Takes note of how they were found at the start. For a day it is said that they are new, if they are.
    pub fn set_site(&mut self, now: u64, site: Standing) {
        self.settings_until = site.is_new.then(|| now.saturating_add(DAY_MS));
        self.site = site;
    }

    /// What is to be said of them where the screen waits.
    pub(super) fn settings_news(&self) -> SettingsNews {
        match self.site.stage {
            // The person who added it sends the settings again; what becomes of them is said then.
            _ if self.key_until.is_some() => SettingsNews::KeyAdded,
            SiteStage::NextStart => SettingsNews::Staged,
            SiteStage::NotUsed => SettingsNews::NotUsed,
            SiteStage::InForce if self.settings_until.is_some() => SettingsNews::New,
            SiteStage::Card | SiteStage::InForce => SettingsNews::Settled,
        }
    }

    /// Whether there is something of them that a person may look at, and have forgotten.
    pub(super) fn has_site(&self) -> bool {
        self.site.file.is_some() || !self.site.keys.is_empty() || self.site.stage == SiteStage::NotUsed
    }

    /// What has become of what was asked.
    pub(super) fn site_done(&mut self, now: u64, ask: &Ask, done: Result<Standing, NotDone>) -> Vec<Effect> {
        match (ask, done) {
            (Ask::Take(_), done) => self.site_taken(now, done),
            (Ask::AddKey(key), Ok(site)) => {
                self.site = site;
                self.key_until = Some(now.saturating_add(DAY_MS));
                // Both fit.
                let fingerprint = key.fingerprint().as_str().try_into().unwrap_or_default();
                let key = key.id.to_string().as_str().try_into().unwrap_or_default();
                self.note(now, EventKind::KeyAdded { key, fingerprint });
                vec![Effect::Show]
            }
            (Ask::Forget, Ok(site)) => {
                self.site = site;
                self.key_until = None;
                self.note(now, EventKind::SettingsForgotten);
                vec![Effect::Show]
            }
            (Ask::AddKey(_) | Ask::Forget, Err(not_done)) => {
                let refusal = refusal(&not_done);
                self.note(now, EventKind::SettingsRefused(refusal));
                self.say_where_free(now, View::error(Trouble::Settings(refusal))).into_iter().collect()
            }
        }
    }

    fn site_taken(&mut self, now: u64, taken: Result<Standing, NotDone>) -> Vec<Effect> {
        // What became of an image goes before what became of an update.
        let is_free = matches!(self.view, View::Updating { .. }) && self.held.is_none() && !self.lost;
        // Nobody can compare a key that is not on the screen, or say so without keys to hold.
        let may_offer = is_free && self.has_keys && !self.screen_fails;
        let (trouble, reply) = match taken {
            Ok(site) => (None, Ok(self.site_stored(now, site))),
            Err(NotDone::Offered(key)) if may_offer => (Some(Trouble::OfferedKey(*key)), Err(SiteRefusal::KeyOffered)),
            Err(not_done) => {
                let refusal = refusal(&not_done);
                (Some(Trouble::Settings(refusal)), Err(refusal))
            }
        };
        if let Err(refusal) = reply {
            self.note(now, EventKind::SettingsRefused(refusal));
        }
        let show = match trouble {
            Some(trouble) if is_free => {
                let is_offer = matches!(trouble, Trouble::OfferedKey(_));
                let show = self.notice(now, View::error(trouble));
                if is_offer {
                    self.until = Some(now.saturating_add(OFFER_MS));
                }
                show
            }
            _ if matches!(self.view, View::Updating { .. }) => self.idle(now),
            _ => Effect::Show,
        };
        vec![show, Effect::Reply(Reply::Site(reply))]
    }

    /// Settings are stored. Returns what their host is told.
    fn site_stored(&mut self, now: u64, site: Standing) -> Installed {
        self.key_until = None;
        let before = std::mem::replace(&mut self.site, site).file;
        let Some(file) = self.site.file.clone() else {
            return Installed { model: Default::default(), digest: Digest::default() };
        };
        if before.as_ref() != Some(&file) {
            let key = file.key.to_string().as_str().try_into().unwrap_or_default();
            self.note(now, EventKind::SettingsChanged { site: file.digest, counter: file.counter, key });
        }
        // The name of a statement fits.
        Installed { model: file.name.as_str().try_into().unwrap_or_default(), digest: file.digest }
    }
}

/// What is said of a key that cannot be offered is that it is not known.
fn refusal(not_done: &NotDone) -> SiteRefusal {
    match not_done {
        NotDone::Refused(refusal) => *refusal,
        NotDone::Offered(_) => SiteRefusal::KeyUnknown,
    }
}

#[cfg(test)]
mod tests {
    use shared::verdict::Trust;
    use trust::{KeyId, Kind, LINE, Package, PublicKey, SecretKey, Signature, Statement, Version};
    use wire::{Answer, BoxEvent, ModelFile, Question};

    use super::{
        super::{
            Input,
            tests::{exam, judged, shown, start_analysis, state},
        },
        *,
    };
    use crate::{keys::Key, screen::Confirm, site::SiteFile};

    const TEXT: &[u8] = b"language = \"fr\"\n";

    fn key(n: u8) -> PublicKey {
        crate::signers::key(n).public()
    }

    /// A site file as it comes over the line.
    fn file() -> ModelFile {
        let (line, made, name) = (LINE.to_owned(), "2026-11-30".to_owned(), "ward-3".to_owned());
        let (kind, least, digest) = (Kind::Site, Version([0, 1, 0]), Digest::of(TEXT));
        let statement = Statement { kind, line, counter: 7, least, made, name, digest }.to_string();
        let secret = SecretKey::of_seed(&[20; 32], KeyId([20; 8]));
        let signature = Signature::new(&secret, TEXT, statement).to_file();
        ModelFile::new(Package { signature: Some(&signature), list: None, model: TEXT }.to_bytes()).unwrap()
    }

    fn standing(stage: SiteStage, is_new: bool) -> Standing {
        let (name, digest, key_id) = ("ward-3".to_owned(), Digest::of(TEXT), KeyId([20; 8]));
        let file = SiteFile { name, counter: 7, digest, key: key_id, trust: Trust::Signed, is_own: true };
        Standing { stage, file: Some(file), keys: vec![key(20)], is_new }
    }

    fn with_keys() -> State {
        let mut state = state();
        state.offer_ways_back();
        state
    }

    /// A site file comes in, and this becomes of it.
    fn send(state: &mut State, now: u64, done: Result<Standing, NotDone>) -> Vec<Effect> {
        state.handle(now, Input::Session(BoxEvent::Updating { done: 10, total: 10 }));
        let asked = state.handle(now, Input::Session(BoxEvent::Update(file())));
        let ask = Box::new(Ask::Take(file()));
        assert_eq!(asked, [Effect::Site(ask.clone())]);
        state.handle(now, Input::Site(ask, done.map(Box::new)))
    }

    fn hold(state: &mut State, now: u64) -> Vec<Effect> {
        assert_eq!(state.handle(now, Input::Key(Key::Choose)), []);
        state.handle(now + 3_000, Input::Key(Key::Held))
    }

    fn noted(state: &mut State) -> Vec<EventKind> {
        state.take_notes().into_iter().map(|note| note.kind).collect()
    }

    #[test]
    fn settings_that_are_stored_count_from_the_next_start_and_are_new_for_a_day() {
        let mut state = state();
        let stored = Installed { model: "ward-3".try_into().unwrap(), digest: Digest::of(TEXT) };
        let effects = send(&mut state, 0, Ok(standing(SiteStage::NextStart, false)));
        assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::Site(Ok(stored)))]);
        assert_eq!(*state.view(), View::Ready { results: 41 });
        assert_eq!(state.scene().identity.settings, SettingsNews::Staged);
        let changed = |counter| {
            let key = "1414141414141414".try_into().unwrap();
            EventKind::SettingsChanged { site: Digest::of(TEXT), counter, key }
        };
        assert_eq!(noted(&mut state), [changed(7)]);
        // The same once more is no event.
        send(&mut state, 1, Ok(standing(SiteStage::NextStart, false)));
        assert_eq!(noted(&mut state), []);
        // The same text under a later signature is one.
        let mut later = standing(SiteStage::NextStart, false);
        later.file.as_mut().unwrap().counter = 8;
        send(&mut state, 1, Ok(later));
        assert_eq!(noted(&mut state), [changed(8)]);
        let Effect::Reply(Reply::Answer(Answer::Site(told))) =
            state.handle(2, Input::Session(BoxEvent::Asked(Question::Site))).remove(0)
        else {
            panic!("no answer");
        };
        assert_eq!((told.stage, told.keys.len()), (SiteStage::NextStart, 1));
        assert_eq!(told.file.map(|file| (file.counter, file.own_key)), Some((8, true)));
        // The next start.
        let mut state = super::super::tests::state();
        state.set_site(0, standing(SiteStage::InForce, true));
        assert_eq!(state.scene().identity.settings, SettingsNews::New);
        assert_eq!(state.deadline(), Some(DAY_MS));
        assert_eq!(state.handle(DAY_MS, Input::Tick), [Effect::Show]);
        assert_eq!(state.scene().identity.settings, SettingsNews::Settled);
        state.set_site(0, Standing { stage: SiteStage::NotUsed, ..Standing::default() });
        assert_eq!(state.scene().identity.settings, SettingsNews::NotUsed);
    }

    #[test]
    fn two_holds_add_the_key_that_the_screen_shows_and_nothing_less_does() {
        let mut state = with_keys();
        let offered = || Err(NotDone::Offered(Box::new(key(20))));
        let effects = send(&mut state, 0, offered());
        assert_eq!(effects, [Effect::Show, Effect::Reply(Reply::Site(Err(SiteRefusal::KeyOffered)))]);
        assert_eq!(*state.view(), View::error(Trouble::OfferedKey(key(20))));
        assert_eq!(state.deadline(), Some(OFFER_MS));
        assert_eq!(noted(&mut state), [EventKind::SettingsRefused(SiteRefusal::KeyOffered)]);
        assert_eq!(hold(&mut state, 1_000), [Effect::Show]);
        assert_eq!(*state.view(), View::Confirm(Confirm::AddKey(key(20))));
        // The first hold is not the second one.
        assert_eq!(state.handle(4_001, Input::Key(Key::Held)), []);
        let ask = Box::new(Ask::AddKey(key(20)));
        assert_eq!(hold(&mut state, 5_000), [Effect::Show, Effect::Site(ask.clone())]);
        assert_eq!(*state.view(), View::Ready { results: 41 });
        let site = Standing { keys: vec![key(20)], ..Standing::default() };
        assert_eq!(state.handle(8_000, Input::Site(ask, Ok(Box::new(site)))), [Effect::Show]);
        let fingerprint = key(20).fingerprint().as_str().try_into().unwrap();
        let id = "1414141414141414".try_into().unwrap();
        assert_eq!(noted(&mut state), [EventKind::KeyAdded { key: id, fingerprint }]);
        // Another key comes between the holds: it is asked anew, and for that one.
        let mut state = with_keys();
        send(&mut state, 0, offered());
        hold(&mut state, 1_000);
        state.handle(4_500, Input::Key(Key::Choose));
        send(&mut state, 5_000, Err(NotDone::Offered(Box::new(key(21)))));
        assert_eq!(state.handle(7_500, Input::Key(Key::Held)), []);
        assert_eq!(*state.view(), View::error(Trouble::OfferedKey(key(21))));
        hold(&mut state, 8_000);
        assert_eq!(*state.view(), View::Confirm(Confirm::AddKey(key(21))));
        assert_eq!(shown(&mut state, 12_000, Input::Key(Key::Back)), View::Ready { results: 41 });
    }

    #[test]
    fn that_a_key_was_added_is_said_for_a_day_or_until_settings_are_sent_or_all_is_forgotten() {
        let said = |state: &State| state.scene().identity.settings;
        let added = || {
            let mut state = with_keys();
            let site = Standing { keys: vec![key(20)], ..Standing::default() };
            let ask = Box::new(Ask::AddKey(key(20)));
            assert_eq!(state.handle(0, Input::Site(ask, Ok(Box::new(site)))), [Effect::Show]);
            assert_eq!((said(&state), state.deadline()), (SettingsNews::KeyAdded, Some(DAY_MS)));
            state
        };
        let mut state = added();
        assert_eq!(state.handle(DAY_MS - 1, Input::Tick), []);
        assert_eq!(state.handle(DAY_MS, Input::Tick), [Effect::Show]);
        assert_eq!((said(&state), state.deadline()), (SettingsNews::Settled, None));
        let mut state = added();
        send(&mut state, 1, Ok(standing(SiteStage::NextStart, false)));
        assert_eq!(said(&state), SettingsNews::Staged);
        // Settings that are refused are to be sent again, too.
        let mut state = added();
        send(&mut state, 1, Err(NotDone::Refused(SiteRefusal::Older)));
        assert_eq!(said(&state), SettingsNews::KeyAdded);
        let mut state = added();
        state.handle(1, Input::Site(Box::new(Ask::Forget), Ok(Box::default())));
        assert_eq!(said(&state), SettingsNews::Settled);
        // None was added.
        let mut state = with_keys();
        let refused = Err(NotDone::Refused(SiteRefusal::NotStored));
        state.handle(0, Input::Site(Box::new(Ask::AddKey(key(20))), refused));
        assert_eq!(said(&state), SettingsNews::Settled);
    }

    #[test]
    fn a_key_is_offered_only_where_a_person_can_compare_it() {
        let unknown = || Effect::Reply(Reply::Site(Err(SiteRefusal::KeyUnknown)));
        let offered = || Err(NotDone::Offered(Box::new(key(20))));
        // There are no keys to hold, or nobody sees the screen.
        let mut state = state();
        assert_eq!(send(&mut state, 0, offered()), [Effect::Show, unknown()]);
        assert_eq!(*state.view(), View::error(Trouble::Settings(SiteRefusal::KeyUnknown)));
        let mut state = with_keys();
        state.handle(0, Input::Screen { fails: true });
        assert_eq!(send(&mut state, 0, offered()), [Effect::Show, unknown()]);
        // A verdict comes back.
        let mut state = with_keys();
        state.handle(0, Input::Session(BoxEvent::Receiving { exam: exam(), done: 0, total: 10 }));
        start_analysis(&mut state);
        let [Effect::Store(record)] = &state.handle(1, judged(0.7))[..] else { panic!("it is kept") };
        state.handle(2, Input::Stored(Ok(record.clone())));
        assert_eq!(send(&mut state, 3, offered()), [Effect::Show, unknown()]);
        assert!(matches!(state.view(), View::Result { .. }));
    }

    #[test]
    fn a_person_has_settings_and_keys_forgotten_on_the_page_about_them() {
        let mut state = with_keys();
        let about = |state: &mut State, now| state.handle(now, Input::Key(Key::About));
        about(&mut state, 0);
        about(&mut state, 1);
        assert_eq!(*state.view(), View::About, "there is nothing of them");
        assert!(!state.scene().identity.has_site);
        let site = standing(SiteStage::InForce, false);
        state.set_site(0, site.clone());
        assert!(state.scene().identity.has_site);
        about(&mut state, 2);
        assert_eq!(*state.view(), View::Site(Box::new(site)));
        hold(&mut state, 1_000);
        assert_eq!(*state.view(), View::Confirm(Confirm::ForgetSite));
        let ask = Box::new(Ask::Forget);
        assert_eq!(hold(&mut state, 5_000), [Effect::Show, Effect::Site(ask.clone())]);
        let left = Standing { stage: SiteStage::NextStart, ..Standing::default() };
        assert_eq!(state.handle(8_000, Input::Site(ask.clone(), Ok(Box::new(left)))), [Effect::Show]);
        assert_eq!(noted(&mut state), [EventKind::SettingsForgotten]);
        assert_eq!(state.scene().identity.settings, SettingsNews::Staged);
        // It cannot be written.
        let refusal = SiteRefusal::NotStored;
        state.set_site(0, standing(SiteStage::InForce, false));
        let effects = state.handle(9_000, Input::Site(ask, Err(NotDone::Refused(refusal))));
        assert_eq!(effects, [Effect::Show]);
        assert_eq!(*state.view(), View::error(Trouble::Settings(refusal)));
        // Without keys to hold there is no such way.
        let mut bare = super::super::tests::state();
        bare.set_site(0, standing(SiteStage::InForce, false));
        about(&mut bare, 0);
        about(&mut bare, 1);
        assert_eq!(bare.handle(2, Input::Key(Key::Choose)), [Effect::Show], "what the press does without an offer");
    }

    #[test]
    fn settings_are_no_model_and_a_model_is_no_settings() {
        let mut state = state();
        let model = ModelFile::new(b"model".to_vec()).unwrap();
        let effects = state.handle(0, Input::Session(BoxEvent::Update(model.clone())));
        assert_eq!(effects, [Effect::Install(Box::new(model))]);
        let mut safe = super::super::tests::state();
        safe.enter_safe_mode();
        let effects = safe.handle(0, Input::Session(BoxEvent::Update(file())));
        assert!(matches!(effects[..], [Effect::Reply(Reply::NotInstalled(_))]), "{effects:?}");
    }
}

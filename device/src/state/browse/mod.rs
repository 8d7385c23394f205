//! What keys do: they acknowledge what is shown, and turn to past results and to what the box is.

use shared::{calendar::credible, verdict::Fault};

use super::{Effect, Page, State};
use crate::{
    keys::Key,
    screen::{Trouble, View},
};

/// How long the history or what the box is stays without a key, in milliseconds.
const BROWSING_MS: u64 = 60_000;

impl State {
    pub(super) fn key(&mut self, now: u64, key: Key) -> Vec<Effect> {
        if self.view.is_busy() {
            return Vec::new();
        }
        if let Some(effects) = self.hold_key(now, key) {
            return effects;
        }
        match (key, &self.view) {
            // Its press has done all.
            (Key::Held, _) => Vec::new(),
            (_, view) if view.is_of_stick() => self.list_key(now, key),
            (Key::Older, View::History { page, .. }) => vec![Effect::Recall { page: page.saturating_add(1) }],
            (Key::Newer, View::History { page, .. }) => vec![Effect::Recall { page: page.saturating_sub(1).max(1) }],
            (Key::Older, _) => vec![Effect::Recall { page: 1 }],
            (Key::Newer, _) => Vec::new(),
            (Key::Back | Key::Choose, view) => {
                // Only what was on the screen has been read.
                self.alarm &= !matches!(view, View::Error { trouble: Trouble::ChainBroken, .. });
                vec![self.idle(now)]
            }
            (Key::About, View::About) if self.has_site() => {
                let site = Box::new(self.site.clone());
                vec![self.browse(now, View::Site(site))]
            }
            (Key::About, _) => vec![self.about(now)],
        }
    }

    pub(super) fn recalled(&mut self, now: u64, recalled: Result<Page, Fault>) -> Vec<Effect> {
        // An image or an update that has come meanwhile goes first.
        if self.view.is_busy() {
            return Vec::new();
        }
        match recalled {
            Ok(Page { mut results, page, pages }) => {
                // Releases before this one believed every host.
                for record in &mut results {
                    record.unix_seconds = record.unix_seconds.and_then(credible);
                }
                vec![self.browse(now, View::History { results, page, pages })]
            }
            Err(fault) => vec![self.notice(now, View::error(fault))],
        }
    }

    pub(super) fn about(&mut self, now: u64) -> Effect {
        self.browse(now, View::About)
    }

    pub(super) fn browse(&mut self, now: u64, view: View) -> Effect {
        let show = self.show(view);
        self.until = Some(now + BROWSING_MS);
        show
    }
}

#[cfg(test)]
mod tests;

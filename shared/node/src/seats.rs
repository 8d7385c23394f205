//! Who is being served, and how many are turned away.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{agree::Refused, open::Limits};

/// How many at once are told that they are not taken. Whoever comes besides is told nothing.
const TURNED_AWAY: usize = 8;

/// All places.
pub(crate) struct Seats {
    limits: Limits,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    served: Vec<IpAddr>,
    turned_away: usize,
}

/// A place of somebody who has connected, until this is dropped.
pub(crate) struct Seat<'a> {
    seats: &'a Seats,
    peer: IpAddr,
    /// Why it is not served.
    pub(crate) refused: Option<Refused>,
}

impl Seats {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for somebody at this address, if there is one: to be served, or to be told why not.
    pub(crate) fn take(&self, peer: IpAddr, is_known: bool) -> Option<Seat<'_>> {
        let mut taken = self.taken();
        let from_peer = taken.served.iter().filter(|&&other| other == peer).count();
        let refused = if !is_known {
            Some(Refused::Stranger)
        } else if taken.served.len() >= self.limits.associations || from_peer >= self.limits.from_a_peer {
            Some(Refused::Busy)
        } else {
            None
        };
        if refused.is_none() {
            taken.served.push(peer);
        } else if taken.turned_away < TURNED_AWAY {
            taken.turned_away += 1;
        } else {
            return None;
        }
        Some(Seat { seats: self, peer, refused })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if self.refused.is_some() {
            taken.turned_away -= 1;
        } else if let Some(at) = taken.served.iter().position(|peer| *peer == self.peer) {
            taken.served.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_places_and_so_many_of_one_address() {
        let address = |n: u8| IpAddr::from([192, 168, 1, n]);
        let seats = Seats::new(Limits::default());
        let served: Vec<_> = (0..8).map(|n| seats.take(address(n % 2), true).unwrap()).collect();
        assert!(served.iter().all(|seat| seat.refused.is_none()));
        let turned: Vec<_> = (2..10).map(|n| seats.take(address(n), true).unwrap()).collect();
        assert!(turned.iter().all(|seat| seat.refused == Some(Refused::Busy)));
        assert!(seats.take(address(2), true).is_none(), "that many are told nothing");
        drop(turned);
        assert_eq!(seats.take(address(2), false).unwrap().refused, Some(Refused::Stranger));
        drop(served);
        let one: Vec<_> = (0..5).map(|_| seats.take(address(0), true).unwrap().refused.is_none()).collect();
        assert_eq!(one, [true; 5], "each is given back");
    }
}

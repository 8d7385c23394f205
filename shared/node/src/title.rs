//! What nodes are called, and who may send.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use shared::shown::is_hidden;

/// Most letters of a title.
const LONGEST: usize = 16;

/// What a DICOM node is called: its application entity title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

/// A text that is no title.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an AE title has 1 to 16 letters, digits and signs of ASCII, and no backslash: type one such as PUMUA")]
pub struct TitleError;

impl Title {
    /// The title as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Title {
    type Err = TitleError;

    fn from_str(text: &str) -> Result<Self, TitleError> {
        let text = text.trim_matches(' ');
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if fits && !text.contains('\\') { Ok(Self(text.to_owned())) } else { Err(TitleError) }
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A title as the other end says it, whatever that is: some fill it up with zeros. It is shown in terminals, so what is not to
/// be seen becomes a question mark.
pub(crate) fn heard(title: &str) -> String {
    let seen = |c: char| if is_hidden(c) { '?' } else { c };
    title.trim_matches([' ', '\0']).chars().take(LONGEST).map(seen).collect()
}

/// A console that may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: IpAddr,
    /// What it calls itself, if that is to be checked.
    pub title: Option<Title>,
}

/// A text that names no console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a console is named by its address, such as 192.168.1.30, or with the AE title that it has, as 192.168.1.30=CONSOLE1"
)]
pub struct PeerError;

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let (address, title) = match text.split_once('=') {
            Some((address, title)) => (address, Some(title)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| PeerError)?.to_canonical();
        let title = title.map(str::parse).transpose().map_err(|_| PeerError)?;
        if address.is_unspecified() { Err(PeerError) } else { Ok(Self { address, title }) }
    }
}

/// Where a DICOM node is, and who may send to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Address and port; port 0 for one that is free.
    pub listen: SocketAddr,
    /// What it is called.
    pub title: Title,
    /// Who may send. With nobody named, whoever reaches the address, which then has to be this computer's alone.
    pub peers: Vec<Peer>,
}

impl Node {
    /// Whether somebody at this address may send.
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|peer| peer.address == address)
    }

    /// Whether somebody at this address may send who calls itself so.
    pub(crate) fn admits(&self, address: IpAddr, title: &str) -> bool {
        let admits = |peer: &Peer| {
            peer.address == address && peer.title.as_ref().is_none_or(|expected| expected.as_str() == title)
        };
        self.peers.is_empty() || self.peers.iter().any(admits)
    }

    /// Whether others than this computer reach it, and nobody is named who may send.
    pub fn is_open_to_all(&self) -> bool {
        self.peers.is_empty() && !self.listen.ip().to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(listen: &str, peers: &[&str]) -> Node {
        let peers = peers.iter().map(|peer| peer.parse().unwrap()).collect();
        Node { listen: listen.parse().unwrap(), title: "PUMUA".parse().unwrap(), peers }
    }

    #[test]
    fn titles_are_those_of_the_standard() {
        for good in ["PUMUA", "a", "CR 1", "SIXTEEN_LETTERS_", " PADDED  "] {
            assert_eq!(good.parse::<Title>().unwrap().as_str(), good.trim(), "{good}");
        }
        for bad in ["", "   ", "SEVENTEEN_LETTERS", "A\\B", "É", "A\nB", "A\0"] {
            assert_eq!(bad.parse::<Title>(), Err(TitleError), "{bad:?}");
        }
        assert_eq!(heard(" CR1\0\0"), "CR1");
        assert_eq!(heard("x\n10.0.0.9: ok"), "x?10.0.0.9: ok");
        assert_eq!(heard("\x1b[2J\r\u{85}\u{202e}"), "?[2J???");
    }

    #[test]
    fn only_who_is_named_may_send() {
        let [console, other] = ["192.168.1.30", "192.168.1.31"].map(|it| it.parse::<IpAddr>().unwrap());
        let node_of_all = node("127.0.0.1:0", &[]);
        assert!(node_of_all.knows(other) && node_of_all.admits(other, "X") && !node_of_all.is_open_to_all());
        assert!(node("192.168.1.20:11112", &[]).is_open_to_all() && node("[fe80::1]:1", &[]).is_open_to_all());
        let titled = node("192.168.1.20:11112", &["192.168.1.30=CR1", "::ffff:192.168.1.30=CR2"]);
        assert!(titled.knows(console) && !titled.knows(other) && !titled.is_open_to_all());
        assert!(titled.admits(console, "CR1") && titled.admits(console, "CR2"));
        assert!(!titled.admits(console, "CR3") && !titled.admits(other, "CR1"));
        for bad in ["", "console", "0.0.0.0", "192.168.1.30:104", "192.168.1.30="] {
            assert_eq!(bad.parse::<Peer>(), Err(PeerError), "{bad}");
        }
    }
}

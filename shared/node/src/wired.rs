//! What the settings of a box say of its own Ethernet port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::title::{Node, Peer, PeerError, Title, TitleError};

/// What a box is called unless its settings say otherwise.
pub const DEFAULT_TITLE: &str = "PUMUA";
/// The port to which consoles send unless the settings say otherwise: the one that is registered for DICOM.
pub const DEFAULT_PORT: u16 = 11_112;

/// The port of old that is for DICOM as well.
const OLD_PORT: u16 = 104;

/// The node of a box, and the network that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wired {
    /// Address of the box.
    pub address: Ipv4Addr,
    /// How many bits of it are those of its network, from 8 to 30.
    pub prefix: u8,
    /// To which port consoles send: 104, or 1024 and above.
    pub port: u16,
    /// What the box is called.
    pub title: Title,
    /// Who may send: at least one, and all in the network.
    pub peers: Vec<Peer>,
}

/// Settings of a node that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WiredError {
    /// `ethernet` is not an address.
    #[error(
        "`ethernet` is the address of the box and the length of its network, such as \"192.168.7.1/24\": correct it, or take the line out"
    )]
    Address,
    /// `aet` is not a title.
    #[error("`aet` cannot be used: {0}")]
    Title(#[from] TitleError),
    /// `node_port` is one that others use.
    #[error("`node_port` is 104, or 1024 and above: take {DEFAULT_PORT}")]
    Port,
    /// One of `peers` is none.
    #[error("`peers` cannot be used: {0}")]
    Peer(#[from] PeerError),
    /// Anybody on the cable could send.
    #[error(
        "`peers` names nobody who may send: add the address of the X-ray machine, such as peers = [\"192.168.7.20\"]"
    )]
    NoPeer,
    /// One of `peers` cannot be reached, for there is no other network.
    #[error("`peers` names {0}, which is not in the network of `ethernet`: correct one of the two")]
    Elsewhere(IpAddr),
}

impl Wired {
    /// Of the settings `ethernet`, `aet`, `node_port` and `peers`; `None` without the first one. All are looked at anyway.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn of_settings(
        ethernet: Option<&str>,
        title: Option<&str>,
        port: Option<u16>,
        peers: Option<&[String]>,
    ) -> Result<Option<Self>, WiredError> {
        let (title, peers) = named(title, peers)?;
        let port = port.unwrap_or(DEFAULT_PORT);
        if port < 1024 && port != OLD_PORT {
            return Err(WiredError::Port);
        }
        let Some(ethernet) = ethernet else { return Ok(None) };
        let (address, prefix) = network(ethernet).ok_or(WiredError::Address)?;
        if peers.is_empty() {
            return Err(WiredError::NoPeer);
        }
        let wired = Self { address, prefix, port, title, peers };
        match wired.peers.iter().find(|peer| !wired.reaches(peer.address)) {
            Some(peer) => Err(WiredError::Elsewhere(peer.address)),
            None => Ok(Some(wired)),
        }
    }

    /// A node at another address, by the settings `aet` and `peers`. With no peers whoever reaches it may send, which then has to be
    /// this computer alone.
    ///
    /// # Errors
    /// One of the settings cannot be used.
    pub fn elsewhere(listen: SocketAddr, title: Option<&str>, peers: Option<&[String]>) -> Result<Node, WiredError> {
        let (title, peers) = named(title, peers)?;
        let node = Node { listen, title, peers };
        if node.is_open_to_all() { Err(WiredError::NoPeer) } else { Ok(node) }
    }

    /// Where it listens.
    pub fn listen(&self) -> SocketAddr {
        (self.address, self.port).into()
    }

    /// Which bits of the address are those of the network.
    pub fn mask(&self) -> Ipv4Addr {
        mask(self.prefix)
    }

    /// As a node that serves these.
    pub fn node(&self) -> Node {
        Node { listen: self.listen(), title: self.title.clone(), peers: self.peers.clone() }
    }

    /// Whether an address is another machine's in the same network.
    fn reaches(&self, other: IpAddr) -> bool {
        matches!(other, IpAddr::V4(other) if other != self.address && other & self.mask() == self.address & self.mask())
    }
}

/// What the box is called and who may send.
fn named(title: Option<&str>, peers: Option<&[String]>) -> Result<(Title, Vec<Peer>), WiredError> {
    let title = title.unwrap_or(DEFAULT_TITLE).parse::<Title>()?;
    let peers = peers.unwrap_or_default().iter().map(|peer| peer.parse::<Peer>());
    Ok((title, peers.collect::<Result<_, _>>()?))
}

fn mask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0))
}

/// An address that a machine can have, and the length of its network.
fn network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix): (Ipv4Addr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
    if !(8..=30).contains(&prefix) {
        return None;
    }
    // Neither the network itself nor all in it.
    let own = address & !mask(prefix);
    let is_machine = own != Ipv4Addr::UNSPECIFIED && own != !mask(prefix);
    let is_usual =
        !address.is_loopback() && !address.is_multicast() && address.octets()[0] != 0 && address.octets()[0] < 240;
    (is_machine && is_usual).then_some((address, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ethernet: &str, port: Option<u16>, peers: &[&str]) -> Result<Option<Wired>, WiredError> {
        let peers: Vec<String> = peers.iter().map(|&peer| peer.to_owned()).collect();
        Wired::of_settings(Some(ethernet), None, port, Some(&peers))
    }

    #[test]
    fn a_cable_has_an_address_a_title_a_port_and_somebody_who_may_send() {
        let wired = of("192.168.7.1/24", None, &["192.168.7.20=CR1", "192.168.7.21"]).unwrap().unwrap();
        assert_eq!((wired.listen().to_string().as_str(), wired.title.as_str()), ("192.168.7.1:11112", "PUMUA"));
        assert_eq!((wired.mask(), wired.peers.len()), (Ipv4Addr::new(255, 255, 255, 0), 2));
        assert!(!wired.node().is_open_to_all());
        assert_eq!(of("10.1.2.3/8", Some(104), &["10.200.0.1"]).unwrap().unwrap().mask(), Ipv4Addr::new(255, 0, 0, 0));
        assert_eq!(Wired::of_settings(None, None, None, None), Ok(None));
        let [here, there] = ["127.0.0.1:0", "192.168.7.1:0"].map(|at| at.parse::<SocketAddr>().unwrap());
        assert_eq!(Wired::elsewhere(here, Some("CR"), None).unwrap().title.as_str(), "CR");
        assert_eq!(Wired::elsewhere(there, None, None), Err(WiredError::NoPeer));
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_key_that_is_wrong() {
        let peer = ["192.168.7.20"];
        for wrong in [
            "",
            "192.168.7.1",
            "192.168.7.1/31",
            "192.168.7.1/7",
            "192.168.7.0/24",
            "192.168.7.255/24",
            "127.0.0.1/8",
            "224.0.0.1/24",
            "0.0.0.1/24",
            "255.1.1.1/24",
            "fe80::1/64",
            "192.168.7.1/24 ",
        ] {
            assert_eq!(of(wrong, None, &peer), Err(WiredError::Address), "{wrong}");
        }
        let good = "192.168.7.1/24";
        assert_eq!(of(good, Some(80), &peer), Err(WiredError::Port));
        assert_eq!(of(good, None, &[]), Err(WiredError::NoPeer));
        assert_eq!(of(good, None, &["console"]), Err(WiredError::Peer(PeerError)));
        for elsewhere in ["192.168.8.20", "192.168.7.1", "fe80::1"] {
            assert!(matches!(of(good, None, &[elsewhere]), Err(WiredError::Elsewhere(_))), "{elsewhere}");
        }
        assert_eq!(Wired::of_settings(None, Some("A\\B"), None, None), Err(WiredError::Title(TitleError)));
        assert_eq!(Wired::of_settings(None, None, Some(0), None), Err(WiredError::Port));
    }
}

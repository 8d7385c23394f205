//! The Ethernet port of the box, where its settings turn it on: one address on one cable, and nothing beyond it.
//!
//! The only route is that to the network of the cable. There is no IPv6, no name service and no DHCP, and nothing listens but the one
//! socket that the worker is handed ([`listener`]). The socket has its address before the port has: adapters may come later, or
//! be unplugged, and consoles are answered as soon as one is there ([`Network::look`]).

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::fd::OwnedFd,
    panic::catch_unwind,
    path::Path,
};

use ::node::Wired;
use rustix::{
    io::Errno,
    ioctl::{Updater, ioctl},
    net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt},
};

use crate::config;

/// Connections that wait to be accepted.
const WAITING: i32 = 8;

/// Switches of the kernel, below `/proc/sys/net`, and what they are set to before any port is up. Those of `all` and `default` are
/// for all ports, those that come as well.
const SWITCHES: [(&str, &str); 15] = [
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv4/ip_forward", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    ("ipv4/conf/all/secure_redirects", "0"),
    ("ipv4/conf/default/secure_redirects", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/accept_source_route", "0"),
    ("ipv4/conf/default/accept_source_route", "0"),
    ("ipv4/conf/all/rp_filter", "1"),
    ("ipv4/conf/default/rp_filter", "1"),
    ("ipv4/icmp_echo_ignore_broadcasts", "1"),
    ("ipv4/tcp_syncookies", "1"),
];

/// What the settings on the card say of the port; nothing where they cannot be used, which the worker says.
pub(super) fn of_card(settings: &Path) -> Option<Wired> {
    // A panic of the first process would be the kernel's.
    catch_unwind(|| config::wired(settings).unwrap_or_default()).unwrap_or_default()
}

/// The socket to which consoles connect. Its address may not be there yet.
pub(super) fn listener(wired: &Wired) -> io::Result<TcpListener> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_ip_freebind(&socket, true)?;
    bind(&socket, &SocketAddrV4::new(wired.address, wired.port))?;
    listen(&socket, WAITING)?;
    Ok(TcpListener::from(socket))
}

/// Sets the switches of the kernel below this folder. Those that it does not know are left out: there is nothing to switch.
pub(super) fn harden(switches: &Path) {
    for (name, value) in SWITCHES {
        // Not made where it is missing.
        let opened = OpenOptions::new().write(true).open(switches.join(name));
        match opened.and_then(|mut switch| switch.write_all(value.as_bytes())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                crate::say(format_args!("the switch {name} of the network cannot be set: {error}"));
            }
            _ => {}
        }
    }
}

/// The port.
pub(super) struct Network {
    wired: Wired,
    /// Through which the kernel is asked and told.
    control: OwnedFd,
    /// What was said last.
    told: String,
}

impl Network {
    pub(super) fn new(wired: Wired) -> io::Result<Self> {
        // Without an address of its own: nothing can be sent to it.
        let control = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Self { wired, control, told: String::new() })
    }

    /// Gives the first Ethernet port its address, unless one has it already. To be called now and then: ports come and go.
    pub(super) fn look(&mut self) {
        let ports = fs::read_to_string("/proc/self/net/dev").map(|text| names(&text)).unwrap_or_default();
        let ports: Vec<Name> = ports.into_iter().filter(|port| self.is_ethernet(*port)).collect();
        if ports.iter().any(|port| self.is_up(*port)) {
            return;
        }
        let words = match ports.first() {
            None => "there is no Ethernet port; waiting for one".to_owned(),
            Some(port) => match self.set_up(*port) {
                Ok(()) => format!("the Ethernet port {port} is {}/{}", self.wired.address, self.wired.prefix),
                Err(error) => format!("the Ethernet port {port} cannot be set up: {error}"),
            },
        };
        if self.told != words {
            crate::say(format_args!("{words}"));
            self.told = words;
        }
    }

    fn is_ethernet(&self, port: Name) -> bool {
        /// `ARPHRD_ETHER` of `linux/if_arp.h`.
        const ETHERNET: u16 = 1;
        let kind = self.ask::<GET_HARDWARE>(Request::of(port)).map(|answer| answer.number());
        port.0[..3] != *b"lo\0" && kind == Ok(ETHERNET)
    }

    /// Whether it has the address and is up.
    fn is_up(&self, port: Name) -> bool {
        let address = self.ask::<GET_ADDRESS>(Request::of(port)).map(|answer| answer.address());
        let flags = self.ask::<GET_FLAGS>(Request::of(port)).map(|answer| answer.number());
        address == Ok(self.wired.address) && flags.is_ok_and(|flags| flags & UP != 0)
    }

    fn set_up(&self, port: Name) -> rustix::io::Result<()> {
        self.ask::<SET_ADDRESS>(Request::with_address(port, self.wired.address))?;
        self.ask::<SET_MASK>(Request::with_address(port, self.wired.mask()))?;
        let flags = self.ask::<GET_FLAGS>(Request::of(port))?.number();
        self.ask::<SET_FLAGS>(Request::with_number(port, flags | UP)).map(drop)
    }

    /// Asks the kernel of a port, or tells it something.
    #[expect(unsafe_code, reason = "the kernel reads and writes a structure of ours")]
    fn ask<const WHAT: u32>(&self, mut request: Request) -> Result<Request, Errno> {
        // SAFETY: each of the requests below reads a `struct ifreq` and writes at most one in its place. `Request` is as large as
        // the largest of them, has its layout, and any bits are a value of it.
        unsafe { ioctl(&self.control, Updater::<WHAT, Request>::new(&mut request))? };
        Ok(request)
    }
}

/// Requests of `linux/sockios.h`.
const GET_FLAGS: u32 = 0x8913;
const SET_FLAGS: u32 = 0x8914;
const GET_ADDRESS: u32 = 0x8915;
const SET_ADDRESS: u32 = 0x8916;
const SET_MASK: u32 = 0x891c;
const GET_HARDWARE: u32 = 0x8927;
/// `IFF_UP` of `linux/if.h`.
const UP: u16 = 1;
/// `AF_INET`.
const INET: u16 = 2;

/// Name of a port, with zeros behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name([u8; 16]);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        f.write_str(&String::from_utf8_lossy(&self.0[..end]))
    }
}

/// The names in `/proc/net/dev`: after two lines of headings, each before a colon.
fn names(text: &str) -> Vec<Name> {
    let name = |line: &str| {
        let (name, _) = line.split_once(':')?;
        let name = name.trim().as_bytes();
        let mut bytes = [0; 16];
        // The last one is a zero.
        bytes[..15].get_mut(..name.len())?.copy_from_slice(name);
        (!name.is_empty()).then_some(Name(bytes))
    };
    text.lines().skip(2).filter_map(name).collect()
}

/// `struct ifreq` of `linux/if.h`: a name, and what is asked or told of it.
#[repr(C, align(8))]
#[derive(Debug)]
struct Request {
    name: [u8; 16],
    /// Begins with a number of 16 bits, or with a `struct sockaddr`.
    value: [u8; 24],
}

impl Request {
    fn of(port: Name) -> Self {
        Self { name: port.0, value: [0; 24] }
    }

    fn with_number(port: Name, number: u16) -> Self {
        let mut request = Self::of(port);
        request.value[..2].copy_from_slice(&number.to_ne_bytes());
        request
    }

    /// As a `struct sockaddr_in`: family, port, address.
    fn with_address(port: Name, address: Ipv4Addr) -> Self {
        let mut request = Self::with_number(port, INET);
        request.value[4..8].copy_from_slice(&address.octets());
        request
    }

    fn number(&self) -> u16 {
        u16::from_ne_bytes([self.value[0], self.value[1]])
    }

    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.value[4], self.value[5], self.value[6], self.value[7])
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpStream,
        process::{Command, Output},
    };

    use super::*;

    /// Says to the test, started again where it may change the network, that it is there.
    const INSIDE: &str = "PUMUA_TEST_INSIDE";

    fn wired() -> Wired {
        let peers = ["192.168.7.20".to_owned()];
        Wired::of_settings(Some("192.168.7.1/24"), None, None, Some(&peers)).unwrap().unwrap()
    }

    #[test]
    fn a_request_is_as_large_as_the_kernels_and_ports_are_found_by_name() {
        assert_eq!((size_of::<Request>(), align_of::<Request>()), (40, 8));
        let text = "Inter-|   Receive\n face |bytes\n    lo: 0 0\n  eth0: 1 2\nenx001122334455: 0\na-name-that-is-too-long: 0\n";
        let found: Vec<String> = names(text).iter().map(Name::to_string).collect();
        assert_eq!(found, ["lo", "eth0", "enx001122334455"]);
        let request = Request::with_address(names(text)[1], Ipv4Addr::new(192, 168, 7, 1));
        assert_eq!((request.number(), request.address()), (INET, Ipv4Addr::new(192, 168, 7, 1)));
    }

    #[test]
    fn switches_that_are_missing_are_left_out_and_the_others_set() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("ipv4/conf/all")).unwrap();
        fs::write(folder.path().join("ipv4/ip_forward"), "1\n").unwrap();
        harden(folder.path());
        assert_eq!(fs::read_to_string(folder.path().join("ipv4/ip_forward")).unwrap(), "0\n");
        assert!(!folder.path().join("ipv4/conf/all/accept_redirects").exists());
    }

    fn ran(command: &mut Command) -> Option<Output> {
        command.output().ok().filter(|output| output.status.success())
    }

    /// What `ip` says, within a network of the test's own.
    fn ip(arguments: &str) -> Option<String> {
        let output = ran(Command::new("ip").args(arguments.split(' ')))?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    #[test]
    fn a_port_gets_its_address_and_the_link_is_the_only_route() {
        if std::env::var_os(INSIDE).is_some() {
            return inside();
        }
        let skip = |what: &str| {
            let _ = writeln!(io::stderr(), "skipped: {what}");
        };
        if ran(Command::new("unshare").args(["-rn", "ip", "link", "add", "a", "type", "veth", "peer", "name", "b"]))
            .is_none()
        {
            return skip("no network of its own can be made with unshare and ip");
        }
        let name = "init::network::tests::a_port_gets_its_address_and_the_link_is_the_only_route";
        let mut again = Command::new("unshare");
        again.arg("-rn").arg(std::env::current_exe().unwrap()).args([name, "--exact", "--nocapture"]).env(INSIDE, "1");
        let output = again.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn inside() {
        let listener = listener(&wired()).unwrap();
        assert_eq!(listener.local_addr().unwrap(), wired().listen(), "before there is such an address");
        let mut network = Network::new(wired()).unwrap();
        network.look();
        assert!(network.told.contains("no Ethernet port"), "{}", network.told);
        // Two that are joined; one of them becomes ours.
        ip("link add a type veth peer name b").unwrap();
        network.look();
        let shown = ip("-4 -o address show").unwrap();
        assert_eq!(shown.matches("192.168.7.1/24").count(), 1, "{shown}");
        network.look();
        assert_eq!(ip("-4 -o address show").unwrap(), shown, "nothing is done twice");
        let other = if shown.contains(": a") { "b" } else { "a" };
        ip(&format!("link set {other} up")).unwrap();
        let routes = ip("-4 route show").unwrap();
        assert!(routes.lines().count() == 1 && routes.starts_with("192.168.7.0/24 dev "), "{routes}");
        // As from this machine, over its loopback.
        ip("link set lo up").unwrap();
        let _console = TcpStream::connect(wired().listen()).unwrap();
        assert!(listener.accept().is_ok());
        // Unplugged, and another one comes.
        ip("link delete a").unwrap();
        network.look();
        assert!(network.told.contains("no Ethernet port"), "{}", network.told);
        ip("link add c type veth peer name d").unwrap();
        network.look();
        assert_eq!(ip("-4 -o address show").unwrap().matches("192.168.7.1/24").count(), 1);
    }
}

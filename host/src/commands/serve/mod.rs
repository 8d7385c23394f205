//! `pumua serve`: a page on which a clinic drops X-rays and reads the answers.

mod at_box;
mod bundles;
mod here;
mod sheet;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use base::{Shown, interrupt};
use clap::ArgGroup;
use link::{PortOptions, exam_naming};
use report::NOT_A_DEVICE;
use serve::{After, Archive, Bounds, Format, Judge, Node, Pacs, Peer, ServeError, Server, Settings, Title, Watch};
use shared::{
    appliance::{Language, Override},
    verdict::Profile,
};

use self::{at_box::AtBox, here::Here, sheet::draw};
use super::open::open_model;
use crate::exit::{Exit, Failure, WithExit};

/// Options of `pumua serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "A research aid, not a medical device.")]
#[command(group(ArgGroup::new("dicom").args(["node", "pacs"]).multiple(true)))]
pub struct Options {
    /// Folder of films and results; made if it is not there
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Address and port of the page. Anything but 127.0.0.1 and [::1] is for a network: browsers are asked for a code that is
    /// printed here, and what they send can be read on the way
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8765", value_parser = an_address)]
    listen: SocketAddr,
    /// Name of the place, on each answer and slip
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true, value_parser = site)]
    site: String,
    /// Language of the page where the browser asks for none of these: en, fr, pt or sw
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    language: Language,
    /// Most space for films and pictures, in GiB: beyond it those of the oldest go, and their results stay
    #[arg(long, value_name = "GIB", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    space: u64,
    /// Folder to which a console exports X-rays: each complete film in it, and in folders within, is taken once
    #[arg(long, value_name = "DIR")]
    watch: Option<PathBuf>,
    /// Time that a file there must not have changed before it is taken: longer than a console or the network ever pauses in
    /// the middle of one
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    quiet: u64,
    /// What becomes of a film that was taken from there: leave; move, to the folder pumua-taken within, after some time; mark,
    /// by a file beside it whose name ends with .pumua
    #[arg(long, value_name = "WHAT", default_value = "leave", requires = "watch")]
    after: After,
    /// Address and port to which X-ray machines send by DICOM (C-STORE, C-ECHO), such as 192.168.1.20:11112. What they send can
    /// be read on the way
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = a_node)]
    node: Option<SocketAddr>,
    /// AE title that is entered on X-ray machines for that, and in an archive as the one that calls
    #[arg(long = "aet", value_name = "NAME", default_value = "PUMUA", requires = "dicom")]
    title: Title,
    /// X-ray machine that may send there, by its address, and by its AE title if that is to be checked. Where others than this
    /// computer reach --node, one at least is needed; may be given several times
    #[arg(long = "peer", value_name = "ADDRESS[=NAME]", requires = "node")]
    peers: Vec<Peer>,
    /// Archive (PACS) to which the answer to each DICOM film goes, into the film's study (C-STORE), by its address, port and AE
    /// title, such as 192.168.1.10:104=PACS. What is sent, the patient's name among it, can be read on the way
    #[arg(long, value_name = "ADDRESS:PORT=NAME")]
    pacs: Option<Archive>,
    /// As what answers are sent there: capture, an image that people look at (Secondary Capture); report, values that programs
    /// read (Comprehensive SR); or both, with a comma between them
    #[arg(long, value_name = "WHAT", default_value = "capture", requires = "pacs", value_delimiter = ',')]
    answers: Vec<Format>,
    /// Have the box on the serial line judge, as `pumua send` does, instead of this program
    #[arg(long = "box", conflicts_with_all = ["model", "profile"])]
    at_box: bool,
    #[command(flatten)]
    port: PortOptions,
    /// ONNX model made by `pumua train` [default: the one that is built in]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Which of the model's operating points decides, as set on the box: screening, balanced or confirming [default: the
    /// model's own]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<Profile>,
    /// Judge patients who are older or younger than those whom the model is for: age. The answer says so
    #[arg(long = "override", value_name = "REASON")]
    overrides: Vec<Override>,
}

/// Time between two looks into the watched folder.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Longest name of a place, in characters.
const MAX_SITE: usize = 64;

/// The name of a place: a line of words.
fn site(typed: &str) -> Result<String, String> {
    let words = typed.trim();
    if words.chars().count() > MAX_SITE || words.contains(char::is_control) {
        return Err(format!("the name of a place is a line of at most {MAX_SITE} characters"));
    }
    Ok(words.to_owned())
}

/// An address by which a browser can ask for the page: one that stands for all addresses is none.
fn an_address(typed: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        typed.parse().map_err(|_| "an address and a port, such as 192.168.1.20:8765".to_owned())?;
    if address.ip().to_canonical().is_unspecified() {
        return Err(
            "no browser can ask for that address: name the one that this computer has in the network, such as \
                    192.168.1.20 (`ip address` shows it)"
                .to_owned(),
        );
    }
    Ok(address)
}

/// An address to which a console sends. One that stands for all addresses would be reached from every network of this
/// computer, and what comes is neither encrypted nor asked for a password.
fn a_node(typed: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        typed.parse().map_err(|_| "an address and a port, such as 192.168.1.20:11112".to_owned())?;
    if address.ip().to_canonical().is_unspecified() {
        return Err(
            "every network of this computer would reach that address: name the one that it has in the network of the X-ray \
                    machine, such as 192.168.1.20 (`ip address` shows it)"
                .to_owned(),
        );
    }
    Ok(address)
}

/// Where a folder is, from the root on.
fn a_folder(path: &Path) -> anyhow::Result<PathBuf> {
    let found = path.canonicalize().ok().filter(|path| path.is_dir());
    found.with_context(|| format!("{} is no folder that can be watched: name one that exists", Shown(path.display())))
}

/// Serves the page until Ctrl-C.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { store, listen, site, language, space, watch, quiet, after, node, title, peers, .. } = options;
    let Options { pacs, answers, at_box, port, model, profile, overrides, .. } = options;
    let any_age = overrides.contains(&Override::Age);
    let naming = exam_naming().map_err(Failure::of_link)?;
    let watch = match watch {
        Some(folder) => {
            let quiet = Duration::from_secs(quiet);
            Some(Watch { folder: a_folder(&folder)?, after, every: LOOK_EVERY, quiet })
        }
        None => None,
    };
    let bounds = Bounds { space: space << 30, ..Bounds::default() };
    let node = node.map(|listen| Node { listen, title: title.clone(), peers });
    let pacs =
        pacs.map(|archive| Pacs { archive, calling: title.clone(), draw, formats: answers.into_iter().collect() });
    let archive = pacs.as_ref().map(|pacs| pacs.archive.clone());
    let settings = Settings { listen, store: store.clone(), bounds, site, language, naming, watch, node, pacs };
    interrupt::listen();
    let judge: Box<dyn Judge> = if at_box {
        base::say!("{NOT_A_DEVICE}");
        Box::new(AtBox::new(port, any_age))
    } else {
        let mut model = open_model(model.as_deref())?;
        if let Some(profile) = profile {
            model.decide_by(profile).exit(Exit::Refused)?;
        }
        Box::new(Here { model, any_age })
    };
    let server = Server::open(settings, judge).map_err(|error| {
        let is_usage = matches!(error, ServeError::Nested { .. } | ServeError::NoPeer { .. });
        let exit = if is_usage { Exit::Usage } else { Exit::Failed };
        Failure { exit, error: error.into() }
    })?;
    if let Some(address) = server.node_address() {
        base::say!("X-ray machines send to the AE title {title}, address {}, port {}", address.ip(), address.port());
    }
    if let Some(Archive { address, title: archive }) = archive {
        let [ip, port] = [address.ip().to_string(), address.port().to_string()];
        base::say!("answers go to the AE title {archive}, address {ip}, port {port}, from the AE title {title}");
    }
    base::say!("films and results are in {}; Ctrl-C ends the page", Shown(store.display()));
    let mut out = io::stdout().lock();
    writeln!(out, "http://{}/", server.address()).and_then(|()| out.flush())?;
    drop(out);
    server.run()?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_line_of_words() {
        assert_eq!(site(" Kliniki ya Kaskazini ").as_deref(), Ok("Kliniki ya Kaskazini"));
        assert!(site("a\nb").is_err() && site(&"x".repeat(65)).is_err());
    }

    #[test]
    fn the_page_has_an_address_that_can_be_asked_for() {
        for good in ["127.0.0.1:8765", "192.168.1.20:80", "[::1]:0", "[fe80::1]:8765"] {
            assert_eq!(an_address(good), Ok(good.parse().unwrap()), "{good}");
        }
        for bad in ["0.0.0.0:8765", "[::]:8765", "[::ffff:0.0.0.0]:8765"] {
            assert!(an_address(bad).unwrap_err().contains("192.168.1.20"), "{bad}");
        }
        assert!(an_address("clinic:8765").is_err());
    }

    #[test]
    fn the_node_is_in_one_network() {
        for good in ["127.0.0.1:11112", "192.168.1.20:104", "[::1]:0"] {
            assert_eq!(a_node(good), Ok(good.parse().unwrap()), "{good}");
        }
        for bad in ["0.0.0.0:11112", "[::]:11112", "192.168.1.20", "console:104"] {
            assert!(a_node(bad).unwrap_err().contains("192.168.1.20"), "{bad}");
        }
    }
}

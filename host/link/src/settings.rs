//! Which port at which speed: flag, else environment, else configuration file, else the port of the box that answers.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use base::{Shown, files::read_text};
use serde::Deserialize;
use shared::{
    accession::ExamNaming,
    appliance::{
        ExamIdFrom,
        line::{DEFAULT_BAUD, SLOWEST_BAUD},
    },
};
use wire::GIVE_UP_AFTER_MS;

use super::{LinkError, connection::probe, find, port};

/// Where the box is. Without these options: the environment, then the keys `port` and `baud` of the configuration file
/// ($XDG_CONFIG_HOME/pumua/host.toml), then the port on which a box answers: those that call themselves one on USB are tried.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PortOptions {
    /// Serial port of the box [default: `port` in ~/.config/pumua/host.toml, else the one on which a box
    /// answers]
    #[arg(long, value_name = "PATH", env = "PUMUA_PORT", hide_env_values = true)]
    pub port: Option<PathBuf>,
    /// Speed of the line in bits a second
    #[arg(long, value_name = "BAUD", help = baud_help(), env = "PUMUA_BAUD", hide_env_values = true,
          value_parser = clap::value_parser!(u32).range(i64::from(SLOWEST_BAUD)..=4_000_000))]
    pub baud: Option<u32>,
    /// Look for the box on every serial port, and not only on those that call themselves Pumua: whatever is connected to them
    /// is written to
    #[arg(long)]
    pub any_port: bool,
    /// Seconds that the box may take for the next step forward before it counts as unreachable
    #[arg(long, value_name = "SECONDS", default_value_t = GIVE_UP_AFTER_MS / 1000, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
}

fn baud_help() -> String {
    format!(
        "Speed of the line in bits a second, as set on the box [default: `baud` in the same file, else {DEFAULT_BAUD}]"
    )
}

/// Most bytes of the configuration file.
const MAX_BYTES: u64 = 64 << 10;

/// The configuration file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    port: Option<PathBuf>,
    baud: Option<u32>,
    exam_id: Option<ExamIdFrom>,
    exam_key: Option<String>,
}

/// What exams are called that nobody has named, by the keys `exam_id` and `exam_key` of the configuration file.
pub fn exam_naming() -> Result<ExamNaming, LinkError> {
    let Some(path) = config_path() else { return Ok(ExamNaming::default()) };
    let Config { exam_id, exam_key, .. } = Config::read(&path)?;
    let naming = ExamNaming::new(exam_id.unwrap_or_default(), exam_key.as_deref());
    naming.map_err(|error| LinkError::Config { path, message: error.to_string() })
}

impl PortOptions {
    /// Path and speed of the port to open.
    pub(super) fn resolve(&self) -> Result<(PathBuf, u32), LinkError> {
        let config = config_path().map(|path| Config::read(&path)).transpose()?.unwrap_or_default();
        self.resolve_with(config, |baud| {
            let candidates = find::candidates(&port::found(), self.any_port);
            let path = find::choose(candidates, |path| probe(path, baud), find::ask)?;
            base::say!("using the box on {}", Shown(path.display()));
            Ok(path)
        })
    }

    fn resolve_with(
        &self,
        config: Config,
        find: impl FnOnce(u32) -> Result<PathBuf, LinkError>,
    ) -> Result<(PathBuf, u32), LinkError> {
        let baud = self.baud.or(config.baud).unwrap_or(DEFAULT_BAUD);
        let path = self.port.clone().or(config.port).map_or_else(|| find(baud), Ok)?;
        Ok((path, baud))
    }
}

fn config_path() -> Option<PathBuf> {
    // A relative XDG_CONFIG_HOME is invalid and to be ignored (XDG Base Directory Specification 0.8).
    let given = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = given.or_else(|| env::home_dir().map(|home| home.join(".config")))?;
    Some(home.join("pumua").join("host.toml"))
}

impl Config {
    /// Reads the file; an absent one is an empty one.
    fn read(path: &Path) -> Result<Self, LinkError> {
        let not_understood = |message| LinkError::Config { path: path.to_owned(), message };
        let text = match read_text(path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(not_understood(error.to_string())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(source) => return Err(LinkError::ConfigRead { path: path.to_owned(), source }),
        };
        toml::from_str(&text).map_err(|error| not_understood(fault_of(&text, &error)))
    }
}

/// What is wrong, and in which line. The error itself would show the line, which may be the one with the key.
fn fault_of(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_faulty_file_is_told_by_its_line_without_what_is_in_it() {
        let text = "baud = 9600\nexam_key = \"a key of many letters\n";
        let said = fault_of(text, &toml::from_str::<Config>(text).err().unwrap());
        assert!(said.contains("line 2") && !said.contains("many letters"), "{said}");
    }

    fn config() -> Config {
        toml::from_str("port = '/dev/c'\nbaud = 9600").unwrap()
    }

    #[test]
    fn flag_wins_over_configuration_over_discovery() {
        let found = |_| Ok(PathBuf::from("/dev/found"));
        let flags = PortOptions { port: Some("/dev/f".into()), baud: Some(1200), any_port: false, timeout: 1 };
        assert_eq!(flags.resolve_with(config(), found).unwrap(), ("/dev/f".into(), 1200));
        let none = PortOptions::default();
        assert_eq!(none.resolve_with(config(), found).unwrap(), ("/dev/c".into(), 9600));
        assert_eq!(none.resolve_with(Config::default(), found).unwrap(), ("/dev/found".into(), 115_200));
        let error =
            none.resolve_with(Config::default(), |_| Err(LinkError::NoPort { others: Vec::new() })).unwrap_err();
        assert!(error.to_string().contains("--port"));
    }

    #[test]
    fn the_configuration_says_what_exams_are_called() {
        let config: Config = toml::from_str("exam_id = 'hashed-accession'\nexam_key = 'sixteen letters.'").unwrap();
        assert!(ExamNaming::new(config.exam_id.unwrap(), config.exam_key.as_deref()).is_ok());
        let error = toml::from_str::<Config>("exam_id = 'name'").unwrap_err().to_string();
        assert!(error.contains("as-sent, accession and hashed-accession"), "{error}");
    }

    #[test]
    fn configuration_with_other_keys_is_an_error() {
        let file = env::temp_dir().join(format!("pumua-host-{}.toml", std::process::id()));
        fs::write(&file, "prot = '/dev/x'").unwrap();
        let error = Config::read(&file).unwrap_err();
        assert!(error.to_string().contains("prot"), "{error}");
        let good = "port = '/dev/c'\nbaud = 9600";
        fs::write(&file, format!("\u{feff}{good}")).unwrap();
        assert_eq!(Config::read(&file).unwrap(), config());
        let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [&utf16[..], b"# caf\xe9"] {
            fs::write(&file, bytes).unwrap();
            let error = Config::read(&file).unwrap_err();
            assert!(error.to_string().contains("save it as UTF-8"), "{error}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(Config::read(&file).unwrap(), Config::default());
    }
}

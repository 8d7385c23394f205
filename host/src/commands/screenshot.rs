//! `pumua screenshot`: fetches the picture on the screen of the box.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use anyhow::{Context, anyhow};
use base::{
    Shown,
    files::{OutputFile, write_atomically},
};
use link::{AnswerError, Connection, LinkError, PortOptions};

use super::pairing::{Pairing, is_wanted};
use crate::exit::{Exit, Failure, WithExit};

/// Options of `pumua screenshot`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// PNG file to write; `-` for stdout
    #[arg(value_name = "FILE.png")]
    file: OutputFile,
    #[command(flatten)]
    port: PortOptions,
    #[command(flatten)]
    pairing: Pairing,
}

/// Fetches the picture on the screen of the box.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { file, port, pairing } = options;
    let to_stdout = *file == *Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        return Err(anyhow!("a picture is not for a terminal: name a file, or redirect stdout")).exit(Exit::Usage);
    }
    if !to_stdout {
        super::check_outputs(&[], &[&file], &[])?;
    }
    let mut connection = Connection::open(&port).map_err(Failure::of_link)?;
    pairing.begin(&mut connection)?;
    let png = match connection.screenshot() {
        Err(error) if is_wanted(&error) => {
            pairing.ask(&mut connection)?;
            connection.screenshot()
        }
        taken => taken,
    };
    let png = png.map_err(Failure::of_link)?;
    // Whoever opens the file should find a picture, and as many pixels as it says.
    decode::decode(&png).map_err(|_| Failure::of_link(LinkError::Answer(AnswerError::Screenshot)))?;
    if to_stdout {
        let mut out = io::stdout().lock();
        out.write_all(&png).and_then(|()| out.flush())?;
    } else {
        write_atomically(&file, &png).with_context(|| {
            format!("cannot write {}: name a file in a folder that can be written", Shown(file.display()))
        })?;
    }
    Ok(Exit::Done)
}

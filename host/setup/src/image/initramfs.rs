//! The initial file system of the kernel, the only one that programs of the box come from.

use std::io::{self, Write};

use cpio::newc::{Builder, trailer};
use flate2::{Compression, GzBuilder};
use shared::appliance::card::{CHECKER, DRIVER_LIST, DRIVERS, INIT, NETWORK_DRIVER_LIST, driver_line};

use super::{BuildError, drivers::Driver};

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// The archive, compressed: `/init`, `/e2fsck`, and `/drivers` with the lists in which they are loaded.
pub(super) fn archive(program: &[u8], checker: &[u8], drivers: &[Driver]) -> Result<Vec<u8>, BuildError> {
    let list = |for_network: bool| -> String {
        let of_it = drivers.iter().filter(|driver| driver.is_for_network == for_network);
        of_it.map(|driver| driver_line(&driver.file, driver.parameters) + "\n").collect()
    };
    let pack = || -> io::Result<Vec<u8>> {
        let mut archive = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        let mut number = 0;
        let mut add = |name: &str, mode: u32, bytes: &[u8]| -> io::Result<()> {
            number += 1;
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            // Paths within the archive are relative to the root.
            let mut entry =
                Builder::new(name.trim_start_matches('/')).ino(number).mode(mode).nlink(1).write(&mut archive, length);
            entry.write_all(bytes)?;
            entry.finish()?;
            Ok(())
        };
        add(INIT, PROGRAM, program)?;
        add(CHECKER, PROGRAM, checker)?;
        add(DRIVERS, FOLDER, &[])?;
        add(DRIVER_LIST, FILE, list(false).as_bytes())?;
        add(NETWORK_DRIVER_LIST, FILE, list(true).as_bytes())?;
        for driver in drivers {
            add(&format!("{DRIVERS}/{}", driver.file), FILE, &driver.bytes)?;
        }
        trailer(&mut archive)?;
        archive.finish()
    };
    pack().map_err(BuildError::Initramfs)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use cpio::newc::Reader;
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn program_and_drivers_are_in_it_and_the_same_inputs_give_the_same_bytes() {
        let driver = |file: &str, parameters, is_for_network| {
            let bytes = file.as_bytes().to_vec();
            Driver { file: file.to_owned(), parameters, bytes, is_for_network }
        };
        let drivers = [driver("b.ko", "", false), driver("a.ko", "some=1", false), driver("c.ko", "", true)];
        let packed = archive(b"program", b"checker", &drivers).unwrap();
        assert_eq!(packed, archive(b"program", b"checker", &drivers).unwrap());
        let mut rest: Box<dyn Read> = Box::new(GzDecoder::new(packed.as_slice()));
        let mut found = Vec::new();
        loop {
            let mut entry = Reader::new(rest).unwrap();
            if entry.entry().is_trailer() {
                break;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.push((entry.entry().name().to_owned(), entry.entry().mode(), String::from_utf8(bytes).unwrap()));
            rest = entry.finish().unwrap();
        }
        let expected = [
            ("init", PROGRAM, "program"),
            ("e2fsck", PROGRAM, "checker"),
            ("drivers", FOLDER, ""),
            ("drivers/list", FILE, "b.ko\na.ko some=1\n"),
            ("drivers/network", FILE, "c.ko\n"),
            ("drivers/b.ko", FILE, "b.ko"),
            ("drivers/a.ko", FILE, "a.ko"),
            ("drivers/c.ko", FILE, "c.ko"),
        ];
        assert_eq!(found, expected.map(|(name, mode, text)| (name.to_owned(), mode, text.to_owned())));
    }
}

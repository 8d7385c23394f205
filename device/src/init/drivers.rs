//! The kernel's modules.

use std::{
    fs::{File, read_to_string},
    io,
    path::Path,
};

use rustix::{io::Errno, system::finit_module};
use shared::appliance::card::driver;

/// Loads every module of a list, as [`shared::appliance::card::DRIVER_LIST`] is one. Those that cannot be loaded are returned with the reason: no box has all the hardware.
pub(super) fn load(list: &Path) -> Vec<(String, io::Error)> {
    let text = match read_to_string(list) {
        Ok(text) => text,
        Err(error) => return vec![(list.display().to_string(), error)],
    };
    let folder = list.parent().unwrap_or(Path::new("/"));
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.filter_map(|line| load_one(folder, line).err().map(|error| (line.to_owned(), error))).collect()
}

fn load_one(folder: &Path, line: &str) -> io::Result<()> {
    let (name, parameters) = driver(line);
    let parameters = std::ffi::CString::new(parameters)?;
    match finit_module(File::open(folder.join(name))?, &parameters, 0) {
        // Another module may have asked for it.
        Err(Errno::EXIST) => Ok(()),
        loaded => Ok(loaded?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_loaded_is_told_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list");
        assert_eq!(load(&list).len(), 1, "without a list");
        std::fs::write(&list, "a.ko\n\nb.ko some=1\n").unwrap();
        let failed: Vec<String> = load(&list).into_iter().map(|(name, _)| name).collect();
        assert_eq!(failed, ["a.ko", "b.ko some=1"]);
    }
}

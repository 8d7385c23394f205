//! Whatever a command writes is checked before its work, and written in one way.

use std::{
    any::TypeId,
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use base::files::{OutputError, OutputFile, OutputFolder};
use clap::{CommandFactory, Parser};
use data::{Site, synthetic};
use engine::DEFAULT_MODEL;
use host::exit::{Exit, Failure};

use super::{Cli, run};

/// Options that name what is written, with command lines on which it would replace what is read, or has no place. What is in
/// the folder of the test begins with `@`.
const OUTPUTS: [(&str, &str, &str); 27] = [
    ("train", "out", "--data @data --out @data"),
    ("study", "out", "--data @data --out @data"),
    ("synthetic", "folder", "@film.png"),
    ("augment", "preview", "--image @film.png --preview @film.png"),
    ("quantize", "out", "@model.onnx --data @data --out @model.onnx"),
    ("quantize", "out", "@model.onnx --data @data --out @data/NORMAL/synthetic-0000-normal.png"),
    ("points", "out", "@model.onnx --data @data --out @model.onnx"),
    ("evaluate", "report", "--data @data --report @data"),
    ("robustness", "keep", "--data @data --keep @data/new/kept"),
    ("machines", "sheets", "--data @data --sheets @data"),
    ("machines", "sheets", "--data @data --sheets @data/NORMAL"),
    ("predict", "inputs", "@film.png --inputs @film.png"),
    ("predict", "evidence_map", "@film.png --heatmap @film.png"),
    ("predict", "evidence_map", "@data/NORMAL --heatmap @data/NORMAL/synthetic-0000-normal.png"),
    ("view", "out", "@film.png --out @film.png"),
    ("view", "sheet", "@data --sheet @data/NORMAL/synthetic-0000-normal.png"),
    ("screenshot", "file", "@none/screen.png"),
    ("key", "out", "@none/key"),
    ("keys", "out", "--counter 1 --key @film.png --out @film.png"),
    ("image", "out", "--model @model.onnx --out @model.onnx"),
    ("image", "packages", "--firmware @data --packages @data --out @box.img"),
    ("bundle", "out", "--program @film.png --out @film.png"),
    ("bundle", "packages", "--program @film.png --packages @film.png --out @box.pumua"),
    ("package", "out", "--program @film.png --out @film.png"),
    ("package", "out", "--computer --program @film.png --out @film.png"),
    ("flash", "device", "@film.png @film.png --allow file --yes"),
    ("flash", "keep", "@model.onnx @none.img --allow file --yes --keep-results --keep @film.png"),
];

/// Options that name what is read.
const INPUTS: [(&str, &str); 32] = [
    ("train", "data"),
    ("train", "sites"),
    ("train", "recipes"),
    // The folder of a run is its own.
    ("train", "resume"),
    ("study", "data"),
    ("study", "recipes"),
    ("augment", "image"),
    ("quantize", "model"),
    ("quantize", "data"),
    ("quantize", "sites"),
    ("points", "model"),
    ("points", "data"),
    ("points", "sites"),
    ("evaluate", "model"),
    ("evaluate", "against"),
    ("evaluate", "data"),
    ("evaluate", "sites"),
    ("robustness", "models"),
    ("robustness", "originals"),
    ("robustness", "data"),
    ("robustness", "sites"),
    ("machines", "data"),
    ("machines", "sites"),
    ("predict", "paths"),
    ("predict", "model"),
    ("view", "file"),
    ("view", "model"),
    ("send", "files"),
    ("update", "file"),
    ("image", "model"),
    ("image", "config"),
    ("image", "firmware"),
];
/// More of them.
const OTHERS: [(&str, &str); 18] = [
    ("keys", "public"),
    ("keys", "root"),
    ("sign", "file"),
    ("sign", "key"),
    ("sign", "signature"),
    ("verify", "file"),
    ("verify", "root"),
    ("verify", "own_key"),
    ("update", "add_key"),
    ("image", "program"),
    ("bundle", "program"),
    ("package", "program"),
    ("flash", "image"),
    ("flash", "results"),
    ("flash", "root"),
    ("serve", "model"),
    ("serve", "watch"),
    // The folder of a store is its own.
    ("serve", "store"),
];

#[test]
fn every_option_that_names_a_file_is_known() {
    let (mut read, mut written) = (BTreeSet::new(), BTreeSet::new());
    let cli = Cli::command();
    for command in cli.get_subcommands() {
        for option in command.get_arguments() {
            let kind = option.get_value_parser().type_id();
            let is = |kinds: &[TypeId]| kinds.iter().any(|known| kind == *known);
            let is_path = |word: &str| ["FILE", "DIR", "PATH", "ONNX"].contains(&&*word.to_uppercase());
            let holds_one = |name: &str| name.split(|c: char| !c.is_ascii_alphanumeric()).any(is_path);
            let named = option.get_value_names().unwrap_or_default().iter().any(|name| holds_one(name));
            let pair = (command.get_name().to_owned(), option.get_id().to_string());
            if is(&[TypeId::of::<OutputFile>(), TypeId::of::<OutputFolder>()]) {
                written.insert(pair);
            } else if named || is(&[TypeId::of::<PathBuf>(), TypeId::of::<Site>()]) {
                read.insert(pair);
            }
        }
    }
    let owned = |(command, option): (&str, &str)| (command.to_owned(), option.to_owned());
    let known: BTreeSet<_> = OUTPUTS.iter().map(|(command, option, _)| owned((command, option))).collect();
    assert_eq!(written, known, "what is written is an `OutputFile` or an `OutputFolder`, and is tried below");
    let known: BTreeSet<_> = INPUTS.into_iter().chain(OTHERS).map(owned).collect();
    read.retain(|(_, option)| option != "port");
    assert_eq!(read, known, "what is read");
}

#[test]
fn what_is_read_is_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    synthetic::write(&path("data"), 4, 1).unwrap();
    fs::write(path("model.onnx"), DEFAULT_MODEL).unwrap();
    fs::copy(path("data/NORMAL/synthetic-0000-normal.png"), path("film.png")).unwrap();
    let film = fs::read(path("film.png")).unwrap();
    for (command, option, line) in OUTPUTS {
        let words = line.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => path(name).into_os_string(),
            None => word.into(),
        });
        let arguments = ["pumua".into(), command.into()].into_iter().chain(words);
        let Failure { exit, error } = run(Cli::try_parse_from(arguments).unwrap().command).unwrap_err();
        assert!(error.is::<OutputError>(), "{command} {option}: {error:#}");
        assert_eq!(exit, Exit::Usage, "{command} {option}");
        assert!(fs::read(path("film.png")).unwrap() == film, "{command} {option}");
        assert!(fs::read(path("model.onnx")).unwrap() == DEFAULT_MODEL, "{command} {option}");
    }
}

/// Code that writes files, below the folder of this crate.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "examples", "target"].contains(&&*name) {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

#[test]
fn files_are_written_in_one_way() {
    /// What is written in a temporary folder for another program to read, or is a medium, not a file; a film that comes in by
    /// parts, beside its place; and, in a folder to which others write, the log and the marks of what was taken, which never
    /// follow a link.
    const ALLOWED: [&str; 6] = [
        "base/src/files/",
        "setup/src/package/mod.rs",
        "setup/src/image/packages.rs",
        "setup/src/image/tests.rs",
        "serve/src/store/mod.rs",
        "serve/src/watch/mod.rs",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(root, &mut found);
    assert!(found.len() > 100);
    for path in found {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        if name == "src/outputs.rs" || ALLOWED.iter().any(|other| name.starts_with(other)) {
            continue;
        }
        for way in [
            "fs::write",
            "File::create",
            "File::options",
            "OpenOptions",
            ".persist",
            "save_buffer",
            "from_path(",
            ".save_with",
        ] {
            assert!(!text.contains(way), "{name} has {way}: write files with `base::files`");
        }
    }
}

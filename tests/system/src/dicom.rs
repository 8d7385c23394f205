//! DICOM files that hold synthetic radiographs, and whether programs of other makers are here.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use crate::synthetic_radiographs;

/// Computed Radiography or Digital X-Ray: Digital X-Ray Image Storage, for presentation.
const CLASS: &[u8] = b"1.2.840.10008.5.1.4.1.1.1.1";

/// An element in explicit representation.
pub fn element(tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" || vr == "OB" { 0 } else { b' ' });
    }
    let head = [&((tag >> 16) as u16).to_le_bytes()[..], &(tag as u16).to_le_bytes(), vr.as_bytes()].concat();
    let length = match vr {
        "OB" => [&[0, 0][..], &(value.len() as u32).to_le_bytes()].concat(),
        _ => (value.len() as u16).to_le_bytes().to_vec(),
    };
    [head, length, value].concat()
}

/// The UID of a radiograph.
pub fn instance(number: usize) -> String {
    format!("2.25.{}", 73_517_351_000_000 + number)
}

/// The UID of its study.
pub fn study(number: usize) -> String {
    format!("{}.1", instance(number))
}

/// A radiograph of a child of four as a DICOM file, with a number and a study of its own. `more`: other elements, each with its
/// tag; they are put in their places.
fn radiograph(png: &Path, number: usize, more: &[(u32, &str, &str)]) -> Vec<u8> {
    let image = image::open(png).expect("it was drawn here").into_luma8();
    let [instance, study] = [instance(number), study(number)];
    let series = format!("{study}.2");
    let texts = [
        (0x0008_0018, "UI", instance.as_str()),
        (0x0008_0060, "CS", "DX"),
        (0x0010_0020, "LO", "73517351"),
        (0x0010_1010, "AS", "004Y"),
        (0x0018_0015, "CS", "CHEST"),
        (0x0018_5101, "CS", "PA"),
        (0x0020_000d, "UI", &study),
        (0x0020_000e, "UI", &series),
        (0x0028_0004, "CS", "MONOCHROME2"),
    ];
    let numbers = [
        (0x0028_0002, 1),
        (0x0028_0010, image.height()),
        (0x0028_0011, image.width()),
        (0x0028_0100, 8),
        (0x0028_0101, 8),
        (0x0028_0102, 7),
        (0x0028_0103, 0),
    ];
    let texts = texts.iter().chain(more).map(|&(tag, vr, text)| (tag, element(tag, vr, text.as_bytes())));
    let numbers = numbers.map(|(tag, value)| (tag, element(tag, "US", &(value as u16).to_le_bytes())));
    let class = (0x0008_0016, element(0x0008_0016, "UI", CLASS));
    let mut data_set: Vec<_> = texts.chain(numbers).chain([class]).collect();
    data_set.sort();
    let data_set: Vec<u8> = data_set.into_iter().flat_map(|(_, bytes)| bytes).collect();
    let meta = [
        element(0x0002_0001, "OB", &[0, 1]),
        element(0x0002_0002, "UI", CLASS),
        element(0x0002_0003, "UI", instance.as_bytes()),
        element(0x0002_0010, "UI", b"1.2.840.10008.1.2.1"),
        element(0x0002_0012, "UI", b"2.25.1"),
    ]
    .concat();
    let length = element(0x0002_0000, "UL", &(meta.len() as u32).to_le_bytes());
    [&[0; 128][..], b"DICM", &length, &meta, &data_set, &element(0x7fe0_0010, "OB", image.as_raw())].concat()
}

/// So many of them, in a folder.
pub fn radiographs(folder: &Path, count: usize, more: &[(u32, &str, &str)]) -> Vec<PathBuf> {
    let drawn = synthetic_radiographs(&folder.join("drawn"), 4);
    let dicom = folder.join("dicom");
    fs::create_dir(&dicom).expect("the folder can be written");
    (0..count)
        .map(|n| {
            let path = dicom.join(format!("{n:04}.dcm"));
            fs::write(&path, radiograph(&drawn[n % drawn.len()], n, more)).expect("the folder can be written");
            path
        })
        .collect()
}

/// Whether a program is here; says so if it is not.
pub fn has(program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        let _ = writeln!(io::stderr(), "skipped: no {program} (Debian's package {package} has it)");
    }
    found
}

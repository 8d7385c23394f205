//! Image files, and writing them to a disk that fails on demand.

mod disks;
mod results;

use std::{fs, io::Write as _, path::PathBuf};

use flate2::{Compression, write::GzEncoder};
use rustix::io::Errno;
use tempfile::TempDir;

use super::*;

/// Bytes of the images here: two chunks and a sector.
const LENGTH: usize = 2 * CHUNK + SECTOR;

/// An image of a box, as far as `flash` looks; every sector is another one.
fn image() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..LENGTH).map(|at| (at / SECTOR + at * 7) as u8).collect();
    bytes[446..510].fill(0);
    for (entry, kind, first, count) in [(0, 0x0c, 8, 100), (1, 0x83, 108, LENGTH / SECTOR - 108)] {
        let entry = &mut bytes[446 + 16 * entry..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&(first as u32).to_le_bytes());
        entry[12..16].copy_from_slice(&(count as u32).to_le_bytes());
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn go_on(_: Stage, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Stops at a byte of a stage.
fn stop_at(stage: Stage, offset: u64) -> impl FnMut(Stage, u64, u64) -> ControlFlow<()> {
    move |now, done, _| if now == stage && done >= offset { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Writes an image, and no results.
fn write(image: &Image, medium: &mut dyn Medium, progress: &mut Progress<'_>) -> Result<(), FlashError> {
    super::write(image, None, medium, progress)
}

/// Compares a medium that has been finished.
fn verify(image: &Image, medium: &mut dyn Medium, progress: &mut Progress<'_>) -> Result<(), FlashError> {
    compare(image, medium, First::Image, progress).map(drop)
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn check(&self, bytes: &[u8]) -> Result<Image, FlashError> {
        Image::check(&self.file("image", bytes), 2 * LENGTH as u64, &mut go_on)
    }

    fn image(&self) -> Image {
        self.check(&image()).unwrap()
    }
}

/// A disk in memory that takes at most `at_a_time` bytes at a time and fails in the way that a test wants.
struct Fake {
    bytes: Vec<u8>,
    at_a_time: usize,
    /// No byte from here on can be written.
    broken: Option<(u64, Option<Errno>)>,
    /// This byte does not keep what is written to it.
    weak: Option<usize>,
    unreadable: Option<u64>,
    loses: bool,
    done: Vec<Done>,
}

/// What a disk was told to do.
enum Done {
    Write(u64, Vec<u8>),
    Sync,
}

impl Fake {
    fn new() -> Self {
        let bytes = vec![0xff; LENGTH + SECTOR];
        Self { bytes, at_a_time: CHUNK, broken: None, weak: None, unreadable: None, loses: false, done: Vec::new() }
    }

    fn written(image: &Image) -> Self {
        let mut fake = Self::new();
        write(image, &mut fake, &mut go_on).unwrap();
        fake
    }

    fn has_a_table(&self) -> bool {
        self.bytes[..SECTOR] != [0; SECTOR]
    }
}

impl Medium for Fake {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let at = offset as usize;
        let mut count = bytes.len().min(self.at_a_time).min(self.bytes.len() - at);
        if let Some((from, errno)) = self.broken {
            if let (Some(errno), true) = (errno, offset >= from) {
                return Err(errno.into());
            }
            count = count.min(from.saturating_sub(offset) as usize);
        }
        self.bytes[at..at + count].copy_from_slice(&bytes[..count]);
        self.done.push(Done::Write(offset, bytes[..count].to_vec()));
        if let Some(weak) = self.weak.filter(|weak| (at..at + count).contains(weak)) {
            self.bytes[weak] ^= 1;
        }
        Ok(count)
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.unreadable.is_some_and(|from| offset >= from) {
            return Err(Errno::IO.into());
        }
        let at = offset as usize;
        let count = bytes.len().min(self.at_a_time).min(self.bytes.len() - at);
        bytes[..count].copy_from_slice(&self.bytes[at..at + count]);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.done.push(Done::Sync);
        if self.loses { Err(Errno::IO.into()) } else { Ok(()) }
    }
}

#[test]
fn medium_holds_the_image_and_what_is_behind_it_stays() {
    let files = Files::new();
    for bytes in [image(), gzip(&image())] {
        let image_file = files.check(&bytes).unwrap();
        assert_eq!(image_file.length(), LENGTH as u64);
        assert_eq!(image_file.digest(), <[u8; 32]>::from(Sha256::digest(image())));
        let mut fake = Fake::written(&image_file);
        assert!(fake.bytes[..LENGTH] == image());
        assert!(fake.bytes[LENGTH..] == [0xff; SECTOR]);
        verify(&image_file, &mut fake, &mut go_on).unwrap();
    }
}

#[test]
fn compressed_image_may_have_several_members() {
    let bytes = image();
    let (front, back) = bytes.split_at(CHUNK + 5);
    let image = Files::new().check(&[gzip(front), gzip(back)].concat()).unwrap();
    assert!(Fake::written(&image).bytes[..LENGTH] == bytes);
}

#[test]
fn medium_that_takes_little_at_a_time_gets_everything() {
    let image_file = Files::new().image();
    let mut fake = Fake::new();
    fake.at_a_time = 3 * SECTOR;
    write(&image_file, &mut fake, &mut go_on).unwrap();
    assert!(fake.bytes[..LENGTH] == image());
    verify(&image_file, &mut fake, &mut go_on).unwrap();
}

#[test]
fn first_sector_goes_first_and_comes_last() {
    let image = Files::new().image();
    let fake = Fake::written(&image);
    let writes = fake.done.iter().filter_map(|done| match done {
        Done::Write(offset, bytes) => Some((*offset, bytes.len())),
        Done::Sync => None,
    });
    let chunk = CHUNK as u64;
    let expected = [(0, SECTOR), (0, CHUNK), (chunk, CHUNK), (2 * chunk, SECTOR), (0, SECTOR)];
    assert_eq!(writes.collect::<Vec<_>>(), expected);
    for from in [SECTOR as u64, CHUNK as u64, 2 * CHUNK as u64] {
        let mut fake = Fake::new();
        fake.broken = Some((from, Some(Errno::IO)));
        write(&image, &mut fake, &mut go_on).unwrap_err();
        assert!(!fake.has_a_table(), "{from}");
    }
}

#[test]
fn a_medium_that_keeps_something_else_gets_no_partition_table() {
    let files = Files::new();
    let image_file = files.image();
    for at in [0, 500, SECTOR, CHUNK - 1, CHUNK, LENGTH - 1] {
        let mut fake = Fake::new();
        fake.weak = Some(at);
        let error = write(&image_file, &mut fake, &mut go_on).unwrap_err();
        assert!(matches!(error, FlashError::Differs { offset } if offset == at as u64), "{at}: {error}");
        assert!(fake.bytes[510..SECTOR] == [0; 2], "{at}");
    }
    let mut fake = Fake::new();
    fake.unreadable = Some(CHUNK as u64);
    let error = write(&image_file, &mut fake, &mut go_on).unwrap_err();
    assert!(matches!(error, FlashError::ReadBack { offset, .. } if offset == CHUNK as u64));
    assert!(!fake.has_a_table());
    // The file becomes another one after it was checked, and stays it.
    let mut other = image();
    other[LENGTH - 1] ^= 1;
    files.file("image", &other);
    let mut fake = Fake::new();
    assert!(matches!(write(&image_file, &mut fake, &mut go_on), Err(FlashError::ImageChanged)));
    assert!(!fake.has_a_table());
}

/// What a disk may hold after a power cut: all that was written before the last sync, and of what came after it any sectors.
fn after_a_cut(before: &[u8], done: &[Done], random: &mut u64) -> Vec<u8> {
    let mut bytes = before.to_vec();
    let synced = done.iter().rposition(|done| matches!(done, Done::Sync)).unwrap_or(0);
    // Many sectors, few, or those of one end.
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    let rate = *random >> 62;
    for (n, done) in done.iter().enumerate() {
        let Done::Write(offset, written) = done else { continue };
        for (sector, content) in written.chunks(SECTOR).enumerate() {
            *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if n < synced || (*random >> 60) <= [0, 8, 14, 15][rate as usize] {
                let at = *offset as usize + sector * SECTOR;
                bytes[at..at + content.len()].copy_from_slice(content);
            }
        }
    }
    bytes
}

/// After a power cut at each step, a medium is that of before, or has no table, or is what was written in the end.
fn check_cuts(old: &[u8], written: &Fake) {
    let (new, done) = (&written.bytes, &written.done);
    let (mut random, mut seen) = (1, [0; 3]);
    for end in 0..=done.len() {
        for _ in 0..12 {
            let bytes = after_a_cut(old, &done[..end], &mut random);
            let kind = if bytes[..SECTOR] == [0; SECTOR] {
                1
            } else if bytes == old {
                0
            } else {
                assert!(bytes == *new, "something else starts after {end} of {} steps", done.len());
                2
            };
            seen[kind] += 1;
        }
    }
    assert!(seen.iter().all(|&count| count > 5), "{seen:?}");
}

#[test]
fn power_cut_leaves_the_old_medium_or_one_without_table_or_the_whole_image() {
    let image_file = Files::new().image();
    // A card of before, from which a box starts.
    let old: Vec<u8> = image().into_iter().map(|byte| byte ^ 0x11).chain([0xff; SECTOR]).collect();
    let mut fake = Fake::new();
    fake.bytes.clone_from(&old);
    write(&image_file, &mut fake, &mut go_on).unwrap();
    check_cuts(&old, &fake);
}

#[test]
fn stopping_anywhere_leaves_the_old_medium_or_one_without_table_or_the_whole_image() {
    let image_file = Files::new().image();
    for steps in 0.. {
        let mut left = steps;
        let mut progress = |_: Stage, _: u64, _: u64| match left {
            0 => ControlFlow::Break(()),
            _ => {
                left -= 1;
                ControlFlow::Continue(())
            }
        };
        let mut fake = Fake::new();
        let before = fake.bytes.clone();
        match write(&image_file, &mut fake, &mut progress) {
            Ok(()) => {
                assert!(steps == 6 && fake.bytes[..LENGTH] == image(), "{steps}");
                break;
            }
            Err(FlashError::StoppedBefore(_)) => assert!(steps == 0 && fake.bytes == before),
            Err(error) => {
                assert!(matches!(error, FlashError::StoppedWriting { .. }) && !fake.has_a_table(), "{steps}: {error}");
            }
        }
    }
}

#[test]
fn another_image_than_the_expected_one_is_refused_untouched() {
    let files = Files::new();
    let disk = files.file("disk", &[7; LENGTH + 10]);
    let system = System::default();
    for bytes in [image(), gzip(&image())] {
        let path = files.file("image", &bytes);
        let is_right = [(bytes.as_slice(), true), (&image(), true), (b"another", false)];
        for (hashed, is_right) in is_right {
            let expected = Expected { digest: Sha256::digest(hashed).into(), source: "somebody".to_owned() };
            let mut target = Target::open(&system, &disk, Access::Write(&[Danger::File])).unwrap();
            match flash(&path, &mut |image| image.is(&expected), Results::Lost, &mut target, &mut go_on) {
                Ok(_) => assert!(is_right && fs::read(&disk).unwrap()[..LENGTH] == image()),
                Err(error) => {
                    assert!(!is_right && matches!(error, FlashError::OtherImage { .. }), "{error}");
                    assert!(error.to_string().contains("somebody says"), "{error}");
                    assert!(fs::read(&disk).unwrap() == [7; LENGTH + 10]);
                }
            }
            files.file("disk", &[7; LENGTH + 10]);
        }
    }
}

#[test]
fn image_is_told_by_its_name_or_by_how_it_begins() {
    let files = Files::new();
    for (name, bytes, is_one) in [
        ("raw", image(), true),
        ("packed", gzip(&image()), true),
        // What is wrong with it is said of an image.
        ("empty.img", Vec::new(), true),
        ("empty.img.gz", Vec::new(), true),
        ("empty", Vec::new(), false),
        ("model.onnx", engine::DEFAULT_MODEL.to_vec(), false),
    ] {
        assert_eq!(Image::is_one(&files.file(name, &bytes)), is_one, "{name}");
    }
    for (name, is_one) in [("absent.img", true), ("absent", false)] {
        assert_eq!(Image::is_one(&files.0.path().join(name)), is_one, "{name}");
    }
}

#[test]
fn image_that_is_swapped_once_somebody_has_vouched_for_it_starts_nothing() {
    let files = Files::new();
    let mut other = image();
    other[LENGTH - 1] ^= 1;
    for (signed, swapped) in [(image(), &other), (gzip(&image()), &gzip(&other))] {
        let disk = files.file("disk", &[7; LENGTH]);
        let path = files.file("image", &signed);
        let mut target = Target::open(&System::default(), &disk, Access::Write(&[Danger::File])).unwrap();
        let mut accept = |read: &Image| -> Result<(), FlashError> {
            assert!(*read.file_digests() == trust::Digests::of(&signed));
            files.file("image", swapped);
            Ok(())
        };
        let error = flash(&path, &mut accept, Results::Lost, &mut target, &mut go_on).err().unwrap();
        assert!(matches!(error, FlashError::ImageChanged), "{error}");
        assert!(fs::read(&disk).unwrap()[..SECTOR] == [0; SECTOR]);
    }
}

#[test]
fn fault_is_told_with_its_offset_and_what_to_do() {
    let image = Files::new().image();
    let offset = CHUNK as u64 + 512;
    for (errno, words) in [
        (Errno::IO, "put it in again and flash it again; if that fails, use another medium or reader"),
        (Errno::NOSPC, "it is smaller than it says, use another one"),
        (Errno::NODEV, "it was pulled out, put it in again and flash it again"),
    ] {
        let mut fake = Fake::new();
        fake.broken = Some((offset, Some(errno)));
        let error = write(&image, &mut fake, &mut go_on).unwrap_err();
        assert!(matches!(error, FlashError::Write { offset: at, .. } if at == offset));
        assert!(error.to_string().contains("at byte 4194816 of the medium") && error.to_string().ends_with(words));
    }
    let mut fake = Fake::new();
    fake.broken = Some((offset, None));
    let error = write(&image, &mut fake, &mut go_on).unwrap_err();
    assert!(matches!(error, FlashError::Short { offset: at } if at == offset));
    let mut fake = Fake::new();
    fake.loses = true;
    let error = write(&image, &mut fake, &mut go_on).unwrap_err();
    assert!(matches!(error, FlashError::Sync { .. }) && !fake.has_a_table());
}

#[test]
fn first_byte_that_differs_is_named() {
    let image_file = Files::new().image();
    for at in [0, 511, CHUNK - 1, CHUNK, LENGTH - 1] {
        let mut fake = Fake::written(&image_file);
        fake.bytes[at] ^= 1;
        let error = verify(&image_file, &mut fake, &mut go_on).unwrap_err();
        assert!(matches!(error, FlashError::Differs { offset } if offset == at as u64), "{at}: {error}");
    }
    let mut fake = Fake::written(&image_file);
    fake.unreadable = Some(CHUNK as u64);
    let error = verify(&image_file, &mut fake, &mut go_on).unwrap_err();
    assert!(matches!(error, FlashError::ReadBack { offset, .. } if offset == CHUNK as u64));
    fake.unreadable = None;
    fake.bytes.truncate(LENGTH - 10);
    let error = verify(&image_file, &mut fake, &mut go_on).unwrap_err();
    assert!(matches!(error, FlashError::ReadBack { offset, .. } if offset == LENGTH as u64 - 10));
}

#[test]
fn ctrl_c_says_what_the_medium_is_now() {
    let files = Files::new();
    let image = files.image();
    let path = files.file("again", &super::tests::image());
    let error = Image::check(&path, u64::MAX, &mut stop_at(Stage::Checking, 1)).unwrap_err();
    assert!(matches!(error, FlashError::StoppedBefore(_)));
    let mut fake = Fake::new();
    let error = write(&image, &mut fake, &mut stop_at(Stage::Writing, 0)).unwrap_err();
    assert!(matches!(error, FlashError::StoppedBefore(_)) && fake.done.is_empty());
    let error = write(&image, &mut fake, &mut stop_at(Stage::Writing, 1)).unwrap_err();
    assert!(matches!(error, FlashError::StoppedWriting { offset, .. } if offset == CHUNK as u64));
    assert!(!fake.has_a_table());
    let error = verify(&image, &mut Fake::written(&image), &mut stop_at(Stage::Verifying, 1)).unwrap_err();
    assert!(matches!(error, FlashError::StoppedVerifying { offset, .. } if offset == CHUNK as u64));
}

#[test]
fn damaged_compressed_image_is_refused_before_the_medium_is_touched() {
    let files = Files::new();
    let whole = gzip(&image());
    for length in [3, 100, whole.len() / 2, whole.len() - 1] {
        let error = files.check(&whole[..length]).unwrap_err();
        assert!(matches!(error, FlashError::ImageTruncated { .. }), "{length}: {error}");
    }
    // The last 8 bytes are the checksum and the length.
    let mut damaged = whole.clone();
    damaged[whole.len() - 8] ^= 1;
    assert!(matches!(files.check(&damaged), Err(FlashError::ImageDamaged { .. })));
    let zeros = vec![0; 100_000];
    for trailing in [
        &b"what is not a gzip member"[..],
        &[0, 0, 1],
        &[&zeros[..], b"\x01"].concat(),
        &[&[0][..], &whole].concat(),
        &whole[..100],
    ] {
        let error = files.check(&[&whole[..], trailing].concat()).unwrap_err();
        assert!(matches!(error, FlashError::ImageDamaged { .. } | FlashError::ImageTruncated { .. }), "{error}");
    }
    // What fills a block of a tape, as gzip reads it.
    for zeros in [&zeros[..1], &zeros[..1024], &zeros] {
        let padded = files.check(&[&whole[..], zeros].concat()).unwrap();
        assert_eq!((padded.length(), padded.digest()), (LENGTH as u64, files.check(&whole).unwrap().digest()));
    }
}

#[test]
fn image_larger_than_the_medium_is_refused_however_well_it_is_compressed() {
    let files = Files::new();
    let room = LENGTH as u64 - 1;
    let check = |bytes: &[u8]| Image::check(&files.file("image", bytes), room, &mut go_on).unwrap_err();
    let error = check(&image());
    assert!(matches!(error, FlashError::TooSmall { image, whole: true, .. } if image == LENGTH as u64));
    assert_eq!(error.to_string(), "the medium has 8389119 bytes and the image needs 8389120: use a larger medium");
    // 200 MiB come out of less than 1 MiB; it is given up a chunk after the end of the medium.
    let bomb = gzip(&[image(), vec![0; 200 << 20]].concat());
    assert!(bomb.len() < LENGTH);
    let error = check(&bomb);
    assert!(matches!(error, FlashError::TooSmall { image, whole: false, .. } if image == 3 * CHUNK as u64));
}

#[test]
fn file_that_is_no_image_of_a_box_is_refused() {
    let files = Files::new();
    let changed = |at: usize, byte: u8| {
        let mut bytes = image();
        bytes[at] = byte;
        bytes
    };
    for (bytes, words) in [
        (Vec::new(), "it does not begin with a partition table"),
        (b"a letter".to_vec(), "it does not begin with a partition table"),
        (changed(510, 0), "it does not begin with a partition table"),
        (changed(450, 0x07), "it has no FAT32 partition to boot from (type 0x0c)"),
        (changed(466, 0), "it has no Linux partition for data (type 0x83)"),
        (
            image()[..LENGTH - SECTOR].to_vec(),
            "its partition of type 0x83 has the sectors 108 to 16385, and the image ends at 16384",
        ),
        (image()[..LENGTH - 1].to_vec(), "its 8389119 bytes are not whole sectors of 512"),
        (changed(454, 0), "its partition of type 0x0c has the sectors 0 to 100, and the image ends at 16385"),
        // A number of sectors that overflows 32 bits together with the first.
        (changed(477, 0xff), "its partition of type 0x83 has the sectors 108 to 427"),
    ] {
        for bytes in [gzip(&bytes), bytes] {
            let error = files.check(&bytes).unwrap_err();
            let FlashError::ImageUnlike { reason, .. } = error else { panic!("{words}: {error}") };
            assert!(reason.starts_with(words), "{reason}");
        }
    }
    assert!(matches!(Image::check(files.0.path(), 0, &mut go_on), Err(FlashError::ImageKind { .. })));
    assert!(matches!(Image::check("/dev/zero".as_ref(), 0, &mut go_on), Err(FlashError::ImageKind { .. })));
    let absent = files.0.path().join("absent");
    assert!(matches!(Image::check(&absent, 0, &mut go_on), Err(FlashError::ImageRead { .. })));
}

#[test]
fn image_that_changes_after_it_was_checked_is_noticed() {
    let files = Files::new();
    let image_file = files.image();
    let mut longer = image();
    longer.push(0);
    files.file("image", &longer);
    assert!(matches!(write(&image_file, &mut Fake::new(), &mut go_on), Err(FlashError::ImageChanged)));
    files.file("image", &longer[..CHUNK]);
    assert!(matches!(write(&image_file, &mut Fake::new(), &mut go_on), Err(FlashError::ImageChanged)));
    let mut other = image();
    other[LENGTH - 1] ^= 1;
    files.file("image", &other);
    let mut fake = Fake::new();
    fake.bytes[..LENGTH].copy_from_slice(&other);
    assert!(matches!(verify(&image_file, &mut fake, &mut go_on), Err(FlashError::ImageChanged)));
}

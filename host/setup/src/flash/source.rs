//! The image: a file as it is, or compressed with gzip; read in a stream, as often as needed.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek},
    ops::ControlFlow,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use base::{files::read_up_to, interrupt::Interrupted};
use flate2::bufread::GzDecoder;
use sha2::{Digest as _, Sha256};
use shared::verdict::Digest;
use trust::{Digester, Digests};

use super::{FlashError, Progress, Stage, medium::Buffer};
use crate::mbr::{Extent, FAT32, LINUX, SECTOR, extents};

/// What every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An image of the box's memory card that has been read to its end and found whole.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    file: File,
    gzip: bool,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    length: u64,
    digest: [u8; 32],
    file_digests: Digests,
    extents: Extents,
}

/// The digest that an image should have, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// SHA-256 of the file, or of the image that is in it.
    pub digest: [u8; 32],
    /// Where the digest was found, for the message.
    pub source: String,
}

impl Image {
    /// Whether a file is called as an image is, `.img` or `.img.gz`, or begins as one; false of another that cannot be read.
    pub fn is_one(path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let begins = |bytes: Vec<u8>| bytes.starts_with(&GZIP) || Extents::read(&bytes).is_ok();
        name.ends_with(b".img") || name.ends_with(b".img.gz") || read_up_to(path, SECTOR as u64).is_ok_and(begins)
    }

    /// Opens an image and reads all of it, decompressed where it begins like a gzip file, to learn its length and digest
    /// and that it is whole: before a medium is touched. One of more than `room` bytes, the size of the medium, is
    /// refused as soon as that shows, however much more would come out of it.
    ///
    /// It must have a partition table as the box's images have: an MBR with a FAT32 partition (type 0x0c) and a Linux
    /// partition (0x83), and all partitions inside the image.
    ///
    /// # Errors
    /// [`FlashError`]: the image cannot be read, is damaged, too large or not of a box, or `progress` has said stop.
    pub fn check(path: &Path, room: u64, progress: &mut Progress<'_>) -> Result<Self, FlashError> {
        let unreadable = |source| FlashError::ImageRead { path: path.to_owned(), source };
        // Opening a pipe would wait for its writer.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(FlashError::ImageKind { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let mut magic = Vec::new();
        Read::by_ref(&mut file).take(2).read_to_end(&mut magic).map_err(unreadable)?;
        let gzip = magic == GZIP;
        let identity = (metadata.dev(), metadata.ino());
        let mut image = Self {
            path: path.to_owned(),
            file,
            gzip,
            identity,
            length: 0,
            digest: [0; 32],
            file_digests: Digests::of(&[]),
            extents: Extents::default(),
        };
        if !gzip && metadata.len() > room {
            return Err(FlashError::TooSmall { medium: room, image: metadata.len(), whole: true });
        }
        image.read_through(room, metadata.len(), progress)?;
        Ok(image)
    }

    fn read_through(&mut self, room: u64, stored: u64, progress: &mut Progress<'_>) -> Result<(), FlashError> {
        let mut buffer = Buffer::new();
        let (mut hash, mut file_hash) = (Sha256::new(), Digester::new());
        let mut length = 0;
        let mut extents = Extents::default();
        {
            (&self.file).rewind().map_err(|error| self.error(error))?;
            let mut stream = self.decoded(Hashed { file: &self.file, hash: &mut file_hash });
            loop {
                let position = (&self.file).stream_position().map_err(|error| self.error(error))?;
                if progress(Stage::Checking, position, stored) == ControlFlow::Break(()) {
                    return Err(FlashError::StoppedBefore(Interrupted));
                }
                let count = self.fill(&mut *stream, &mut buffer)?;
                if length == 0 {
                    extents = Extents::read(&buffer[..count]).map_err(|reason| self.unlike(reason))?;
                }
                length += count as u64;
                if length > room {
                    return Err(FlashError::TooSmall { medium: room, image: length, whole: false });
                }
                hash.update(&buffer[..count]);
                if count < buffer.len() {
                    break;
                }
            }
        }
        extents.check(length).map_err(|reason| self.unlike(reason))?;
        self.extents = extents;
        self.length = length;
        self.digest = hash.finalize().into();
        self.file_digests = file_hash.finish();
        Ok(())
    }

    /// Bytes, decompressed; a multiple of 512.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of the image, decompressed.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Digests of the file as it lies there, compressed or not. They are of the same reading as [`Self::digest`], so that whoever has
    /// signed the file has signed what is written to the medium.
    pub fn file_digests(&self) -> &Digests {
        &self.file_digests
    }

    /// Whether it is the expected one: the digest may be that of the file or that of the image in it.
    ///
    /// # Errors
    /// [`FlashError::OtherImage`].
    pub fn is(&self, expected: &Expected) -> Result<(), FlashError> {
        if [self.file_digests.sha256.0, self.digest].contains(&expected.digest) {
            return Ok(());
        }
        Err(FlashError::OtherImage {
            path: self.path.clone(),
            digest: self.file_digests.sha256.to_string(),
            expected: Digest(expected.digest).to_string(),
            says_who: expected.source.clone(),
        })
    }

    /// Where its data partition begins and how long it is, in bytes.
    pub(super) fn data(&self) -> (u64, u64) {
        let bytes = |sectors: u32| u64::from(sectors) * SECTOR as u64;
        let data = self.extents.0.iter().find(|extent| extent.kind == LINUX);
        // An image without one was not taken.
        data.map_or((0, 0), |extent| (bytes(extent.first), bytes(extent.count)))
    }

    /// Whether its data partition has room for another one.
    pub(super) fn has_room_for(&self, results: u64) -> Result<(), FlashError> {
        let (_, room) = self.data();
        if results <= room { Ok(()) } else { Err(FlashError::ResultsTooLarge { results, room }) }
    }

    /// The image from its beginning, decompressed. One at a time.
    pub(super) fn stream(&self) -> Result<Box<dyn Read + '_>, FlashError> {
        (&self.file).rewind().map_err(|error| self.error(error))?;
        Ok(self.decoded(&self.file))
    }

    fn decoded<'a>(&self, file: impl Read + 'a) -> Box<dyn Read + 'a> {
        let file = BufReader::with_capacity(1 << 16, file);
        if self.gzip { Box::new(Members(Some(GzDecoder::new(file)))) } else { Box::new(file) }
    }

    /// Fills `buffer` from `stream`, less only at its end.
    pub(super) fn fill(&self, stream: &mut (dyn Read + '_), buffer: &mut [u8]) -> Result<usize, FlashError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match stream.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(error)),
            }
        }
        Ok(filled)
    }

    /// Errors of the system have a number; those of the decompressor have none.
    fn error(&self, source: io::Error) -> FlashError {
        let path = self.path.clone();
        match source.kind() {
            _ if source.raw_os_error().is_some() => FlashError::ImageRead { path, source },
            io::ErrorKind::UnexpectedEof => FlashError::ImageTruncated { path },
            _ => FlashError::ImageDamaged { path, source },
        }
    }

    fn unlike(&self, reason: String) -> FlashError {
        FlashError::ImageUnlike { path: self.path.clone(), reason }
    }
}

/// What is in the members of a gzip file, one after the other; nothing behind the last. Zeros that fill a block of a tape or
/// a medium are passed over there, as gzip does. Anything else is an error.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(bytes)?;
            if count > 0 || bytes.is_empty() {
                return Ok(count);
            }
            let rest = self.0.take().map(GzDecoder::into_inner);
            if let Some(mut rest) = rest
                && !zeros_follow(&mut rest)?
            {
                self.0 = Some(GzDecoder::new(rest));
            }
        }
        Ok(0)
    }
}

/// Whether nothing or only zeros follow; they are read then.
fn zeros_follow(rest: &mut impl BufRead) -> io::Result<bool> {
    let mut passed = false;
    loop {
        let bytes = match rest.fill_buf() {
            Ok([]) => return Ok(true),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        match (passed, zeros < bytes.len()) {
            (false, true) if zeros == 0 => return Ok(false),
            (_, true) => {
                let why = "something follows the zeros behind it";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            (_, false) => {}
        }
        rest.consume(zeros);
        passed = true;
    }
}

/// A file that is hashed as it is read. The decompressor reads up to the end of the file, to see whether something follows.
struct Hashed<'a> {
    file: &'a File,
    hash: &'a mut Digester,
}

impl Read for Hashed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }
}

/// The partitions of an image.
#[derive(Debug, Default)]
struct Extents(Vec<Extent>);

impl Extents {
    /// Of the partition table in the first sector of a disk.
    fn read(disk: &[u8]) -> Result<Self, String> {
        let extents = extents(disk).ok_or("it does not begin with a partition table")?;
        for (kind, name) in [(FAT32, "FAT32 partition to boot from"), (LINUX, "Linux partition for data")] {
            if !extents.iter().any(|extent| extent.kind == kind) {
                return Err(format!("it has no {name} (type {kind:#04x})"));
            }
        }
        Ok(Self(extents))
    }

    /// That all partitions are inside an image of `length` bytes.
    fn check(&self, length: u64) -> Result<(), String> {
        if !length.is_multiple_of(SECTOR as u64) {
            return Err(format!("its {length} bytes are not whole sectors of 512"));
        }
        let sectors = length / SECTOR as u64;
        for extent in &self.0 {
            let Extent { kind, first, count } = *extent;
            let end = extent.end();
            if first == 0 || count == 0 || end > sectors {
                return Err(format!(
                    "its partition of type {kind:#04x} has the sectors {first} to {end}, and the image ends at {sectors}"
                ));
            }
        }
        Ok(())
    }
}

//! Folders that are copies of others, such as the one that the archive of the published data has in it.

use std::collections::BTreeMap;

use shared::verdict::Digest;

use super::{Labelled, Read, SkipReason, Skipped, name};

/// Copied folders, by what lies above their parts and labels.
pub(super) type Copies = BTreeMap<String, Copied>;

/// A folder of which every file is in another one as well, below the same part and label under the same name. A table of labels
/// says nothing of them, or the same as of the others.
pub(super) struct Copied {
    folder: String,
    files: usize,
    of: String,
}

impl Copied {
    /// The line about it.
    pub(super) fn skipped(&self) -> Skipped {
        let called = |folder: &str| if folder.is_empty() { "the top folder" } else { folder }.to_owned();
        let reason = SkipReason::CopyOf { files: self.files, other: called(&self.of) };
        Skipped { name: called(&self.folder), reason }
    }
}

/// How deep a folder lies, and where.
type Folder<'a> = (usize, &'a str);

/// The files of a folder, and the digests of those that can be read.
type Content<'a> = BTreeMap<&'a str, (&'a Labelled, Option<[u8; 32]>)>;

/// Finds them. Of two that are equal the one is the copy that lies deeper, or comes later.
pub(super) fn of(files: &[Labelled], read: &[Result<Read, SkipReason>]) -> Copies {
    if files.windows(2).all(|pair| pair[0].place.prefix == pair[1].place.prefix) {
        // There is one folder, and what follows takes as much memory as all the names.
        return Copies::new();
    }
    let mut folders: BTreeMap<Folder<'_>, Content<'_>> = BTreeMap::new();
    for (file, read) in files.iter().zip(read) {
        let prefix = &*file.place.prefix;
        let digest = read.as_ref().ok().map(|Read { digest: Digest(digest), .. }| *digest);
        folders
            .entry((prefix.matches('/').count() + usize::from(!prefix.is_empty()), prefix))
            .or_default()
            .insert(&file.place.rest, (file, digest));
    }
    let mut holders: BTreeMap<(&str, [u8; 32]), Vec<Folder<'_>>> = BTreeMap::new();
    for (folder, content) in &folders {
        for (rest, digest) in content.iter().filter_map(|(rest, (_, digest))| Some((rest, (*digest)?))) {
            holders.entry((rest, digest)).or_default().push(*folder);
        }
    }
    let mut copies = Copies::new();
    for (folder, content) in folders.iter().rev() {
        let first = content.iter().next().and_then(|(rest, (_, digest))| holders.get(&(*rest, (*digest)?)));
        let is_held = |other: &&Folder<'_>| {
            let holds = |(rest, (file, digest)): (&&str, &(&Labelled, Option<[u8; 32]>))| {
                let says_no_more = |held: &Labelled| file.facts.is_none() || file.facts == held.facts;
                let is_same = |(held, its): &(&Labelled, Option<[u8; 32]>)| its == digest && says_no_more(held);
                digest.is_some() && folders[*other].get(rest).is_some_and(is_same)
            };
            *other != folder && !copies.contains_key(other.1) && content.iter().all(holds)
        };
        if let Some((_, of)) = first.into_iter().flatten().find(is_held) {
            let (folder, of) = (folder.1.to_owned(), (*of).to_owned());
            copies.insert(folder.clone(), Copied { folder, files: content.len(), of });
        }
    }
    copies
}

/// Names the other files as if the copies were not there.
pub(super) fn leave_out(copies: &Copies, files: &mut [Labelled]) {
    if !copies.is_empty() {
        name(files.iter_mut().filter(|file| !copies.contains_key(&file.place.prefix)));
    }
}

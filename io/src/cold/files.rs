//! Writing files of events, reading blocks of them, finding and removing them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::format::{
    BLOCK_HEADER, BlockHeader, FILE_HEADER, FileHeader, crc_of, encode_end, is_sound, tag_of,
};
use crate::disk;
use crate::file_error::FileError;

const PREFIX: &str = "events-";
const SUFFIX: &str = ".seg";
const TMP_SUFFIX: &str = ".tmp";

/// What a new file is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewFile {
    /// The number drawn for it; its name.
    pub id: u64,
    /// What tells the topic from others of its name.
    pub incarnation: u64,
    /// The number of the partition.
    pub partition: u16,
    /// The offset behind its last event.
    pub next: u64,
}

/// A block of a new file.
#[derive(Clone, Copy, Debug)]
pub struct NewBlock<'a> {
    /// Its first offset.
    pub base: u64,
    /// Its events.
    pub bytes: &'a [u8],
}

/// A file that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its length in bytes.
    pub bytes: u64,
    /// Of each block where it begins, and its checksum.
    pub blocks: Vec<(u64, u32)>,
}

/// Where a block lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Where its header begins.
    pub at: u64,
    /// Bytes of its events.
    pub bytes: u32,
    /// Its checksum.
    pub crc: u32,
}

/// What a reading brought.
#[derive(Debug)]
pub struct ColdRead {
    /// The events of the blocks, up to one that cannot be read.
    pub blocks: Vec<Vec<u8>>,
    /// Why that cannot be.
    pub failed: Option<FileError>,
}

/// The path of a file.
pub fn path(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{id:016x}{SUFFIX}"))
}

/// The number in the name of a file; nothing for other files.
fn id_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let id = u64::from_str_radix(digits, 16).ok()?;
    // One file, one spelling.
    (digits == format!("{id:016x}")).then_some(id)
}

/// The numbers of the files in a directory, ascending; none when there is no such directory.
///
/// # Errors
/// [`FileError::Io`].
pub fn list(directory: &Path) -> Result<Vec<u64>, FileError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(FileError::io_or_missing("read the directory", directory))?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::io_or_missing("read the directory", directory))?;
        ids.extend(entry.file_name().to_str().and_then(id_of));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Writes a file with these blocks, at least one, and makes it durable. What cannot be written
/// whole is removed.
///
/// # Errors
/// [`FileError::Io`].
pub fn write(
    directory: &Path,
    new: &NewFile,
    blocks: &[NewBlock<'_>],
) -> Result<Written, FileError> {
    fs::create_dir_all(directory)
        .map_err(FileError::io_or_missing("create the directory", directory))?;
    let tmp = directory.join(format!("{PREFIX}{:016x}{TMP_SUFFIX}", new.id));
    let result = write_whole(&tmp, new, blocks).and_then(|written| {
        fs::rename(&tmp, path(directory, new.id))
            .map_err(FileError::io_or_missing("rename", &tmp))?;
        sync_dir(directory)?;
        Ok(written)
    });
    if result.is_err() {
        // What stays goes with the next start, or when a snapshot shows that nothing names it.
        let _gone = fs::remove_file(&tmp);
    }
    result
}

fn write_whole(path: &Path, new: &NewFile, blocks: &[NewBlock<'_>]) -> Result<Written, FileError> {
    let failed = |action| FileError::io_or_missing(action, path);
    let file = File::create_new(path).map_err(failed("create"))?;
    let event_bytes: u64 = blocks.iter().map(|block| block.bytes.len() as u64).sum();
    let headers = (FILE_HEADER + blocks.len() * BLOCK_HEADER) as u64;
    let count = blocks.len() as u32;
    let end = encode_end(new.id, count, event_bytes);
    let bytes = headers + event_bytes + end.len() as u64;
    disk::reserve(&file, bytes).map_err(failed("reserve room for"))?;
    let NewFile { id, incarnation, partition, next } = *new;
    let base = blocks.first().map_or(next, |block| block.base);
    let header = FileHeader { id, incarnation, partition, base, next, blocks: count };
    disk::write_all_at(&file, &header.encode(), 0).map_err(failed("write to"))?;
    let (mut at, mut places) = (FILE_HEADER as u64, Vec::with_capacity(blocks.len()));
    for (index, block) in (0..).zip(blocks) {
        let bytes = block.bytes.len() as u32;
        let header = BlockHeader { index, bytes, base: block.base, tag: tag_of(id) };
        let header = header.encode(block.bytes);
        disk::write_all_at(&file, &header, at).map_err(failed("write to"))?;
        let events_at = at + BLOCK_HEADER as u64;
        disk::write_all_at(&file, block.bytes, events_at).map_err(failed("write to"))?;
        places.push((at, crc_of(&header)));
        at = events_at + u64::from(bytes);
    }
    disk::write_all_at(&file, &end, at).map_err(failed("write to"))?;
    disk::sync_all(&file).map_err(failed("sync"))?;
    Ok(Written { bytes, blocks: places })
}

/// Reads blocks of a file, in order, up to the first that is not what it was.
pub fn read(directory: &Path, id: u64, places: &[Place]) -> ColdRead {
    let path = path(directory, id);
    let mut blocks = Vec::with_capacity(places.len());
    let failed = read_each(&path, id, places, &mut blocks).err();
    ColdRead { blocks, failed }
}

fn read_each(
    path: &Path,
    id: u64,
    places: &[Place],
    blocks: &mut Vec<Vec<u8>>,
) -> Result<(), FileError> {
    let file = File::open(path).map_err(FileError::io_or_missing("open", path))?;
    let length = file.metadata().map_err(FileError::io_or_missing("look at", path))?.len();
    for place in places {
        let corrupt = |what| FileError::corrupt(path, place.at, what);
        let whole = BLOCK_HEADER as u64 + u64::from(place.bytes);
        if place.at.checked_add(whole).is_none_or(|end| end > length) {
            return Err(corrupt("the file is shorter than it was"));
        }
        let mut header = [0; BLOCK_HEADER];
        file.read_exact_at(&mut header, place.at)
            .map_err(FileError::io_or_missing("read", path))?;
        let known = BlockHeader::decode(&header);
        let fits = |known: &BlockHeader| known.bytes == place.bytes && known.tag == tag_of(id);
        if !known.as_ref().is_some_and(fits) || crc_of(&header) != place.crc {
            return Err(corrupt("the header of the block is not the one that was written"));
        }
        let mut events = vec![0; place.bytes as usize];
        let events_at = place.at + BLOCK_HEADER as u64;
        file.read_exact_at(&mut events, events_at)
            .map_err(FileError::io_or_missing("read", path))?;
        if !is_sound(&header, &events) {
            return Err(corrupt("the checksum of the block is wrong"));
        }
        blocks.push(events);
    }
    Ok(())
}

/// Removes what is left of files that were not written whole. Not to be called while one is being
/// written.
///
/// # Errors
/// [`FileError::Io`].
pub fn sweep(directory: &Path) -> Result<(), FileError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(FileError::io_or_missing("read the directory", directory))?,
    };
    for entry in entries {
        let entry = entry.map_err(FileError::io_or_missing("read the directory", directory))?;
        let name = entry.file_name();
        let is_tmp = |name: &str| name.starts_with(PREFIX) && name.ends_with(TMP_SUFFIX);
        if name.to_str().is_some_and(is_tmp) {
            let path = entry.path();
            fs::remove_file(&path).map_err(FileError::io_or_missing("delete", &path))?;
        }
    }
    Ok(())
}

/// Removes files; one that is gone already is fine.
///
/// # Errors
/// [`FileError::Io`], of the first that cannot be removed.
pub fn remove(directory: &Path, ids: impl IntoIterator<Item = u64>) -> Result<(), FileError> {
    for id in ids {
        let path = path(directory, id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result.map_err(FileError::io_or_missing("delete", &path))?,
        }
    }
    Ok(())
}

/// Makes creations in `directory`, and that of the directory itself, durable.
pub(super) fn sync_dir(directory: &Path) -> Result<(), FileError> {
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    for directory in parent.into_iter().chain([directory]) {
        let synced = File::open(directory).and_then(|file| file.sync_all());
        synced.map_err(FileError::io_or_missing("sync the directory", directory))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::verify::{Known, check, verify};
    use super::*;

    fn sample(directory: &Path) -> (u64, Written, Vec<Vec<u8>>) {
        let events: Vec<Vec<u8>> = (0..4).map(|number| vec![number; 300]).collect();
        let blocks: Vec<NewBlock<'_>> = (0..)
            .zip(&events)
            .map(|(number, bytes)| NewBlock { base: 10 + number * 5, bytes })
            .collect();
        let new = NewFile { id: 0xabc, incarnation: 7, partition: 3, next: 30 };
        let written = write(directory, &new, &blocks).expect("written");
        (new.id, written, events)
    }

    fn places(written: &Written) -> Vec<Place> {
        let place = |(at, crc): &(u64, u32)| Place { at: *at, bytes: 300, crc: *crc };
        written.blocks.iter().map(place).collect()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path().join("topics");
        assert_eq!(list(&directory).expect("no directory is no files"), []);
        let (id, written, events) = sample(&directory);
        assert_eq!(list(&directory).expect("listed"), [id]);
        let found = read(&directory, id, &places(&written)[1..3]);
        assert!(found.failed.is_none());
        assert_eq!(found.blocks, events[1..3]);
        let known = Known {
            id,
            bytes: written.bytes,
            incarnation: 7,
            partition: 3,
            base: 10,
            next: 30,
            blocks: 4,
        };
        check(&directory, &known).expect("it is the one that is known");
        let other = Known { next: 31, ..known };
        assert!(matches!(check(&directory, &other), Err(FileError::Corrupt { offset: 0, .. })));
        assert_eq!(verify(&path(&directory, id)).expect("sound"), known);
        fs::write(directory.join("events-00.tmp"), "x").expect("written");
        sweep(&directory).expect("swept");
        assert_eq!(fs::read_dir(&directory).expect("listed").count(), 1);
        remove(&directory, [id, 5]).expect("removed");
        assert!(matches!(check(&directory, &known), Err(FileError::Missing { .. })));
        let gone = read(&directory, id, &places(&written));
        assert!(matches!(gone.failed, Some(FileError::Missing { .. })));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        let (id, written, _) = sample(directory);
        let path = path(directory, id);
        let sound = fs::read(&path).expect("a file");
        let places = places(&written);
        for at in 0..sound.len() {
            let mut broken = sound.clone();
            broken[at] ^= 1 << (at % 8);
            fs::write(&path, &broken).expect("written");
            assert!(verify(&path).is_err(), "byte {at}");
            let in_block = |place: &Place| (place.at..place.at + 332).contains(&(at as u64));
            let found = read(directory, id, &places);
            let expected = places.iter().position(in_block).unwrap_or(places.len());
            assert_eq!(found.blocks.len(), expected, "byte {at}");
        }
        for cut in [0, 10, 63, 64, 700, sound.len() - 1] {
            fs::write(&path, &sound[..cut]).expect("written");
            assert!(verify(&path).is_err(), "cut at {cut}");
        }
        fs::write(&path, [&sound[..], b"x"].concat()).expect("written");
        assert!(verify(&path).is_err(), "something follows");
    }
}

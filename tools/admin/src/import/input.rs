//! What an input is, and its steps one after the other, whatever its form.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::args::ImportFormat;
use crate::entry::{Entry, now_ms};
use crate::error::AdminError;
use crate::export::{binary, json};
use crate::redis::{FileError, Source, aof, manifest, rdb};

const READ_BYTES: usize = 1024 * 1024;
/// Bytes looked at to tell what a file is.
const SIGHT_BYTES: u64 = 512;
/// Bytes of a line of an export: a value of the greatest size, escaped.
const LINE_BYTES_MAX: u64 = 4 << 30;

/// One thing to do, or to pass over.
pub(super) enum Step {
    /// Set a key.
    Entry { db: u64, entry: Entry },
    /// Restore a container.
    Container { db: u64, key: Vec<u8>, payload: Vec<u8>, deadline_ms: Option<u64> },
    /// Run commands, all or none; each with its database.
    Commands(Vec<(u64, aof::Command)>),
    /// Take in a library of functions, which belongs to no database.
    Library(Vec<u8>),
    /// Pass over a value of a type by this name.
    Other { db: u64, kind: &'static str },
    /// Pass over values that belong to no key of ours, and how many.
    Section(String, u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Json,
    Lines,
    Binary,
    Rdb,
    Aof,
}

/// Where a walk is: bytes of all files.
pub(super) type Place = u64;

type Sink<'a> = dyn FnMut(Step, Place) -> Result<(), AdminError> + 'a;

/// Something to import.
pub(super) struct Input {
    path: PathBuf,
    form: Form,
    files: Vec<PathBuf>,
}

/// What a walk found about the input as a whole.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// An append-only file that ends within a command, and where what is whole ends.
    pub(super) cut: Option<(PathBuf, u64)>,
    /// The form has a checksum and the file has none.
    pub(super) unchecked: bool,
}

impl Input {
    /// Tells what `path` is, unless that is given.
    pub(super) fn detect(path: &Path, format: ImportFormat) -> Result<Self, AdminError> {
        if path.is_dir() || path.extension().is_some_and(|end| end == "manifest") {
            return Self::from_manifest(path);
        }
        let form = match format {
            ImportFormat::Json => Form::Json,
            ImportFormat::Lines => Form::Lines,
            ImportFormat::Binary => Form::Binary,
            ImportFormat::Rdb => Form::Rdb,
            ImportFormat::Aof => Form::Aof,
            ImportFormat::Auto => guess(path)?,
        };
        Ok(Self { path: path.to_owned(), form, files: vec![path.to_owned()] })
    }

    fn from_manifest(path: &Path) -> Result<Self, AdminError> {
        let (directory, file) = if path.is_dir() {
            (path.to_owned(), find_manifest(path)?)
        } else {
            (path.parent().unwrap_or_else(|| Path::new(".")).to_owned(), path.to_owned())
        };
        let mut text = String::new();
        let read = File::open(&file)
            .and_then(|file| file.take(manifest::MANIFEST_BYTES_MAX).read_to_string(&mut text));
        read.map_err(AdminError::file("read", &file))?;
        let files = manifest::files(&text, &directory).map_err(|line| AdminError::Damaged {
            path: file.clone(),
            what: format!("expected file, seq and type, found {:?}", line.0),
        })?;
        Ok(Self { path: file, form: Form::Aof, files })
    }

    /// The file that stands for the input.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub(super) fn name(&self) -> &'static str {
        match self.form {
            Form::Json => "export (json)",
            Form::Lines => "export (lines)",
            Form::Binary => "export (binary)",
            Form::Rdb => "Redis snapshot (RDB)",
            Form::Aof => "Redis append-only file (AOF)",
        }
    }

    /// Whether it holds commands that may not be run twice.
    pub(super) fn is_log(&self) -> bool {
        self.form == Form::Aof
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> Result<u64, AdminError> {
        self.files.iter().try_fold(0, |sum, path| {
            let facts = fs::metadata(path).map_err(AdminError::file("look at", path))?;
            Ok(sum + facts.len())
        })
    }

    /// Hands out all steps.
    pub(super) fn walk(&self, sink: &mut Sink<'_>) -> Result<Found, AdminError> {
        let mut found = Found::default();
        match self.form {
            Form::Json => self.walk_json(&mut found, sink)?,
            Form::Lines => self.walk_lines(&mut found, sink)?,
            Form::Binary => self.walk_binary(sink)?,
            Form::Rdb => {
                let mut rest = walk_rdb(&self.path, 0, sink)?;
                let broken = |source| AdminError::Redis { path: self.path.clone(), source };
                if !rest.is_at_end().map_err(broken)? {
                    // A file of Redis 4 to 6: a snapshot, and the commands since.
                    walk_commands(&self.path, rest, 0, true, &mut found, sink)?;
                }
            }
            Form::Aof => self.walk_log(&mut found, sink)?,
        }
        Ok(found)
    }

    fn walk_json(&self, found: &mut Found, sink: &mut Sink<'_>) -> Result<(), AdminError> {
        found.unchecked = !json::check(&self.path)?;
        let mut place = 0;
        json::walk(&self.path, open(&self.path)?, now_ms(), &mut |part| match part {
            json::Part::Entry(entry) => {
                // The parser does not say where it is; the sizes of the parts come close.
                place += (entry.key.len() + entry.value.len()) as u64;
                sink(Step::Entry { db: 0, entry }, place)
            }
            json::Part::Section(name, count) => sink(Step::Section(name, count), place),
        })
    }

    fn walk_lines(&self, found: &mut Found, sink: &mut Sink<'_>) -> Result<(), AdminError> {
        found.unchecked = !json::check(&self.path)?;
        let damaged = |place: u64, what: &str| AdminError::Damaged {
            path: self.path.clone(),
            what: format!("at byte {place}: {what}"),
        };
        let mut input = open(&self.path)?;
        let (mut place, mut entries, mut stated, mut line) = (0, 0u64, None, Vec::new());
        let mut ours = false;
        loop {
            line.clear();
            let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let read = read.map_err(AdminError::file("read", &self.path))?;
            if read == 0 {
                break;
            }
            if place == 0 && line.starts_with(b"{\"format\"") {
                check_head(&line).map_err(|what| damaged(place, &what))?;
                ours = true;
            } else if line.starts_with(b"{\"entries\":") {
                stated = count_of(&line);
            } else if !line.trim_ascii().is_empty() {
                let entry = json::decode(&line, now_ms());
                let entry = entry.ok_or_else(|| damaged(place, "expected a key and its value"))?;
                entries += 1;
                sink(Step::Entry { db: 0, entry }, place + read as u64)?;
            }
            place += read as u64;
        }
        match stated {
            Some(stated) if stated != entries => {
                Err(damaged(place, &format!("{entries} entries, {stated} expected")))
            }
            // What an export began, an export ends; only lines by hand have neither head nor end.
            None if ours => Err(damaged(place, "expected the line with the number of entries")),
            Some(_) if found.unchecked => Err(damaged(place, "expected a checksum")),
            Some(_) | None => Ok(()),
        }
    }

    fn walk_binary(&self, sink: &mut Sink<'_>) -> Result<(), AdminError> {
        let broken = |error: binary::BinaryError| AdminError::Damaged {
            path: self.path.clone(),
            what: error.to_string(),
        };
        let mut reader = binary::Reader::open(open(&self.path)?).map_err(broken)?;
        while let Some(entries) = reader.next().map_err(broken)? {
            for entry in entries {
                sink(Step::Entry { db: 0, entry }, reader.offset())?;
            }
        }
        Ok(())
    }

    fn walk_log(&self, found: &mut Found, sink: &mut Sink<'_>) -> Result<(), AdminError> {
        let mut before = 0;
        for (index, path) in self.files.iter().enumerate() {
            let last = index + 1 == self.files.len();
            let rest = if sight(path)?.starts_with(b"REDIS") {
                walk_rdb(path, before, sink)?
            } else {
                Source::new(open(path)?)
            };
            walk_commands(path, rest, before, last, found, sink)?;
            before += fs::metadata(path).map_err(AdminError::file("look at", path))?.len();
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<BufReader<File>, AdminError> {
    let file = File::open(path).map_err(AdminError::file("open", path))?;
    Ok(BufReader::with_capacity(READ_BYTES, file))
}

fn sight(path: &Path) -> Result<Vec<u8>, AdminError> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(SIGHT_BYTES).read_to_end(&mut bytes);
    read.map_err(AdminError::file("read", path))?;
    Ok(bytes)
}

fn guess(path: &Path) -> Result<Form, AdminError> {
    let bytes = sight(path)?;
    if bytes.starts_with(b"REDIS") {
        return Ok(Form::Rdb);
    }
    if bytes.starts_with(&binary::MAGIC) {
        return Ok(Form::Binary);
    }
    match bytes.trim_ascii_start().first() {
        Some(b'*' | b'#') => Ok(Form::Aof),
        Some(b'{') => {
            let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let whole = serde_json::from_slice::<serde_json::Value>(first).ok();
            let is_document = whole.is_none_or(|object| object["format"] == json::FORMAT);
            Ok(if is_document { Form::Json } else { Form::Lines })
        }
        Some(_) | None => {
            let what = "neither an export nor a file of Redis; name it with --format".to_owned();
            Err(AdminError::Damaged { path: path.to_owned(), what })
        }
    }
}

fn find_manifest(directory: &Path) -> Result<PathBuf, AdminError> {
    let failed = AdminError::file("read", directory);
    let mut found = Vec::new();
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    found.extend(list().map_err(failed)?);
    found.retain(|path| path.extension().is_some_and(|end| end == "manifest"));
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        _ => {
            let text = "expected one file *.manifest in";
            Err(AdminError::Usage(format!("{text} {}", directory.display())))
        }
    }
}

fn check_head(line: &[u8]) -> Result<(), String> {
    let head: serde_json::Value =
        serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if head["format"] != json::FORMAT_LINES || head["version"].as_u64() > Some(json::VERSION) {
        let (name, version) = (json::FORMAT_LINES, json::VERSION);
        return Err(format!("expected {name} of version {version}, found {head}"));
    }
    Ok(())
}

fn count_of(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<serde_json::Value>(line).ok()?["entries"].as_u64()
}

fn walk_rdb(
    path: &Path,
    before: u64,
    sink: &mut Sink<'_>,
) -> Result<Source<BufReader<File>>, AdminError> {
    let broken = |source| AdminError::Redis { path: path.to_owned(), source };
    let mut reader = rdb::Reader::open(Source::new(open(path)?)).map_err(broken)?;
    while let Some(item) = reader.next().map_err(broken)? {
        let step = match item {
            rdb::Item::String { db, key, value, deadline_ms } => {
                Step::Entry { db, entry: Entry { key, value, deadline_ms } }
            }
            rdb::Item::Container { db, key, payload, deadline_ms } => {
                Step::Container { db, key, payload, deadline_ms }
            }
            rdb::Item::Other { db, kind, .. } => Step::Other { db, kind },
            rdb::Item::Library(code) => Step::Library(code),
            rdb::Item::Section(name) => Step::Section(name.to_owned(), 1),
            rdb::Item::Fact(..) => continue,
        };
        sink(step, before + reader.offset())?;
    }
    Ok(reader.into_rest())
}

/// Hands out the commands of a file; the last file of a log may end within one.
fn walk_commands(
    path: &Path,
    source: Source<BufReader<File>>,
    before: u64,
    last: bool,
    found: &mut Found,
    sink: &mut Sink<'_>,
) -> Result<(), AdminError> {
    let broken = |source| AdminError::Redis { path: path.to_owned(), source };
    let mut reader = aof::Reader::new(source);
    let mut db = 0;
    loop {
        let commands = match reader.next() {
            Ok(Some(commands)) => commands,
            Ok(None) => return Ok(()),
            Err(FileError::Cut { offset }) if last => {
                found.cut = Some((path.to_owned(), offset));
                return Ok(());
            }
            Err(error) => return Err(broken(error)),
        };
        let mut kept = Vec::with_capacity(commands.len());
        for command in commands {
            if aof::is(&command, b"SELECT") {
                let number = command.get(1).and_then(|word| std::str::from_utf8(word).ok());
                let number = number.and_then(|text| text.parse().ok());
                let (offset, expected) = (reader.offset(), "the number of a database");
                db = number.ok_or_else(|| broken(FileError::Format { offset, expected }))?;
            } else {
                kept.push((db, command));
            }
        }
        if !kept.is_empty() {
            sink(Step::Commands(kept), before + reader.offset())?;
        }
    }
}

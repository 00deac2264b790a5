//! Commands about libraries of functions. They run where shard 0 is, which keeps the libraries:
//! what they change is a batch like any other, and is published to the other cores as soon as it is
//! applied. Until it is stable, whoever runs a function asks for shard 0 as well, so that no
//! answer leaves that depends on a library which a crash could still take away.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::function::Loaded;
use super::{Frame, Scripts};
use crate::command::args::{Arg, Args, Scalar};
use crate::command::error::{CommandError, quote};
use crate::command::reply::Reply;
use crate::command::spec::ScriptVerb;
use crate::engine::Engine;
use crate::engine::event::Outbound;
use crate::engine::open::Open;
use crate::glob;
use crate::limits::{LIBRARIES_BYTES_MAX, LIBRARIES_MAX};
use crate::rdb::{LibrariesError, dump_libraries, restore_libraries};
use crate::script::vm::Limits;
use crate::shard::Shard;
use crate::shard::libraries::{Libraries, LibrarySet};
use crate::shard::plan::Now;

/// Milliseconds that the code of a library may take to register its functions.
const LOAD_MS: u64 = 500;

/// What happens to libraries that are there when others are restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Policy {
    /// They go.
    Flush,
    /// They stay, and one of the same name is an error.
    Append,
    /// They stay unless one of the same name comes.
    Replace,
}

impl Engine {
    fn library_shard(&self) -> &Shard {
        self.shards[Libraries::SHARD].as_deref().expect("it was asked for")
    }

    /// Takes down that an answer depends on the libraries, if their shard is among those that were
    /// asked for; whether it is. Settles them for everyone where they have become stable.
    pub(super) fn depends_on_libraries(
        &self,
        scripts: &Scripts,
        open: &mut Open,
        allowed: u64,
    ) -> bool {
        if allowed & Libraries::MASK == 0 {
            return false;
        }
        let shard = self.library_shard();
        if shard.libraries().changed() > shard.stable() {
            open.saw_unstable(Libraries::MASK);
        } else {
            // Nobody else can publish while the shard is here.
            let registry = &scripts.inputs.registry;
            registry.settle(registry.library_version());
        }
        true
    }

    /// Carries out a command about libraries, over their shard.
    pub(super) fn on_libraries(
        &mut self,
        scripts: &mut Scripts,
        frame: Frame<'_>,
        (verb, args): (ScriptVerb, &Args<'_>),
        out: &mut dyn Outbound,
    ) -> Result<Reply<'static>, CommandError> {
        let Frame { now, has_room, open, .. } = frame;
        scripts.sync_aloud(out);
        self.depends_on_libraries(scripts, open, Libraries::MASK);
        let set = Arc::clone(self.library_shard().libraries().set());
        if !has_room {
            return Err(CommandError::OutOfMemory);
        }
        match verb {
            ScriptVerb::LoadLibrary => self.load_library(scripts, (now, open), &set, args),
            ScriptVerb::DeleteLibrary => {
                let name = args.bytes(Arg(0));
                if !set.contains_key(name) {
                    return Err(CommandError::Invalid("Library not found"));
                }
                self.change(scripts, (now, open), &[name], Vec::new())?;
                Ok(Reply::Ok)
            }
            ScriptVerb::FlushLibraries => {
                let names: Vec<&[u8]> = set.keys().map(|name| &**name).collect();
                self.change(scripts, (now, open), &names, Vec::new())?;
                Ok(Reply::Ok)
            }
            ScriptVerb::ListLibraries => Ok(list(scripts, &set, args)),
            ScriptVerb::DumpLibraries => {
                Ok(Reply::owned(dump_libraries(set.values().map(|source| &**source))))
            }
            ScriptVerb::RestoreLibraries => self.restore(scripts, (now, open), &set, args),
            _ => unreachable!("it is not about libraries"),
        }
    }

    /// `FUNCTION LOAD`.
    fn load_library(
        &mut self,
        scripts: &mut Scripts,
        at: (Now, &mut Open),
        set: &LibrarySet,
        args: &Args<'_>,
    ) -> Result<Reply<'static>, CommandError> {
        let (replace, source) = (args.flag(Arg(0)), args.bytes(Arg(1)));
        let (name, _) = crate::script::shebang::read_library(source)?;
        if !replace && set.contains_key(name) {
            let (before, found, after) = ("Library '", quote(name), "' already exists");
            return Err(CommandError::Quoted { before, found, after });
        }
        let limits = load_limits(scripts);
        let loaded = scripts.load(&source.into(), limits)?;
        let stays = |library: &[u8]| library != name;
        check_functions(scripts, &loaded, &stays)?;
        check_room(set, &stays, std::slice::from_ref(&loaded))?;
        self.change(scripts, at, &[], vec![loaded])?;
        Ok(Reply::owned(name.to_vec()))
    }

    /// `FUNCTION RESTORE`.
    fn restore(
        &mut self,
        scripts: &mut Scripts,
        at: (Now, &mut Open),
        set: &LibrarySet,
        args: &Args<'_>,
    ) -> Result<Reply<'static>, CommandError> {
        let policy = match args.choice(Arg(1)) {
            Some((0, Scalar::None)) => Policy::Flush,
            Some((2, Scalar::None)) => Policy::Replace,
            _ => Policy::Append,
        };
        let mut new: Vec<Loaded> = Vec::new();
        let (mut names, mut functions) = (BTreeSet::new(), BTreeSet::new());
        let began_ns = (scripts.inputs.clock)();
        for source in restore_libraries(args.bytes(Arg(0))).map_err(refusal)? {
            let passed_ms = (scripts.inputs.clock)().saturating_sub(began_ns) / 1_000_000;
            if passed_ms > scripts.settings.time_limit_ms {
                return Err(CommandError::ScriptTimeout {
                    limit_ms: scripts.settings.time_limit_ms,
                });
            }
            let limits = load_limits(scripts);
            let loaded = scripts.load(&source.into(), limits)?;
            if !names.insert(loaded.name.clone()) {
                return Err(named("Library '", &loaded.name, "' already exists"));
            }
            for function in loaded.functions.keys() {
                if !functions.insert(function.clone()) {
                    return Err(named("Function ", function, " already exists"));
                }
            }
            new.push(loaded);
        }
        let taken = names.iter().find(|name| set.contains_key(*name));
        if let (Policy::Append, Some(name)) = (policy, taken) {
            return Err(named("Library ", name, " already exists"));
        }
        let stays = |library: &[u8]| policy != Policy::Flush && !names.contains(library);
        new.iter().try_for_each(|loaded| check_functions(scripts, loaded, &stays))?;
        check_room(set, &stays, &new)?;
        let gone: Vec<&[u8]> = match policy {
            Policy::Flush => set.keys().map(|name| &**name).collect(),
            Policy::Append | Policy::Replace => Vec::new(),
        };
        self.change(scripts, at, &gone, new)?;
        Ok(Reply::Ok)
    }

    /// Removes libraries and takes others in, here and for everyone.
    fn change(
        &mut self,
        scripts: &mut Scripts,
        (now, open): (Now, &mut Open),
        gone: &[&[u8]],
        new: Vec<Loaded>,
    ) -> Result<(), CommandError> {
        if gone.is_empty() && new.is_empty() {
            return Ok(());
        }
        let removed = gone.iter().map(|name| (*name, None));
        let taken = new.iter().map(|library| (&*library.name, Some(&*library.source)));
        self.change_libraries(now, open, removed.chain(taken))?;
        gone.iter().for_each(|name| scripts.functions.remove(name));
        new.into_iter().for_each(|library| scripts.functions.insert(library));
        let registry = &scripts.inputs.registry;
        let version = registry.publish(self.library_shard().libraries().set());
        registry.counted(version, scripts.functions.count());
        scripts.functions.set_version(version);
        scripts.vm().rebase();
        Ok(())
    }
}

fn load_limits(scripts: &Scripts) -> Limits {
    scripts.limits(Some(LOAD_MS))
}

fn named(before: &'static str, name: &[u8], after: &'static str) -> CommandError {
    CommandError::Quoted { before, found: quote(name), after }
}

fn refusal(error: LibrariesError) -> CommandError {
    CommandError::Invalid(match error {
        LibrariesError::Footer => "DUMP payload version or checksum are wrong",
        LibrariesError::BeforeRelease => "Pre-GA function format not supported",
        LibrariesError::Kind => "given type is not a function",
        LibrariesError::Format => "failed loading the given functions payload",
    })
}

/// None of its functions may be one of a library that stays.
fn check_functions(
    scripts: &Scripts,
    loaded: &Loaded,
    stays: &impl Fn(&[u8]) -> bool,
) -> Result<(), CommandError> {
    let is_taken = |name: &&Vec<u8>| scripts.functions.owner(name).is_some_and(stays);
    match loaded.functions.keys().find(is_taken) {
        Some(name) => Err(named("Function ", name, " already exists")),
        None => Ok(()),
    }
}

fn check_room(
    set: &LibrarySet,
    stays: &impl Fn(&[u8]) -> bool,
    new: &[Loaded],
) -> Result<(), CommandError> {
    let left = set.iter().filter(|(name, _)| stays(name)).map(|(_, source)| source.len());
    let sizes = left.chain(new.iter().map(|loaded| loaded.source.len()));
    let (count, bytes) = sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size));
    if count > LIBRARIES_MAX || bytes > LIBRARIES_BYTES_MAX {
        return Err(CommandError::Invalid("there are too many libraries, or they are too large"));
    }
    Ok(())
}

/// `FUNCTION LIST`.
fn list(scripts: &Scripts, set: &LibrarySet, args: &Args<'_>) -> Reply<'static> {
    let (pattern, with_code) = (args.opt_bytes(Arg(0)), args.flag(Arg(1)));
    let is_wanted = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    let shown = set.iter().filter(|(name, _)| is_wanted(name)).map(|(name, source)| {
        let functions =
            scripts.functions.get(name).map_or_else(|| Reply::Array(Vec::new()), Loaded::show);
        let mut fields = vec![
            (Reply::string("library_name"), Reply::owned(name.to_vec())),
            (Reply::string("engine"), Reply::string("LUA")),
            (Reply::string("functions"), functions),
        ];
        if with_code {
            fields.push((Reply::string("library_code"), Reply::owned(source.to_vec())));
        }
        Reply::Map(fields)
    });
    Reply::Array(shown.collect())
}

//! Functions as one core knows them: the libraries of the process, each of which has run here once
//! and registered what it has. They are brought up to date when a command needs them and the
//! registry has others.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Known, Scripts};
use crate::command::error::{CommandError, quote};
use crate::command::reply::Reply;
use crate::engine::event::Outbound;
use crate::id::CoreId;
use crate::script::registry::Running;
use crate::script::shebang;
use crate::script::vm::Limits;
use crate::shard::libraries::LibrarySet;

pub(super) const NOT_FOUND: CommandError = CommandError::Invalid("Function not found");
/// Words of a command that are shown while it runs, and bytes of each.
const SHOWN_WORDS: usize = 32;
const SHOWN_BYTES: usize = 128;
/// Severity of what is said about libraries.
const WARNING: u8 = 3;

/// The functions of one core.
#[derive(Debug, Default)]
pub(super) struct Functions {
    /// Of the registry, when these were brought up to date; nothing before the first time.
    version: Option<u64>,
    libraries: BTreeMap<Box<[u8]>, Loaded>,
    /// Which library has a function of this name.
    owners: BTreeMap<Vec<u8>, Box<[u8]>>,
    /// What went wrong and was not said yet.
    trouble: Vec<String>,
}

/// A library that has run here.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) name: Box<[u8]>,
    pub(super) source: Arc<[u8]>,
    pub(super) functions: BTreeMap<Vec<u8>, Member>,
}

/// A function of a library.
#[derive(Debug)]
pub(super) struct Member {
    known: Known,
    description: Option<Vec<u8>>,
}

impl Functions {
    pub(super) fn known(&mut self, name: &[u8]) -> Option<&mut Known> {
        let library = self.libraries.get_mut(self.owners.get(name)?)?;
        library.functions.get_mut(name).map(|member| &mut member.known)
    }

    pub(super) fn get(&self, library: &[u8]) -> Option<&Loaded> {
        self.libraries.get(library)
    }

    pub(super) fn count(&self) -> usize {
        self.owners.len()
    }

    /// The library that has a function of this name.
    pub(super) fn owner(&self, function: &[u8]) -> Option<&[u8]> {
        self.owners.get(function).map(|library| &**library)
    }

    pub(super) fn insert(&mut self, library: Loaded) {
        self.remove(&library.name.clone());
        for function in library.functions.keys() {
            self.owners.insert(function.clone(), library.name.clone());
        }
        self.libraries.insert(library.name.clone(), library);
    }

    pub(super) fn remove(&mut self, library: &[u8]) {
        if self.libraries.remove(library).is_some() {
            self.owners.retain(|_, owner| **owner != *library);
        }
    }

    /// The registry has these now, which are what is here.
    pub(super) fn set_version(&mut self, version: u64) {
        self.version = Some(version);
    }
}

impl Loaded {
    /// Its functions as `FUNCTION LIST` shows them.
    pub(super) fn show(&self) -> Reply<'static> {
        let functions = self.functions.iter().map(|(name, member)| {
            let flags = member.known.flags.names().map(Reply::Status);
            let description = member.description.clone().map_or(Reply::Nil, Reply::owned);
            Reply::Map(vec![
                (Reply::string("name"), Reply::owned(name.clone())),
                (Reply::string("description"), description),
                (Reply::string("flags"), Reply::Set(flags.collect())),
            ])
        });
        Reply::Array(functions.collect())
    }
}

impl Scripts {
    /// Runs the source of a library; it is not among those of this core yet.
    pub(super) fn load(
        &mut self,
        source: &Arc<[u8]>,
        limits: Limits,
    ) -> Result<Loaded, CommandError> {
        let (name, code) = shebang::read_library(source)?;
        let registered = self.vm().load(code, limits)?;
        if registered.is_empty() {
            return Err(CommandError::Invalid("No functions registered"));
        }
        let functions = registered.into_iter().map(|new| {
            let known = Known::new(new.function, new.flags);
            (new.name, Member { known, description: new.description })
        });
        let functions = functions.collect();
        Ok(Loaded { name: name.into(), source: Arc::clone(source), functions })
    }

    /// Brings the functions of this core up to date; whether what they are is settled.
    pub(super) fn sync(&mut self) -> bool {
        let registry = Arc::clone(&self.inputs.registry);
        if self.functions.version != Some(registry.library_version()) {
            let (version, set) = registry.libraries();
            self.bring(&set);
            self.functions.set_version(version);
            registry.counted(version, self.functions.count());
        }
        self.functions.version.is_some_and(|version| registry.is_settled(version))
    }

    /// The same; says what went wrong.
    pub(super) fn sync_aloud(&mut self, out: &mut dyn Outbound) -> bool {
        let is_settled = self.sync();
        for line in self.functions.trouble.drain(..) {
            out.script_log(WARNING, line.as_bytes());
        }
        is_settled
    }

    fn bring(&mut self, set: &LibrarySet) {
        let is_same =
            |loaded: &Loaded| set.get(&loaded.name).is_some_and(|now| *now == loaded.source);
        let gone = self.functions.libraries.values().filter(|loaded| !is_same(loaded));
        let gone: Vec<Box<[u8]>> = gone.map(|loaded| loaded.name.clone()).collect();
        gone.iter().for_each(|name| self.functions.remove(name));
        for (name, source) in set {
            if self.functions.libraries.contains_key(name) {
                continue;
            }
            match self.load(source, self.limits(None)) {
                Ok(loaded) => self.functions.insert(loaded),
                // It was accepted once; what it does depends on more than its code.
                Err(error) => {
                    let text = format!("library {} is left out: {error}", quote(name));
                    self.functions.trouble.push(text);
                }
            }
        }
        if let (Some(vm), false) = (&self.vm, set.is_empty()) {
            vm.rebase();
        }
    }

    /// Tells the process that a function begins to run.
    pub(super) fn began(&self, core: CoreId, name: &str, words: &[&[u8]]) {
        let cut = |word: &&[u8]| word[..word.len().min(SHOWN_BYTES)].to_vec();
        let command = words.iter().take(SHOWN_WORDS).map(cut).collect();
        let (name, since_ns) = (name.as_bytes().to_vec(), (self.inputs.clock)());
        self.inputs.registry.began(core, Running { name, command, since_ns });
    }

    /// `FUNCTION STATS`.
    pub(super) fn function_stats(&mut self, out: &mut dyn Outbound) -> Reply<'static> {
        self.sync_aloud(out);
        let running = self.inputs.registry.running().map_or(Reply::Nil, |running| {
            let elapsed_ns = (self.inputs.clock)().saturating_sub(running.since_ns);
            let words = running.command.into_iter().map(Reply::owned).collect();
            Reply::Map(vec![
                (Reply::string("name"), Reply::owned(running.name)),
                (Reply::string("command"), Reply::Array(words)),
                (Reply::string("duration_ms"), Reply::count((elapsed_ns / 1_000_000) as usize)),
            ])
        });
        let counts = vec![
            (Reply::string("libraries_count"), Reply::count(self.functions.libraries.len())),
            (Reply::string("functions_count"), Reply::count(self.functions.count())),
        ];
        let engines = vec![(Reply::string("LUA"), Reply::Map(counts))];
        Reply::Map(vec![
            (Reply::string("running_script"), running),
            (Reply::string("engines"), Reply::Map(engines)),
        ])
    }
}

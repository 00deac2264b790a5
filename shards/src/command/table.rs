//! Which commands exist. Lookups are built from the families' slices when first used.

use std::sync::LazyLock;

use super::error::{CommandError, quote};
use super::spec::CommandSpec;
use super::{cluster, connection, key, pubsub, scripting, server, transaction};
use crate::capture;
use crate::types::{group, hash, hll, list, queue, set, string, topic, xstream, zset};

/// Every family, in the order of the reference.
pub const FAMILIES: &[&[&CommandSpec]] = &[
    string::COMMANDS,
    string::BITMAP_COMMANDS,
    list::COMMANDS,
    set::COMMANDS,
    zset::COMMANDS,
    zset::GEO_COMMANDS,
    hash::COMMANDS,
    xstream::COMMANDS,
    queue::COMMANDS,
    topic::COMMANDS,
    group::COMMANDS,
    capture::COMMANDS,
    hll::COMMANDS,
    key::COMMANDS,
    transaction::COMMANDS,
    pubsub::COMMANDS,
    scripting::COMMANDS,
    connection::COMMANDS,
    server::COMMANDS,
    cluster::COMMANDS,
];

/// Longest name of a command, in bytes; longer words are not looked up.
pub const NAME_BYTES_MAX: usize = 24;

const COUNT: usize = {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
};

/// By position: looked into several times for each request.
static SPECS: [&CommandSpec; COUNT] = {
    let mut specs = [FAMILIES[0][0]; COUNT];
    let (mut at, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut index = 0;
        while index < FAMILIES[family].len() {
            specs[at] = FAMILIES[family][index];
            at += 1;
            index += 1;
        }
        family += 1;
    }
    specs
};

/// Every command.
pub fn commands() -> impl Iterator<Item = &'static CommandSpec> {
    SPECS.iter().copied()
}

/// Position of a command in [`commands`]: a small name for statistics and envelopes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommandId(u16);

impl CommandId {
    /// The declaration.
    pub fn spec(self) -> &'static CommandSpec {
        SPECS[usize::from(self.0)]
    }

    /// Position, below [`count`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Number of commands.
pub fn count() -> usize {
    COUNT
}

/// The command that `words` begin with. Words of a subcommand are looked up together.
pub fn lookup(words: &[&[u8]]) -> Result<CommandId, CommandError> {
    let name = words.first().copied().unwrap_or_default();
    match TABLE.get(name) {
        Some(Entry::Command(id)) => Ok(*id),
        Some(Entry::Container { name, bare, subcommands }) => {
            let Some(word) = words.get(1) else {
                let arity = || CommandError::WrongArity { command: name.to_ascii_lowercase() };
                return bare.ok_or_else(arity);
            };
            let found = subcommands.iter().find(|id| {
                id.spec().subcommand().is_some_and(|sub| word.eq_ignore_ascii_case(sub.as_bytes()))
            });
            found.copied().ok_or_else(|| CommandError::UnknownSubcommand {
                container: name,
                name: quote(word),
            })
        }
        None => Err(unknown(words)),
    }
}

/// The command of this name, subcommands as `CLIENT|LIST` or `CLIENT LIST`, in any case.
pub fn by_name(name: &[u8]) -> Option<CommandId> {
    let words: Vec<&[u8]> = name.splitn(2, |byte| *byte == b'|' || *byte == b' ').collect();
    lookup(&words).ok()
}

/// The subcommands of a container, or nothing when there is no container of this name.
pub fn subcommands(name: &[u8]) -> Option<&'static [CommandId]> {
    match TABLE.get(name) {
        Some(Entry::Container { subcommands, .. }) => Some(subcommands),
        Some(Entry::Command(_)) | None => None,
    }
}

fn unknown(words: &[&[u8]]) -> CommandError {
    let name = quote(words.first().copied().unwrap_or_default());
    let mut args = String::new();
    for word in words.iter().skip(1) {
        if args.len() > super::error::QUOTE_BYTES_MAX {
            break;
        }
        args.push('\'');
        args.push_str(&quote(word));
        args.push_str("' ");
    }
    CommandError::UnknownCommand { name, args }
}

enum Entry {
    Command(CommandId),
    /// A command of subcommands; `bare` when it means something alone (`COMMAND`).
    Container {
        name: &'static str,
        bare: Option<CommandId>,
        subcommands: Vec<CommandId>,
    },
}

/// An open-addressed table over names; a power of two well above their number.
struct Table {
    slots: Vec<Option<Slot>>,
}

struct Slot {
    name: &'static str,
    /// The beginning of the name, see [`lower_word`].
    word: u64,
    entry: Entry,
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::build);

const SLOTS: usize = 1024;
/// Bytes of a name that are compared as one word.
const WORD_BYTES: usize = 8;

/// The first eight bytes of a name, in lower case; fewer if it has fewer.
#[inline]
fn lower_word(name: &[u8]) -> u64 {
    let pair = |at: usize| u64::from(u16::from_le_bytes([name[at], name[at + 1]]));
    let quad = |four: &[u8; 4]| u64::from(u32::from_le_bytes(*four));
    let word = match (name.first_chunk::<WORD_BYTES>(), name.len()) {
        (Some(first), _) => u64::from_le_bytes(*first),
        // The two ends cover what is between them, and agree where they overlap.
        (None, 4..) => {
            let (first, last) = (name.first_chunk(), name.last_chunk());
            let (first, last) = first.zip(last).expect("there are four bytes");
            quad(first) | quad(last) << (8 * (name.len() - 4))
        }
        (None, 2..) => pair(0) | pair(name.len() - 2) << (8 * (name.len() - 2)),
        (None, _) => name.first().copied().map_or(0, u64::from),
    };
    lower(word)
}

/// Eight letters at once: a byte from `A` to `Z` gets the bit that makes it small.
#[inline]
fn lower(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * EACH);
    let from_a = low + (0x80 - b'A' as u64) * EACH;
    let beyond_z = low + (0x7f - b'Z' as u64) * EACH;
    let is_capital = (from_a ^ beyond_z) & !word & (0x80 * EACH);
    word | is_capital >> 2
}

fn hash(word: u64, name: &[u8]) -> usize {
    let last = match name.last_chunk::<WORD_BYTES>() {
        Some(last) if name.len() > WORD_BYTES => lower(u64::from_le_bytes(*last)).rotate_left(8),
        Some(_) | None => 0,
    };
    ((word ^ last ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}

impl Table {
    fn build() -> Self {
        let mut table = Self { slots: (0..SLOTS).map(|_| None).collect() };
        for (index, spec) in (0..).zip(commands()) {
            table.add(spec, CommandId(index));
        }
        table
    }

    fn add(&mut self, spec: &'static CommandSpec, id: CommandId) {
        let name = spec.container();
        let (at, word) = (self.place(name.as_bytes()), lower_word(name.as_bytes()));
        let entry = || Slot { name, word, entry: Entry::Command(id) };
        let Slot { entry, .. } = self.slots[at].get_or_insert_with(entry);
        if spec.subcommand().is_none() {
            return;
        }
        match entry {
            Entry::Container { subcommands, .. } => subcommands.push(id),
            Entry::Command(first) => {
                // The name alone is a command only if it was declared before its subcommands.
                let bare = (*first != id).then_some(*first);
                *entry = Entry::Container { name, bare, subcommands: vec![id] };
            }
        }
    }

    /// The slot that holds `name`, in whatever case it is, or the free one where it belongs.
    #[inline]
    fn place(&self, name: &[u8]) -> usize {
        let word = lower_word(name);
        let mut at = hash(word, name) % SLOTS;
        while let Some(slot) = &self.slots[at] {
            let is_same = slot.word == word
                && slot.name.len() == name.len()
                && (name.len() <= WORD_BYTES || slot.name.as_bytes().eq_ignore_ascii_case(name));
            if is_same {
                break;
            }
            at = (at + 1) % SLOTS;
        }
        at
    }

    fn get(&'static self, name: &[u8]) -> Option<&'static Entry> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        self.slots[self.place(name)].as_ref().map(|slot| &slot.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::ARG_SPECS_MAX;
    use super::super::spec::{Access, Keys};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_and_names_are_unique_and_well_formed() {
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        for spec in commands() {
            assert!(ids.insert(spec.id), "{} stands twice", spec.id);
            assert!(names.insert(spec.resp), "{} stands twice", spec.resp);
            assert!(spec.resp.len() <= NAME_BYTES_MAX, "{} is too long", spec.resp);
            assert!(spec.args.len() <= ARG_SPECS_MAX, "{} declares too many", spec.resp);
            assert!(!spec.summary.is_empty() && !spec.summary.ends_with('.'), "{}", spec.resp);
        }
        assert!(names.len() * 2 < SLOTS, "the lookup table is too full");
    }

    #[test]
    fn only_letters_have_a_case() {
        for byte in 0..=u8::MAX {
            let word = lower(u64::from_le_bytes([byte; WORD_BYTES]));
            assert_eq!(word.to_le_bytes(), [byte.to_ascii_lowercase(); WORD_BYTES]);
        }
        for length in 0..=WORD_BYTES {
            let mut expected = [0; WORD_BYTES];
            expected[..length].copy_from_slice(&b"abcdefgh"[..length]);
            assert_eq!(lower_word(&b"ABCDEFGH"[..length]).to_le_bytes(), expected);
        }
        assert!(lookup(&[b"s\x45\x54"]).is_ok());
        for name in [&b"\x53\x45\x14"[..], b"SE\xd4", b"SET\0", b"", b"ACL\x7fX"] {
            assert!(lookup(&[name]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn every_command_is_found_by_its_name() {
        for spec in commands() {
            let lower = spec.resp.to_ascii_lowercase();
            let words: Vec<&[u8]> = lower.split(' ').map(str::as_bytes).collect();
            assert_eq!(lookup(&words).expect("it is in the table").spec().id, spec.id);
        }
        assert!(matches!(lookup(&[b"NOPE", b"x"]), Err(CommandError::UnknownCommand { .. })));
    }

    #[test]
    fn routes_are_unique_and_name_arguments() {
        let mut routes = BTreeSet::new();
        for spec in commands() {
            for route in spec.http {
                assert!(routes.insert((route.method, route.path)), "{} stands twice", route.path);
                for part in route.path.split('/') {
                    if let Some(name) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                        assert!(spec.args.iter().any(|arg| arg.name == name), "{}", route.path);
                    }
                }
            }
        }
    }

    #[test]
    fn writes_declare_keys() {
        for spec in commands().filter(|spec| spec.access == Access::Write) {
            assert_ne!(spec.keys, Keys::None, "{}", spec.resp);
        }
    }
}

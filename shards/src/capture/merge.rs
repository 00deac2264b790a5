//! One answer of the parts of all shards: changes ordered by time as far as they were read, those
//! of a transaction together, and the position behind them.

use super::batch::Changes;
use super::position::{From, Place, Position};
use super::read::{self, Part};
use crate::command::args::Args;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::limits::SHARDS;

const NOT_ALL: CommandError = CommandError::Invalid(
    "captures are read where every shard is served, not on a core's own port",
);

/// What is left to do with what all cores have answered to `CDC.READ`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merge {
    from: From,
    count: usize,
}

impl Merge {
    /// For this request; nothing where it is one that is refused.
    pub fn of(args: &Args<'_>) -> Option<Self> {
        Some(Self { from: read::from(args).ok()?, count: read::count(args).ok()? })
    }

    /// The answer: position, changes, whether there are more at once, and whether what there is has
    /// not been shown whole.
    pub fn apply(&self, parts: Reply<'static>) -> Reply<'static> {
        let Reply::Array(parts) = parts else { return parts };
        let parse = |part: &Reply<'_>| match part {
            Reply::Bytes(bytes) => Part::parse(bytes),
            _ => None,
        };
        let mut parts: Vec<Part> = parts.iter().filter_map(parse).collect();
        parts.sort_unstable_by_key(|part| part.shard);
        if parts.len() != SHARDS {
            return Reply::Error(NOT_ALL);
        }
        if parts.iter().any(|part| part.is_gone) {
            let oldest = position(&parts, |part| Place { offset: part.start, walk: None });
            let oldest = String::from_utf8_lossy(&oldest.text()).into_owned();
            return Reply::Error(CommandError::PositionGone { oldest });
        }
        Joined::new(&parts, self).answer()
    }
}

/// Whether an answer has nothing, and neither would the next one have at once.
pub fn is_idle(answer: &Reply<'_>) -> bool {
    match answer {
        Reply::Array(items) => matches!(
            &items[..],
            [_, Reply::Array(changes), Reply::Integer(0), _] if changes.is_empty()
        ),
        _ => false,
    }
}

fn position(parts: &[Part], place: impl Fn(&Part) -> Place) -> Position {
    let incarnation = parts.first().map_or(0, |part| part.incarnation);
    Position { incarnation, places: std::array::from_fn(|shard| place(&parts[shard])) }
}

/// Parts while they are joined.
struct Joined<'p> {
    parts: &'p [Part],
    /// What each batch says, by shard.
    told: Vec<Vec<Changes<'p>>>,
    /// How many batches of a shard are in the answer.
    taken: [usize; SHARDS],
    /// Shards whose next batch waits for a part of its transaction that was not read.
    held: u64,
    position: Position,
    count: usize,
    bytes: usize,
    changes: Vec<Reply<'static>>,
}

impl<'p> Joined<'p> {
    fn new(parts: &'p [Part], merge: &Merge) -> Self {
        let told = |part: &'p Part| {
            let batches = part.batches.iter();
            batches
                .map(|(_, bytes)| Changes::read(bytes).expect("a core answers what was captured"))
                .collect()
        };
        let place = |part: &Part| {
            let walk = merge.from.walk(usize::from(part.shard));
            Place { offset: part.from, walk }
        };
        Self {
            parts,
            told: parts.iter().map(told).collect(),
            taken: [0; SHARDS],
            held: 0,
            position: position(parts, place),
            count: merge.count,
            bytes: 0,
            changes: Vec::new(),
        }
    }

    fn answer(mut self) -> Reply<'static> {
        while self.has_room()
            && let Some(shard) = self.earliest()
        {
            self.take_from(shard);
        }
        let mut has_more = self.held != 0;
        for part in self.parts {
            let shard = usize::from(part.shard);
            if self.taken[shard] < part.batches.len() || part.has_more {
                has_more = true;
            } else if self.position.places[shard].walk.is_some() {
                if self.has_room() {
                    self.bytes += part.rows.iter().map(|(_, text)| text.len()).sum::<usize>();
                    self.position.places[shard].walk = part.walk;
                    let rows = part.rows.iter();
                    let shown = rows.map(|(seq, text)| change(*seq, part, part.now_ms, "", text));
                    self.changes.extend(shown);
                }
                has_more |= self.position.places[shard].walk.is_some();
            }
        }
        let is_walking = self.position.places.iter().any(|place| place.walk.is_some());
        Reply::Array(vec![
            Reply::owned(self.position.text()),
            Reply::Array(self.changes),
            Reply::Integer(has_more.into()),
            Reply::Integer(is_walking.into()),
        ])
    }

    fn has_room(&self) -> bool {
        self.changes.len() < self.count && self.bytes < read::ANSWER_BYTES
    }

    /// The shard whose next batch is the earliest of those that are not held.
    fn earliest(&self) -> Option<usize> {
        let shards = (0..SHARDS).filter(|shard| self.held >> shard & 1 == 0);
        let next = |shard: &usize| self.parts[*shard].batches.get(self.taken[*shard]);
        shards
            .filter_map(|shard| next(&shard).map(|(time_ms, _)| (*time_ms, shard)))
            .min()
            .map(|(_, shard)| shard)
    }

    /// Takes the next batch of a shard with all its parts; before that what stands before those. If
    /// a part was not read, the shard is held until the next answer.
    fn take_from(&mut self, shard: usize) {
        let mut at = shard;
        // Transactions have one order, so the chain ends; it is bounded all the same.
        for _ in 0..SHARDS {
            let parts = self.told[at][self.taken[at]].parts.clone();
            let offset_of =
                |joined: &Self, shard: usize| joined.parts[shard].from + joined.taken[shard] as u64;
            let waits = |(other, offset): &&(crate::id::ShardId, u64)| {
                offset_of(self, other.index()) < *offset
            };
            let is_read = |(other, offset): &(crate::id::ShardId, u64)| {
                let part = &self.parts[other.index()];
                *offset < part.from + part.batches.len() as u64
            };
            if !parts.iter().all(is_read) {
                self.held |= 1 << at;
                return;
            }
            let Some((other, _)) = parts.iter().find(waits).copied() else {
                let mine = [at];
                let others = parts.iter().filter(|(other, offset)| {
                    other.index() != at && offset_of(self, other.index()) == *offset
                });
                let others: Vec<usize> = others.map(|(other, _)| other.index()).collect();
                mine.into_iter().chain(others).for_each(|shard| self.take(shard));
                return;
            };
            at = other.index();
            if self.held >> at & 1 == 1 {
                self.held |= 1 << shard;
                return;
            }
        }
        self.held |= 1 << shard;
    }

    fn take(&mut self, shard: usize) {
        let (part, index) = (&self.parts[shard], self.taken[shard]);
        let (told, time_ms) = (&self.told[shard][index], part.batches[index].0);
        let transaction = transaction(told);
        self.bytes += told.texts.len();
        for text in told.texts() {
            self.changes.push(change(told.seq, part, time_ms, &transaction, text));
        }
        self.taken[shard] += 1;
        self.position.places[shard].offset += 1;
    }
}

/// The member that says of which transaction a change is; nothing where it is alone.
fn transaction(told: &Changes<'_>) -> String {
    let Some((first, offset)) = told.parts.first() else { return String::new() };
    let shards: Vec<String> = told.parts.iter().map(|(it, _)| it.index().to_string()).collect();
    let (first, shards) = (first.index(), shards.join(","));
    format!("\"transaction\":{{\"id\":\"{first}-{offset}\",\"shards\":[{shards}]}},")
}

fn change(seq: u64, part: &Part, time_ms: u64, more: &str, text: &[u8]) -> Reply<'static> {
    let shard = part.shard;
    let head = format!("{{\"seq\":{seq},\"shard\":{shard},\"time\":{time_ms},{more}");
    let mut out = Vec::with_capacity(head.len() + text.len() + 1);
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(text);
    out.push(b'}');
    Reply::owned(out)
}

#[cfg(test)]
mod tests {
    use super::super::batch;
    use super::*;
    use crate::id::ShardId;
    use crate::one_table::OneTable;

    /// One batch with one change, and where its parts are.
    fn told(time_ms: u64, text: &str, parts: &[(usize, u64)]) -> (u64, Vec<u8>) {
        let parts: Vec<(ShardId, u64)> =
            parts.iter().map(|(shard, offset)| (ShardId::new(*shard), *offset)).collect();
        let (mut texts, mut out) = (Vec::new(), Vec::new());
        batch::push(&mut texts, format!("\"op\":\"{text}\"").as_bytes());
        batch::write(&mut out, 7, &parts, (1, &texts));
        (time_ms, out)
    }

    type Batches = Vec<(u64, Vec<u8>)>;

    /// The ops of an answer, and whether there is more.
    fn merged(count: usize, read: Vec<(usize, Batches)>) -> (Vec<String>, bool) {
        let mut parts: Vec<Part> =
            (0..SHARDS).map(|shard| Part { shard: shard as u8, ..Part::default() }).collect();
        for (shard, batches) in read {
            parts[shard].batches = batches;
        }
        let parts = parts.iter().map(|part| Reply::owned(part.bytes())).collect();
        let answer = Merge { from: From::Oldest, count }.apply(Reply::Array(parts));
        let Reply::Array(items) = answer else { panic!("{answer:?}") };
        let [_, Reply::Array(changes), Reply::Integer(more), _] = &items[..] else {
            panic!("{items:?}")
        };
        let op = |change: &Reply<'_>| {
            let Reply::Bytes(text) = change else { panic!("{change:?}") };
            let text = String::from_utf8(text.to_vec()).expect("JSON is text");
            text.split("\"op\":\"").nth(1).expect("an op").trim_end_matches("\"}").to_owned()
        };
        (changes.iter().map(op).collect(), *more == 1)
    }

    #[test]
    fn a_transaction_waits_for_its_parts_and_they_come_together() {
        let both = [(3, 1), (9, 0)];
        let early = told(1, "a", &[]);
        let one = told(2, "t", &both);
        let late = told(3, "z", &[]);
        let held = merged(9, vec![(3, vec![early.clone(), one.clone(), late.clone()])]);
        assert_eq!(held, (vec!["a".to_owned()], true));
        let read = vec![(3, vec![early.clone(), one, late]), (9, vec![told(2, "u", &both)])];
        let ops = |count| merged(count, read.clone());
        assert_eq!(ops(9), (["a", "t", "u", "z"].map(String::from).to_vec(), false));
        assert_eq!(ops(2), (["a", "t", "u"].map(String::from).to_vec(), true));
        assert_eq!(ops(1), (vec!["a".to_owned()], true));
    }

    #[test]
    fn what_stands_before_a_part_comes_first() {
        let both = [(3, 0), (9, 1)];
        let read = vec![
            (3, vec![told(1, "t", &both)]),
            (9, vec![told(5, "before", &[]), told(5, "u", &both)]),
        ];
        let (ops, more) = merged(9, read);
        assert_eq!((ops.join(" "), more), ("before t u".to_owned(), false));
    }

    fn ask(db: &mut OneTable, from: &[u8]) -> Reply<'static> {
        let words: [&[u8]; 3] = [b"CDC.READ", b"c", from];
        let parts = db.run(&words);
        Merge { from: From::parse(from).expect("a position"), count: 9 }.apply(parts)
    }

    #[test]
    fn positions_that_cannot_be_are_gone() {
        let mut db = OneTable::new();
        assert_eq!(db.ask("CDC.CREATE c *"), "OK");
        let Reply::Array(items) = ask(&mut db, b"now") else { panic!("an answer") };
        let Reply::Bytes(now) = &items[0] else { panic!("a position") };
        let From::Position(mut position) = From::parse(now).expect("a position") else {
            panic!("a position")
        };
        assert!(is_idle(&ask(&mut db, &position.text())));
        // A crash has taken back what was shown.
        position.places[7].offset = 3;
        let oldest = String::from_utf8(now.to_vec()).expect("it is text");
        let gone = Reply::Error(CommandError::PositionGone { oldest });
        assert_eq!(ask(&mut db, &position.text()), gone);
        position.places[7].offset = 0;
        position.incarnation += 1;
        assert!(matches!(ask(&mut db, &position.text()), Reply::Error(_)), "of another capture");
    }

    #[test]
    fn an_answer_ends_where_it_is_large_enough() {
        let large = "x".repeat(read::ANSWER_BYTES / 2 + 1);
        let batches: Vec<_> = (0..5).map(|time| told(time, &large, &[])).collect();
        let (ops, more) = merged(9, vec![(3, batches)]);
        assert_eq!((ops.len(), more), (2, true));
    }

    #[test]
    fn shards_that_are_not_there_are_missed() {
        let merge = Merge { from: From::Now, count: 1 };
        assert_eq!(merge.apply(Reply::Array(Vec::new())), Reply::Error(NOT_ALL));
        assert!(!is_idle(&Reply::Nil));
    }
}

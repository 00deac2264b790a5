//! Reading logs as the server does: where each ends, and whether that may be.
//!
//! A log ends at the first position without a valid group of the expected index. It is damage if a
//! later segment continues behind that position, or a later group of the segment says that the
//! expected one was durable. Else a crash cut the last commit short.

use super::format::{GroupHeader, SegmentHeader, group_bytes};
use super::log::{LogStart, Place};
use super::{BLOCK, Name};

/// Why a start is refused: the file and offset that are named, and what shows that it is damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) name: Name,
    pub(crate) at: usize,
    pub(crate) evidence: &'static str,
}

/// What a log holds.
#[derive(Clone, Debug)]
pub(crate) struct LogContent {
    /// The payloads of all groups.
    pub(crate) bytes: Vec<u8>,
    pub(crate) start: LogStart,
    pub(crate) places: Vec<Place>,
    /// Number of the oldest segment, and of the one that it continues.
    pub(crate) front: Option<(u64, Option<u64>)>,
    /// Segments that hold nothing of the log.
    pub(crate) unused: Vec<u64>,
    /// The greatest epoch that wrote to it.
    pub(crate) epoch: u64,
}

#[derive(Debug)]
struct Begun {
    header: SegmentHeader,
    bytes: Vec<u8>,
}

/// How a log is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Care {
    /// What groups and segments say about one another counts.
    Evidence,
    /// Whatever is bad ends the log: the planted fault.
    None,
}

/// Reads a log from its segments, in order of their numbers.
pub(crate) fn read_log(
    log: usize,
    segments: Vec<(u64, Vec<u8>)>,
    care: Care,
) -> Result<LogContent, Refusal> {
    let mut start = LogStart::fresh();
    let mut begun: Vec<Begun> = Vec::new();
    let mut unused = Vec::new();
    let numbers: Vec<u64> = segments.iter().map(|(number, _)| *number).collect();
    for (number, bytes) in segments {
        start.next_segment = number + 1;
        let Some(header) = read_header(log, number, &bytes, care)? else {
            unused.push(number);
            continue;
        };
        let chained = check_chain(log, &numbers, begun.last(), &header);
        if care == Care::Evidence {
            chained?;
        }
        begun.push(Begun { header, bytes });
    }
    let epoch = begun.iter().map(|segment| segment.header.epoch).max().unwrap_or(0);
    let front = begun.first().map(|first| &first.header);
    let front = front.map(|header| (header.number, header.previous.map(|(number, _)| number)));
    let (bytes, places) = (Vec::new(), Vec::new());
    let mut content = LogContent { bytes, start, places, front, unused, epoch };
    read_groups(log, &begun, care, &mut content)?;
    Ok(content)
}

fn read_groups(
    log: usize,
    begun: &[Begun],
    care: Care,
    content: &mut LogContent,
) -> Result<(), Refusal> {
    let mut expected = begun.first().map_or(1, |first| first.header.first_group);
    for (index, segment) in begun.iter().enumerate() {
        let number = segment.header.number;
        let name = Name::Segment { log, number };
        let next = begun.get(index + 1);
        let end = next.map(|next| next.header.previous.map_or(0, |(_, end)| end as usize));
        let mut at = BLOCK;
        let refuse = |at, evidence| Err(Refusal { name, at, evidence });
        loop {
            if end.is_some_and(|end| at >= end) {
                let first = next.map(|next| next.header.first_group);
                if end != Some(at) || first != Some(expected) {
                    return refuse(at, "the next segment continues at another place");
                }
                break;
            }
            let epoch = segment.header.epoch;
            match valid_group(log, number, &segment.bytes, at) {
                Some((header, payload)) if (header.group, header.epoch) == (expected, epoch) => {
                    content.bytes.extend_from_slice(payload);
                    let bytes = group_bytes(payload.len());
                    content.places.push(Place { group: expected, segment: number, at, bytes });
                    at += bytes;
                    expected += 1;
                }
                _ if end.is_some() && care == Care::Evidence => {
                    return refuse(at, "a later segment continues behind it");
                }
                _ => {
                    let said = knows_of(log, segment, at, expected);
                    if said && care == Care::Evidence {
                        return refuse(at, "a later group says that it was durable");
                    }
                    break;
                }
            }
        }
        content.start.previous = Some((number, at as u64));
        content.start.last_group = expected - 1;
    }
    Ok(())
}

/// Whether a valid group behind `at` says that group `expected` was durable.
fn knows_of(log: usize, segment: &Begun, at: usize, expected: u64) -> bool {
    let SegmentHeader { number, epoch, .. } = segment.header;
    let bytes = &segment.bytes;
    let mut at = at + BLOCK;
    while at + BLOCK <= bytes.len() {
        match valid_group(log, number, bytes, at) {
            Some((header, _)) if header.epoch == epoch && header.synced_through >= expected => {
                return true;
            }
            Some((_, payload)) => at += group_bytes(payload.len()),
            None => at += BLOCK,
        }
    }
    false
}

fn valid_group(log: usize, number: u64, bytes: &[u8], at: usize) -> Option<(GroupHeader, &[u8])> {
    let found = GroupHeader::decode(bytes.get(at..)?)?;
    (found.0.log as usize == log && found.0.segment == number).then_some(found)
}

/// The header of a segment that was begun; nothing for a file that holds nothing of the log.
fn read_header(
    log: usize,
    number: u64,
    bytes: &[u8],
    care: Care,
) -> Result<Option<SegmentHeader>, Refusal> {
    if let Some(header) = SegmentHeader::decode(bytes)
        && (header.log, header.number) == (log as u64, number)
    {
        return Ok(Some(header));
    }
    // Header and first group become durable together: a second group that knows of the first
    // proves that the header was there.
    let Some((first, payload)) = valid_group(log, number, bytes, BLOCK) else { return Ok(None) };
    let second = valid_group(log, number, bytes, BLOCK + group_bytes(payload.len()));
    match second {
        Some((second, _)) if second.synced_through >= first.group && care == Care::Evidence => {
            let evidence = "its header is unreadable although its groups are durable";
            Err(Refusal { name: Name::Segment { log, number }, at: 0, evidence })
        }
        _ => Ok(None),
    }
}

fn check_chain(
    log: usize,
    numbers: &[u64],
    before: Option<&Begun>,
    header: &SegmentHeader,
) -> Result<(), Refusal> {
    let Some(before) = before else { return Ok(()) };
    let named = header.previous.map(|(number, _)| number);
    if named == Some(before.header.number) {
        return Ok(());
    }
    let refuse =
        |number, evidence| Err(Refusal { name: Name::Segment { log, number }, at: 0, evidence });
    match named {
        Some(number) if number > before.header.number && numbers.contains(&number) => {
            refuse(number, "its header is unreadable, and a later segment continues it")
        }
        Some(number) if number > before.header.number => refuse(number, "it is missing"),
        _ => refuse(header.number, "it does not continue the segment before it"),
    }
}

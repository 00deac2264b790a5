//! The compact forms of containers that came before listpacks, for reading; and sets of integers,
//! which are still written. Sources: Redis's `ziplist.c`, `zipmap.c`, `intset.c`.
//!
//! ```text
//! ziplist  bytes u32, offset of the last entry u32, count u16, entries, 0xff; little endian
//! entry    bytes of the entry before it, u8 or 0xfe and u32
//!          00llllll, 01llllll llllllll, 10...... and u32 big endian     the length of a string
//!          0xc0, 0xd0, 0xe0, 0xf0, 0xfe     an integer of 16, 32, 64, 24, 8 bits, little endian
//!          0xf1 to 0xfd                     the integers 0 to 12
//! zipmap   count u8, then names and values, 0xff; a length is u8 or 0xfe and u32; behind that of a
//!          value the number of unused bytes behind the value
//! intset   bytes of a member u32, count u32, members ascending; little endian
//! ```
//!
//! Reading believes no length that leads beyond the bytes at hand.

use super::listpack::Element;

const ZIPLIST_HEAD_BYTES: usize = 10;
const END: u8 = 0xff;
const LONG: u8 = 0xfe;
const INTSET_HEAD_BYTES: usize = 8;

fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

fn take_bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

/// The elements of a ziplist; nothing when it is damaged.
pub(super) fn ziplist(input: &[u8]) -> Option<Vec<Element<'_>>> {
    let (head, mut rest) = input.split_first_chunk::<ZIPLIST_HEAD_BYTES>()?;
    let bytes = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let count = u16::from_le_bytes([head[8], head[9]]);
    let mut elements = Vec::new();
    loop {
        let [before] = take_array(&mut rest)?;
        match before {
            END => break,
            LONG => drop(take_array::<4>(&mut rest)?),
            _ => {}
        }
        elements.push(ziplist_element(&mut rest)?);
    }
    let counted = count == u16::MAX || usize::from(count) == elements.len();
    (rest.is_empty() && bytes == input.len() && counted).then_some(elements)
}

fn ziplist_element<'a>(rest: &mut &'a [u8]) -> Option<Element<'a>> {
    let [first] = take_array(rest)?;
    Some(match first {
        0..0x40 => Element::Bytes(take_bytes(rest, first.into())?),
        0x40..0x80 => {
            let [low] = take_array(rest)?;
            Element::Bytes(take_bytes(rest, usize::from(first & 0x3f) << 8 | usize::from(low))?)
        }
        0x80..0xc0 => {
            let length = u32::from_be_bytes(take_array(rest)?) as usize;
            Element::Bytes(take_bytes(rest, length)?)
        }
        0xc0 => Element::Integer(i16::from_le_bytes(take_array(rest)?).into()),
        0xd0 => Element::Integer(i32::from_le_bytes(take_array(rest)?).into()),
        0xe0 => Element::Integer(i64::from_le_bytes(take_array(rest)?)),
        0xf0 => {
            let [a, b, c] = take_array(rest)?;
            Element::Integer((i32::from_le_bytes([0, a, b, c]) >> 8).into())
        }
        0xfe => Element::Integer(i8::from_le_bytes(take_array(rest)?).into()),
        0xf1..=0xfd => Element::Integer(i64::from(first & 0x0f) - 1),
        _ => return None,
    })
}

/// Names and values of a zipmap in turn; nothing when it is damaged.
pub(super) fn zipmap(input: &[u8]) -> Option<Vec<Element<'_>>> {
    let (_, mut rest) = input.split_first()?;
    let mut elements = Vec::new();
    while let Some(length) = zipmap_length(&mut rest)? {
        elements.push(Element::Bytes(take_bytes(&mut rest, length)?));
        let length = zipmap_length(&mut rest)??;
        let [unused] = take_array(&mut rest)?;
        elements.push(Element::Bytes(take_bytes(&mut rest, length)?));
        take_bytes(&mut rest, unused.into())?;
    }
    rest.is_empty().then_some(elements)
}

/// A length, or the end; the outer nothing is damage.
fn zipmap_length(rest: &mut &[u8]) -> Option<Option<usize>> {
    let [first] = take_array(rest)?;
    Some(match first {
        END => None,
        LONG => Some(u32::from_le_bytes(take_array(rest)?) as usize),
        length => Some(length.into()),
    })
}

/// The members of a set of integers; nothing when it is damaged.
pub(super) fn intset(input: &[u8]) -> Option<Vec<i64>> {
    let (head, rest) = input.split_first_chunk::<INTSET_HEAD_BYTES>()?;
    let [a, b, c, d, e, f, g, h] = *head;
    let width = u32::from_le_bytes([a, b, c, d]) as usize;
    let count = u32::from_le_bytes([e, f, g, h]) as usize;
    if !matches!(width, 2 | 4 | 8) || count.checked_mul(width)? != rest.len() {
        return None;
    }
    let member = |bytes: &[u8]| {
        let sign = if bytes[width - 1] & 0x80 == 0 { 0 } else { 0xff };
        let mut wide = [sign; 8];
        wide[..width].copy_from_slice(bytes);
        i64::from_le_bytes(wide)
    };
    Some(rest.chunks_exact(width).map(member).collect())
}

/// A set of integers, which ascend.
pub(super) fn write_intset(members: &[i64]) -> Vec<u8> {
    debug_assert!(members.is_sorted(), "members ascend");
    let fits = |bits: u32| {
        let bound = 1i64 << (bits - 1);
        members.iter().all(|member| (-bound..bound).contains(member))
    };
    let width: usize = if fits(16) {
        2
    } else if fits(32) {
        4
    } else {
        8
    };
    let mut out = (width as u32).to_le_bytes().to_vec();
    out.extend_from_slice(&(members.len() as u32).to_le_bytes());
    members.iter().for_each(|member| out.extend_from_slice(&member.to_le_bytes()[..width]));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ziplists_are_read() {
        let list = b"\x1f\0\0\0\x1c\0\0\0\x05\0\x00\x02ab\x04\xf2\x02\xfe\x81\x03\xc0\xff\x7f\x04\
            \xf0\0\0\x80\xff";
        let mut list = list.to_vec();
        let bytes = (list.len() as u32).to_le_bytes();
        list[..4].copy_from_slice(&bytes);
        let expected = [
            Element::Bytes(b"ab"),
            Element::Integer(1),
            Element::Integer(-127),
            Element::Integer(32_767),
            Element::Integer(-8_388_608),
        ];
        assert_eq!(ziplist(&list).as_deref(), Some(&expected[..]));
        for end in 0..list.len() {
            assert_eq!(ziplist(&list[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn zipmaps_are_read() {
        let map = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world\0\0\xff";
        let words = [&b"foo"[..], b"bar", b"hello", b"world"];
        assert_eq!(zipmap(map), Some(words.map(Element::Bytes).to_vec()));
        for end in 0..map.len() {
            assert_eq!(zipmap(&map[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn sets_of_integers_are_written_and_read() {
        for members in
            [&[][..], &[-3, 0, 5], &[-32_768, 32_767], &[-32_769, 7], &[i64::MIN, -1, i64::MAX]]
        {
            let written = write_intset(members);
            assert_eq!(intset(&written).as_deref(), Some(members));
            assert_eq!(intset(&written[1..]), None);
        }
        assert_eq!(write_intset(&[1, 300]), b"\x02\0\0\0\x02\0\0\0\x01\0\x2c\x01");
        assert_eq!(intset(b"\x08\0\0\0\xff\xff\xff\xff"), None);
    }
}

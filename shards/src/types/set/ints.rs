//! Sorted integers of one width: how a set is packed whose members are all integers.
//!
//! ```text
//! width      u8    2, 4 or 8: bytes of a member
//! members          ascending, little endian, signed
//! ```

/// Bytes before the members.
const HEADER_BYTES: usize = 1;

/// The least width that holds a number.
fn width_for(number: i64) -> usize {
    if i16::try_from(number).is_ok() {
        2
    } else if i32::try_from(number).is_ok() {
        4
    } else {
        8
    }
}

/// The members, for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ints<'v> {
    width: usize,
    members: &'v [u8],
}

impl<'v> Ints<'v> {
    /// The members in packed bytes; nothing when those are not of this form.
    pub(super) fn of(value: &'v [u8]) -> Option<Self> {
        let (width, members) = value.split_first()?;
        let width = usize::from(*width);
        (width != 0).then_some(Self { width, members })
    }

    pub(super) fn len(self) -> usize {
        self.members.len() / self.width
    }

    /// The member of this rank, which is below the length.
    pub(super) fn nth(self, rank: usize) -> i64 {
        let bytes = &self.members[rank * self.width..(rank + 1) * self.width];
        match *bytes {
            [a, b] => i16::from_le_bytes([a, b]).into(),
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).into(),
            _ => i64::from_le_bytes(*bytes.first_chunk().expect("the widest members have eight")),
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = i64> + 'v {
        (0..self.len()).map(move |rank| self.nth(rank))
    }

    /// Where a member stands, or where it would.
    fn search(self, number: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.nth(middle).cmp(&number) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    pub(super) fn contains(self, number: i64) -> bool {
        self.search(number).is_ok()
    }
}

/// Adds a member to packed bytes of this form, or to none.
pub(super) fn insert(value: &mut Vec<u8>, number: i64) {
    if value.is_empty() {
        value.push(width_for(number) as u8);
    }
    let width = usize::from(value[0]);
    if width_for(number) > width {
        widen(value, width_for(number));
    }
    let Some(ints) = Ints::of(value) else { return };
    let Err(rank) = ints.search(number) else { return };
    let at = HEADER_BYTES + rank * ints.width;
    let width = ints.width;
    value.splice(at..at, number.to_le_bytes().into_iter().take(width));
}

/// Takes a member out, if it is there.
pub(super) fn remove(value: &mut Vec<u8>, number: i64) {
    let Some(ints) = Ints::of(value) else { return };
    if let Ok(rank) = ints.search(number) {
        let at = HEADER_BYTES + rank * ints.width;
        let end = at + ints.width;
        value.drain(at..end);
    }
}

fn widen(value: &mut Vec<u8>, width: usize) {
    let members: Vec<i64> = Ints::of(value).into_iter().flat_map(Ints::iter).collect();
    value.clear();
    value.push(width as u8);
    for number in members {
        value.extend_from_slice(&number.to_le_bytes()[..width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn it_holds_what_a_set_holds() {
        let mut value = Vec::new();
        let mut model = BTreeSet::new();
        let mut rng = Rng::new(2);
        for round in 0..3_000 {
            let shift = [50, 44, 20, 0][round / 800];
            let number = rng.draw().cast_signed() >> shift;
            if rng.below(3) == 0 {
                let victim = model.iter().nth(rng.below(model.len() + 1)).copied();
                let victim = victim.unwrap_or(number);
                remove(&mut value, victim);
                model.remove(&victim);
            } else {
                insert(&mut value, number);
                model.insert(number);
            }
            let Some(ints) = Ints::of(&value) else { continue };
            assert_eq!(ints.contains(number), model.contains(&number));
            assert_eq!(ints.len(), model.len());
        }
        let ints = Ints::of(&value).expect("it has members");
        assert!(ints.iter().eq(model.iter().copied()));
        assert_eq!(ints.width, 8);
    }

    #[test]
    fn the_limits_of_each_width_fit() {
        let mut value = Vec::new();
        for number in [0, i64::from(i16::MIN), i64::from(i16::MAX)] {
            insert(&mut value, number);
        }
        assert_eq!(value, [2, 0, 128, 0, 0, 255, 127]);
        insert(&mut value, i64::from(i16::MAX) + 1);
        assert_eq!(value[0], 4);
        insert(&mut value, i64::MIN);
        insert(&mut value, i64::MAX);
        let all = [i64::MIN, -32_768, 0, 32_767, 32_768, i64::MAX];
        assert!(Ints::of(&value).is_some_and(|ints| ints.iter().eq(all)));
    }
}

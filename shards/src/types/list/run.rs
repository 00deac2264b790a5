//! Elements one behind the other in a run of bytes that can be read from both ends.
//!
//! ```text
//! element   length as varint, bytes, the length again as a mirrored varint
//! ```
//!
//! A varint has seven bits per byte, the least first, and the top bit set on all but the last byte.
//! The mirrored form has its bytes in the opposite order, so that it is read from behind. An
//! element shorter than 128 bytes costs two bytes.

/// Bytes of a length as varint.
fn varint_bytes(mut number: usize) -> usize {
    let mut bytes = 1;
    while number >= 0x80 {
        number >>= 7;
        bytes += 1;
    }
    bytes
}

/// Bytes that an element of `length` bytes takes in a run.
#[inline]
pub(super) fn element_bytes(length: usize) -> usize {
    length + 2 * varint_bytes(length)
}

/// Writes an element into `place`, which has exactly the bytes that it takes.
#[inline]
pub(super) fn write(place: &mut [u8], element: &[u8]) {
    let (length, total) = (element.len(), place.len());
    if length < 0x80 {
        place[0] = length as u8;
        place[1..=length].copy_from_slice(element);
        place[total - 1] = length as u8;
        return;
    }
    let mut rest = length;
    let mut at = 0;
    while rest >= 0x80 {
        place[at] = rest as u8 | 0x80;
        place[total - 1 - at] = rest as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
    place[at] = rest as u8;
    place[total - 1 - at] = rest as u8;
    place[at + 1..at + 1 + length].copy_from_slice(element);
}

/// Puts an element into a run, `at` bytes from its start.
pub(super) fn insert(run: &mut Vec<u8>, at: usize, element: &[u8]) {
    let bytes = element_bytes(element.len());
    open(run, at, bytes);
    write(&mut run[at..at + bytes], element);
}

/// Makes room for `bytes` bytes at `at`.
pub(super) fn open(run: &mut Vec<u8>, at: usize, bytes: usize) {
    let end = run.len();
    run.resize(end + bytes, 0);
    run.copy_within(at..end, at + bytes);
}

/// The first element of a run that is not empty, and the bytes it takes.
#[inline]
fn first(run: &[u8]) -> (&[u8], usize) {
    let (mut length, mut at, mut shift) = (0, 0, 0);
    loop {
        let byte = run[at];
        length |= usize::from(byte & 0x7f) << shift;
        at += 1;
        if byte & 0x80 == 0 {
            return (&run[at..at + length], length + 2 * at);
        }
        shift += 7;
    }
}

/// The last element of a run that is not empty, and the bytes it takes.
#[inline]
fn last(run: &[u8]) -> (&[u8], usize) {
    let (mut length, mut taken, mut shift) = (0, 0, 0);
    loop {
        let byte = run[run.len() - 1 - taken];
        length |= usize::from(byte & 0x7f) << shift;
        taken += 1;
        if byte & 0x80 == 0 {
            let end = run.len() - taken;
            return (&run[end - length..end], length + 2 * taken);
        }
        shift += 7;
    }
}

/// The elements of a run, from either end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Elements<'s>(pub(super) &'s [u8]);

impl<'s> Iterator for Elements<'s> {
    type Item = &'s [u8];

    #[inline]
    fn next(&mut self) -> Option<&'s [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (element, bytes) = first(self.0);
        self.0 = &self.0[bytes..];
        Some(element)
    }
}

impl DoubleEndedIterator for Elements<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (element, bytes) = last(self.0);
        self.0 = &self.0[..self.0.len() - bytes];
        Some(element)
    }
}

impl Elements<'_> {
    /// Bytes of the run that are left.
    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// Where the element of this number begins in a run of `count` elements; its end for `count`. Walks
/// from the nearer end.
pub(super) fn offset_of(run: &[u8], count: usize, number: usize) -> usize {
    let mut elements = Elements(run);
    if number <= count / 2 {
        elements.by_ref().take(number).for_each(drop);
        run.len() - elements.bytes()
    } else {
        elements.by_ref().rev().take(count - number).for_each(drop);
        elements.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 9] = [0, 1, 5, 127, 128, 300, 16_383, 16_384, 70_000];

    fn sample() -> (Vec<Vec<u8>>, Vec<u8>) {
        let elements: Vec<Vec<u8>> =
            LENGTHS.iter().map(|length| vec![*length as u8 | 1; *length]).collect();
        let mut run = Vec::new();
        for element in &elements {
            let end = run.len();
            insert(&mut run, end, element);
        }
        (elements, run)
    }

    #[test]
    fn elements_are_read_from_both_ends() {
        let (elements, run) = sample();
        assert_eq!(run.len(), LENGTHS.iter().map(|length| element_bytes(*length)).sum::<usize>());
        assert_eq!(Elements(&run).collect::<Vec<_>>(), elements);
        let mut backwards: Vec<&[u8]> = Elements(&run).rev().collect();
        backwards.reverse();
        assert_eq!(backwards, elements);
    }

    #[test]
    fn offsets_are_the_same_from_both_ends() {
        let (elements, run) = sample();
        let mut offset = 0;
        for (number, element) in elements.iter().enumerate() {
            assert_eq!(offset_of(&run, elements.len(), number), offset);
            offset += element_bytes(element.len());
        }
        assert_eq!(offset_of(&run, elements.len(), elements.len()), run.len());
    }
}

//! Memory for entries: size-classed cells in pages, named by 32-bit handles.
//!
//! General-purpose allocators have four size classes per doubling, so a 134-byte entry takes 160
//! bytes. Here classes are 8 bytes apart up to 1 KiB, and a name is four bytes, not eight. Larger
//! entries are one allocation each. Everything is an index, so this is safe code.
//!
//! Pages that become empty serve any class again; extents whose pages are all empty go back to the
//! allocator.

/// Cells are multiples of this, and handles count in it.
const GRANULE_BYTES: usize = 8;
/// One page holds cells of one class.
const PAGE_BYTES: usize = 8 * 1024;
/// Pages are taken from the allocator in extents of this size.
const EXTENT_BYTES: usize = 64 * 1024;
const PAGES_PER_EXTENT: usize = EXTENT_BYTES / PAGE_BYTES;
const GRANULES_PER_PAGE: usize = PAGE_BYTES / GRANULE_BYTES;
/// Largest cell; above it an entry is an allocation of its own.
pub(crate) const CELL_BYTES_MAX: usize = 1024;
const CLASSES: usize = CELL_BYTES_MAX / GRANULE_BYTES + 1;
/// Marks the handle of an entry that is an allocation of its own.
const LARGE: u32 = 1 << 31;
const PAGES_MAX: usize = (LARGE as usize - 1) / GRANULES_PER_PAGE;
const NONE: u32 = u32::MAX;

const _: () = assert!(EXTENT_BYTES.is_multiple_of(PAGE_BYTES), "extents are whole pages");
const _: () =
    assert!(PAGE_BYTES.is_multiple_of(CELL_BYTES_MAX), "the largest class wastes nothing");
const _: () = assert!(GRANULES_PER_PAGE <= u16::MAX as usize, "cells are linked by 16-bit offsets");

/// Name of an entry's memory; never zero, so that zero can mean "empty" in the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Handle(pub(crate) u32);

#[derive(Clone, Copy, Debug)]
struct Page {
    /// Class of its cells; 0 while it is free.
    class: u8,
    used: u16,
    /// First free cell as granule + 1; 0 when none was given back.
    free: u16,
    /// Granule from which on no cell was ever handed out.
    fresh: u16,
    /// Neighbours in the list of pages of this class with room.
    next: u32,
    previous: u32,
}

const FREE_PAGE: Page = Page { class: 0, used: 0, free: 0, fresh: 0, next: NONE, previous: NONE };

/// The memory of one shard's entries.
#[derive(Debug)]
pub(crate) struct Slab {
    extents: Vec<Box<[u8]>>,
    pages: Vec<Page>,
    free_pages: Vec<u32>,
    free_extents: Vec<u32>,
    /// First page with room, by class.
    room: Box<[u32; CLASSES]>,
    large: Vec<Vec<u8>>,
    free_large: Vec<u32>,
    live_bytes: usize,
    large_bytes: usize,
}

impl Slab {
    pub(crate) fn new() -> Self {
        Self {
            extents: Vec::new(),
            pages: Vec::new(),
            free_pages: Vec::new(),
            free_extents: Vec::new(),
            room: Box::new([NONE; CLASSES]),
            large: Vec::new(),
            free_large: Vec::new(),
            live_bytes: 0,
            large_bytes: 0,
        }
    }

    /// Bytes that live entries take, rounded up to their cells.
    #[inline]
    pub(crate) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Bytes taken from the allocator.
    pub(crate) fn held_bytes(&self) -> usize {
        let extents = (self.extents.len() - self.free_extents.len()) * EXTENT_BYTES;
        let books = self.pages.capacity() * size_of::<Page>()
            + self.large.capacity() * size_of::<Vec<u8>>()
            + self.extents.capacity() * size_of::<Box<[u8]>>();
        extents + books + self.large_bytes
    }

    /// Bytes of the cell or allocation that `handle` names.
    #[inline]
    pub(crate) fn cell_bytes(&self, handle: Handle) -> usize {
        if handle.0 & LARGE == 0 {
            let (page, _) = place(handle);
            usize::from(self.pages[page].class) * GRANULE_BYTES
        } else {
            self.large[(handle.0 & !LARGE) as usize].capacity()
        }
    }

    /// Whether an entry of `bytes` bytes may take the cell that `handle` names, where one of
    /// `old_bytes` bytes stands. It asks no page for its class, which is a cache miss of its own:
    /// the size of what stands in a cell says the same.
    #[inline]
    pub(crate) fn fits(&self, handle: Handle, old_bytes: usize, bytes: usize) -> bool {
        if handle.0 & LARGE != 0 || bytes > CELL_BYTES_MAX {
            return false;
        }
        debug_assert_eq!(class_of(old_bytes) * GRANULE_BYTES, self.cell_bytes(handle));
        class_of(old_bytes) == class_of(bytes)
    }

    /// Memory for `bytes` bytes, content unspecified for cells and zero-length for large ones.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Handle {
        if bytes > CELL_BYTES_MAX {
            return self.allocate_large(bytes);
        }
        let class = class_of(bytes);
        let page = self.page_with_room(class);
        let granules = class as u16;
        let meta = &mut self.pages[page];
        meta.used += 1;
        let granule = if meta.free == 0 {
            let granule = meta.fresh;
            meta.fresh += granules;
            granule
        } else {
            let granule = meta.free - 1;
            let at = usize::from(granule) * GRANULE_BYTES;
            let cell = &page_bytes(&self.extents, page)[at..at + 2];
            self.pages[page].free = u16::from_le_bytes([cell[0], cell[1]]);
            granule
        };
        if is_full(&self.pages[page]) {
            self.unlink(page);
        }
        self.live_bytes += class * GRANULE_BYTES;
        Handle((page * GRANULES_PER_PAGE + usize::from(granule)) as u32 + 1)
    }

    fn allocate_large(&mut self, bytes: usize) -> Handle {
        let memory = Vec::with_capacity(bytes);
        self.live_bytes += memory.capacity();
        self.large_bytes += memory.capacity();
        let index = match self.free_large.pop() {
            Some(index) => {
                self.large[index as usize] = memory;
                index
            }
            None => {
                self.large.push(memory);
                self.large.len() as u32 - 1
            }
        };
        assert!(index < LARGE - 1, "a shard holds fewer than 2^31 large entries");
        Handle(index | LARGE)
    }

    /// Gives memory back.
    pub(crate) fn release(&mut self, handle: Handle) {
        let bytes = self.cell_bytes(handle);
        self.live_bytes -= bytes;
        if handle.0 & LARGE != 0 {
            let index = handle.0 & !LARGE;
            self.large_bytes -= bytes;
            self.large[index as usize] = Vec::new();
            self.free_large.push(index);
            return;
        }
        let (page, granule) = place(handle);
        let was_full = is_full(&self.pages[page]);
        let at = granule * GRANULE_BYTES;
        let next = self.pages[page].free.to_le_bytes();
        page_bytes_mut(&mut self.extents, page)[at..at + 2].copy_from_slice(&next);
        let meta = &mut self.pages[page];
        meta.free = granule as u16 + 1;
        meta.used -= 1;
        let empty = meta.used == 0;
        match (was_full, empty) {
            (true, true) => self.retire(page),
            (true, false) => self.link(page),
            (false, true) => {
                self.unlink(page);
                self.retire(page);
            }
            (false, false) => {}
        }
    }

    /// The memory of `handle`: from its first byte on, at least its cell.
    #[inline]
    pub(crate) fn bytes(&self, handle: Handle) -> &[u8] {
        if handle.0 & LARGE == 0 {
            let index = (handle.0 - 1) as usize;
            let extent = index / (GRANULES_PER_PAGE * PAGES_PER_EXTENT);
            let at = index % (GRANULES_PER_PAGE * PAGES_PER_EXTENT) * GRANULE_BYTES;
            &self.extents[extent][at..]
        } else {
            &self.large[(handle.0 & !LARGE) as usize]
        }
    }

    /// The same for writing; of cells only.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, handle: Handle) -> &mut [u8] {
        if handle.0 & LARGE == 0 {
            let index = (handle.0 - 1) as usize;
            let extent = index / (GRANULES_PER_PAGE * PAGES_PER_EXTENT);
            let at = index % (GRANULES_PER_PAGE * PAGES_PER_EXTENT) * GRANULE_BYTES;
            &mut self.extents[extent][at..]
        } else {
            &mut self.large[(handle.0 & !LARGE) as usize]
        }
    }

    /// Changes a large entry in place and keeps the books when it grows; nothing for cells.
    pub(crate) fn edit_large(&mut self, handle: Handle, edit: impl FnOnce(&mut Vec<u8>)) -> bool {
        if handle.0 & LARGE == 0 {
            return false;
        }
        let memory = &mut self.large[(handle.0 & !LARGE) as usize];
        let before = memory.capacity();
        edit(memory);
        let after = memory.capacity();
        self.large_bytes = self.large_bytes - before + after;
        self.live_bytes = self.live_bytes - before + after;
        true
    }

    fn page_with_room(&mut self, class: usize) -> usize {
        let head = self.room[class];
        if head != NONE {
            return head as usize;
        }
        let page = self.free_pages.pop().unwrap_or_else(|| self.add_extent()) as usize;
        self.pages[page] = Page { class: class as u8, ..FREE_PAGE };
        self.link(page);
        page
    }

    /// Takes an extent from the allocator and returns its first page; the others are free.
    fn add_extent(&mut self) -> u32 {
        let memory = vec![0; EXTENT_BYTES].into_boxed_slice();
        let extent = match self.free_extents.pop() {
            Some(extent) => {
                self.extents[extent as usize] = memory;
                extent as usize
            }
            None => {
                self.extents.push(memory);
                self.pages.resize(self.pages.len() + PAGES_PER_EXTENT, FREE_PAGE);
                self.extents.len() - 1
            }
        };
        let first = extent * PAGES_PER_EXTENT;
        assert!(first + PAGES_PER_EXTENT <= PAGES_MAX, "a shard is full: 16 GiB of small entries");
        self.free_pages.extend((first + 1..first + PAGES_PER_EXTENT).rev().map(|p| p as u32));
        first as u32
    }

    /// Makes an empty page free, and its extent when every page of it is.
    fn retire(&mut self, page: usize) {
        self.pages[page] = FREE_PAGE;
        self.free_pages.push(page as u32);
        let extent = page / PAGES_PER_EXTENT;
        let first = extent * PAGES_PER_EXTENT;
        let siblings = first..first + PAGES_PER_EXTENT;
        // One free extent per shard is kept, so that a key that comes and goes costs no allocation.
        let spare = self.free_pages.len() >= 2 * PAGES_PER_EXTENT;
        if spare && self.pages[siblings.clone()].iter().all(|page| page.class == 0) {
            self.free_pages.retain(|free| !siblings.contains(&(*free as usize)));
            self.extents[extent] = Box::default();
            self.free_extents.push(extent as u32);
        }
    }

    fn link(&mut self, page: usize) {
        let class = usize::from(self.pages[page].class);
        let head = self.room[class];
        self.pages[page].next = head;
        self.pages[page].previous = NONE;
        if head != NONE {
            self.pages[head as usize].previous = page as u32;
        }
        self.room[class] = page as u32;
    }

    fn unlink(&mut self, page: usize) {
        let Page { class, next, previous, .. } = self.pages[page];
        if previous == NONE {
            self.room[usize::from(class)] = next;
        } else {
            self.pages[previous as usize].next = next;
        }
        if next != NONE {
            self.pages[next as usize].previous = previous;
        }
    }
}

fn class_of(bytes: usize) -> usize {
    bytes.div_ceil(GRANULE_BYTES).max(1)
}

fn is_full(page: &Page) -> bool {
    page.free == 0 && usize::from(page.fresh) + usize::from(page.class) > GRANULES_PER_PAGE
}

fn place(handle: Handle) -> (usize, usize) {
    let index = (handle.0 - 1) as usize;
    (index / GRANULES_PER_PAGE, index % GRANULES_PER_PAGE)
}

fn page_bytes(extents: &[Box<[u8]>], page: usize) -> &[u8] {
    let at = page % PAGES_PER_EXTENT * PAGE_BYTES;
    &extents[page / PAGES_PER_EXTENT][at..at + PAGE_BYTES]
}

fn page_bytes_mut(extents: &mut [Box<[u8]>], page: usize) -> &mut [u8] {
    let at = page % PAGES_PER_EXTENT * PAGE_BYTES;
    &mut extents[page / PAGES_PER_EXTENT][at..at + PAGE_BYTES]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn cells_do_not_overlap_and_memory_comes_back() {
        let mut slab = Slab::new();
        let mut rng = Rng::new(7);
        let mut live: Vec<(Handle, u8, usize)> = Vec::new();
        for round in 0..40_000u32 {
            if live.len() < 3000 && rng.below(5) < 3 {
                let bytes = 1 + rng.below(1400);
                let handle = slab.allocate(bytes);
                let mark = round as u8;
                if !slab.edit_large(handle, |memory| memory.resize(bytes, mark)) {
                    slab.bytes_mut(handle)[..bytes].fill(mark);
                }
                live.push((handle, mark, bytes));
            } else if !live.is_empty() {
                let (handle, mark, bytes) = live.swap_remove(rng.below(live.len()));
                assert!(slab.bytes(handle)[..bytes].iter().all(|byte| *byte == mark));
                slab.release(handle);
            }
        }
        for (handle, mark, bytes) in live.drain(..) {
            assert!(slab.bytes(handle)[..bytes].iter().all(|byte| *byte == mark));
            slab.release(handle);
        }
        assert_eq!(slab.live_bytes(), 0);
        assert!(slab.held_bytes() < 4 * EXTENT_BYTES + slab.pages.len() * 64, "extents came back");
    }
}

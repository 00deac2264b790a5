//! Tables against a standard map, and what walks and draws promise.

use super::*;
use crate::shard::slab::Slab;
use ahash::RandomState;
use std::collections::{BTreeMap, BTreeSet};

struct Home {
    slab: Slab,
    hasher: RandomState,
}

impl Home {
    fn new() -> Self {
        Self { slab: Slab::new(), hasher: RandomState::with_seeds(1, 2, 3, 4) }
    }

    fn memory(&self) -> Memory<'_> {
        Memory { slab: &self.slab, hasher: &self.hasher }
    }

    fn memory_mut(&mut self) -> MemoryMut<'_> {
        MemoryMut { slab: &mut self.slab, hasher: &self.hasher }
    }
}

fn name(number: usize) -> Vec<u8> {
    format!("element:{number}").into_bytes()
}

fn contents(table: &Table, memory: Memory<'_>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let pair = |handle| {
        let (name, payload) = Table::parts_of(memory, handle);
        (name.to_vec(), payload.to_vec())
    };
    table.iter().map(pair).collect()
}

#[test]
fn it_holds_what_a_map_holds() {
    let mut home = Home::new();
    let mut table = Table::new();
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut rng = Rng::new(3);
    for round in 0..60_000 {
        // The table swings between empty and a few thousand elements.
        let grows = round / 10_000 % 2 == 0;
        let name = name(rng.below(4000));
        if rng.below(10) < if grows { 8 } else { 1 } {
            let bytes = [0, 8, rng.below(60), rng.below(1500)][rng.below(4)];
            let payload = vec![rng.draw() as u8; bytes];
            let new = table.insert(&mut home.memory_mut(), &name, &payload);
            assert_eq!(new, model.insert(name, payload).is_none());
        } else {
            let was = model.remove(&name).is_some();
            assert_eq!(table.remove(&mut home.memory_mut(), &name), was);
        }
        assert_eq!(table.len(), model.len());
        if round % 5000 == 0 {
            assert_eq!(contents(&table, home.memory()), model);
        }
    }
    for number in 0..4000 {
        let expected = model.get(&name(number)).map(Vec::as_slice);
        assert_eq!(table.get(home.memory(), &name(number)), expected);
    }
    assert_eq!(table.cell_bytes(), home.slab.live_bytes());
}

#[test]
fn payloads_of_one_length_stay_where_they_are() {
    let mut home = Home::new();
    let mut table = Table::new();
    let (handle, new) = table.put(&mut home.memory_mut(), b"a", &1u64.to_le_bytes());
    assert!(new);
    assert_eq!(table.put(&mut home.memory_mut(), b"a", &2u64.to_le_bytes()), (handle, false));
    let mut memory = home.memory_mut();
    Table::payload_mut(&mut memory, handle).copy_from_slice(&3u64.to_le_bytes());
    assert_eq!(table.get(home.memory(), b"a"), Some(&3u64.to_le_bytes()[..]));
    assert_eq!(Table::name_of(home.memory(), handle), b"a");
}

#[test]
fn a_walk_meets_all_that_stays_while_others_come_and_go() {
    for (stay, step) in [(30, 7), (30, 1), (3000, 200), (40, 3)] {
        let mut home = Home::new();
        let mut table = Table::new();
        let mut rng = Rng::new(5);
        for number in 0..stay {
            table.insert(&mut home.memory_mut(), &name(number), b"");
        }
        let (mut seen, mut come, mut gone) = (BTreeSet::new(), stay, stay);
        let mut position = Some(0);
        while let Some(at) = position {
            position = table.walk(home.memory(), at, |handle| {
                seen.insert(Table::name_of(home.memory(), handle).to_vec());
            });
            let cursor = Table::cursor_at(position);
            assert_eq!(cursor == 0, position.is_none());
            assert!(position.is_none_or(|at| Table::position_at(cursor) == at));
            for _ in 0..rng.below(step * 2) {
                table.insert(&mut home.memory_mut(), &name(come), b"x");
                come += 1;
            }
            while gone < come && rng.below(step) > 0 {
                table.remove(&mut home.memory_mut(), &name(gone));
                gone += 1;
            }
        }
        assert!((0..stay).all(|number| seen.contains(&name(number))));
    }
}

#[test]
fn a_walk_survives_the_way_back_to_a_short_list() {
    let mut home = Home::new();
    let mut table = Table::new();
    (0..500).for_each(|number| {
        table.insert(&mut home.memory_mut(), &name(number), b"");
    });
    let mut seen = BTreeSet::new();
    let mut position = Some(0);
    for _ in 0..40 {
        let at = position.expect("two segments have more than forty buckets");
        position = table.walk(home.memory(), at, |handle| {
            seen.insert(Table::name_of(home.memory(), handle).to_vec());
        });
    }
    (10..500).for_each(|number| {
        table.remove(&mut home.memory_mut(), &name(number));
    });
    assert!(matches!(table.finder, Finder::Few(_)));
    while let Some(at) = position {
        position = table.walk(home.memory(), at, |handle| {
            seen.insert(Table::name_of(home.memory(), handle).to_vec());
        });
    }
    assert!((0..10).all(|number| seen.contains(&name(number))));
}

#[test]
fn random_elements_are_spread_evenly() {
    for elements in [1, 50, 1000] {
        let mut home = Home::new();
        let mut table = Table::new();
        let mut rng = Rng::new(17);
        assert_eq!(table.random(&mut rng), None);
        for number in 0..elements {
            table.insert(&mut home.memory_mut(), &name(number), b"");
        }
        let mut times: BTreeMap<u32, usize> = BTreeMap::new();
        for _ in 0..elements * 100 {
            let handle = table.random(&mut rng).expect("it is not empty");
            *times.entry(handle.0).or_default() += 1;
        }
        assert_eq!(times.len(), elements);
        assert!(times.values().all(|times| (40..=180).contains(times)));
    }
}

#[test]
fn a_sparse_table_still_draws() {
    let mut home = Home::new();
    let mut table = Table::new();
    (0..60_000).for_each(|number| {
        table.insert(&mut home.memory_mut(), &name(number), b"");
    });
    (17..60_000).for_each(|number| {
        table.remove(&mut home.memory_mut(), &name(number));
    });
    let mut rng = Rng::new(23);
    let mut drawn = BTreeSet::new();
    for _ in 0..2000 {
        drawn.insert(table.random(&mut rng).expect("17 are left").0);
    }
    assert_eq!(drawn.len(), 17);
}

#[test]
fn memory_comes_back_in_slices() {
    for elements in [0, 10, 5000] {
        let mut home = Home::new();
        let mut table = Table::with_room(elements);
        for number in 0..elements {
            table.insert(&mut home.memory_mut(), &name(number), &vec![1; number % 1300]);
        }
        let mut slices = 1;
        while !table.release_some(&mut home.memory_mut(), 500) {
            slices += 1;
            assert_eq!(table.cell_bytes(), home.slab.live_bytes());
        }
        assert!((elements / 900..=elements / 500 + 1).contains(&slices), "{slices}");
        assert_eq!((table.held_bytes(), home.slab.live_bytes()), (0, 0));
    }
}

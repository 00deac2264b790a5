//! Trees against a plain sorted list.

use super::*;
use crate::rng::Rng;

/// Members of the tests: the handle's number, spelled so that byte order is not number order.
fn name_of(handle: Handle) -> [u8; 4] {
    (handle.0.wrapping_mul(0x9e37_79b1)).to_be_bytes()
}

fn order(a: &(f64, u32), b: &(f64, u32)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then_with(|| name_of(Handle(a.1)).cmp(&name_of(Handle(b.1))))
}

/// What stands before the entry.
fn before(entry: (f64, u32)) -> impl Fn(f64, Handle) -> bool {
    move |score, handle| order(&(score, handle.0), &entry).is_lt()
}

impl Tree {
    /// Counts, names of children, links and fill of every node below `node`.
    fn check(&self, node: u32, level: u32, leaves: &mut Vec<u32>) -> u32 {
        if level == 0 {
            leaves.push(node);
            return self.leaves.get(node).keys.len;
        }
        let branch = self.branches.get(node);
        assert!(branch.keys.len() > 1, "a branch of one child");
        for index in 0..branch.keys.len() {
            let below = branch.children[index];
            assert_eq!(self.check(below, level - 1, leaves), branch.counts[index]);
            assert_eq!(self.first_key(below, level - 1), branch.keys.at(index));
        }
        branch.total()
    }

    fn check_bytes(&self) {
        let leaves = self.leaves.nodes.iter().flatten().count() * size_of::<Leaf>();
        let branches = self.branches.nodes.iter().flatten().count() * size_of::<Branch>();
        assert!(self.held_bytes() >= leaves + branches);
        assert!(self.held_bytes() <= leaves + branches + self.leaves.nodes.capacity() * 32 + 1024);
    }

    fn check_all(&self) {
        let mut leaves = Vec::new();
        assert_eq!(self.check(self.root, self.height, &mut leaves) as usize, self.len);
        let mut at = leaves[0];
        assert_eq!(self.leaves.get(at).previous, NONE);
        for next in &leaves[1..] {
            assert!(self.leaves.get(at).keys.len > 0);
            assert_eq!(self.leaves.get(at).next, *next);
            assert_eq!(self.leaves.get(*next).previous, at);
            at = *next;
        }
        assert_eq!(self.leaves.get(at).next, NONE);
        let live = |nodes: &[Option<Box<Leaf>>]| nodes.iter().flatten().count();
        assert_eq!(live(&self.leaves.nodes), leaves.len());
    }
}

fn compare(tree: &Tree, model: &[(f64, u32)]) {
    tree.check_all();
    let forward: Vec<_> = tree.walk(tree.by_rank(0), usize::MAX).map(|(s, h)| (s, h.0)).collect();
    assert_eq!(forward, model);
    let end = tree.by_rank(usize::MAX);
    let mut backward: Vec<_> = tree.walk_back(end, usize::MAX).map(|(s, h)| (s, h.0)).collect();
    backward.reverse();
    assert_eq!(backward, model);
}

fn add(tree: &mut Tree, model: &mut Vec<(f64, u32)>, entry: (f64, u32)) {
    let at = model.binary_search_by(|probe| order(probe, &entry)).expect_err("it is new");
    model.insert(at, entry);
    tree.insert(entry.0, Handle(entry.1), before(entry));
}

fn take(tree: &mut Tree, model: &mut Vec<(f64, u32)>, at: usize) {
    let entry = model.remove(at);
    assert!(tree.remove(Handle(entry.1), before(entry)));
    assert!(!tree.remove(Handle(entry.1), before(entry)));
}

#[test]
fn it_holds_what_a_sorted_list_holds() {
    let mut rng = Rng::new(5);
    let (mut tree, mut model, mut fresh) = (Tree::new(), Vec::new(), 0u32);
    for round in 0..100_000usize {
        // Phases of growth and of decline; few scores, so that members decide often.
        let growing = round / 12_500 % 2 == 0;
        if model.is_empty() || rng.below(10) < if growing { 7 } else { 3 } {
            fresh += 1;
            let score = if rng.below(2) == 0 { rng.below(40) as f64 } else { rng.draw() as f64 };
            add(&mut tree, &mut model, (score, fresh));
        } else {
            let at = rng.below(model.len());
            take(&mut tree, &mut model, at);
        }
        let probe = (rng.below(40) as f64, rng.below(fresh as usize + 1) as u32);
        let place = tree.partition(before(probe));
        assert_eq!(place.rank, model.partition_point(|entry| order(entry, &probe).is_lt()));
        let nth = rng.below(model.len() + 1);
        let from = tree.by_rank(nth);
        assert_eq!(from.rank, nth);
        let run: Vec<_> = tree.walk(from, 3).map(|(s, h)| (s, h.0)).collect();
        assert_eq!(run, model[nth..(nth + 3).min(model.len())]);
        let run: Vec<_> = tree.walk_back(place, 2).map(|(s, h)| (s, h.0)).collect();
        let expected: Vec<_> = model[..place.rank].iter().rev().take(2).copied().collect();
        assert_eq!(run, expected);
        if round % 5_000 == 0 {
            compare(&tree, &model);
        }
    }
    while !model.is_empty() {
        let at = rng.below(model.len());
        take(&mut tree, &mut model, at);
    }
    compare(&tree, &model);
    assert_eq!(tree.height, 0);
}

#[test]
fn ends_are_taken_in_either_order() {
    for front in [true, false] {
        let (mut tree, mut model) = (Tree::new(), Vec::new());
        for number in 1..=20_000u32 {
            add(&mut tree, &mut model, (f64::from(number), number));
        }
        compare(&tree, &model);
        while model.len() > 1 {
            let at = if front { 0 } else { model.len() - 1 };
            take(&mut tree, &mut model, at);
            if model.len() % 997 == 0 {
                compare(&tree, &model);
            }
        }
    }
}

#[test]
fn memory_per_entry_is_small_and_comes_back() {
    let mut sorted = Tree::new();
    let mut mixed = Tree::new();
    for number in 1..=100_000u32 {
        sorted.insert(f64::from(number), Handle(number), before((f64::from(number), number)));
        let score = Rng::new(u64::from(number)).draw() as f64;
        mixed.insert(score, Handle(number), before((score, number)));
    }
    assert!(sorted.held_bytes() < 100_000 * 14, "{}", sorted.held_bytes());
    assert!(mixed.held_bytes() < 100_000 * 20, "{}", mixed.held_bytes());
    for number in (1..=100_000u32).filter(|number| number % 3 > 0) {
        let score = Rng::new(u64::from(number)).draw() as f64;
        assert!(mixed.remove(Handle(number), before((score, number))));
    }
    let mut calls = 1;
    while !mixed.release_some(50) {
        mixed.check_bytes();
        calls += 1;
    }
    assert!(calls > 10, "{calls} slices");
}

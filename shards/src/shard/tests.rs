//! A shard against a plain map, live and replayed.

use super::evict::AccessMode;
use super::*;
use crate::batch::{Batch, PartSpec, Record, push_record, seal};
use crate::id::Epoch;
use crate::rng::Rng;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn shard() -> Shard {
    Shard::new(ShardId::new(5), 99, AccessMode::Recency)
}

fn random_key(rng: &mut Rng) -> Vec<u8> {
    format!("key:{}", rng.below(2_000)).into_bytes()
}

/// One random record that is right for the state of `model`, which it also changes.
fn random_record(rng: &mut Rng, model: &mut Model, out: &mut Vec<u8>) {
    let id = ShardId::new(5);
    let key = random_key(rng);
    let creates = !model.contains_key(&key);
    let deadline_ms = (rng.below(3) == 0).then(|| 1_000_000 + rng.below(1000) as u64);
    match rng.below(8) {
        0..4 => {
            let bound = 1 << rng.below(12);
            let value = vec![rng.draw() as u8; rng.below(bound)];
            let put = Record::Put { key: &key, value: &value, deadline_ms, creates };
            push_record(out, id, &put);
            model.insert(key, (value, deadline_ms));
        }
        4 => {
            let (offset, bytes) = (rng.below(1500), vec![7; rng.below(300)]);
            push_record(out, id, &Record::Patch { key: &key, offset, bytes: &bytes, creates });
            let (value, _) = model.entry(key).or_default();
            if value.len() < offset + bytes.len() {
                value.resize(offset + bytes.len(), 0);
            }
            value[offset..offset + bytes.len()].copy_from_slice(&bytes);
        }
        5 if !creates => {
            push_record(out, id, &Record::Expire { key: &key, deadline_ms });
            model.get_mut(&key).expect("it is there").1 = deadline_ms;
        }
        6 | 7 if !creates => {
            push_record(out, id, &Record::Delete { key: &key });
            model.remove(&key);
        }
        _ => {}
    }
}

fn same(shard: &Shard, model: &Model) {
    assert_eq!(shard.key_count(), model.len());
    assert_eq!(shard.volatile_count(), model.values().filter(|(_, d)| d.is_some()).count());
    for (key, (value, deadline_ms)) in model {
        let entry = shard.get(key).expect("the model has it");
        assert_eq!(entry.value(), value);
        assert_eq!(entry.deadline_ms(), *deadline_ms);
    }
}

#[test]
fn live_and_replayed_equal_the_model() {
    let mut rng = Rng::new(42);
    let (mut live, mut model) = (shard(), Model::new());
    let mut log = Vec::new();
    for _ in 0..8_000 {
        let mut records = Vec::new();
        for _ in 0..1 + rng.below(3) {
            random_record(&mut rng, &mut model, &mut records);
        }
        if records.is_empty() {
            continue;
        }
        let start = log.len();
        let parts = [PartSpec { shard: live.id(), seq: live.seq().next() }];
        seal(&mut log, &parts, &records, Epoch(1), 1_000);
        let (batch, _) = Batch::decode(&log[start..]).expect("it was just sealed");
        live.apply(&batch);
    }
    same(&live, &model);

    let mut replayed = shard();
    let mut rest = &log[..];
    while !rest.is_empty() {
        let (batch, after) = Batch::decode(rest).expect("the log is whole");
        replayed.replay(&batch);
        rest = after;
    }
    same(&replayed, &model);
    assert_eq!(replayed.seq(), live.seq());
}

#[test]
fn a_walk_visits_every_key() {
    let mut rng = Rng::new(3);
    let (mut shard, mut model) = (shard(), Model::new());
    for _ in 0..3_000 {
        let mut records = Vec::new();
        random_record(&mut rng, &mut model, &mut records);
        if records.is_empty() {
            continue;
        }
        let mut bytes = Vec::new();
        let parts = [PartSpec { shard: shard.id(), seq: shard.seq().next() }];
        seal(&mut bytes, &parts, &records, Epoch(1), 0);
        shard.apply(&Batch::decode(&bytes).expect("sealed").0);
    }
    let mut seen = Model::new();
    let mut position = Some(0);
    while let Some(at) = position {
        position = shard.walk(at, |entry| {
            seen.insert(entry.key().to_vec(), (entry.value().to_vec(), entry.deadline_ms()));
        });
    }
    assert_eq!(seen, model);
    let mut swept = 0;
    let volatile = shard.volatile_count();
    for _ in 0..shard.index.bucket_count() {
        shard.sweep(1, u64::MAX, |_| swept += 1);
    }
    assert_eq!(swept, volatile);
}

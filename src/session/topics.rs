//! Topics: `SYNAP.SUBSCRIBE` and its kin, `SYNAP.PUBLISH`, `SYNAP.POLL`, and what is told of them.

use synap_shards::command::args::{Arg, Args};
use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::pubsub::{Kind, topic};

use super::pubsub::{subscribe, unsubscribe};
use super::{CoreContext, CoreHandler, Handler, SessionContext, Then};
use crate::metrics::CoreMetrics;
use crate::protocol::push;
use crate::shared::Shared;

/// Nobody subscribes to the topic by its name.
pub const NO_TOPIC: &str = "no subscriber of this topic";
/// Nobody of this name subscribed, or too long ago.
pub const NO_SUBSCRIBER: &str = "no such subscriber";

/// Topics of one subscriber. Every core counts the same, so all of them refuse or none.
const TOPICS_MAX: usize = 10_000;

const ARG_JSON: Arg = Arg(2);
const ARG_METADATA: Arg = Arg(3);

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("pubsub.topic_publish", publish),
    ("pubsub.poll", |cx, _| {
        cx.then = Then::Poll;
        Ok(Reply::Nil)
    }),
    ("pubsub.topics", |cx, _| Ok(topics(cx))),
    ("pubsub.stats", |cx, _| Ok(stats(cx))),
];

pub(super) const CORE_HANDLERS: &[(&str, CoreHandler)] = &[
    ("pubsub.topic_subscribe", |cx, args| {
        let names = args.rest(Arg(0));
        names.iter().try_for_each(|name| topic::check_pattern(name)).map_err(refusal)?;
        if cx.pubsub.index.count(Kind::Topic, cx.caller) + names.len() > TOPICS_MAX {
            return Err(CommandError::Invalid("a subscriber has at most 10000 topics"));
        }
        Ok(subscribe(cx, args, Kind::Topic))
    }),
    ("pubsub.topic_unsubscribe", |cx, args| Ok(unsubscribe(cx, args, Kind::Topic))),
    ("pubsub.info", |cx, args| Ok(info(cx, args))),
];

fn refusal(error: topic::TopicError) -> CommandError {
    CommandError::Invalid(error.text())
}

fn publish(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Result<Reply<'static>, CommandError> {
    let (name, payload) = (args.bytes(Arg(0)), args.bytes(Arg(1)));
    topic::check_topic(name).map_err(refusal)?;
    let metadata = args.opt_bytes(ARG_METADATA).map(|text| {
        push::metadata(text).ok_or(CommandError::Invalid("metadata is a JSON object of strings"))
    });
    let metadata = metadata.transpose()?.unwrap_or_default();
    let json = args.flag(ARG_JSON).then(|| {
        push::json_payload(payload).ok_or(CommandError::Invalid("the payload is not JSON"))
    });
    let json = json.transpose()?;
    let (is_json, payload) = (json.is_some(), json.as_deref().unwrap_or(payload));
    let mut extra = cx.pubsub.extra(cx.now.unix_ms);
    (extra.is_json, extra.metadata) = (is_json, metadata);
    let id = extra.id_text();
    let matched = cx.pubsub.publish_with(name, payload, extra);
    metrics(cx).pubsub_published.add(1);
    Ok(Reply::Named(vec![
        (Reply::string("message_id"), Reply::owned(id.into_bytes())),
        (Reply::string("topic"), Reply::owned(name.to_vec())),
        (Reply::string("subscribers_matched"), Reply::count(matched)),
    ]))
}

fn metrics<'a>(cx: &'a SessionContext<'_>) -> &'a CoreMetrics {
    &cx.shared.metrics[cx.core.index()]
}

fn topics(cx: &SessionContext<'_>) -> Reply<'static> {
    let names = cx.pubsub.index.topics();
    Reply::Array(names.into_iter().map(|name| Reply::owned(name.to_vec())).collect())
}

/// What this core knows: subscribers, messages it published, since when. All of them are folded by
/// [`super::finish`].
fn info(cx: &CoreContext<'_>, args: &Args<'_>) -> Reply<'static> {
    let Some(facts) = cx.pubsub.index.facts(args.bytes(Arg(0))) else {
        return Reply::Array(Vec::new());
    };
    let numbers = [facts.subscribers as u64, facts.messages, facts.since_ms];
    Reply::Array(vec![Reply::Array(numbers.map(|number| Reply::count(number as usize)).into())])
}

fn sum(shared: &Shared, of: impl Fn(&CoreMetrics) -> u64) -> Reply<'static> {
    Reply::count(shared.metrics.iter().map(of).sum::<u64>() as usize)
}

fn stats(cx: &SessionContext<'_>) -> Reply<'static> {
    let index = &cx.pubsub.index;
    let wildcards = index.names(Kind::Topic).filter(|name| topic::is_wildcard(name)).count()
        + index.name_count(Kind::Pattern);
    Reply::Named(vec![
        (Reply::string("total_topics"), Reply::count(index.topics().len())),
        (Reply::string("total_subscribers"), Reply::count(index.client_count())),
        (Reply::string("total_wildcard_subscriptions"), Reply::count(wildcards)),
        (Reply::string("messages_published"), sum(cx.shared, |core| core.pubsub_published.get())),
        (Reply::string("messages_delivered"), sum(cx.shared, |core| core.pubsub_delivered.get())),
        (
            Reply::string("slow_consumers_dropped"),
            sum(cx.shared, |core| core.slow_consumers_dropped.get()),
        ),
    ])
}

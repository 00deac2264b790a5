//! From bodies and paths to the words of commands. What cannot be read is told member by member,
//! in the form that clients of the service know.

use synap_shards::command::names;
use synap_shards::types::queue::QueueNumber;

use super::Owner;
use crate::protocol::http::words::OwnedWords;
use crate::protocol::json::{self, Kind, Members};

/// Longest span of time of a setting, in seconds: ten years.
const SECS_MAX: u64 = 315_360_000;
/// Most messages that may wait, as a setting.
const SIZE_MAX: u64 = 10_000_000_000;

/// Something that is wrong with a request.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Problem {
    /// Where: `body` or `path`, and which member of it.
    pub(super) place: (&'static str, Option<&'static str>),
    /// What, for people.
    pub(super) message: String,
    /// What, for programs.
    pub(super) kind: &'static str,
}

/// Words of a command, and the queue that the answer names.
pub(super) type Asked = (OwnedWords, Option<String>);

type Read<T> = Result<T, Problem>;

fn problem(name: &'static str, kind: &'static str, message: impl Into<String>) -> Problem {
    Problem { place: ("body", Some(name)), message: message.into(), kind }
}

fn missing(name: &'static str) -> Problem {
    problem(name, "missing", "Field required")
}

fn members(body: &[u8]) -> Result<Members<'_>, Vec<Problem>> {
    let whole = |kind, message: &str| {
        vec![Problem { place: ("body", None), message: message.to_owned(), kind }]
    };
    if body.trim_ascii().is_empty() {
        return Err(whole("missing", "Field required"));
    }
    json::object(body).map_err(|error| match error.is_data() {
        true => whole("model_attributes_type", "Input should be a valid dictionary"),
        false => whole("json_invalid", "JSON decode error"),
    })
}

/// The text of a member, of which the last counts where there are several.
fn raw<'m>(members: &'m Members<'_>, name: &str) -> Option<&'m str> {
    let found = members.iter().rev().find(|(known, _)| known == name);
    found.map(|(_, text)| *text)
}

fn string(members: &Members<'_>, name: &'static str) -> Read<String> {
    let text = raw(members, name).ok_or_else(|| missing(name))?;
    let wrong = || problem(name, "string_type", "Input should be a valid string");
    json::string(text).map(String::from).map_err(|_| wrong())
}

fn named(place: &'static str, name: String) -> Read<String> {
    match names::check(name.as_bytes()) {
        Ok(()) => Ok(name),
        Err(error) => Err(Problem {
            place: (place, Some("queue_name")),
            message: error.to_string(),
            kind: "value_error",
        }),
    }
}

fn queue(members: &Members<'_>) -> Read<String> {
    named("body", string(members, "queue_name")?)
}

/// The members that could be read, or what is wrong with the others.
fn both<A, B>(first: Read<A>, second: Read<B>) -> Result<(A, B), Vec<Problem>> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (first, second) => Err(first.err().into_iter().chain(second.err()).collect()),
    }
}

fn words(given: &[&[u8]]) -> OwnedWords {
    let mut words = OwnedWords::with_capacity(given.iter().map(|word| word.len()).sum());
    given.iter().for_each(|word| words.push(word));
    words
}

fn message<'m>(members: &'m Members<'_>) -> Read<&'m str> {
    let text = raw(members, "message").ok_or_else(|| missing("message"))?;
    match Kind::of(text) {
        Kind::Object => Ok(text),
        _ => Err(problem("message", "dict_type", "Input should be a valid dictionary")),
    }
}

/// `queue_name`, `message`.
pub(super) fn enqueue(body: &[u8]) -> Result<Asked, Vec<Problem>> {
    let members = members(body)?;
    let (queue, message) = both(queue(&members), message(&members))?;
    let words = words(&[b"DSS.ENQUEUE", queue.as_bytes(), message.as_bytes()]);
    Ok((words, Some(queue)))
}

/// `queue_name`.
pub(super) fn dequeue(body: &[u8]) -> Result<Asked, Vec<Problem>> {
    let queue = queue(&members(body)?).map_err(|problem| vec![problem])?;
    Ok((words(&[b"DSS.DEQUEUE", queue.as_bytes()]), Some(queue)))
}

/// `message_id`; nothing for one that no queue of this node has.
pub(super) fn ack(
    body: &[u8],
    node_id: &str,
    owner: Owner<'_>,
) -> Result<Option<Asked>, Vec<Problem>> {
    let id = string(&members(body)?, "message_id").map_err(|problem| vec![problem])?;
    let number = id.strip_prefix(node_id).and_then(|rest| rest.strip_prefix('-'));
    let of_queue = number.and_then(|number| QueueNumber::of_message(number.as_bytes()));
    let (Some(number), Some(queue)) = (number, of_queue.and_then(owner)) else { return Ok(None) };
    Ok(Some((words(&[b"DSS.ACK", &queue, number.as_bytes()]), None)))
}

/// The name in the path.
pub(super) fn status(name: &str) -> Result<Asked, Vec<Problem>> {
    let queue = named("path", name.to_owned()).map_err(|problem| vec![problem])?;
    Ok((words(&[b"DSS.STATUS", queue.as_bytes()]), Some(queue)))
}

/// `verbose` in the query.
pub(super) fn all(query: &str) -> Asked {
    let is_verbose = query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "1"));
        name == "verbose" && matches!(value, "1" | "true" | "True" | "yes" | "on")
    });
    let given: &[&[u8]] = if is_verbose { &[b"DSS.QUEUES", b"VERBOSE"] } else { &[b"DSS.QUEUES"] };
    // Its answer names the node only.
    (words(given), Some(String::from("*")))
}

/// A setting that is a whole number in a range.
fn number(
    members: &Members<'_>,
    name: &'static str,
    (least, most): (u64, u64),
) -> Read<Option<String>> {
    let Some(text) = raw(members, name).filter(|text| Kind::of(text) != Kind::Null) else {
        return Ok(None);
    };
    match text.parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number.to_string())),
        _ => {
            let message = format!("Input should be a whole number from {least} to {most}");
            Err(problem(name, "int_type", message))
        }
    }
}

/// The name in the path; `visibility_timeout_seconds`, `max_retries`, `max_size`.
pub(super) fn settings(name: &str, body: &[u8]) -> Result<Asked, Vec<Problem>> {
    const KNOWN: [(&str, &[u8], (u64, u64)); 3] = [
        ("visibility_timeout_seconds", b"DEADLINE", (1, SECS_MAX)),
        ("max_retries", b"RETRIES", (0, u32::MAX as u64)),
        ("max_size", b"MAXDEPTH", (1, SIZE_MAX)),
    ];
    let members = members(body)?;
    let mut problems: Vec<Problem> = Vec::new();
    let queue = named("path", name.to_owned()).unwrap_or_else(|problem| {
        problems.push(problem);
        String::new()
    });
    let mut words = words(&[b"DSS.CREATE", queue.as_bytes()]);
    for (name, token, range) in KNOWN {
        match number(&members, name, range) {
            Ok(Some(number)) => {
                words.push(token);
                words.push(number.as_bytes());
            }
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    // What is not known here would be taken for set.
    let is_known = |given: &str| KNOWN.iter().any(|(name, ..)| *name == given);
    if members.iter().any(|(given, _)| !is_known(given)) {
        let message = "Only visibility_timeout_seconds, max_retries and max_size can be set";
        problems.push(Problem {
            place: ("body", None),
            message: message.to_owned(),
            kind: "extra_forbidden",
        });
    }
    if problems.is_empty() { Ok((words, Some(queue))) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(read: Result<Asked, Vec<Problem>>) -> Vec<(Option<&'static str>, &'static str)> {
        let problems = read.expect_err("it is refused");
        problems.iter().map(|problem| (problem.place.1, problem.kind)).collect()
    }

    #[test]
    fn every_wrong_member_is_told() {
        let (queue, message) = (Some("queue_name"), Some("message"));
        for (body, expected) in [
            ("", vec![(None, "missing")]),
            ("{", vec![(None, "json_invalid")]),
            ("[]", vec![(None, "model_attributes_type")]),
            ("{}", vec![(queue, "missing"), (message, "missing")]),
            (
                r#"{"queue_name":1,"message":"text"}"#,
                vec![(queue, "string_type"), (message, "dict_type")],
            ),
            (r#"{"queue_name":"","message":{}}"#, vec![(queue, "value_error")]),
            (r#"{"queue_name":"q","message":[1]}"#, vec![(message, "dict_type")]),
            (r#"{"queue_name":"q","message":null}"#, vec![(message, "dict_type")]),
        ] {
            assert_eq!(kinds(enqueue(body.as_bytes())), expected, "{body}");
        }
        assert_eq!(kinds(settings("q", br#"{"max_retries":-1}"#))[0].1, "int_type");
        assert_eq!(kinds(settings("q", br#"{"timeout":1}"#))[0].1, "extra_forbidden");
        assert_eq!(kinds(status("a\tb"))[0].1, "value_error");
    }

    #[test]
    fn only_messages_of_this_node_are_known() {
        let owner: Owner<'_> = &|_| Some(b"jobs"[..].into());
        let read = |id: &str| {
            let body = format!(r#"{{"message_id":"{id}"}}"#);
            let asked = ack(body.as_bytes(), "node_0", owner).expect("it can be read");
            asked.map(|(words, _)| String::from_utf8_lossy(words.word(2)).into_owned())
        };
        assert_eq!(read("node_0-17").as_deref(), Some("17"));
        for other in ["17", "node_1-17", "node_0-", "node_0--17", "node_0-x", "node_017", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}

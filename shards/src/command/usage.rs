//! Usage lines, derived from the declarations: for the reference, `COMMAND DOCS` and the help of
//! command lines. Square brackets mean optional, angle brackets a choice that has to be made.

use super::spec::{ArgKind, ArgSpec, CommandSpec};

/// How a command is written: `GETEX key [EX ex | PX px | EXAT exat | PXAT pxat | PERSIST]`.
pub fn usage(spec: &CommandSpec) -> String {
    let words = std::iter::once(spec.resp.to_owned()).chain(spec.args.iter().map(argument));
    words.collect::<Vec<_>>().join(" ")
}

fn argument(spec: &ArgSpec) -> String {
    let single = if spec.optional { bare(spec) } else { required(spec) };
    let text = match (spec.repeated, spec.optional) {
        (false, _) => single,
        (true, false) => format!("{single} [{single} ...]"),
        (true, true) => format!("{} ...", required(spec)),
    };
    if spec.optional { format!("[{text}]") } else { text }
}

fn required(spec: &ArgSpec) -> String {
    match spec.kind {
        ArgKind::OneOf(choices) if choices.len() > 1 => format!("<{}>", bare(spec)),
        ArgKind::OneOf(_)
        | ArgKind::Key
        | ArgKind::Name(_)
        | ArgKind::Bytes
        | ArgKind::Integer
        | ArgKind::Float
        | ArgKind::Pattern
        | ArgKind::Flag
        | ArgKind::Block(_) => bare(spec),
    }
}

fn bare(spec: &ArgSpec) -> String {
    let value = match spec.kind {
        ArgKind::Flag => return spec.token.to_owned(),
        ArgKind::OneOf(choices) => choices.iter().map(bare).collect::<Vec<_>>().join(" | "),
        ArgKind::Block(parts) => parts.iter().map(argument).collect::<Vec<_>>().join(" "),
        ArgKind::Key
        | ArgKind::Name(_)
        | ArgKind::Bytes
        | ArgKind::Integer
        | ArgKind::Float
        | ArgKind::Pattern => spec.name.to_owned(),
    };
    if spec.token.is_empty() { value } else { format!("{} {value}", spec.token) }
}

#[cfg(test)]
mod tests {
    use super::super::table::by_name;
    use super::usage;

    #[test]
    fn usage_lines_are_derived() {
        for (name, expected) in [
            ("GET", "GET key"),
            ("MGET", "MGET keys [keys ...]"),
            ("MSET", "MSET key value [key value ...]"),
            ("GETEX", "GETEX key [EX ex | PX px | EXAT exat | PXAT pxat | PERSIST]"),
            ("COPY", "COPY key destination [DB db] [REPLACE]"),
            ("BITOP", "BITOP <AND | OR | XOR | NOT> destination source_keys [source_keys ...]"),
            ("BITFIELD_RO", "BITFIELD_RO key [GET encoding offset ...]"),
            ("OBJECT|FREQ", "OBJECT FREQ key"),
        ] {
            let id = by_name(name.as_bytes()).expect("it exists");
            assert_eq!(usage(id.spec()), expected);
        }
    }
}

//! YAML text to a tree with line numbers, inside fixed bounds.
//!
//! Supported: one document of mappings, sequences and scalars, with anchors and aliases. Refused:
//! further documents, keys that are not scalars, the same key twice, nesting or size beyond the
//! bounds. An alias is charged for everything it repeats, so a small file cannot grow into a large
//! tree. Scalars stay text: what they mean is decided by the key they belong to.

use super::error::ConfigError;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Nesting of mappings and sequences.
const DEPTH_MAX: usize = 16;
/// Bytes of tree, counting [`NODE_COST`] for every node besides its text.
const TREE_BYTES_MAX: usize = 4 << 20;
/// What a node is charged besides its text.
const NODE_COST: usize = 64;

/// One value of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Line where it starts, from 1.
    pub(super) line: usize,
    /// What it is.
    pub(super) content: Content,
}

/// The three things a value can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Text; `quoted` keeps `""` apart from an absent value.
    Scalar {
        /// As written, quotes removed and escapes resolved.
        text: String,
        /// Written with quotes or as a block.
        quoted: bool,
    },
    /// Sequence.
    List(Vec<Node>),
    /// Mapping, in the order of the file; keys are unique.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// An absent value: nothing, `~` or `null` without quotes.
    pub(super) fn is_null(&self) -> bool {
        match &self.content {
            Content::Scalar { text, quoted: false } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Content::Scalar { .. } | Content::List(_) | Content::Map(_) => false,
        }
    }

    fn cost(&self) -> usize {
        NODE_COST
            + match &self.content {
                Content::Scalar { text, .. } => text.len(),
                Content::List(items) => items.iter().map(Self::cost).sum(),
                Content::Map(members) => {
                    members.iter().map(|(key, node)| key.len() + node.cost()).sum()
                }
            }
    }
}

/// The document's root, or `None` for an empty one.
///
/// # Errors
/// [`ConfigError::Syntax`] for anything outside the supported subset or its bounds.
pub(super) fn parse(text: &str) -> Result<Option<Node>, ConfigError> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: Vec::new(), budget: TREE_BYTES_MAX };
    let mut root = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::DocumentStart(_) if root.is_some() => {
                return Err(syntax(&span, "a second document; one is allowed"));
            }
            Event::DocumentStart(_) => {
                let (event, span) = reader.next()?;
                root = Some(reader.node(event, &span, DEPTH_MAX)?);
            }
            Event::StreamEnd => return Ok(root),
            Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd => return Err(syntax(&span, "content outside a document")),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// Finished anchored nodes by the parser's anchor number.
    anchors: Vec<(usize, Node)>,
    budget: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), ConfigError> {
        match self.parser.next_event() {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(error)) => Err(ConfigError::Syntax {
                line: error.marker().line(),
                what: error.info().to_owned(),
            }),
            None => Err(ConfigError::Syntax { line: 1, what: "document ends early".to_owned() }),
        }
    }

    fn charge(&mut self, bytes: usize, span: &Span) -> Result<(), ConfigError> {
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| {
            syntax(span, "the document is too large once its aliases are resolved")
        })?;
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, ConfigError> {
        let line = span.start.line();
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                self.charge(NODE_COST + text.len(), span)?;
                let quoted = style != ScalarStyle::Plain;
                (Content::Scalar { text: text.into_owned(), quoted }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                self.charge(NODE_COST, span)?;
                (Content::List(self.list(span, depth)?), anchor)
            }
            Event::MappingStart(anchor, _) => {
                self.charge(NODE_COST, span)?;
                (Content::Map(self.map(span, depth)?), anchor)
            }
            Event::Alias(id) => return self.alias(id, span),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(syntax(span, "a value is missing")),
        };
        let node = Node { line, content };
        if anchor != 0 {
            self.charge(node.cost(), span)?;
            self.anchors.push((anchor, node.clone()));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: &Span) -> Result<Node, ConfigError> {
        let found = self.anchors.iter().find(|(anchor, _)| *anchor == id);
        let Some((_, node)) = found else {
            return Err(syntax(span, "an alias to a value that contains it"));
        };
        let cost = node.cost();
        let copy = Node { line: span.start.line(), content: node.content.clone() };
        self.charge(cost, span)?;
        Ok(copy)
    }

    fn list(&mut self, span: &Span, depth: usize) -> Result<Vec<Node>, ConfigError> {
        let depth = deeper(depth, span)?;
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, &span, depth)?);
        }
    }

    fn map(&mut self, span: &Span, depth: usize) -> Result<Vec<(String, Node)>, ConfigError> {
        let depth = deeper(depth, span)?;
        let mut members: Vec<(String, Node)> = Vec::new();
        let mut lines = std::collections::BTreeMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(members);
            }
            let line = span.start.line();
            let Content::Scalar { text: key, .. } = self.node(event, &span, depth)?.content else {
                return Err(syntax(&span, "a key must be plain text"));
            };
            if let Some(first) = lines.insert(key.clone(), line) {
                let what = format!("`{key}` is set twice; first at line {first}");
                return Err(ConfigError::Syntax { line, what });
            }
            let (event, span) = self.next()?;
            let node = self.node(event, &span, depth)?;
            // An omitted value has no place of its own; the key's line is where to look.
            let line = if node.is_null() { line } else { node.line };
            members.push((key, Node { line, ..node }));
        }
    }
}

fn deeper(depth: usize, span: &Span) -> Result<usize, ConfigError> {
    depth.checked_sub(1).ok_or_else(|| syntax(span, "nested too deeply"))
}

fn syntax(span: &Span, what: &str) -> ConfigError {
    ConfigError::Syntax { line: span.start.line(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).expect_err("refused").to_string()
    }

    #[test]
    fn keeps_lines_order_and_quotes() {
        let root = parse("a: 1\nb:\n  - \"\"\n  - ~\n").expect("valid").expect("not empty");
        let Content::Map(members) = root.content else { panic!("a mapping") };
        assert_eq!(members[0].0, "a");
        let Content::List(items) = &members[1].1.content else { panic!("a list") };
        assert_eq!((items[0].line, items[0].is_null()), (3, false));
        assert_eq!((items[1].line, items[1].is_null()), (4, true));
    }

    #[test]
    fn an_empty_document_is_nothing() {
        assert_eq!(parse("# nothing\n").expect("valid"), None);
    }

    #[test]
    fn a_key_twice_names_both_lines() {
        assert_eq!(error("a: 1\nb: 2\na: 3\n"), "line 3: `a` is set twice; first at line 1");
    }

    #[test]
    fn aliases_repeat_what_they_name() {
        let root = parse("a: &x {k: v}\nb: *x\n").expect("valid").expect("not empty");
        let Content::Map(members) = root.content else { panic!("a mapping") };
        assert_eq!(members[0].1.content, members[1].1.content);
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let item = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", "));
        }
        assert!(error(&text).contains("too large"), "{}", error(&text));
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(error(&"[".repeat(100_000)).contains("line 1"));
        let blocks: String = (0..40).map(|d| format!("{}a:\n", " ".repeat(d))).collect();
        assert!(error(&blocks).contains("too deeply"), "{}", error(&blocks));
    }

    #[test]
    fn a_second_document_is_refused() {
        assert!(error("a: 1\n---\nb: 2\n").contains("second document"));
    }
}

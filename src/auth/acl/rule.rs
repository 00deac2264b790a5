//! The words of `ACL SETUSER`: read one by one, and done one after the other to a user.
//!
//! Beside those of Redis there are three, so that what roles and rights give can be told and made
//! in the same words: `+@role:NAME`, `+@right:ACTIONS:KIND:PATTERN` (also with `-`), `resetroles`.

use std::fmt;
use std::sync::Arc;

use super::{Acl, SELECTORS_MAX, Selector};
use crate::auth::action::{Action, Actions};
use crate::auth::change::{ChangeRefused, What};
use crate::auth::credential::Secret;
use crate::auth::directory::{Directory, User};
use crate::auth::resource::{Resource, excerpt};
use crate::auth::rights::Permission;
use crate::auth::role::PERMISSIONS_MAX;

/// Words of one request.
pub const STEPS_MAX: usize = 1024;
/// Passwords in one request: each may have to be hashed.
pub const PASSWORDS_MAX: usize = 4;

const ROLE: &str = "@role:";
const RIGHT: &str = "@right:";

/// Why a rule is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRule {
    /// It is none.
    Syntax,
    /// No such command or category.
    Unknown,
    /// It is about one argument of a command.
    FirstArgument,
    /// Its pattern has more than stars.
    Glob,
    /// Its pattern is too long, or has too many stars.
    Pattern,
    /// There are as many as there may be.
    TooMany(usize),
    /// Its parenthesis does not end.
    Parenthesis,
    /// What it takes away comes from roles or rights.
    Inherited,
    /// A user has one password, and this one has another.
    AnotherPassword,
    /// The password to be removed is not the user's.
    NoSuchPassword,
    /// It is not to be had here; the text says what is.
    Refused(&'static str),
    /// It names what is no right; the text says what would be.
    Right(String),
}

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "Syntax error",
            Self::Unknown => "Unknown command or category name in ACL",
            Self::FirstArgument => {
                "Allowing first-arg of a subcommand is not supported, nor that of a command: \
                 write the command, or the subcommand, as a whole"
            }
            Self::Glob => {
                "patterns know * alone: write one pattern for each name or prefix that is meant \
                 instead of ?, [ and \\"
            }
            Self::Pattern => "expected a pattern of 1 to 512 bytes with at most 8 stars",
            Self::TooMany(most) => return write!(f, "there may be {most} of these"),
            Self::Parenthesis => "Unmatched parenthesis in acl selector",
            Self::Inherited => {
                "the user has rights by roles, which this rule would not take away: write \
                 'resetroles' or 'reset' before it"
            }
            Self::AnotherPassword => {
                "a user has one password, and this one has another: write 'resetpass' before it"
            }
            Self::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            Self::Refused(why) => why,
            Self::Right(why) => why,
        })
    }
}

/// One word, read.
#[derive(Clone, Debug)]
pub struct Step {
    said: String,
    what: Said,
}

#[derive(Clone, Debug)]
pub(in crate::auth) enum Said {
    Enable(bool),
    Password(Secret),
    NotPassword(Secret),
    NoPassword,
    Reset,
    ResetRoles,
    ClearSelectors,
    Role(String, bool),
    Right(Permission, bool),
    /// It holds already, and always.
    Holds,
    Root(String),
    Selector(Box<Selector>),
}

const NOPASS: &str = "nobody comes in without a password: write >password, or let the user come \
                      with a client certificate";
const HASH: &str = "passwords are kept as Argon2id, which cannot be made of SHA-256: write \
                    >password";
const SANITIZE: &str = "payloads are always checked: write sanitize-payload, or nothing";

impl Step {
    /// Reads the words behind the name of the user.
    ///
    /// # Errors
    /// The first word that is no rule, or none that can be kept.
    pub fn read(words: &[&[u8]]) -> Result<Vec<Self>, ChangeRefused> {
        if words.len() > STEPS_MAX {
            return Err(refused("", BadRule::TooMany(STEPS_MAX)));
        }
        let mut steps = Vec::with_capacity(words.len());
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let said = said(word);
            // A password may be any bytes.
            if let [sign @ (b'>' | b'<'), secret @ ..] = word {
                let secret = Secret::new(secret);
                let what = match sign {
                    b'>' => Said::Password(secret),
                    _ => Said::NotPassword(secret),
                };
                steps.push(Self { said, what });
                continue;
            }
            let text = std::str::from_utf8(word).map_err(|_| refused(&said, BadRule::Syntax))?;
            let what = if text.starts_with('(') {
                let mut whole = text.to_owned();
                while !whole.ends_with(')') {
                    let next = rest.next().and_then(|word| std::str::from_utf8(word).ok());
                    let next = next.ok_or_else(|| refused(&said, BadRule::Parenthesis))?;
                    whole.push(' ');
                    whole.push_str(next);
                }
                selector(&whole[1..whole.len() - 1])
            } else {
                Said::read(text)
            };
            let what = what.map_err(|why| refused(&said, why))?;
            steps.push(Self { said, what });
        }
        let passwords =
            steps.iter().filter(|s| matches!(s.what, Said::Password(_) | Said::NotPassword(_)));
        if passwords.count() > PASSWORDS_MAX {
            return Err(refused(">***", BadRule::TooMany(PASSWORDS_MAX)));
        }
        Ok(steps)
    }

    pub(in crate::auth) const fn what(&self) -> &Said {
        &self.what
    }

    /// This step refused.
    pub(in crate::auth) fn refused(&self, why: BadRule) -> ChangeRefused {
        refused(&self.said, why)
    }

    /// Does it to a user, but for what it says of passwords.
    ///
    /// # Errors
    /// It cannot be done to this one.
    pub(in crate::auth) fn apply(
        &self,
        user: &mut User,
        directory: &Directory,
    ) -> Result<(), ChangeRefused> {
        let unknown = |name: &str| ChangeRefused::Unknown { what: What::Role, name: excerpt(name) };
        match &self.what {
            Said::Enable(enabled) => user.enabled = *enabled,
            Said::Reset => {
                user.enabled = false;
                (user.roles, user.permissions) = (Vec::new(), Vec::new());
                user.acl = Some(Arc::default());
            }
            Said::ResetRoles => (user.roles, user.permissions) = (Vec::new(), Vec::new()),
            Said::Role(name, true) => {
                let role = directory.role(name).ok_or_else(|| unknown(name))?;
                if !user.roles.contains(&role.name) {
                    user.roles.push(Arc::clone(&role.name));
                }
            }
            Said::Role(name, false) => user.roles.retain(|own| **own != **name),
            Said::Right(right, true) if user.permissions.contains(right) => {}
            Said::Right(_, true) if user.permissions.len() >= PERMISSIONS_MAX => {
                return Err(self.refused(BadRule::TooMany(PERMISSIONS_MAX)));
            }
            Said::Right(right, true) => user.permissions.push(right.clone()),
            Said::Right(right, false) => user.permissions.retain(|own| own != right),
            Said::Password(_) | Said::NotPassword(_) | Said::NoPassword | Said::Holds => {}
            Said::ClearSelectors => acl(user).more.clear(),
            Said::Selector(selector) => {
                let acl = acl(user);
                if acl.more.len() >= SELECTORS_MAX {
                    return Err(self.refused(BadRule::TooMany(SELECTORS_MAX)));
                }
                acl.more.push(Selector::clone(selector));
            }
            Said::Root(rule) => {
                let has_roles = !user.roles.is_empty() || !user.permissions.is_empty();
                if has_roles && takes_away(rule) {
                    return Err(self.refused(BadRule::Inherited));
                }
                let done = acl(user).root.apply(rule);
                done.map_err(|why| self.refused(why))?;
            }
        }
        Ok(())
    }
}

impl Said {
    fn read(text: &str) -> Result<Self, BadRule> {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        let signed = |prefix: &str| {
            let allow = text.starts_with('+');
            let rest = text.strip_prefix(['+', '-'])?.strip_prefix(prefix)?;
            Some((rest, allow))
        };
        Ok(if is("on") || is("off") {
            Self::Enable(is("on"))
        } else if is("resetpass") {
            Self::NoPassword
        } else if is("reset") {
            Self::Reset
        } else if is("resetroles") {
            Self::ResetRoles
        } else if is("clearselectors") {
            Self::ClearSelectors
        } else if is("sanitize-payload") {
            Self::Holds
        } else if is("skip-sanitize-payload") {
            return Err(BadRule::Refused(SANITIZE));
        } else if is("nopass") {
            return Err(BadRule::Refused(NOPASS));
        } else if text.starts_with(['#', '!']) {
            return Err(BadRule::Refused(HASH));
        } else if let Some((name, allow)) = signed(ROLE) {
            Self::Role(name.to_owned(), allow)
        } else if let Some((right, allow)) = signed(RIGHT) {
            Self::Right(read_right(right)?, allow)
        } else {
            // Whether it is one is seen before anything is changed.
            Selector::default().apply(text)?.ok_or(BadRule::Syntax)?;
            Self::Root(text.to_owned())
        })
    }
}

/// What stands in parentheses: rules about commands, keys and channels.
fn selector(rules: &str) -> Result<Said, BadRule> {
    let mut selector = Selector::default();
    for rule in rules.split(' ').filter(|rule| !rule.is_empty()) {
        selector.apply(rule)?.ok_or(BadRule::Syntax)?;
    }
    Ok(Said::Selector(Box::new(selector)))
}

fn acl(user: &mut User) -> &mut Acl {
    Arc::make_mut(user.acl.get_or_insert_default())
}

fn takes_away(rule: &str) -> bool {
    let words = ["resetkeys", "resetchannels", "nocommands"];
    rule.starts_with('-') || words.iter().any(|word| rule.eq_ignore_ascii_case(word))
}

fn refused(said: &str, why: BadRule) -> ChangeRefused {
    ChangeRefused::Rule { said: said.to_owned(), why }
}

/// A word for a message: secrets, and what may be one, are left out.
fn said(word: &[u8]) -> String {
    match word {
        [sign @ (b'>' | b'<' | b'#' | b'!'), ..] => format!("{}***", char::from(*sign)),
        _ => excerpt(&String::from_utf8_lossy(word)),
    }
}

/// A right as a word.
pub fn write_right(right: &Permission) -> String {
    let actions: Vec<&str> = right.actions.names().into_iter().map(Action::name).collect();
    let mut text = format!("+{RIGHT}{}:", actions.join(","));
    let Resource { kind, pattern } = &right.resource;
    text.push_str(kind.map_or("*", |kind| kind.name()));
    text.push(':');
    for c in pattern.as_str().chars() {
        if c.is_whitespace() || c.is_control() || matches!(c, '%' | '(' | ')') {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|b| text.push_str(&format!("%{b:02x}")));
        } else {
            text.push(c);
        }
    }
    text
}

fn read_right(text: &str) -> Result<Permission, BadRule> {
    let wrong = |why: &dyn fmt::Display| BadRule::Right(why.to_string());
    let expected = "expected +@right:ACTIONS:KIND:PATTERN, such as +@right:read,write:kv:app:*";
    let (actions, resource) = text.split_once(':').ok_or_else(|| wrong(&expected))?;
    let action = |name: &str| Action::parse(name).ok_or_else(|| wrong(&expected));
    let actions: Actions = actions.split(',').map(action).collect::<Result<_, _>>()?;
    let (kind, pattern) = resource.split_once(':').unwrap_or((resource, "*"));
    let mut bytes = Vec::with_capacity(pattern.len());
    let mut rest = pattern.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = match (first, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digit = |symbol: &u8| char::from(*symbol).to_digit(16);
                let byte = digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low);
                let byte = byte.and_then(|byte| u8::try_from(byte).ok());
                bytes.push(byte.ok_or_else(|| wrong(&expected))?);
                behind
            }
            (b'%', _) => return Err(wrong(&expected)),
            (byte, behind) => {
                bytes.push(*byte);
                behind
            }
        };
    }
    let pattern = String::from_utf8(bytes).map_err(|_| wrong(&expected))?;
    let resource = Resource::of_parts(kind, &pattern).map_err(|why| wrong(&why))?;
    Ok(Permission { resource, actions })
}

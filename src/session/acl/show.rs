//! A user in the words that would make it.

use synap_shards::command::reply::Reply;
use synap_shards::command::table;

use crate::auth::acl::rule;
use crate::auth::{Directory, Selector, User};
use crate::session::authorize;
use crate::session::client::barred_name;

/// What is shown instead of a password's hash; no rule.
const HIDDEN: &str = "(hidden)";

/// What there is to show of a user.
pub(super) struct Shown {
    enabled: bool,
    has_password: bool,
    /// It needs no password.
    is_open: bool,
    root: Rules,
    more: Vec<Rules>,
}

/// The rules of a selector.
struct Rules {
    commands: String,
    keys: String,
    channels: String,
}

impl Rules {
    fn of(selector: &Selector) -> Self {
        Self { commands: selector.commands(), keys: selector.keys(), channels: selector.channels() }
    }

    fn pairs(self) -> [(Reply<'static>, Reply<'static>); 3] {
        [("commands", self.commands), ("keys", self.keys), ("channels", self.channels)]
            .map(|(name, rules)| (Reply::string(name), Reply::string(rules)))
    }

    fn line(&self) -> String {
        // Patterns of channels come after the word that ends all others, as in Redis.
        let ends_others = self.commands.starts_with(['-', '+'])
            && !self.commands.starts_with("+@role:")
            && !self.commands.starts_with("+@right:")
            && self.channels != "&*";
        let reset = if ends_others { "resetchannels" } else { "" };
        let parts = [self.keys.as_str(), reset, &self.channels, &self.commands];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    }
}

impl Shown {
    pub(super) fn of(user: &User) -> Self {
        let roles = user.roles.iter().map(|role| format!("+@role:{role}"));
        let inherited: Vec<String> =
            roles.chain(user.permissions.iter().map(rule::write_right)).collect();
        let mut root = match user.acl.as_deref() {
            Some(acl) => Rules::of(&acl.root),
            None => {
                Rules { commands: free(&inherited), keys: String::new(), channels: String::new() }
            }
        };
        for rule in inherited {
            if !root.commands.is_empty() {
                root.commands.push(' ');
            }
            root.commands.push_str(&rule);
        }
        Self {
            enabled: user.enabled,
            has_password: user.password.is_some(),
            is_open: false,
            root,
            more: user.acl.iter().flat_map(|acl| &acl.more).map(Rules::of).collect(),
        }
    }

    /// Of who says nothing about itself, where no user has its name.
    pub(super) fn anonymous(directory: &Directory) -> Self {
        let is_in = !directory.is_required();
        let everything = ["+@all", "~*", "&*"];
        let root = if directory.is_enabled() {
            let rights: Vec<String> =
                directory.public_permissions().iter().map(rule::write_right).collect();
            let mut commands = if is_in { free(&[]) } else { "-@all".to_owned() };
            for right in rights.iter().filter(|_| is_in) {
                commands.push(' ');
                commands.push_str(right);
            }
            Rules { commands, keys: String::new(), channels: String::new() }
        } else {
            let [commands, keys, channels] = everything.map(str::to_owned);
            Rules { commands, keys, channels }
        };
        Self { enabled: is_in, has_password: false, is_open: is_in, root, more: Vec::new() }
    }

    fn flags(&self) -> Vec<&'static str> {
        let flags = [(true, if self.enabled { "on" } else { "off" }), (self.is_open, "nopass")];
        flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
    }

    /// As `ACL LIST` shows it.
    pub(super) fn line(&self, name: &str) -> String {
        let mut line = format!("user {name} {}", self.flags().join(" "));
        if self.has_password {
            line.push_str(&format!(" #{HIDDEN}"));
        }
        line.push(' ');
        line.push_str(&self.root.line());
        for rules in &self.more {
            line.push_str(&format!(" ({})", rules.line()));
        }
        line
    }

    /// As `ACL GETUSER` shows it.
    pub(super) fn reply(self) -> Reply<'static> {
        let flags = self.flags().into_iter().map(Reply::string).collect();
        let passwords = self.has_password.then(|| Reply::string(HIDDEN)).into_iter().collect();
        let selectors = self.more.into_iter().map(|rules| Reply::Map(rules.pairs().into()));
        let selectors = Reply::Array(selectors.collect());
        let mut pairs = vec![
            (Reply::string("flags"), Reply::Set(flags)),
            (Reply::string("passwords"), Reply::Array(passwords)),
        ];
        pairs.extend(self.root.pairs());
        pairs.push((Reply::string("selectors"), selectors));
        Reply::Map(pairs)
    }
}

/// What everyone may run who may be here, for a user that has no rights at all.
fn free(inherited: &[String]) -> String {
    if !inherited.is_empty() {
        return String::new();
    }
    let names = table::commands().filter_map(|spec| {
        let id = table::by_name(spec.resp.as_bytes())?;
        authorize::is_free(id).then(|| format!(" +{}", barred_name(spec.resp)))
    });
    std::iter::once("-@all".to_owned()).chain(names).collect()
}

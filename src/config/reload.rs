//! What a re-read configuration changes in a running server.

use super::check::Unsupported;
use super::key::State;
use super::settings::{Names, Settings};
use super::{Config, show};

/// One key whose value differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Dotted path.
    pub key: &'static str,
    /// Value before, as listed; masked for secrets.
    pub from: String,
    /// Value after.
    pub to: String,
}

/// What to do about a re-read configuration. Nothing is to be applied when `refused` is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadPlan {
    /// Changes that take effect now; the values are in the new [`Config`].
    pub apply: Vec<Change>,
    /// Changed keys that need a restart; they keep their old value until then.
    pub restart_needed: Vec<&'static str>,
    /// Keys this build cannot honour.
    pub refused: Vec<Unsupported>,
}

impl Config {
    /// Compares this, the running configuration, with a re-read one.
    #[must_use]
    pub fn reload_diff(&self, new: &Self) -> ReloadPlan {
        let names = Names::new();
        let mut plan = ReloadPlan { refused: new.unsupported(), ..ReloadPlan::default() };
        for (index, key) in names.keys.iter().enumerate() {
            let shown = |settings: &Settings| show::effective(key, settings.get(index));
            let value = |settings: &Settings| settings.get(index).map(|e| e.value.clone());
            let (from, to) = (shown(&self.settings), shown(&new.settings));
            // Values decide (secrets look alike when shown); what is shown decides between a
            // default and the same value written out.
            let differs =
                value(&self.settings) != value(&new.settings) && (from != to || key.secret);
            if !differs || key.state != State::Live {
                continue;
            }
            if key.reload {
                plan.apply.push(Change { key: key.path, from, to });
            } else {
                plan.restart_needed.push(key.path);
            }
        }
        plan
    }

    /// This configuration with the reloadable values of a re-read one: what runs after a reload.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        let names = Names::new();
        let mut settings = self.settings.clone();
        for (index, key) in names.keys.iter().enumerate() {
            if key.reload {
                settings.replace(index, new.settings.get(index).cloned());
            }
        }
        Self::from_settings(settings)
    }
}

//! Putting the sources together: defaults, file, environment, flags.

use super::error::{ConfigError, ConfigErrors, Origin, Warning, WarningKind};
use super::settings::{Layer, Names, Settings};
use super::{Config, check, env, file, foreign};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A value given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Path of the key it sets.
    pub key: &'static str,
    /// The flag with its dashes.
    pub name: &'static str,
    /// Its value.
    pub text: String,
}

/// Everything a configuration is made from. Kept for the life of the process: a reload loads the
/// same sources again.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file named; `None` looks at the usual places.
    pub file: Option<PathBuf>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Command line.
    pub flags: Vec<Flag>,
    /// Unknown keys are errors.
    pub strict: bool,
}

/// A configuration with what is to be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// The effective configuration.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What has no effect or is unwise.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// The effective configuration of some sources.
    ///
    /// # Errors
    /// Everything wrong with them, not only the first thing.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
        let alone = |error| ConfigErrors { file: None, errors: vec![error] };
        let named = sources.file.clone().or_else(|| {
            sources.env.get("SYNAP_CONFIG_PATH").filter(|path| !path.is_empty()).map(PathBuf::from)
        });
        let file = file::locate(named.as_deref()).map_err(alone)?;
        let text = file.as_deref().map(file::read).transpose().map_err(alone)?;
        let (mut warnings, result) = Self::assemble(text.as_deref(), sources);
        match result {
            Ok(config) => {
                if file.is_none() {
                    let (origin, key) = (Origin::Default, String::new());
                    warnings.insert(0, Warning { origin, key, kind: WarningKind::NoFile });
                }
                Ok(Loaded { config, file, warnings })
            }
            Err(errors) => Err(ConfigErrors { file, errors }),
        }
    }

    /// The configuration a file's text gives, over the rest of the sources; `sources.file` is not
    /// looked at.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn from_text(text: &str, sources: &Sources) -> Result<Loaded, ConfigErrors> {
        match Self::assemble(Some(text), sources) {
            (warnings, Ok(config)) => Ok(Loaded { config, file: None, warnings }),
            (_, Err(errors)) => Err(ConfigErrors { file: None, errors }),
        }
    }

    fn assemble(
        text: Option<&str>,
        sources: &Sources,
    ) -> (Vec<Warning>, Result<Self, Vec<ConfigError>>) {
        let names = Names::new();
        let lookup = |name: &str| sources.env.get(name).cloned();
        let mut all = Settings::default();
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        let mut lay = |fill: &dyn Fn(&mut Layer<'_>)| {
            let mut layer = Layer::new(&names, &lookup);
            fill(&mut layer);
            let (settings, heard, failed) = layer.finish();
            all.overlay(settings);
            warnings.extend(heard);
            errors.extend(failed);
        };
        lay(&|layer| file::load(text.unwrap_or_default(), &names, layer));
        lay(&|layer| foreign::load(&sources.env, layer));
        lay(&|layer| env::load(&sources.env, &names, layer));
        lay(&|layer| {
            for flag in &sources.flags {
                layer.set_text(flag.key, &flag.text, Origin::Flag(flag.name));
            }
        });
        // The one variable that wins over flags: every program with this logging does it so.
        lay(&|layer| {
            if let Some(filter) = sources.env.get("RUST_LOG").filter(|text| !text.is_empty()) {
                layer.set_text("logging.level", filter, Origin::Env("RUST_LOG".to_owned()));
            }
        });
        if sources.strict {
            let (unknown, rest) =
                warnings.into_iter().partition(|w| matches!(w.kind, WarningKind::Unknown { .. }));
            warnings = rest;
            errors.extend(Vec::<Warning>::into_iter(unknown).map(ConfigError::Unknown));
        }
        warnings.extend(check::unwise(&names, &all));
        errors.extend(check::contradictions(&names, &all));
        if errors.is_empty() {
            (warnings, Ok(Self::from_settings(all)))
        } else {
            (warnings, Err(errors))
        }
    }
}

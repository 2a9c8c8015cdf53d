//! A flag and a variable for every row of the server's table of settings, and
//! their way into a configuration: flag over variable over file over default.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use fanwire::Config;
use fanwire::config::{GROUPS, Given, Group, MAX_FILE, Problem, Problems, Setting};

use crate::failure::Failure;

/// What flags and variables say, in the order of the table.
pub(crate) struct Settings {
    given: Vec<One>,
}

struct One {
    key: &'static str,
    /// `--ws-ping` or `FANWIRE_WS_PING`, for messages.
    source: String,
    value: Given,
    by_flag: bool,
}

impl Settings {
    /// What the variables alone say, for a command that has no flags for settings.
    ///
    /// # Errors
    /// A variable that no flag could be.
    pub(crate) fn from_environment() -> Result<Self, Failure> {
        let command = Self::augment_args(Command::new("fanwire"));
        let matches = command.try_get_matches_from(["fanwire"]);
        matches
            .and_then(|matches| Self::from_arg_matches(&matches))
            .map_err(Failure::new)
    }

    /// The configuration that the file, the variables and the flags come to.
    ///
    /// # Errors
    /// A file that cannot be read, and all problems together.
    pub(crate) fn load(&self, file: Option<&Path>) -> Result<Config, Failure> {
        let text = file.map(read).transpose().map_err(Failure::new)?;
        let source = file.map_or_else(
            || "the configuration".to_owned(),
            |path| path.display().to_string(),
        );
        let config = self.over(text.as_deref());
        config.map_err(|problems| Failure::config(&source, &problems))
    }

    /// The same once more, for a server that runs.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn again(&self, file: Option<&Path>) -> Result<Config, Problems> {
        let text = file.map(read).transpose();
        let text = text.map_err(|why| Problems(vec![Problem::new("", why)]))?;
        self.over(text.as_deref())
    }

    fn over(&self, text: Option<&str>) -> Result<Config, Problems> {
        let mut config = Config::default();
        let mut problems = Problems::default();
        if let Some(text) = text
            && let Err(found) = config.merge_toml(text)
        {
            problems = found;
        }
        for one in &self.given {
            if let Err(found) = config.set(one.key, &one.value) {
                problems.push(Problem::new(&one.source, found.message));
            }
        }
        // A value that could not be read would only bring follow-up problems.
        let read_all = problems.0.is_empty();
        if let (true, Err(mut found)) = (read_all, config.validate()) {
            let elsewhere = |key: &str| self.given.iter().any(|one| key.starts_with(one.key));
            Config::locate(&mut found, text.unwrap_or_default(), elsewhere);
            problems = found;
        }
        problems.into_result().map(|()| config)
    }

    /// True where a secret stands on the command line.
    pub(crate) fn secret_in_argv(&self) -> bool {
        self.given
            .iter()
            .any(|one| one.by_flag && matches!(one.key, "access.api_keys" | "issuers"))
    }
}

fn read(path: &Path) -> Result<String, String> {
    let fail = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", path.display());
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_string(&mut text))
        .map_err(|error| fail(&error))?;
    Ok(text)
}

fn arg(group: &Group, setting: &Setting) -> Arg {
    let mut doc = setting.doc.split_whitespace().collect::<Vec<_>>().join(" ");
    let default = (setting.get)(&Config::default());
    if !setting.switch && !matches!(default.as_str(), "[]" | "{}") {
        // As it is written behind a flag.
        let plain = default
            .replace(['"', '[', ']', '{', '}'], "")
            .replace(" = ", "=");
        doc.push_str(&format!(" [default: {}]", plain.trim().replace(", ", ",")));
    }
    // The everyday ones stand on top and in the short help.
    let everyday = setting.has_short_flag();
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .env(setting.env())
        .hide_env_values(true)
        .help(doc)
        .help_heading(if everyday {
            "Everyday settings"
        } else {
            group.name
        })
        .hide_short_help(!everyday)
        .hide(setting.hidden)
        .value_name(value_name(setting));
    if setting.switch {
        arg.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
    } else if setting.many {
        arg.action(ArgAction::Append)
    } else {
        arg
    }
}

fn value_name(setting: &Setting) -> &'static str {
    match setting.form {
        "number" => "N",
        "size" => "SIZE",
        "duration" => "DURATION",
        "list" => "TEXT",
        "list of IP:PORT" => "IP:PORT",
        other => other,
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        GROUPS.iter().fold(command, |command, group| {
            command.args(group.settings.iter().map(|setting| arg(group, setting)))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let one = |setting: &'static Setting| {
            let by_flag = match matches.value_source(setting.key)? {
                ValueSource::CommandLine => true,
                ValueSource::EnvVariable => false,
                _ => return None,
            };
            let mut values: Vec<String> = matches.get_many(setting.key)?.cloned().collect();
            let value = match (setting.many, values.pop()) {
                (false, Some(value)) => Given::Text(value),
                (_, last) => {
                    values.extend(last);
                    Given::List(values)
                }
            };
            let source = match by_flag {
                true => format!("--{}", setting.flag()),
                false => setting.env(),
            };
            Some(One {
                key: setting.key,
                source,
                value,
                by_flag,
            })
        };
        Ok(Self {
            given: Config::settings().filter_map(one).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

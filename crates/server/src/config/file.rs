//! The file: TOML in, and the annotated default file out.

use toml::de::{DeTable, DeValue};

use super::define::{Group, Setting};
use super::forms::Given;
use super::problem::{Problem, Problems};
use super::{Config, GROUPS};

/// Largest configuration file, in bytes.
pub const MAX_FILE: usize = 1024 * 1024;

/// Puts everything that `text` says in force, and reports everything in it
/// that cannot be.
pub(super) fn merge(config: &mut Config, text: &str) -> Result<(), Problems> {
    let mut problems = Problems::default();
    if text.len() > MAX_FILE {
        problems.push(Problem::new("", "a configuration has at most 1 MiB"));
        return Err(problems);
    }
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            // The parser's own rendering quotes the line, which may hold a secret.
            let problem = Problem::new("", format!("not TOML: {}", error.message()));
            let line = error.span().map(|span| line_of(text, span.start));
            problems.push(Problem { line, ..problem });
            return Err(problems);
        }
    };
    for (name, value) in table.get_ref() {
        let line = line_of(text, name.span().start);
        let Some(group) = GROUPS
            .iter()
            .find(|group| group.name == name.get_ref().as_ref())
        else {
            let known: Vec<&str> = shown().map(|group| group.name).collect();
            let message = format!("no such table; there are {}", known.join(", "));
            problems.push(Problem::new(name.get_ref().as_ref(), message).at(line));
            continue;
        };
        let DeValue::Table(settings) = value.get_ref() else {
            let message = format!("write a table: [{}]", group.name);
            problems.push(Problem::new(group.name, message).at(line));
            continue;
        };
        if let [whole] = group.settings
            && whole.key == group.name
        {
            let put = given(value.get_ref()).and_then(|given| (whole.set)(config, &given));
            problems
                .0
                .extend(put.err().map(|why| Problem::new(whole.key, why).at(line)));
            continue;
        }
        for (name, value) in settings {
            let line = line_of(text, name.span().start);
            let name = name.get_ref().as_ref();
            let Some(setting) = group.settings.iter().find(|s| s.name() == name) else {
                let key = format!("{}.{name}", group.name);
                problems.push(Problem::new(key, unknown(group, name)).at(line));
                continue;
            };
            let put = given(value.get_ref()).and_then(|given| (setting.set)(config, &given));
            problems
                .0
                .extend(put.err().map(|why| Problem::new(setting.key, why).at(line)));
        }
    }
    problems.0.sort_by_key(|problem| problem.line);
    problems.into_result()
}

/// The line of the file on which the setting at `key` stands, or the part of it that
/// does; none where the file leaves it alone.
pub(super) fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut inside = table.get_ref();
    let mut rest: Vec<&str> = key.split('.').collect();
    let mut found = None;
    // The group alone is not the setting.
    let mut depth = 0;
    while !rest.is_empty() {
        // Names of namespaces and keys may hold dots.
        let named = (1..=rest.len()).rev().find_map(|count| {
            let name = rest[..count].join(".");
            let entry = inside
                .iter()
                .find(|(other, _)| other.get_ref().as_ref() == name);
            entry.map(|(name, value)| (count, name, value))
        });
        let Some((count, name, value)) = named else {
            break;
        };
        depth += 1;
        if depth > 1 {
            found = Some(line_of(text, name.span().start));
        }
        rest.drain(..count);
        match value.get_ref() {
            DeValue::Table(table) => inside = table,
            _ => break,
        }
    }
    found
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn unknown(group: &Group, name: &str) -> String {
    let elsewhere = GROUPS
        .iter()
        .flat_map(|group| group.settings)
        .find(|setting| setting.name() == name && !setting.hidden);
    match elsewhere {
        Some(setting) => format!("no such setting here; did you mean {}?", setting.key),
        None => {
            let known: Vec<&str> = group.settings.iter().map(Setting::name).collect();
            format!("no such setting; there are {}", known.join(", "))
        }
    }
}

fn given(value: &DeValue<'_>) -> Result<Given, String> {
    match value {
        DeValue::Array(items) => items
            .iter()
            .map(|item| scalar(item.get_ref()))
            .collect::<Result<_, _>>()
            .map(Given::List),
        DeValue::Table(table) => {
            let mut entries = Vec::new();
            flatten(table, &mut Vec::new(), &mut entries)?;
            Ok(Given::Table(entries))
        }
        _ => scalar(value).map(Given::Text),
    }
}

fn flatten(
    table: &DeTable<'_>,
    path: &mut Vec<String>,
    entries: &mut Vec<(Vec<String>, String)>,
) -> Result<(), String> {
    for (name, value) in table {
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(inner, path, entries)?,
            DeValue::Array(items) => {
                let items = items.iter().map(|item| scalar(item.get_ref()));
                let items = items.collect::<Result<Vec<_>, _>>();
                let items = items.map_err(|why| format!("{}: {why}", path.join(".")))?;
                if items.iter().any(|item| item.contains(',')) {
                    return Err(format!("{}: no item may hold a comma", path.join(".")));
                }
                entries.push((path.clone(), items.join(",")));
            }
            value => {
                let text = scalar(value).map_err(|why| format!("{}: {why}", path.join(".")))?;
                entries.push((path.clone(), text));
            }
        }
        path.pop();
    }
    Ok(())
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Integer(_) => Err("write the number in decimal".into()),
        DeValue::Boolean(switch) => Ok(switch.to_string()),
        DeValue::Float(_) => Err("takes no fractions; write 1500ms for 1.5 seconds".into()),
        DeValue::Datetime(_) => Err("takes no dates".into()),
        DeValue::Array(_) => Err("takes no list here".into()),
        DeValue::Table(_) => Err("takes no table here".into()),
    }
}

fn shown() -> impl Iterator<Item = &'static Group> {
    GROUPS
        .iter()
        .filter(|group| group.settings.iter().any(|setting| !setting.hidden))
}

/// Every setting with its meaning, unit and default, as a file that can be
/// used as it is.
pub(super) fn default_toml() -> String {
    let config = Config::default();
    let mut out = String::from(
        "# Fanwire's settings. Every line below is the default; delete what you leave alone.\n\
         # Each is a flag and a variable too: http.header_timeout is --http-header-timeout\n\
         # and FANWIRE_HTTP_HEADER_TIMEOUT. A flag wins over a variable, a variable over\n\
         # this file.\n\
         # Durations: 500ms, 25s, 10m, 2h, 7d, or bare seconds. Sizes: 64KiB, 1MB, or bare bytes.\n",
    );
    for group in shown() {
        out.push('\n');
        comment(&mut out, group.doc);
        out.push_str(&format!("[{}]\n", group.name));
        for setting in group.settings.iter().filter(|setting| !setting.hidden) {
            out.push('\n');
            if setting.key == group.name {
                out.push_str(example(group.name));
                continue;
            }
            comment(&mut out, setting.doc);
            let flag = format!(
                "({}; --{}, {})",
                setting.form,
                setting.flag(),
                setting.env()
            );
            comment(&mut out, &flag);
            out.push_str(&format!(
                "{} = {}\n",
                setting.name(),
                (setting.get)(&config)
            ));
        }
    }
    out
}

/// A group that is a table of tables is shown by an example.
fn example(group: &str) -> &'static str {
    match group {
        "issuers" => ISSUERS,
        _ => NAMESPACES,
    }
}

const ISSUERS: &str = "\
# For example, an identity provider that publishes its keys, and tokens that your
# own backend signs (NAME:RULE=VALUE; --issuer, FANWIRE_ISSUERS):
#
# [issuers.provider]
# issuer = \"https://id.example.org/\"
# audience = \"fanwire\"
# jwks = \"https://id.example.org/keys.json\"
#
# [issuers.backend]
# issuer = \"backend\"
# secret = \"at least 32 bytes, better from the environment\"
# public_keys = \"2026-01=/etc/fanwire/backend.pem\"
# require_exp = true
# leeway = \"30s\"
";

const NAMESPACES: &str = "\
# For example, prices that anyone may watch and only key holders may set, where
# a late reader needs the newest price of each key only; and a namespace in which
# every user hears an inbox and the notices, and fills an outbox
# (NAME:RULE=VALUE; --namespace, FANWIRE_NAMESPACES):
#
# [namespaces.prices]
# publish = \"keys\"
# subscribe = \"anyone\"
# history_access = \"anyone\"
# history = { messages = 100, ttl = \"1h\" }
# conflate = true
#
# [namespaces.mail]
# users_subscribe = [\"inbox-{sub}\", \"notices\"]
# users_publish = [\"outbox-{sub}\"]
";

fn comment(out: &mut String, text: &str) {
    for line in text.trim().lines() {
        out.push_str(format!("# {}", line.trim()).trim_end());
        out.push('\n');
    }
}

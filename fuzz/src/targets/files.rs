//! Files that people write.

use fanwire::Config;
use fanwire::config::Given;

/// All of it is a configuration; and its first character says which setting the
/// rest is a value of.
pub(super) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(config) = Config::from_toml(text) {
        let _ = config.validate();
        let _ = config.to_core();
        again(&config);
    }
    // One setting in each run: all of them would make it a hundred times slower.
    let Some(first) = text.chars().next() else {
        return;
    };
    let value = Given::Text(text[first.len_utf8()..].to_owned());
    let count = Config::settings().count();
    if let Some(setting) = Config::settings().nth(first as usize % count) {
        let mut config = Config::default();
        if config.set(setting.key, &value).is_ok() {
            let _ = config.validate();
            again(&config);
        }
    }
}

/// Panics where a configuration as it is shown does not read as what it was.
fn again(config: &Config) {
    let mut read = Config::default();
    for setting in Config::settings() {
        // Secrets are not shown, and what is a table of tables not on one line.
        let shown = (setting.get)(config);
        let Some((table, name)) = setting.key.split_once('.') else {
            continue;
        };
        if shown.contains("***") {
            continue;
        }
        let line = format!("[{table}]\n{name} = {shown}\n");
        if let Err(problems) = read.merge_toml(&line) {
            panic!("{line:?} is not read again: {problems}");
        }
        assert_eq!((setting.get)(&read), shown, "{}", setting.key);
    }
}

/// All of it is an adapter's file, and a template.
pub(super) fn adapter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = fanwire_bench::fuzzing::adapter(text);
    assert_eq!(
        fanwire_bench::fuzzing::template(text),
        text.as_bytes(),
        "a template whose variables are their own names is itself"
    );
}

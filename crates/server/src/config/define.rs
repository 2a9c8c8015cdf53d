//! The macro behind the table of settings: from one line each it makes the
//! struct's field, its default and its row in [`Setting`]s, so that the file,
//! the flags, the environment, the help and the annotated default file cannot
//! drift apart.

use super::Config;
use super::forms::Given;

/// One setting, in all its forms.
pub struct Setting {
    /// Path in the file: `http.header_timeout`.
    pub key: &'static str,
    /// What it means, its unit and its bounds.
    pub doc: &'static str,
    /// What a value looks like: `duration`, `size`, `number` …
    pub form: &'static str,
    /// The flag's name without its dashes, where it is not the path with
    /// dashes.
    pub(super) short: Option<&'static str>,
    /// Takes several values: the flag may be repeated, the variable holds them
    /// with commas between.
    pub many: bool,
    /// True for a switch, whose flag may stand without a value.
    pub switch: bool,
    /// For tests only: works in every form, but neither help nor the default
    /// file shows it.
    pub hidden: bool,
    /// The value in force, as TOML. Secrets are shown as `***`.
    pub get: fn(&Config) -> String,
    /// Puts a value in force.
    pub(super) set: fn(&mut Config, &Given) -> Result<(), String>,
}

/// A group of settings: one table of the file.
pub struct Group {
    /// The table's name.
    pub name: &'static str,
    /// What its settings are about.
    pub doc: &'static str,
    /// In the order of the file.
    pub settings: &'static [Setting],
}

impl Setting {
    /// The flag's name without its dashes.
    pub fn flag(&self) -> String {
        match self.short {
            Some(short) => short.to_owned(),
            None => self.key.replace(['.', '_'], "-"),
        }
    }

    /// True for the everyday settings, whose flag has a name of its own.
    pub fn has_short_flag(&self) -> bool {
        self.short.is_some()
    }

    /// The environment variable: `FANWIRE_HTTP_HEADER_TIMEOUT`. A named flag
    /// gives its name, in the plural where it takes several values.
    pub fn env(&self) -> String {
        let base = match self.short {
            Some("listen") => "listen".to_owned(),
            Some(short) if self.many => format!("{short}s"),
            Some(short) => short.to_owned(),
            None => self.key.to_owned(),
        };
        format!("FANWIRE_{}", base.replace(['.', '-'], "_").to_uppercase())
    }

    /// The name within its table.
    pub fn name(&self) -> &'static str {
        self.key.rsplit('.').next().unwrap_or(self.key)
    }
}

macro_rules! settings {
    ($(
        #[doc = $group_doc:literal]
        $group:ident : $Group:ident {$(
            $(#[doc = $doc:literal])+
            $field:ident : $type:ty as $form:ident = $default:expr $(, flag $short:literal)? $(, [$hidden:ident])?;
        )*}
    )*) => {
        $(
            #[doc = $group_doc]
            // The same words are the command line's help: `[::1]` is no link there.
            #[allow(rustdoc::broken_intra_doc_links)]
            #[derive(Clone, PartialEq, Debug)]
            pub struct $Group {$(
                $(#[doc = $doc])+
                pub $field: $type,
            )*}

            impl Default for $Group {
                fn default() -> Self {
                    Self { $($field: $default,)* }
                }
            }
        )*

        /// Every setting, by group, in the order of the default file.
        pub static GROUPS: &[Group] = &[$(
            Group {
                name: stringify!($group),
                doc: $group_doc,
                settings: &[$(
                    Setting {
                        key: if <$form as Form>::WHOLE {
                            stringify!($group)
                        } else {
                            concat!(stringify!($group), ".", stringify!($field))
                        },
                        doc: concat!($($doc, "\n",)+),
                        form: <$form as Form>::NAME,
                        short: [$(Some($short),)? None][0],
                        many: <$form as Form>::MANY,
                        switch: <$form as Form>::SWITCH,
                        hidden: [$(stringify!($hidden),)? ""][0].len() == "hidden".len(),
                        get: |config| <$form as Form>::show(&config.$group.$field),
                        set: |config, given| {
                            config.$group.$field = <$form as Form>::read(given)?;
                            Ok(())
                        },
                    },
                )*],
            },
        )*];
    };
}
pub(super) use settings;

//! Merges the layers of the configuration: command line, environment, file.
//!
//! clap's [`Command`] defines each option once. A value from the environment or a file becomes an argument in front of
//! those of the command line, unless a higher layer sets the same option or one that excludes it. So all layers have
//! the same names, values and messages, and clap checks which options need or exclude each other.

use clap::{
    Arg, ArgAction, ArgMatches, Command, Id,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};
use std::{
    env,
    ffi::{OsStr, OsString},
    fmt,
};

/// The beginning of the environment variables: `HTTPD_MAX_BODY` is the option `--max-body`.
const PREFIX: &str = "HTTPD_";

/// The value of an option, and where it comes from.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The long name of the option, without its dashes.
    pub name: String,
    /// The values: one, unless the option can be repeated.
    pub values: Vec<OsString>,
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    CommandLine,
    /// The environment variable with this name.
    Environment(String),
    /// A place in a file.
    File(Place),
}

/// A place in a file.
#[derive(Clone, Debug)]
pub struct Place {
    pub file: String,
    /// The first line is 1.
    pub line: usize,
    /// The first character of a line is 1.
    pub column: usize,
}

/// The options of a program or of a table, after all layers.
#[derive(Debug)]
pub struct Merged {
    pub command: Command,
    pub matches: ArgMatches,
    /// The options that a layer sets. All others have their defaults.
    pub settings: Vec<Setting>,
}

/// Why options do not fit together.
#[derive(Debug)]
pub struct Misfit {
    pub error: clap::Error,
    /// An option from another layer than the command line that needs or excludes another one, if that is the cause.
    pub cause: Option<Setting>,
}

/// Parses `arguments`, which begin with the name of the program, and takes the options that they do not set from the
/// `layers`, highest first. The names and values in the layers have been [checked](check).
///
/// # Errors
///
/// If clap rejects the command line, or a combination of options from any layer.
pub fn merge(mut command: Command, arguments: &[OsString], layers: &[&[Setting]]) -> Result<Merged, Misfit> {
    let mut settings = given(&mut command, arguments)?;
    let given = settings.len();
    for layer in layers {
        let higher = settings.len();
        for setting in *layer {
            let excluded =
                settings[..higher].iter().any(|other| excludes(&command, &other.name, &setting.name));
            if !excluded && find(&command, &setting.name).is_some() {
                settings.push(setting.clone());
            }
        }
    }
    // A table inherits settings of the command line, too.
    let lower = settings[given..].iter().flat_map(|setting| arguments_of(&setting.name, &setting.values));
    let (name, rest) = arguments.split_at(1.min(arguments.len()));
    let all = name.iter().cloned().chain(lower).chain(rest.iter().cloned());
    match command.try_get_matches_from_mut(all) {
        Ok(matches) => Ok(Merged { command, matches, settings }),
        Err(error) => {
            let cause = settings.into_iter().find(|setting| is_cause(&command, setting, &error));
            Err(Misfit { error, cause })
        }
    }
}

/// Fails if the value of a switch is an argument of its own, as in `--listing on`: it would be taken for the directory
/// to serve.
pub fn check_switches(command: &Command, arguments: &[OsString]) -> Result<(), clap::Error> {
    for pair in arguments.windows(2) {
        let [name, value] = [&pair[0], &pair[1]].map(|argument| argument.to_str().unwrap_or_default());
        let name = name.strip_prefix("--").unwrap_or_default();
        let is_switch = find(command, name).is_some_and(Arg::is_require_equals_set);
        if is_switch && ["on", "off", "true", "false"].contains(&value) {
            return Err(command.clone().error(
                ErrorKind::InvalidValue,
                format!("write --{name}={value} (or ./{value} for the directory to serve)"),
            ));
        }
    }
    Ok(())
}

/// Whether `setting`, from another layer than the command line, causes this error: it is one of two that exclude each
/// other, or lacks the same option when it is alone.
fn is_cause(command: &Command, setting: &Setting, error: &clap::Error) -> bool {
    let Some(argument) = find(command, &setting.name) else { return false };
    let is_lower = !matches!(setting.origin, Origin::CommandLine);
    is_lower
        && match error.kind() {
            ErrorKind::ArgumentConflict => named(error).contains(&argument.to_string()),
            ErrorKind::MissingRequiredArgument => {
                let alone = arguments_of(&setting.name, &setting.values);
                let alone = command.clone().no_binary_name(true).try_get_matches_from(alone);
                let lacked = alone.err().map(|error| named(&error)).unwrap_or_default();
                let needed = command.get_arguments().filter(|argument| argument.is_required_set());
                let needed: Vec<_> = needed.map(Arg::to_string).collect();
                lacked.iter().any(|name| named(error).contains(name) && !needed.contains(name))
            }
            _ => false,
        }
}

/// Returns the arguments that an error names, as its message shows them.
fn named(error: &clap::Error) -> Vec<String> {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => vec![name.clone()],
        Some(ContextValue::Strings(names)) => names.clone(),
        _ => Vec::new(),
    };
    [ContextKind::InvalidArg, ContextKind::PriorArg].into_iter().flat_map(named).collect()
}

/// Returns the options that `arguments` set. Wrong arguments are left to the parser of all layers: an option may need
/// another one that a lower layer sets.
fn given(command: &mut Command, arguments: &[OsString]) -> Result<Vec<Setting>, clap::Error> {
    let matches = command.clone().ignore_errors(true).try_get_matches_from(arguments)?;
    command.build();
    let setting = |argument: &Arg| {
        let id = argument.get_id().as_str();
        let is_given = matches.value_source(id) == Some(ValueSource::CommandLine);
        let values = || matches.get_raw(id).into_iter().flatten().map(OsStr::to_owned).collect();
        is_given.then(|| Setting { name: name(argument), values: values(), origin: Origin::CommandLine })
    };
    Ok(command.get_arguments().filter_map(setting).collect())
}

/// Returns the options that environment variables set, except for the `excluded` ones: `HTTPD_VERSION`
/// is likely to mean something else. `HTTPD_CONFIG` names the file.
///
/// # Errors
///
/// If the value of a variable is not one of its option.
pub fn environment(command: &Command, excluded: &[&str]) -> Result<Vec<Setting>, String> {
    let setting = |argument: &Arg| {
        let is_included = |name: &&str| *name == "config" || !excluded.contains(name);
        let name = argument.get_long().filter(is_included)?.to_owned();
        let variable = format!("{PREFIX}{}", name.to_ascii_uppercase().replace('-', "_"));
        let text = env::var_os(&variable)?;
        let values = match text.to_str() {
            // An empty variable is an error, as for other options: a list without values would replace that of the
            // file.
            Some(lines) if is_list(argument) && !lines.is_empty() => lines.lines().map(Into::into).collect(),
            _ => vec![text],
        };
        let checked = check(argument, &values).map_err(|error| format!("{variable}: {error}"));
        Some(checked.map(|()| Setting { name, values, origin: Origin::Environment(variable) }))
    };
    command.get_arguments().filter_map(setting).collect()
}

/// Fails if this option cannot have these `values`: as clap says.
pub fn check(argument: &Arg, values: &[OsString]) -> Result<(), String> {
    let alone = argument.clone().requires(Resettable::<Id>::Reset).conflicts_with(Resettable::<Id>::Reset);
    let command = Command::new("").no_binary_name(true).arg(alone);
    let Err(error) = command.try_get_matches_from(arguments_of(&name(argument), values)) else {
        return Ok(());
    };
    Err(message(&error))
}

/// Returns the message of an error in one line, without the usage.
pub fn message(error: &clap::Error) -> String {
    let message = error.to_string();
    // The usage follows behind an empty line.
    let lines = message.lines().map(str::trim).take_while(|line| !line.is_empty());
    let message = lines.collect::<Vec<_>>().join(" ");
    message.trim_start_matches("error: ").to_owned()
}

/// Returns the option `name` of a command that has been built.
pub fn find<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|argument| argument.get_long() == Some(name))
}

/// The name of an option: a positional argument has that of the option which means the same.
pub fn name(argument: &Arg) -> String {
    let positional = || argument.get_id().as_str().trim_start_matches("positional_");
    argument.get_long().unwrap_or_else(positional).to_owned()
}

/// Whether an option can be switched on and off: its values include `true` and `false`.
pub fn is_switchable(argument: &Arg) -> bool {
    let is_optional = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
    let has_false = || argument.get_possible_values().iter().any(|value| value.matches("false", false));
    // Any text may be the name of a charset, so that clap does not know.
    is_optional || has_false() || argument.get_long() == Some("charset")
}

/// Whether an option can be repeated.
pub fn is_list(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append)
}

/// Whether one of these options cannot be used together with the other, or is the same.
fn excludes(command: &Command, one: &str, other: &str) -> bool {
    let conflicts = |one: &str, other: &str| {
        let conflicts = find(command, one).map(|argument| command.get_arg_conflicts_with(argument));
        conflicts.into_iter().flatten().any(|argument| name(argument) == other)
    };
    one == other || conflicts(one, other) || conflicts(other, one)
}

/// The arguments that set the option `name` to these values.
fn arguments_of(name: &str, values: &[OsString]) -> Vec<OsString> {
    let argument = |value: &OsString| {
        let mut argument = OsString::from(format!("--{name}="));
        argument.push(value);
        argument
    };
    values.iter().map(argument).collect()
}

impl From<clap::Error> for Misfit {
    fn from(error: clap::Error) -> Misfit {
        Misfit { error, cause: None }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(Setting { name, .. }) if self.error.kind() == ErrorKind::MissingRequiredArgument => {
                write!(f, "{name} needs {}", named(&self.error).join(" "))
            }
            // In a file, an option is a key: `--root <ROOT>` is `root`.
            None if self.error.kind() == ErrorKind::MissingRequiredArgument => {
                let named = named(&self.error);
                let keys = named
                    .iter()
                    .map(|name| name.trim_start_matches("--").split(' ').next().unwrap_or_default());
                write!(f, "this table needs {}", keys.collect::<Vec<_>>().join(" and "))
            }
            _ => f.write_str(&message(&self.error)),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::CommandLine => f.write_str("command line"),
            Origin::Environment(variable) => f.write_str(variable),
            Origin::File(place) => place.fmt(f),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

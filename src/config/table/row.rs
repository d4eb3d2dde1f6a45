use crate::config::value::Parsed;

/// A variable as the table describes it, whatever the type of its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// As it stands in the environment and in the documentation.
    pub(crate) name: &'static str,
    /// Other names under which it is accepted.
    pub(crate) aliases: &'static [&'static str],
    /// Names that others use for it, or that come to mind first, and are too far from its own to be
    /// told by their letters. They are not accepted, but asked about.
    pub(crate) synonyms: &'static [&'static str],
    /// What holds where it is unset or empty.
    pub(crate) default: DefaultValue,
    /// What it does, its unit and what is accepted; users see [`Row::description`].
    pub(crate) meaning: &'static str,
    /// All that has to hold for it to have an effect.
    pub(crate) conditions: &'static [Condition],
    /// Whether its value can be used.
    pub(crate) check: fn(Option<&str>) -> Parsed<()>,
    /// Whether two texts stand for the same value.
    pub(crate) is_same: fn(&str, &str) -> bool,
}

/// A variable with the type of its value.
#[derive(Debug)]
pub(crate) struct Variable<T: 'static> {
    /// Its row in the table.
    pub(crate) row: Row,
    /// Its value, from a text or from none where it is unset.
    pub(crate) parse: fn(Option<&str>) -> Parsed<T>,
}

/// What an unset variable stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DefaultValue {
    /// The same as if it were set to this.
    Value(&'static str),
    /// No value of its own; users read this instead.
    Described(&'static str),
}

/// Something without which a variable that is set has no effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    /// The variable that decides.
    pub(crate) on: &'static Row,
    /// What its value has to be.
    pub(crate) wanted: Wanted,
    /// What it does with another value, for users who have read `NAME=value` before it.
    pub(crate) otherwise: &'static str,
    /// Whether the description begins with it.
    pub(crate) is_described: bool,
    /// Whether one that is set to its own default is not worth a word.
    pub(crate) spares_default: bool,
}

/// Values of a variable that others depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Any but this.
    AnyBut(&'static str),
}

impl<T> Variable<T> {
    /// Its name, as the documentation has it.
    pub(crate) const fn name(&self) -> &'static str {
        self.row.name
    }
}

impl Row {
    /// A variable without other names that always has an effect.
    pub(super) const fn new(
        name: &'static str,
        default: DefaultValue,
        meaning: &'static str,
        check: fn(Option<&str>) -> Parsed<()>,
        is_same: fn(&str, &str) -> bool,
    ) -> Self {
        let (aliases, synonyms, conditions): (_, _, &[Condition]) = (&[], &[], &[]);
        Self { name, aliases, synonyms, default, meaning, conditions, check, is_same }
    }

    /// Whether a service may have a value of its own: `NAME_<port>`.
    pub(crate) fn is_per_service(&self) -> bool {
        self.name.starts_with("HEALTH_CHECK_") || ["BALANCE", "PROXY_PROTOCOL"].contains(&self.name)
    }

    /// Its names in the order in which they hold: its own, then the aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// One line for users: when it has an effect, what it does, what else it is called.
    pub(crate) fn description(&self) -> String {
        let described = self.conditions.iter().find(|condition| condition.is_described);
        let condition = described.map(|it| format!("for {}: ", it.reader())).unwrap_or_default();
        let aliases = match self.aliases {
            [] => String::new(),
            aliases => format!("; also accepted as {}", aliases.join(", ")),
        };
        format!("{condition}{}{aliases}", self.meaning)
    }
}

impl Condition {
    /// The variable is read where `on` has one of these values.
    pub(super) const fn read_by(on: &'static Row, values: &'static [&'static str]) -> Self {
        Self {
            on,
            wanted: Wanted::OneOf(values),
            otherwise: "does not read it",
            is_described: true,
            spares_default: false,
        }
    }

    /// The variable has an effect unless `on` is `value`, which `does` something else.
    pub(super) const fn unless(on: &'static Row, value: &'static str, does: &'static str) -> Self {
        Self {
            on,
            wanted: Wanted::AnyBut(value),
            otherwise: does,
            is_described: false,
            spares_default: false,
        }
    }

    /// Whether it holds where the variable that decides is `value`.
    pub(crate) fn holds(&self, value: &str) -> bool {
        match self.wanted {
            Wanted::OneOf(values) => values.contains(&value),
            Wanted::AnyBut(other) => value != other,
        }
    }

    /// Who reads the variable: the values of the one that decides, or its name if it is a switch.
    fn reader(&self) -> String {
        match self.wanted {
            Wanted::OneOf(["true"]) | Wanted::AnyBut(_) => self.on.name.to_owned(),
            Wanted::OneOf(values) => values.join(" and "),
        }
    }
}

impl DefaultValue {
    /// The default as users see it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Value(text) | Self::Described(text) => text,
        }
    }

    /// The text that unset stands for, if there is one.
    pub(crate) fn value(self) -> Option<&'static str> {
        match self {
            Self::Value(text) => Some(text),
            Self::Described(_) => None,
        }
    }
}

/// Makes of each entry a typed [`Variable`], and of all of them the rows of a part of the table:
///
/// ```text
/// NAME: Type = Value("default"), parser, "meaning", field of Row: value …;
/// NAME: Type = Described("default in words"), parser, "meaning";
/// ```
///
/// A variable whose default is only described has an `Option` of the type for its value.
macro_rules! variables {
    ($($name:ident: $type:ty = $default:ident($text:literal), $parse:expr, $meaning:expr
        $(, $field:ident: $value:expr)* $(,)?;)*) => {
        $(pub(crate) static $name: Variable<variables!(@value $default $type)> = {
            const PARSE: fn(Option<&str>) -> Parsed<variables!(@value $default $type)> =
                variables!(@parse $default $text, $parse);
            let check = |text: Option<&str>| PARSE(text).map(drop);
            let is_same = |a: &str, b: &str| PARSE(Some(a)) == PARSE(Some(b));
            let default = DefaultValue::$default($text);
            #[allow(clippy::needless_update, reason = "most rows have no field to update")]
            let row = Row { $($field: $value,)* ..Row::new(stringify!($name), default, $meaning, check, is_same) };
            Variable { row, parse: PARSE }
        };)*

        /// This part of the table, in the order users see it.
        pub(super) static ROWS: &[&Row] = &[$(&$name.row),*];
    };
    (@value Value $type:ty) => { $type };
    (@value Described $type:ty) => { Option<$type> };
    (@parse Value $text:literal, $parse:expr) => { |text| ($parse)(text.unwrap_or($text)) };
    (@parse Described $text:literal, $parse:expr) => { |text| text.map($parse).transpose() };
}

pub(super) use variables;

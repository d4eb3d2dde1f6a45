use super::problem::Problem;
use super::table::{Default as VariableDefault, Variable};
use super::value::Parsed;

/// Parses one variable after the other and collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    /// A reader that knows of `problems` already.
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// The value of a variable that always has one; `None` if it is bad.
    pub(super) fn value<T>(
        &mut self,
        variable: Variable,
        text: Option<&str>,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<T> {
        let VariableDefault::Value(default) = variable.default else {
            unreachable!("{} is read as having a default value", variable.name)
        };
        self.parse(variable, text.unwrap_or(default), parse)
    }

    /// The value of a variable that may have none; `None` if it is bad.
    #[expect(clippy::option_option, reason = "bad, unset and set are three different things")]
    pub(super) fn optional<T>(
        &mut self,
        variable: Variable,
        text: Option<&str>,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<Option<T>> {
        match text {
            None => Some(None),
            Some(text) => self.parse(variable, text, parse).map(Some),
        }
    }

    fn parse<T>(
        &mut self,
        variable: Variable,
        text: &str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<T> {
        parse(text).map_err(|reason| self.refuse(variable, Some(text), &reason)).ok()
    }

    /// Notes that `variable` cannot be used, whatever happens.
    pub(super) fn refuse(&mut self, variable: Variable, text: Option<&str>, reason: &str) {
        self.problems.push(problem(variable, text, reason));
    }

    /// Notes that `variable` cannot be used as things are, but perhaps later.
    pub(super) fn refuse_for_now(&mut self, variable: Variable, text: Option<&str>, reason: &str) {
        self.problems.push(problem(variable, text, reason).temporary_if(true));
    }

    /// Notes that `variable` has to be set, whatever its default is.
    pub(super) fn refuse_unset(&mut self, variable: Variable, reason: &str) {
        self.problems.push(Problem::new(variable.name, None, reason));
    }

    /// The whole, if nothing was wrong; else all that is.
    pub(super) fn finish<T>(self, whole: Option<T>) -> Result<T, Vec<Problem>> {
        match whole {
            Some(whole) if self.problems.is_empty() => Ok(whole),
            _ => {
                assert!(!self.problems.is_empty(), "something is missing and nobody said why");
                Err(self.problems)
            }
        }
    }
}

fn problem(variable: Variable, text: Option<&str>, reason: &str) -> Problem {
    let default = match variable.default {
        VariableDefault::Value(default) => Some(default),
        VariableDefault::Described(_) => None,
    };
    Problem::new(variable.name, text.or(default), reason)
}

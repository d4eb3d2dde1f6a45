use super::environment::Environment;
use super::problem::Problem;
use super::remarks::alias;
use super::table::{self, Row, Variable};

/// Reads typed values out of an environment, and collects what is wrong with it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Checks every variable of the table by itself.
    pub(super) fn new(environment: &'a Environment) -> Self {
        let not_utf8 = environment.not_utf8().map(|(name, value)| Problem::not_utf8(name, value));
        let mut read = Self { environment, problems: not_utf8.collect() };
        for row in table::rows() {
            let text = environment.written(row).map(|written| written.text);
            if let Err(reason) = (row.check)(text) {
                read.refuse_row(row, &reason);
            }
            read.problems.extend(alias::contradictions(row, environment));
        }
        read
    }

    /// The value of `variable`; `None` if it is bad, which has been noted.
    pub(super) fn value<T>(&self, variable: &Variable<T>) -> Option<T> {
        (variable.parse)(self.environment.get(variable)).ok()
    }

    /// Whether `variable` is set, to whatever.
    pub(super) fn is_set<T>(&self, variable: &Variable<T>) -> bool {
        self.environment.get(variable).is_some()
    }

    /// Notes that `variable` cannot be used, whatever happens.
    pub(super) fn refuse<T>(&mut self, variable: &Variable<T>, reason: &str) {
        self.refuse_row(&variable.row, reason);
    }

    /// Notes that `variable` cannot be used as things are, but perhaps later.
    pub(super) fn refuse_for_now<T>(&mut self, variable: &Variable<T>, reason: &str) {
        let problem = self.problem(&variable.row, reason).temporary_if(true);
        self.problems.push(problem);
    }

    /// Notes that `variable` has to be set, whatever its default is.
    pub(super) fn refuse_unset<T>(&mut self, variable: &Variable<T>, reason: &str) {
        self.problems.push(Problem::new(variable.name(), None, reason));
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

    fn refuse_row(&mut self, row: &Row, reason: &str) {
        let problem = self.problem(row, reason);
        self.problems.push(problem);
    }

    /// By the name that whoever set it has used; the default stands for what is not set.
    fn problem(&self, row: &Row, reason: &str) -> Problem {
        match self.environment.written(row) {
            Some(written) => Problem::new(written.name, Some(written.text), reason),
            None => Problem::new(row.name, row.default.value(), reason),
        }
    }
}

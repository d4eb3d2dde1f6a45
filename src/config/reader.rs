use super::environment::{Environment, Override};
use super::problem::Problem;
use super::remarks::alias;
use super::table::{self, PORT, Row, Variable};

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
        let problems = environment.overrides().filter_map(|it| override_problem(it, environment));
        read.problems.extend(problems);
        read
    }

    /// A reader of values that were checked before: `environment` as one service has it.
    pub(super) fn of_service(environment: &'a Environment) -> Self {
        Self { environment, problems: Vec::new() }
    }

    /// What it reads.
    pub(super) fn environment(&self) -> &'a Environment {
        self.environment
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

/// What is wrong with a value for one service alone.
fn override_problem(it: Override<'_>, environment: &Environment) -> Option<Problem> {
    let Override { port, row, text } = it;
    let name = format!("{}_{port}", row.name);
    // Where PORT is bad, that is what is told.
    let ports = (PORT.parse)(environment.get(&PORT)).ok()?;
    let is_known = ports.services().iter().any(|service| service.port == port);
    if !row.is_per_service() {
        // Other programs have variables such as HOST_1.
        if !is_known {
            return None;
        }
        let reason = "is for one service, and this variable is for all of them; accepted for one: \
                      HEALTH_CHECK_*, BALANCE and PROXY_PROTOCOL";
        return Some(Problem::new(name, Some(text), reason));
    }
    if !is_known {
        let reason = format!("is for a service that PORT does not have; it has: {ports}");
        return Some(Problem::new(name, Some(text), &reason));
    }
    let reason = (row.check)(Some(text)).err()?;
    Some(Problem::new(name, Some(text), &reason))
}

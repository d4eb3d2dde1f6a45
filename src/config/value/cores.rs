use std::collections::BTreeSet;
use std::str::FromStr;

use super::list::each;

/// `CORES`: which CPUs carry traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// So many of the allowed ones.
    Count(usize),
    /// Exactly these, as the kernel numbers them.
    List(BTreeSet<usize>),
}

/// As many CPUs as fit into the kernel's fixed-size affinity mask: `CPU_SETSIZE` of
/// `CPU_SET(3)`.
const CPU_COUNT_MAX: usize = 1024;

const ACCEPTED: &str = "accepted: a count (4) or a list of CPUs and ranges (0-3,8), below 1024";

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(['-', ',']) {
            let count = number(text).ok_or_else(|| format!("is no number; {ACCEPTED}"))?;
            return match count {
                0 => Err(format!("leaves no core to carry traffic; {ACCEPTED}")),
                count => Ok(Self::Count(count)),
            };
        }
        let mut cpus = BTreeSet::new();
        each(text, ACCEPTED, |part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err("is no CPU or range of them".to_owned());
            };
            if first > last {
                return Err("is a range backwards".to_owned());
            }
            cpus.extend(first..=last);
            Ok(())
        })?;
        Ok(Self::List(cpus))
    }
}

fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number < CPU_COUNT_MAX)
}

impl Cores {
    /// The CPUs to use, of those this process is `allowed` to run on.
    ///
    /// # Errors
    /// A phrase naming what is asked too much.
    pub(crate) fn choose(wanted: Option<&Self>, allowed: &[usize]) -> Result<Vec<usize>, String> {
        let allowed_list = join(allowed);
        match wanted {
            None => Ok(allowed.to_vec()),
            Some(Self::Count(count)) if *count <= allowed.len() => Ok(allowed[..*count].to_vec()),
            Some(Self::Count(_)) => Err(format!(
                "is more than the {} that this process may run on (CPU {allowed_list}); accepted: \
                 1 to {} or a list of these",
                allowed.len(),
                allowed.len(),
            )),
            Some(Self::List(cpus)) => {
                let denied: Vec<_> =
                    cpus.iter().copied().filter(|cpu| !allowed.contains(cpu)).collect();
                if denied.is_empty() {
                    return Ok(cpus.iter().copied().collect());
                }
                Err(format!(
                    "names CPU {} where this process may not run; accepted: CPU {allowed_list}",
                    join(&denied),
                ))
            }
        }
    }
}

fn join(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(text: &str, allowed: &[usize]) -> Result<Vec<usize>, String> {
        Cores::choose(Some(&text.parse()?), allowed)
    }

    #[test]
    fn a_count_takes_the_first_allowed_cpus() {
        assert_eq!(choose("2", &[1, 4, 5]), Ok(vec![1, 4]));
        assert_eq!(Cores::choose(None, &[1, 4, 5]), Ok(vec![1, 4, 5]));
    }

    #[test]
    fn a_list_takes_exactly_its_cpus() {
        assert_eq!(choose("3,0-1,1", &[0, 1, 2, 3]), Ok(vec![0, 1, 3]));
        assert_eq!(choose("3-3", &[0, 3]), Ok(vec![3]));
    }

    #[test]
    fn too_many_or_forbidden_cpus_are_named() {
        assert!(choose("3", &[0, 1]).unwrap_err().contains("more than the 2"));
        let error = choose("0-3", &[0, 2]).unwrap_err();
        assert!(error.contains("names CPU 1,3 where"), "{error}");
        assert!(error.ends_with("accepted: CPU 0,2"), "{error}");
    }

    #[test]
    fn garbage_is_refused() {
        for text in ["0", "-1", "1-", "3-1", "1,,2", ",", "x", "1-x", "+1", "1024", "0-1024", "1 2"]
        {
            assert!(text.parse::<Cores>().unwrap_err().contains("accepted:"), "{text}");
        }
    }
}

mod groups;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use exchange::Target;

use super::address_check::{check_address, with_port_of_its_own};
use super::settings::FileSettings;

/// Largest target file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Reads and parses the target file once, as at start.
///
/// The format is that of Prometheus' file-based service discovery, as JSON: a list of groups, each
/// with `targets` (`ip[:port]`) and optional `labels`. Of these `zone` (or
/// `__meta_ec2_availability_zone`) and `id` (or `__meta_ec2_instance_id`) are used, for every
/// target of their group. A list without targets is well-formed.
///
/// # Errors
/// A phrase that says what is wrong with the file, and where; it goes after the file's name.
pub fn read_file(settings: &FileSettings) -> Result<Vec<Target>, String> {
    read(settings).map_err(|error| error.to_string())
}

/// Why a target file cannot be used: a phrase that goes after the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error(
        "is not valid: {0}; accepted: \
        [{{\"targets\": [\"ip[:port]\"], \"labels\": {{\"zone\": \"…\", \"id\": \"…\"}}}}]"
    )]
    Invalid(String),
    #[error("cannot be used: {0}")]
    Refused(String),
}

impl FileError {
    /// The value of the metric's label.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Invalid(_) => "invalid",
            Self::Refused(_) => "refused",
        }
    }

    /// Every kind there is.
    pub(crate) const KINDS: [&'static str; 3] = ["unreadable", "invalid", "refused"];
}

/// As [`read_file`], with the error's kind.
pub(crate) fn read(settings: &FileSettings) -> Result<Vec<Target>, FileError> {
    let content =
        read_bounded(&settings.path).map_err(|error| FileError::Unreadable(error.to_string()))?;
    let groups = groups::parse(&content).map_err(FileError::Invalid)?;
    let mut seen = HashSet::new();
    let mut targets = Vec::new();
    for target in groups.iter().flat_map(|group| group.targets(settings.default_port)) {
        if !seen.insert(target.address) {
            let reason = format!("the address {} is there more than once", target.address);
            return Err(FileError::Invalid(reason));
        }
        if settings.is_port_given && target.address.port() != settings.default_port {
            return Err(FileError::Invalid(with_port_of_its_own(&target)));
        }
        check_address(&target, settings.own_address).map_err(FileError::Refused)?;
        targets.push(target);
    }
    Ok(targets)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Before it is opened: opening a FIFO without a writer would block (fifo(7)).
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::Scratch;

    fn parse(content: &str) -> Result<Vec<Target>, FileError> {
        let scratch = Scratch::new();
        let path = scratch.write("targets.json", content);
        read(&FileSettings {
            path,
            default_port: 30080,
            is_port_given: false,
            own_address: "0.0.0.0:8080".parse().unwrap(),
        })
    }

    #[test]
    fn reads_groups_with_labels() {
        let targets = parse(
            r#"[{"targets": ["10.0.0.1", "10.0.0.1:81"], "labels": {"id": "i-1", "zone": "a"}},
                {"targets": ["[::1]:82"], "labels": {"__meta_ec2_availability_zone": "b",
                    "__meta_ec2_instance_id": "i-2", "other": 7, "zone": ""}},
                {"targets": []}, {"targets": ["10.0.0.9"]}]"#,
        );
        let shown: Vec<_> = targets
            .unwrap()
            .iter()
            .map(|t| format!("{} {} {}", t.id, t.address, t.zone.as_deref().unwrap_or("-")))
            .collect();
        assert_eq!(
            shown,
            [
                "i-1 10.0.0.1:30080 a",
                "i-1 10.0.0.1:81 a",
                "i-2 [::1]:82 b",
                "10.0.0.9:30080 10.0.0.9:30080 -",
            ]
        );
    }

    #[test]
    fn an_empty_list_is_well_formed() {
        assert!(parse("[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_null_in_a_group_is_empty() {
        let targets = parse(
            r#"[{"targets": null}, {"targets": null, "labels": null},
                {"targets": ["10.0.0.1"], "labels": null},
                {"targets": ["10.0.0.2"], "labels": {"zone": null, "id": null, "other": null}}]"#,
        );
        let targets = targets.unwrap();
        let plain = |text: &str| Target::at(text.parse().unwrap());
        assert_eq!(targets, [plain("10.0.0.1:30080"), plain("10.0.0.2:30080")]);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let deep = "[".repeat(100_000);
        for (content, kind, named) in [
            ("", "invalid", "it is empty"),
            (" \n", "invalid", "it is empty"),
            ("[{\"targets\": [\"10.0.0.1\"", "invalid", "line 1: the file ends too early"),
            ("\u{feff}[]", "invalid", "a byte order mark (BOM)"),
            ("{}", "invalid", "line 1: the file must be a list of groups, not map"),
            ("null", "invalid", "line 1: the file must be a list of groups, not null"),
            (
                "[5]",
                "invalid",
                "a group must be an object with targets and labels, not integer `5`",
            ),
            ("[null]", "invalid", "a group must be an object with targets and labels, not null"),
            ("[[[\"10.0.0.1\"]]]", "invalid", "a group must be an object"),
            (
                "[\n{\n\"targets\": \"10.0.0.1\"}]",
                "invalid",
                "valid: line 3: targets must be a list of strings, not string \"10.0.0.1\"",
            ),
            ("[{\"targets\":\n[null]}]", "invalid", "line 2: targets must be a list of strings"),
            ("[{\"targets\": [], \"labels\": []}]", "invalid", "labels must be an object of"),
            (
                "[{\"targets\": [], \"labels\": {\"id\": 5}}]",
                "invalid",
                "the label `id` must be a string",
            ),
            ("[{\"targets\": [], \"targets\": []}]", "invalid", "a group has targets twice"),
            ("[\n{\"targets\": [\"10.0.0.1:0\"]}]", "invalid", "`10.0.0.1:0`"),
            ("[\n{\"targets\": [\"web\"]}]", "invalid", "valid: line 2: `web`"),
            ("[{\"targets\": [\"10.0.0.1@z\"]}]", "invalid", "`10.0.0.1@z` names a zone"),
            ("[{\"targets\": [\"[::1]:80@z\\n\"]}]", "invalid", "the label `zone`"),
            ("[{\"targets\": [\"web@z\"]}]", "invalid", "`web@z` is not an IP address"),
            ("[\n{\"target\": [\"10.0.0.1\"]}]", "invalid", "unknown field `target`"),
            ("[{\"labels\": {}}]", "invalid", "a group has no targets"),
            ("[{\"targets\": [5]}]", "invalid", "line 1: targets must be a list of strings"),
            ("[{\"targets\": [], \"labels\": {\"id\": \"a\\nb\"}}]", "invalid", "a\\nb"),
            ("[{\"targets\": [\"10.0.0.1\", \"10.0.0.1:30080\"]}]", "invalid", "10.0.0.1:30080"),
            ("[] []", "invalid", "trailing"),
            (&deep, "invalid", "line 1"),
            ("[{\"targets\": [\"169.254.169.254\"]}]", "refused", "169.254.169.254:30080"),
            ("[{\"targets\": [\"127.0.0.1:8080\"]}]", "refused", "own address"),
        ] {
            let error = parse(content).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            let error = error.to_string();
            assert!(error.contains(named) && !error.contains("targets.json"), "{error}");
            assert!(!error.contains('\n'), "{error}");
            assert!(error.len() < 700, "{error}");
            assert!(error.matches("accepted").count() <= 1, "{error}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let scratch = Scratch::new();
        let large = scratch.write("large", "");
        File::options().write(true).open(&large).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        let missing = scratch.path("missing");
        for (path, reason) in [
            (missing, "No such file"),
            (scratch.path("."), "not a regular file"),
            ("/dev/zero".into(), "not a regular file"),
            (large, "larger than 16777216 bytes"),
        ] {
            let own_address = "0.0.0.0:8080".parse().unwrap();
            let error =
                read(&FileSettings { path, default_port: 1, is_port_given: false, own_address })
                    .unwrap_err();
            assert_eq!(error.kind(), "unreadable");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}

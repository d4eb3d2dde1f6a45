use aws_sdk_ec2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use xmlparser::{ElementEnd, Token, Tokenizer};

/// Refuses answers whose XML is cut or broken. The SDK's own parser takes the end of the text, and
/// whatever it cannot read, for the end of the list: half an answer would look like a small fleet.
#[derive(Debug)]
pub(super) struct Wholeness;

impl Intercept for Wholeness {
    fn name(&self) -> &'static str {
        "Wholeness"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // What is wrong with an error's text is for the SDK to say: it has its status.
        if !context.response().status().is_success() {
            return Ok(());
        }
        let body = context.response().body().bytes().ok_or("the answer was not read")?;
        Ok(check(body)?)
    }
}

/// Whether `body` is one element with all that was opened in it closed.
fn check(body: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("the XML is no text: {error}"))?;
    let mut depth = 0_usize;
    let mut elements = 0_usize;
    for token in Tokenizer::from(text) {
        match token.map_err(|error| format!("the XML is broken: {error}"))? {
            Token::ElementStart { .. } => {
                depth += 1;
                elements += 1;
            }
            Token::ElementEnd { end: ElementEnd::Close(..) | ElementEnd::Empty, .. } => {
                depth = depth.checked_sub(1).ok_or("the XML closes more than it opens")?;
            }
            _ => (),
        }
    }
    match (elements, depth) {
        (0, _) => Err("there is no XML".to_owned()),
        (_, 0) => Ok(()),
        _ => Err(format!("the XML ends within {depth} open elements")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <A xmlns=\"http://x/\"><set><item><id>i-1</id></item><item/></set><!-- é --></A>\n";

    #[test]
    fn whole_answers_pass() {
        check(WHOLE.as_bytes()).unwrap();
        check(b"<A/>").unwrap();
    }

    #[test]
    fn an_answer_cut_anywhere_does_not() {
        let bytes = WHOLE.trim_end().as_bytes();
        for length in 0..bytes.len() {
            check(&bytes[..length]).unwrap_err();
        }
    }

    #[test]
    fn broken_answers_do_not() {
        for text in ["", "no", "{}", "<A><b</A>", "<A></A></A>", "<A>&</A><", "<A>\u{1}<b></A>"] {
            check(text.as_bytes()).expect_err(text);
        }
        check(b"<A>\xff</A>").unwrap_err();
    }
}

//! The `Link` header (RFC 8288): which URL it names as the next page.
//!
//! A header that cannot be read is an error, not "no next page": taking it for the last page would lose the rest.

/// Finds the target of the first link with the relation `next` among the values of all `Link` headers.
///
/// Links about something else (`anchor`) do not count. `Err`: a value is malformed before any such link.
pub fn next<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Option<String>, String> {
    for value in values {
        let text = String::from_utf8_lossy(value);
        let mut rest = Rest(text.as_ref());
        while let Some(link) = rest.link()? {
            if link.is_next {
                return Ok(Some(link.target.to_owned()));
            }
        }
    }
    Ok(None)
}

struct Link<'t> {
    target: &'t str,
    is_next: bool,
}

/// What is not yet read of one header value.
struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    fn link(&mut self) -> Result<Option<Link<'t>>, String> {
        // Lists may have empty elements (RFC 9110, 5.6.1).
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
        if self.0.is_empty() {
            return Ok(None);
        }
        let inside = self
            .0
            .strip_prefix('<')
            .ok_or("a link does not begin with `<`")?;
        let (target, rest) = inside.split_once('>').ok_or("a link has no `>`")?;
        self.0 = rest;
        let mut rel: Option<String> = None;
        let mut has_anchor = false;
        while self.skipped(';') {
            let (name, value) = self.parameter()?;
            match name.to_ascii_lowercase().as_str() {
                // The first counts, any other must be ignored (RFC 8288, 3.3).
                "rel" => drop(rel.get_or_insert(value)),
                "anchor" => has_anchor = true,
                _ => {}
            }
        }
        self.skip_space();
        if !self.0.is_empty() && !self.0.starts_with(',') {
            return Err("there is text behind a link".to_owned());
        }
        let is_next = rel.is_some_and(|rel| {
            rel.split_ascii_whitespace()
                .any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        Ok(Some(Link {
            target: target.trim_matches([' ', '\t']),
            is_next: is_next && !has_anchor,
        }))
    }

    fn parameter(&mut self) -> Result<(&'t str, String), String> {
        self.skip_space();
        let name = self.until(|c| matches!(c, '=' | ';' | ',' | ' ' | '\t'));
        if !self.skipped('=') {
            return Ok((name, String::new()));
        }
        self.skip_space();
        match self.0.strip_prefix('"') {
            Some(rest) => Ok((name, self.quoted(rest)?)),
            None => Ok((
                name,
                self.until(|c| matches!(c, ';' | ',' | ' ' | '\t'))
                    .to_owned(),
            )),
        }
    }

    fn quoted(&mut self, inside: &'t str) -> Result<String, String> {
        let mut value = String::new();
        let mut chars = inside.chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => value.extend(chars.next()),
                Some(c) => value.push(c),
                None => return Err("a quoted text has no end".to_owned()),
            }
        }
        self.0 = chars.as_str();
        Ok(value)
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'t str {
        let end = self.0.find(ends).unwrap_or(self.0.len());
        let (head, rest) = self.0.split_at(end);
        self.0 = rest;
        head
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn skipped(&mut self, c: char) -> bool {
        self.skip_space();
        match self.0.strip_prefix(c) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next_in(values: &[&str]) -> Result<Option<String>, String> {
        next(values.iter().map(|value| value.as_bytes()))
    }

    fn finds(value: &str, target: &str) {
        assert_eq!(next_in(&[value]), Ok(Some(target.to_owned())), "{value}");
    }

    #[test]
    fn a_next_link_is_found_however_it_is_written() {
        finds("</p?page=2>; rel=\"next\"", "/p?page=2");
        finds("</p>;rel=next", "/p");
        finds("</p> ; REL = \"NEXT\"", "/p");
        finds("</p>; rel=\"start next\"", "/p");
        finds("</p>; title=\"a, b; rel=prev\"; rel=next", "/p");
        finds("</p>; title=\"a \\\" >\"; rel=next; flag", "/p");
        finds("</prev>; rel=prev, </a,b;c>; rel=next", "/a,b;c");
        finds(", ,</p>; rel=next;", "/p");
        finds("</p>; rel=next; rel=prev", "/p");
    }

    #[test]
    fn several_headers_are_one_list() {
        assert_eq!(
            next_in(&["</a>; rel=first", "</b>; rel=next"]),
            Ok(Some("/b".to_owned()))
        );
    }

    #[test]
    fn other_links_are_not_the_next_page() {
        assert_eq!(next_in(&["</p>; rel=prev; rel=next"]), Ok(None));
        assert_eq!(next_in(&["</p>; rel=nextish"]), Ok(None));
        assert_eq!(next_in(&["</p>; rev=next"]), Ok(None));
        assert_eq!(next_in(&["</p>; rel=next; anchor=\"#x\""]), Ok(None));
        assert_eq!(next_in(&["", "</p>"]), Ok(None));
        assert_eq!(next_in(&[]), Ok(None));
    }

    #[test]
    fn a_header_that_cannot_be_read_is_an_error() {
        assert!(next_in(&["https://x.example/p; rel=next"]).is_err());
        assert!(next_in(&["</p; rel=next"]).is_err());
        assert!(next_in(&["</p>; rel=\"next"]).is_err());
        assert!(next_in(&["</p> rel=next"]).is_err());
    }

    proptest! {
        #[test]
        fn a_rendered_list_is_read_back(
            links in prop::collection::vec(("[a-z/?=&,;%]{0,12}", "[a-z]{1,8}", any::<bool>(), "[ -~]{0,8}"), 0..6),
        ) {
            let expected = links.iter().find(|(_, rel, ..)| rel == "next").map(|(target, ..)| target.clone());
            let render = |(target, rel, quoted, title): &(String, String, bool, String)| {
                let title = title.replace('\\', "\\\\").replace('"', "\\\"");
                let rel = if *quoted { format!("\"x {rel}\"") } else { rel.clone() };
                format!("<{target}>; title=\"{title}\"; rel={rel}")
            };
            let rendered: Vec<String> = links.iter().map(render).collect();

            prop_assert_eq!(next_in(&[&rendered.join(", ")]), Ok(expected.clone()));
            let several: Vec<&str> = rendered.iter().map(String::as_str).collect();
            prop_assert_eq!(next_in(&several), Ok(expected));
        }

        #[test]
        fn no_header_makes_the_reader_panic(value in any::<Vec<u8>>()) {
            let _ = next([value.as_slice()]);
        }
    }
}

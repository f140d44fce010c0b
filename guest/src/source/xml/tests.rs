//! Documents of the shapes that people have, and what is refused.

use proptest::prelude::*;

use super::*;

fn json(text: &str) -> String {
    String::from_utf8(to_json(text, usize::MAX).unwrap()).unwrap()
}

fn why(text: &str) -> String {
    to_json(text, 100_000).unwrap_err()
}

#[test]
fn elements_are_members_attributes_have_a_mark_and_several_are_an_array() {
    let text = "<?xml version=\"1.0\"?>\n<!-- a list -->\n<orders total=\"2\">\n  <order id='1'><name>a</name></order>\n  <order id='2'><name>b</name></order>\n  <next/>\n</orders>\n";

    assert_eq!(
        json(text),
        r#"{"orders":{"@total":"2","order":[{"@id":"1","name":"a"},{"@id":"2","name":"b"}],"next":""}}"#
    );
}

#[test]
fn text_beside_others_is_a_member_and_white_space_alone_is_none() {
    assert_eq!(json("<a>\n  </a>"), r#"{"a":""}"#);
    assert_eq!(json("<a> b </a>"), r#"{"a":" b "}"#);
    assert_eq!(json("<a x='1'>b</a>"), r##"{"a":{"@x":"1","#text":"b"}}"##);
    assert_eq!(json("<a x='1'> </a>"), r#"{"a":{"@x":"1"}}"#);
    assert_eq!(
        json("<p>one <b>two</b> <i>3</i> four</p>"),
        r##"{"p":{"b":"two","i":"3","#text":"one  four"}}"##
    );
}

#[test]
fn equal_content_is_equal_json_whatever_way_it_is_written() {
    let expected = r#"{"a":{"b":"<&>\"\n","c":""}}"#;

    assert_eq!(json("<a><b>&lt;&amp;&gt;&quot;\n</b><c/></a>"), expected);
    assert_eq!(
        json("<a>\r\n<b><![CDATA[<&>\"\r\n]]></b>\r\n<c></c></a>"),
        expected
    );
    assert_eq!(
        json("<a ><b>&#60;<!-- c -->&#x26;<?p i?>&gt;<![CDATA[\"]]>&#10;</b ><c\n/></a>"),
        expected
    );
    assert_eq!(
        json("<a xmlns='urn:x' xmlns:y='urn:y'><b>&#x3C;&amp;&gt;&quot;&#xA;</b><c/></a>"),
        expected
    );
}

#[test]
fn elements_out_of_order_are_sorted_by_their_first() {
    assert_eq!(
        json("<a><b>1</b><c>2</c><b>3</b><b>4</b><c x='5'/><d/></a>"),
        r#"{"a":{"b":["1","3","4"],"c":["2",{"@x":"5"}],"d":""}}"#
    );
    assert_eq!(
        json("<a><b/><b>2</b><c/><b>3</b></a>"),
        r#"{"a":{"b":["","2","3"],"c":""}}"#
    );
    assert_eq!(
        json("<a><x><b>1</b><c/><b>2</b></x><y/><x><b/></x></a>"),
        r#"{"a":{"x":[{"b":["1","2"],"c":""},{"b":""}],"y":""}}"#
    );
}

#[test]
fn attributes_are_read_as_xml_has_them() {
    assert_eq!(
        json("<a b = \"x\ty\r\nz &amp;&#10;'\" xml:lang='en' c=''/>"),
        r#"{"a":{"@b":"x y z &\n'","@xml:lang":"en","@c":""}}"#
    );
}

#[test]
fn a_feed_is_read() {
    let feed = r#"<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>News &amp; more</title>
      <item><title>A</title><guid isPermaLink="false">1</guid><dc:creator>x</dc:creator><category>u</category><category>v</category></item>
      <item><title>B</title><guid>2</guid><description><![CDATA[<p>Hi</p>]]></description></item></channel></rss>"#;

    assert_eq!(
        json(feed),
        r##"{"rss":{"@version":"2.0","channel":{"title":"News & more","item":[{"title":"A","guid":{"@isPermaLink":"false","#text":"1"},"dc:creator":"x","category":["u","v"]},{"title":"B","guid":"2","description":"<p>Hi</p>"}]}}}"##
    );
    let atom = r#"<feed xmlns="http://www.w3.org/2005/Atom"><link rel="self" href="/a"/><link rel="next" href="/a?page=2"/><entry><id>1</id></entry></feed>"#;
    assert_eq!(
        json(atom),
        r#"{"feed":{"link":[{"@rel":"self","@href":"/a"},{"@rel":"next","@href":"/a?page=2"}],"entry":{"id":"1"}}}"#
    );
}

#[test]
fn a_bucket_a_soap_answer_and_a_sitemap_are_read() {
    let bucket = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><NextContinuationToken>1ueGcxLPRx1Tr</NextContinuationToken><IsTruncated>true</IsTruncated><Contents><Key>a.csv</Key><ETag>&quot;fba9&quot;</ETag><Size>434</Size></Contents></ListBucketResult>"#;
    assert_eq!(
        json(bucket),
        r#"{"ListBucketResult":{"Name":"b","NextContinuationToken":"1ueGcxLPRx1Tr","IsTruncated":"true","Contents":{"Key":"a.csv","ETag":"\"fba9\"","Size":"434"}}}"#
    );
    let soap = r#"<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Header/><soap:Body><ns1:r xmlns:ns1="urn:o"><o xsi:nil="true" xmlns:xsi="urn:i"/></ns1:r></soap:Body></soap:Envelope>"#;
    assert_eq!(
        json(soap),
        r#"{"soap:Envelope":{"soap:Header":"","soap:Body":{"ns1:r":{"o":{"@xsi:nil":"true"}}}}}"#
    );
    let sitemap = "<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n<url><loc>https://x.example/</loc></url>\n<url><loc>https://x.example/b</loc></url>\n</urlset>";
    assert_eq!(
        json(sitemap),
        r#"{"urlset":{"url":[{"loc":"https://x.example/"},{"loc":"https://x.example/b"}]}}"#
    );
}

#[test]
fn there_is_no_dtd_and_no_entity() {
    let laughs = "<?xml version=\"1.0\"?>\n<!DOCTYPE a [<!ENTITY b \"lol\"><!ENTITY c \"&b;&b;\">]>\n<a>&c;</a>";

    assert!(why(laughs).starts_with("has a DOCTYPE on line 2: a DTD is not read"));
    assert!(why("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>").contains("has a DOCTYPE"));
    assert_eq!(
        why("<a>\n\n&nbsp;</a>"),
        "has an unknown entity on line 3: `&nbsp;` is none of the five that XML has without a DTD"
    );
    assert!(why("<a b='&nbsp;'/>").contains("unknown entity"));
    for code in [
        "&#0;",
        "&#x1f;",
        "&#xd800;",
        "&#xffff;",
        "&#+60;",
        "&#;",
        "&#x;",
        "&;",
        "&#x110000;",
    ] {
        assert!(
            why(&format!("<a>{code}</a>")).contains("unknown entity"),
            "{code}"
        );
    }
}

#[test]
fn what_is_not_well_formed_is_refused_with_its_line() {
    let malformed = [
        "<a>\n<b></a>",
        "<a>\n</a></b>",
        "<a/>\n<b/>",
        "<a/>\ntext",
        "<a/>\n&amp;",
        "<a/>\n<![CDATA[b]]>",
        "\n<?xml version=\"1.0\"?><a/>",
        "<a>\nb & c</a>",
        "<a>\n]]></a>",
        "<a>\n\u{1}</a>",
        "<a>\n<!-- a -- b --></a>",
        "<a>\n<b c=d/></a>",
        "<a>\n<b c/></a>",
        "<a>\n<b c='1'd='2'/></a>",
        "<a>\n<b c='1' c='2'/></a>",
        "<a>\n<b c='<'/></a>",
        "<a>\n<b c='&'/></a>",
        "<a>\n<b c='\u{0}'/></a>",
        "<a>\n<b\u{1b}c/></a>",
        "<a>\n<1/></a>",
        "<a>\n< b/></a>",
        "<a>\n<b/ ></a>",
        "<a>\n<b></b c='1'></a>",
        "<a>\n<!b></a>",
        "<a>\n<></a>",
    ];
    for text in malformed {
        let why = why(text);
        assert!(
            why.starts_with("is not well-formed XML on line 2: "),
            "{text}: {why}"
        );
    }
    assert_eq!(
        why("<a>\n<b></c\u{1b}></a>"),
        "is not well-formed XML on line 2: the end of `c\\u{1b}` is where that of `b` belongs"
    );
}

#[test]
fn what_ends_early_is_refused_wherever_that_is() {
    let text = "<?xml version=\"1.0\"?><a x='1'>b<c>&amp;</c><![CDATA[d]]><!-- e --><f/></a>";

    for cut in 0..text.len() {
        assert!(to_json(&text[..cut], 1000).is_err(), "cut at {cut}");
    }
    assert_eq!(
        why("<a>\n<b>"),
        "ends too early on line 2: the element `b` has no end"
    );
    assert_eq!(
        why("<!-- a -->\n"),
        "ends too early on line 2: it has no element"
    );
}

#[test]
fn depth_names_and_size_have_limits() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let names = |number: usize| (0..number).fold(String::new(), |all, n| all + &format!("<n{n}/>"));

    let deepest = json(&nested(60));
    assert!(serde_json::from_str::<serde_json::Value>(&deepest).is_ok());
    assert_eq!(
        why(&nested(61)),
        "is nested too deep on line 1: more than 60 elements are in each other"
    );
    assert!(why(&"<a>".repeat(1_000_000)).starts_with("is nested too deep"));
    assert!(to_json(&format!("<a>{}</a>", names(1000)), usize::MAX).is_ok());
    assert!(
        why(&format!("<a>{}</a>", names(1001)))
            .starts_with("has an element on line 1 with more than 1000 attributes")
    );
    let attributes: String =
        (0..1_000_000).fold(String::new(), |all, n| all + &format!(" a{n}=''"));
    assert!(why(&format!("<a{attributes}/>")).contains("more than 1000 attributes"));
    let changes = format!("<a>{}</a>", "<b/><c/>".repeat(500_001));
    assert!(
        to_json(&changes, usize::MAX)
            .unwrap_err()
            .contains("more than 1000000 times")
    );
    assert!(
        why(&format!("<a>{}</a>", "<b>c</b>".repeat(100_000)))
            .contains("more than 100000 bytes as JSON")
    );
}

#[test]
fn the_deepest_document_with_arrays_is_read_as_json() {
    let text = format!(
        "<a>{}</a>",
        (0..59).fold("b".to_owned(), |inner, _| format!(
            "<c x='1'/><c>{inner}</c>"
        ))
    );

    assert!(serde_json::from_str::<serde_json::Value>(&json(&text)).is_ok());
}

#[test]
fn a_web_page_is_refused() {
    assert!(why("<html xmlns='x'><body/></html>").contains("is a web page"));
}

#[test]
fn the_declared_encoding_is_found() {
    let declared = |text: &str| declared(text.as_bytes());

    assert_eq!(
        declared("<?xml version='1.0' encoding='UTF-16'?><a/>").as_deref(),
        Some("UTF-16")
    );
    assert_eq!(
        declared("<?xml version=\"1.0\"\n encoding = \"latin1\" ?>").as_deref(),
        Some("latin1")
    );
    assert_eq!(declared("<?xml version='1.0'?><a encoding='x'/>"), None);
    assert_eq!(declared("<a/>"), None);
}

/// A document by its JSON, slowly: what it should be.
#[derive(Debug, Clone)]
struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Element>,
    text: String,
}

fn elements() -> impl Strategy<Value = Element> {
    let names = || prop::sample::select(vec!["a", "b", "c:d", "é"]);
    let leaf = (names(), "[a<&\"' \n]{0,4}").prop_map(|(name, text)| Element {
        name,
        attributes: Vec::new(),
        children: Vec::new(),
        text,
    });
    leaf.prop_recursive(4, 30, 5, move |inner| {
        let attributes = prop::option::of("[a<&\"' ]{0,3}");
        (
            names(),
            attributes,
            prop::collection::vec(inner, 0..6),
            "[a&\n]{0,3}",
        )
            .prop_map(|(name, attribute, children, text)| Element {
                name,
                attributes: attribute.map(|value| ("k", value)).into_iter().collect(),
                children,
                text,
            })
    })
}

impl Element {
    fn write(&self, out: &mut String) {
        let escaped = |text: &str| {
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('"', "&quot;")
        };
        out.extend(["<", self.name]);
        for (name, value) in &self.attributes {
            out.extend([" ", name, "=\"", &escaped(value), "\""]);
        }
        *out += ">";
        *out += &escaped(&self.text);
        for child in &self.children {
            child.write(out);
            *out += "\n ";
        }
        out.extend(["</", self.name, ">"]);
    }

    fn value(&self) -> serde_json::Value {
        let is_text = !self.text.trim_matches(SPACES).is_empty();
        let text = if is_text {
            self.text.clone()
        } else {
            String::new()
        };
        if self.attributes.is_empty() && self.children.is_empty() {
            return text.into();
        }
        let mut object = serde_json::Map::new();
        for (name, value) in &self.attributes {
            object.insert(format!("@{name}"), value.as_str().into());
        }
        for child in &self.children {
            let all: Vec<_> = self
                .children
                .iter()
                .filter(|other| other.name == child.name)
                .collect();
            let values: Vec<_> = all.iter().map(|other| other.value()).collect();
            let value = if values.len() == 1 {
                values[0].clone()
            } else {
                values.into()
            };
            object.insert(child.name.to_owned(), value);
        }
        if is_text {
            object.insert("#text".to_owned(), text.into());
        }
        object.into()
    }
}

proptest! {
    #[test]
    fn any_document_is_what_it_should_be(element in elements()) {
        let mut text = String::new();
        element.write(&mut text);

        let read: serde_json::Value = serde_json::from_str(&json(&text)).unwrap();

        prop_assert_eq!(read, serde_json::json!({element.name: element.value()}));
    }

    #[test]
    fn any_text_is_json_or_refused(text in "([a<>/&;!\\[\\]=' -]|<a>|</a>|<a b='c'>|&amp;|<!\\[CDATA\\[|\\]\\]>){0,12}") {
        if let Ok(json) = to_json(&text, 1000) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
        }
    }
}
